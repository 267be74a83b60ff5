//! Uploads in parts. The store's client begins, ends and gives them up, but does not list them: that request is ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use object_store::aws::AmazonS3;
use object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer, Url};
use object_store::{ClientOptions, Error};
use penstock_runtime::Failure;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::classify;
use super::{Listing, MOST, Place, Unfinished, name};

/// A bucket of S3, or of what speaks like it.
#[derive(Debug, Clone)]
pub(in super::super) struct Bucket {
    store: Arc<AmazonS3>,
    client: HttpClient,
    /// What comes before our keys.
    prefix: Path,
}

/// Makes the connections of a store, and remembers how it did.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Connecting(Arc<Mutex<Option<HttpClient>>>);

impl HttpConnector for Connecting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        // Those for credentials come before that for objects.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }
}

impl Bucket {
    /// None where the store was not made with this `connecting`.
    pub(in super::super) fn new(
        store: Arc<AmazonS3>,
        connecting: &Connecting,
        prefix: Path,
    ) -> Option<Self> {
        let connected = connecting.0.lock();
        let client = connected.unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Self {
            store,
            client,
            prefix,
        })
    }

    pub(super) async fn list(&self, before: i64, place: &str) -> Result<Listing, Failure> {
        let doing = format!("list the unfinished uploads in {place}");
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let url = self.page_url(after.as_ref()).await;
            let url = url.map_err(|error| classify(&error, &doing))?;
            let (status, text) = self.get(&url).await.map_err(|error| {
                // Not the URL: it is signed.
                Failure::transient(format!("{doing}: {error}"))
            })?;
            match status {
                200 => {}
                400 | 405 | 501 => {
                    return Ok(Listing::Untold(format!(
                        "it does not list unfinished uploads (HTTP {status})"
                    )));
                }
                401 | 403 => {
                    return Err(Failure::fatal(format!(
                        "{doing}: HTTP {status}; allow s3:ListBucketMultipartUploads"
                    )));
                }
                404 => return Err(Failure::fatal(format!("{doing}: there is no such bucket"))),
                status => return Err(Failure::transient(format!("{doing}: HTTP {status}"))),
            }
            let page = Page::read(&text)
                .ok_or_else(|| Failure::fatal(format!("{doing}: the answer cannot be read")))?;
            let ours = page.uploads.into_iter().filter_map(|it| self.ours(it));
            found.extend(ours.filter(|it| it.began <= before));
            match page.next {
                Some(next) if found.len() < MOST && after.as_ref() != Some(&next) => {
                    after = Some(next);
                }
                _ => return Ok(Listing::Found(found)),
            }
        }
    }

    pub(super) async fn abort(&self, path: &Path, id: &String) -> Result<(), Error> {
        match self.store.abort_multipart(path, id).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn page_url(&self, after: Option<&(String, String)>) -> Result<Url, Error> {
        const VALID: Duration = Duration::from_secs(60);
        let mut query = vec![("uploads", String::new())];
        if !self.prefix.as_ref().is_empty() {
            query.push(("prefix", format!("{}/", self.prefix)));
        }
        if let Some((key, id)) = after {
            query.push(("key-marker", key.clone()));
            query.push(("upload-id-marker", id.clone()));
        }
        let options = SignedUrlOptions::new().with_query(query);
        let bucket = Path::default();
        self.store
            .signed_url_opts(Method::GET, &bucket, VALID, &options)
            .await
    }

    async fn get(
        &self,
        url: &Url,
    ) -> Result<(u16, String), Box<dyn std::error::Error + Send + Sync>> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse()?;
        let response = self.client.execute(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().bytes().await?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// None where it was not begun by us.
    fn ours(&self, upload: Upload) -> Option<Unfinished> {
        let path = Path::parse(&upload.key).ok()?;
        let below: Path = path.prefix_match(&self.prefix)?.collect();
        let began = DateTime::parse_from_rfc3339(&upload.initiated).ok()?;
        Some(Unfinished {
            key: name::key(&below)?,
            size: None,
            began: began.timestamp_millis(),
            place: Place::Upload {
                path,
                id: upload.id,
            },
        })
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Upload {
    key: String,
    id: String,
    initiated: String,
}

/// One answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    uploads: Vec<Upload>,
    /// Behind which key and upload the next one begins.
    next: Option<(String, String)>,
}

impl Page {
    fn read(xml: &str) -> Option<Self> {
        let mut reader = Reader::from_str(xml);
        let mut page = Self::default();
        let (mut key, mut id, mut more) = (String::new(), String::new(), false);
        let mut upload = None;
        let mut text = String::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(element) => {
                    text.clear();
                    if element.local_name().as_ref() == "Upload" {
                        upload = Some(Upload::default());
                    }
                }
                Event::Text(more) => text.push_str(&more),
                Event::GeneralRef(reference) => text.push_str(match &*reference {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    "apos" => "'",
                    // No key of ours needs another.
                    _ => "",
                }),
                Event::End(element) => {
                    let text = std::mem::take(&mut text);
                    match (element.local_name().as_ref(), &mut upload) {
                        ("Upload", ended) => page.uploads.extend(ended.take()),
                        ("Key", Some(upload)) => upload.key = text,
                        ("UploadId", Some(upload)) => upload.id = text,
                        ("Initiated", Some(upload)) => upload.initiated = text,
                        ("NextKeyMarker", None) => key = text,
                        ("NextUploadIdMarker", None) => id = text,
                        ("IsTruncated", None) => more = text == "true",
                        _ => {}
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        page.next = more.then_some((key, id));
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let xml = "<?xml version=\"1.0\"?><ListMultipartUploadsResult><Bucket>b</Bucket><Prefix>p/</Prefix>\
            <NextKeyMarker>p/&lt;b&amp;</NextKeyMarker><NextUploadIdMarker>2</NextUploadIdMarker>\
            <IsTruncated>true</IsTruncated><Upload><Key>p/a</Key><UploadId>1</UploadId><Initiator><ID>x</ID></Initiator>\
            <Initiated>2026-11-21T10:00:00.000Z</Initiated></Upload><Upload><Key>p/&lt;b&amp;</Key><UploadId>2</UploadId>\
            <Initiated>2026-11-21T10:00:01.000Z</Initiated></Upload></ListMultipartUploadsResult>";
        let page = Page::read(xml).unwrap();
        let upload = |key: &str, id: &str, initiated: &str| Upload {
            key: key.to_owned(),
            id: id.to_owned(),
            initiated: initiated.to_owned(),
        };
        assert_eq!(
            page.uploads,
            [
                upload("p/a", "1", "2026-11-21T10:00:00.000Z"),
                upload("p/<b&", "2", "2026-11-21T10:00:01.000Z")
            ]
        );
        assert_eq!(page.next, Some(("p/<b&".to_owned(), "2".to_owned())));
        let last = Page::read("<X><IsTruncated>false</IsTruncated></X>").unwrap();
        assert_eq!(last, Page::default());
        assert_eq!(Page::read("<X><Upload></X>"), None);
    }
}
