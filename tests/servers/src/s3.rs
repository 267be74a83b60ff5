//! An object store that speaks as much of S3 as clients of ours do, over HTTP on loopback, and can be told to misbehave.

mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, LAST_MODIFIED, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::{
    built, decoded, escaped, etag, plain, query_of, range_of, refused, user_of, whole_body, xml,
};

/// The one bucket there is.
pub const BUCKET: &str = "penstock-test";
/// Who may come in. With a dot and a name behind it, the same, and `Snared` tells the name.
pub const ACCESS_KEY: &str = "test-access";
pub const SECRET_KEY: &str = "test-secret";
/// Keys in one answer to a listing, so that a listing has pages.
const PAGE: usize = 3;
/// Of everything: nobody asks when it was.
const WRITTEN: (&str, &str) = ("Sat, 21 Nov 2026 10:00:00 GMT", "2026-11-21T10:00:00.000Z");

/// What happens to one request, instead of what should.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// 503, as under load.
    Unavailable,
    /// The answer comes late.
    Slow(Duration),
    /// The connection ends in the middle of the bytes.
    Truncated,
    /// As many bytes as there should be, and not the same.
    Damaged,
}

/// Objects whose readers get no answer, but are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snare {
    /// This one.
    Key(String),
    /// All below a prefix, but for one.
    Below { prefix: String, but: String },
}

impl Snare {
    fn holds(&self, key: &str) -> bool {
        match self {
            Self::Key(snared) => key == snared,
            Self::Below { prefix, but } => key.starts_with(prefix) && key != but,
        }
    }
}

/// Somebody asked for an object that is snared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snared {
    /// What stands behind `ACCESS_KEY` and a dot in the reader's own.
    pub reader: String,
    pub key: String,
}

/// The server. It ends when it is dropped.
pub struct S3 {
    address: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    uploads: BTreeMap<String, BTreeMap<usize, Bytes>>,
    faults: VecDeque<Fault>,
    requests: Vec<String>,
    encryption: Option<String>,
    is_down: bool,
    snares: Vec<(Snare, mpsc::UnboundedSender<Snared>)>,
}

type Body = BoxBody<Bytes, std::io::Error>;

impl S3 {
    /// # Errors
    /// Where no port of loopback is free.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State::default()));
        let serving = tokio::spawn(serve(listener, state.clone()));
        Ok(Self {
            address,
            state,
            serving,
        })
    }

    /// `http://127.0.0.1:port`
    pub fn endpoint(&self) -> &str {
        &self.address
    }

    /// The next requests that read or write an object meet these, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.state).faults.extend(faults);
    }

    /// Every request is refused with 503 until `mend`.
    pub fn go_down(&self) {
        locked(&self.state).is_down = true;
    }

    /// From now on all goes well.
    pub fn mend(&self) {
        let mut state = locked(&self.state);
        state.faults.clear();
        state.is_down = false;
    }

    /// Whoever reads such an object waits until its connection ends, and is told of, until the receiver is dropped.
    pub fn snare(&self, snare: Snare) -> mpsc::UnboundedReceiver<Snared> {
        let (sender, receiver) = mpsc::unbounded_channel();
        locked(&self.state).snares.push((snare, sender));
        receiver
    }

    /// Puts an object there without a request.
    pub fn put(&self, key: &str, bytes: Bytes) {
        locked(&self.state).objects.insert(key.to_owned(), bytes);
    }

    /// Faults nobody has met yet.
    pub fn faults_left(&self) -> usize {
        locked(&self.state).faults.len()
    }

    /// Method and target of every request since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.state).requests)
    }

    /// The encryption the last write asked for.
    pub fn encryption(&self) -> Option<String> {
        locked(&self.state).encryption.clone()
    }

    /// Uploads in parts that were begun and neither finished nor given up.
    pub fn open_uploads(&self) -> usize {
        locked(&self.state).uploads.len()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, state.clone()));
    }
}

async fn converse(stream: TcpStream, state: Arc<Mutex<State>>) {
    let service = service_fn(|request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    // A client that hangs up, or an answer cut short on purpose, is no error here.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// What a request is about.
struct Asked {
    method: Method,
    key: String,
    query: BTreeMap<String, String>,
    range: Option<(usize, usize)>,
    body: Bytes,
}

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let target = format!("{} {}", parts.method, parts.uri);
    let header = |name| parts.headers.get(name).and_then(|it| it.to_str().ok());
    let user = header(AUTHORIZATION.as_str())
        .and_then(user_of)
        .map(str::to_owned);
    let encryption = header("x-amz-server-side-encryption").map(str::to_owned);
    let range = header(RANGE.as_str()).and_then(range_of);
    let Ok(body) = body.collect().await else {
        return refused(StatusCode::BAD_REQUEST, "IncompleteBody");
    };
    let is_down = {
        let mut state = locked(state);
        state.requests.push(target);
        state.is_down
    };
    if is_down {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");
    }
    let Some(user) = user else {
        return refused(StatusCode::FORBIDDEN, "InvalidAccessKeyId");
    };
    let path = decoded(parts.uri.path());
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path.trim_start_matches('/'), ""));
    if bucket != BUCKET {
        return refused(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    let asked = Asked {
        method: parts.method,
        key: key.to_owned(),
        query: query_of(parts.uri.query().unwrap_or_default()),
        range,
        body: body.to_bytes(),
    };
    if asked.method == Method::GET && locked(state).is_snared(&asked.key, &user) {
        // Until the reader is gone, and this answer with it.
        std::future::pending::<()>().await;
    }
    let spared = asked.key.is_empty() || asked.method == Method::DELETE;
    let fault = match spared {
        true => None,
        false => locked(state).faults.pop_front(),
    };
    match fault {
        Some(Fault::Unavailable) => {
            return refused(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
        }
        Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
        _ => {}
    }
    let mut state = locked(state);
    if asked.method == Method::PUT || asked.method == Method::POST {
        state.encryption = encryption.or(state.encryption.take());
    }
    match (asked.method.as_str(), asked.key.as_str()) {
        ("GET", "") => state.list(&asked.query),
        ("POST", "") => state.delete_many(&asked.body),
        ("GET" | "HEAD", _) => state.get(&asked, fault),
        ("PUT", _) => state.put(asked),
        ("POST", _) => state.upload(&asked),
        ("DELETE", _) => state.delete(&asked),
        _ => refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

impl State {
    /// Tells of the reader.
    fn is_snared(&mut self, key: &str, reader: &str) -> bool {
        self.snares.retain(|(_, told)| !told.is_closed());
        let snare = self.snares.iter().find(|(snare, _)| snare.holds(key));
        let told = snare.map(|(_, told)| {
            told.send(Snared {
                reader: reader.to_owned(),
                key: key.to_owned(),
            })
        });
        told.is_some_and(|it| it.is_ok())
    }

    fn get(&self, asked: &Asked, fault: Option<Fault>) -> Response<Body> {
        let Some(bytes) = self.objects.get(&asked.key) else {
            return refused(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        let mut bytes = bytes.clone();
        let whole = bytes.len();
        let mut response = Response::builder()
            .header(ETAG, etag(&bytes))
            .header(LAST_MODIFIED, WRITTEN.0);
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
                let parts = self.uploads.get_mut(upload);
                let (Some(parts), Ok(number)) = (parts, number.parse()) else {
                    return refused(StatusCode::NOT_FOUND, "NoSuchUpload");
                };
                parts.insert(number, asked.body);
            }
            _ => {
                self.objects.insert(asked.key, asked.body);
            }
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
            let id = format!("upload-{}", self.requests.len());
            self.uploads.insert(id.clone(), BTreeMap::new());
            return xml(&format!(
                "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
                escaped(&asked.key)
            ));
        }
        let id = asked.query.get("uploadId").cloned().unwrap_or_default();
        let Some(parts) = self.uploads.remove(&id) else {
            return refused(StatusCode::NOT_FOUND, "NoSuchUpload");
        };
        let bytes: Vec<u8> = parts.into_values().flatten().collect();
        let tag = etag(&bytes);
        self.objects.insert(asked.key.clone(), bytes.into());
        xml(&format!(
            "<CompleteMultipartUploadResult><Key>{}</Key><ETag>{}</ETag></CompleteMultipartUploadResult>",
            escaped(&asked.key),
            escaped(&tag)
        ))
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
        let from = prefix.max(after).to_owned();
        let below = self.objects.range(from..).map(|(key, _)| key);
        let keys: Vec<&String> = below
            .take_while(|key| key.starts_with(prefix))
            .filter(|key| key.as_str() > after)
            .take(PAGE + 1)
            .collect();
        let mut contents = String::new();
        for key in keys.iter().take(PAGE) {
            let size = self.objects.get(*key).map_or(0, Bytes::len);
            contents += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>\"x\"</ETag><Size>{size}</Size></Contents>",
                escaped(key),
                WRITTEN.1
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
}
