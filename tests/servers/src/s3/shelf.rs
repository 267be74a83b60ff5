//! What is in the bucket, and what a request makes of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, ETAG, LAST_MODIFIED};
use hyper::{Method, Response, StatusCode};

use super::snare::Snares;
use super::{BUCKET, Fault};

/// Keys in one answer to a listing, so that a listing has pages.
const PAGE: usize = 3;

pub(super) type Body = BoxBody<Bytes, std::io::Error>;

/// What a request is about.
pub(super) struct Asked {
    pub method: Method,
    pub key: String,
    pub query: BTreeMap<String, String>,
    pub range: Option<(usize, usize)>,
    pub body: Bytes,
}

#[derive(Default)]
pub(super) struct State {
    pub objects: BTreeMap<String, Object>,
    pub uploads: BTreeMap<String, Upload>,
    pub faults: VecDeque<Fault>,
    /// Every request is answered by 503.
    pub down: bool,
    pub snares: Snares,
    pub requests: Vec<String>,
    pub encryption: Option<String>,
    /// How far its clock is ahead of everybody else's.
    pub ahead: TimeDelta,
}

pub(super) struct Object {
    bytes: Bytes,
    written: DateTime<Utc>,
}

pub(super) struct Upload {
    key: String,
    begun: DateTime<Utc>,
    parts: BTreeMap<usize, Bytes>,
}

impl State {
    pub fn answer(&mut self, asked: Asked, fault: Option<Fault>) -> Response<Body> {
        match (asked.method.as_str(), asked.key.as_str()) {
            ("GET", "") if asked.query.contains_key("uploads") => self.list_uploads(&asked.query),
            ("GET", "") => self.list(&asked.query),
            ("POST", "") => self.delete_many(&asked.body),
            ("GET" | "HEAD", _) => self.get(&asked, fault),
            ("PUT", _) => self.put(asked),
            ("POST", _) => self.upload(&asked),
            ("DELETE", _) => self.delete(&asked),
            _ => refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn get(&self, asked: &Asked, fault: Option<Fault>) -> Response<Body> {
        let Some(object) = self.objects.get(&asked.key) else {
            return refused(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        let mut bytes = object.bytes.clone();
        let whole = bytes.len();
        let mut response = Response::builder().header(ETAG, etag(&bytes)).header(
            LAST_MODIFIED,
            object
                .written
                .format("%a, %d %b %Y %H:%M:%S GMT")
                .to_string(),
        );
        if let Some((from, to)) = asked.range {
            let to = to.min(whole.saturating_sub(1));
            bytes = bytes.slice(from.min(whole)..(to + 1).min(whole));
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header("Content-Range", format!("bytes {from}-{to}/{whole}"));
        }
        response = response.header(CONTENT_LENGTH, bytes.len());
        let body = match fault {
            _ if asked.method == Method::HEAD => whole_body(Bytes::new()),
            Some(Fault::Truncated) => {
                let half = bytes.slice(..bytes.len() / 2);
                let cut = std::io::Error::other("cut short on purpose");
                let frames = [Ok(Frame::data(half)), Err(cut)];
                StreamBody::new(futures::stream::iter(frames)).boxed()
            }
            Some(Fault::Damaged) => {
                let flipped: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
                whole_body(flipped.into())
            }
            _ => whole_body(bytes),
        };
        built(response.body(body))
    }

    fn put(&mut self, asked: Asked) -> Response<Body> {
        let tag = etag(&asked.body);
        match (asked.query.get("uploadId"), asked.query.get("partNumber")) {
            (Some(upload), Some(number)) => {
                let upload = self.uploads.get_mut(upload);
                let (Some(upload), Ok(number)) = (upload, number.parse()) else {
                    return refused(StatusCode::NOT_FOUND, "NoSuchUpload");
                };
                upload.parts.insert(number, asked.body);
            }
            _ => self.keep(asked.key, asked.body),
        }
        built(
            Response::builder()
                .header(ETAG, tag)
                .body(whole_body(Bytes::new())),
        )
    }

    /// Begins an upload in parts, or ends it.
    fn upload(&mut self, asked: &Asked) -> Response<Body> {
        if asked.query.contains_key("uploads") {
            let id = self.begin_upload(&asked.key);
            return xml(&format!(
                "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
                escaped(&asked.key)
            ));
        }
        let id = asked.query.get("uploadId").cloned().unwrap_or_default();
        let Some(upload) = self.uploads.remove(&id) else {
            return refused(StatusCode::NOT_FOUND, "NoSuchUpload");
        };
        let bytes: Vec<u8> = upload.parts.into_values().flatten().collect();
        let tag = etag(&bytes);
        self.keep(asked.key.clone(), bytes.into());
        xml(&format!(
            "<CompleteMultipartUploadResult><Key>{}</Key><ETag>{}</ETag></CompleteMultipartUploadResult>",
            escaped(&asked.key),
            escaped(&tag)
        ))
    }

    pub fn age(&mut self, by: TimeDelta) {
        for object in self.objects.values_mut() {
            object.written -= by;
        }
        for upload in self.uploads.values_mut() {
            upload.begun -= by;
        }
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.ahead
    }

    pub fn keep(&mut self, key: String, bytes: Bytes) {
        let written = self.now();
        self.objects.insert(key, Object { bytes, written });
    }

    pub fn begin_upload(&mut self, key: &str) -> String {
        let id = format!("upload-{:03}", self.requests.len() + self.uploads.len());
        let upload = Upload {
            key: key.to_owned(),
            begun: self.now(),
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        id
    }

    fn delete(&mut self, asked: &Asked) -> Response<Body> {
        match asked.query.get("uploadId") {
            Some(upload) => drop(self.uploads.remove(upload)),
            None => drop(self.objects.remove(&asked.key)),
        }
        built(
            Response::builder()
                .status(StatusCode::NO_CONTENT)
                .body(whole_body(Bytes::new())),
        )
    }

    fn delete_many(&mut self, body: &[u8]) -> Response<Body> {
        let text = String::from_utf8_lossy(body);
        let keys = text.split("<Key>").skip(1);
        let mut deleted = String::new();
        for key in keys.filter_map(|rest| rest.split("</Key>").next()) {
            self.objects.remove(&plain(key));
            deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
        }
        xml(&format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response<Body> {
        let text = |name| query.get(name).map_or("", String::as_str);
        let (prefix, after) = (text("prefix"), text("continuation-token"));
        let below = |key: &&String| key.starts_with(prefix) && key.as_str() > after;
        let keys: Vec<&String> = self.objects.keys().filter(below).collect();
        let mut contents = String::new();
        for key in keys.iter().take(PAGE) {
            let Some(object) = self.objects.get(*key) else {
                continue;
            };
            contents += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>\"x\"</ETag><Size>{}</Size></Contents>",
                escaped(key),
                stamp(object.written),
                object.bytes.len()
            );
        }
        let more = keys.len() > PAGE;
        let next = match keys.get(PAGE - 1) {
            Some(last) if more => format!(
                "<NextContinuationToken>{}</NextContinuationToken>",
                escaped(last)
            ),
            _ => String::new(),
        };
        xml(&format!(
            "<ListBucketResult><Name>{BUCKET}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><IsTruncated>{more}</IsTruncated>{next}{contents}</ListBucketResult>",
            escaped(prefix),
            keys.len().min(PAGE)
        ))
    }

    /// Ordered by key, then by id; the markers name the last of the page before.
    fn list_uploads(&self, query: &BTreeMap<String, String>) -> Response<Body> {
        let text = |name| query.get(name).map_or("", String::as_str);
        let after = (text("key-marker"), text("upload-id-marker"));
        let mut all: Vec<(&str, &str, DateTime<Utc>)> = self
            .uploads
            .iter()
            .map(|(id, upload)| (upload.key.as_str(), id.as_str(), upload.begun))
            .filter(|(key, id, _)| key.starts_with(text("prefix")) && (*key, *id) > after)
            .collect();
        all.sort();
        let more = all.len() > PAGE;
        all.truncate(PAGE);
        let next = match all.last() {
            Some((key, id, _)) if more => format!(
                "<NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker>",
                escaped(key)
            ),
            _ => String::new(),
        };
        let uploads: String = all
            .iter()
            .map(|(key, id, begun)| {
                format!(
                    "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated></Upload>",
                    escaped(key),
                    stamp(*begun)
                )
            })
            .collect();
        xml(&format!(
            "<ListMultipartUploadsResult><Bucket>{BUCKET}</Bucket><IsTruncated>{more}</IsTruncated>{next}{uploads}</ListMultipartUploadsResult>"
        ))
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn whole_body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn xml(content: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{content}");
    Response::new(whole_body(text.into()))
}

pub(super) fn refused(status: StatusCode, code: &str) -> Response<Body> {
    let text = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    built(
        Response::builder()
            .status(status)
            .body(whole_body(text.into())),
    )
}

fn built(response: hyper::http::Result<Response<Body>>) -> Response<Body> {
    response.unwrap_or_else(|error| crate::fail(&format!("an answer of the S3 server: {error}")))
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{:x}\"", bytes.len())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
