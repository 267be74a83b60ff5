//! An object store that speaks as much of S3 as clients of ours do, over HTTP on loopback, and can be told to misbehave.

mod shelf;
mod snare;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::shelf::{Asked, Body, State, refused};
pub use self::snare::{Snare, Snared};

/// The one bucket there is.
pub const BUCKET: &str = "penstock-test";
/// Who may come in. With a dot and a name behind it, the same, and `Snared` tells the name.
pub const ACCESS_KEY: &str = "test-access";
pub const SECRET_KEY: &str = "test-secret";

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

/// The server. It ends when it is dropped.
pub struct S3 {
    address: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

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

    /// The URL of a prefix of the bucket, and the properties it takes.
    pub fn settings(&self, prefix: &str) -> (String, BTreeMap<String, String>) {
        let properties = [
            ("endpoint", self.endpoint()),
            ("region", "eu-central-1"),
            ("access_key_id", ACCESS_KEY),
            ("secret_access_key", SECRET_KEY),
            ("allow_http", "true"),
        ];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
        (format!("s3://{BUCKET}/{prefix}"), properties.into())
    }

    /// The same as lines of a configuration file, below `[objects]`.
    pub fn toml(&self, prefix: &str) -> String {
        let (url, properties) = self.settings(prefix);
        let lines = properties
            .iter()
            .map(|(name, value)| format!("properties.{name} = {value:?}\n"));
        format!("url = {url:?}\n{}", lines.collect::<String>())
    }

    /// The next requests that read or write an object meet these, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.state).faults.extend(faults);
    }

    /// Until it is mended everything is unavailable, listings too.
    pub fn take_down(&self) {
        locked(&self.state).down = true;
    }

    /// From now on all goes well.
    pub fn mend(&self) {
        let mut state = locked(&self.state);
        state.faults.clear();
        state.down = false;
    }

    /// Whoever reads such an object waits until its connection ends, and is told of, until the receiver is dropped.
    pub fn snare(&self, snare: Snare) -> mpsc::UnboundedReceiver<Snared> {
        locked(&self.state).snares.set(snare)
    }

    /// Puts an object there without a request.
    pub fn put(&self, key: &str, bytes: Bytes) {
        locked(&self.state).keep(key.to_owned(), bytes);
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

    /// An upload of `key` in parts, as a client leaves it that dies at its first part.
    pub fn leave_upload(&self, key: &str) {
        locked(&self.state).begin_upload(key);
    }

    /// All that is in it is older by so much.
    pub fn age(&self, by: Duration) {
        locked(&self.state).age(TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX));
    }

    /// From now on its clock is ahead of everybody else's by so much more.
    pub fn run_ahead(&self, by: Duration) {
        locked(&self.state).ahead += TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    }

    /// Keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        locked(&self.state).objects.keys().cloned().collect()
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

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let target = format!("{} {}", parts.method, parts.uri);
    let header = |name| parts.headers.get(name).and_then(|it| it.to_str().ok());
    let query = query_of(parts.uri.query().unwrap_or_default());
    // In a header, or in the target itself.
    let credential = header(AUTHORIZATION.as_str())
        .and_then(|it| it.split_once("Credential="))
        .map(|(_, credential)| credential)
        .or_else(|| query.get("X-Amz-Credential").map(String::as_str));
    let user = credential.and_then(user_of).map(str::to_owned);
    let encryption = header("x-amz-server-side-encryption").map(str::to_owned);
    let range = header(RANGE.as_str()).and_then(range_of);
    let Ok(body) = body.collect().await else {
        return refused(StatusCode::BAD_REQUEST, "IncompleteBody");
    };
    locked(state).requests.push(target);
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
        query,
        range,
        body: body.to_bytes(),
    };
    if asked.method == Method::GET && locked(state).snares.hold(&asked.key, &user) {
        // Until the reader is gone, and this answer with it.
        std::future::pending::<()>().await;
    }
    let spared = asked.key.is_empty() || asked.method == Method::DELETE;
    let down = locked(state).down;
    let fault = match (down, spared) {
        (true, _) => Some(Fault::Unavailable),
        (false, true) => None,
        (false, false) => locked(state).faults.pop_front(),
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
    state.answer(asked, fault)
}

/// Whose key it is: what stands behind a dot, if anything does. None where it is nobody's.
fn user_of(credential: &str) -> Option<&str> {
    let (key, _) = credential.split_once('/')?;
    match key.strip_prefix(ACCESS_KEY)? {
        "" => Some(""),
        name => name.strip_prefix('.'),
    }
}

/// `bytes=FROM-TO`, both included.
fn range_of(header: &str) -> Option<(usize, usize)> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    Some((from.parse().ok()?, to.parse().unwrap_or(usize::MAX - 1)))
}

fn query_of(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // As forms have it.
            (decoded(name), decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// What percent signs stand for.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
