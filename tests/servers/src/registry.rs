//! A schema registry that speaks as much of Confluent's API as clients of ours do, over HTTP on loopback with or without
//! TLS, and can be told to misbehave. Subjects are held to BACKWARD: a new schema reads what the newest one wrote.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Certificates, Clients};

/// What a bearer brings.
pub const TOKEN: &str = "registry-token-5e0b";
/// `USER` and `PASSWORD`, as a client sends them.
const BASIC: &str = "Basic YWxpY2U6YWxpY2Utc2VjcmV0LTkxYzI=";
/// So that an id is never a version.
const FIRST_ID: u32 = 101;

/// What happens to one request, instead of what should.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// 503.
    Unavailable,
    /// 429, with a word on when to come back.
    Busy,
    /// The answer comes late.
    Slow(Duration),
    /// The page of a proxy.
    Garbage,
    /// A schema that was not asked for.
    Wrong,
}

/// The server. It ends when it is dropped.
pub struct Registry {
    url: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// As they were registered. Each schema has one id, whatever its subjects.
    schemas: BTreeMap<u32, String>,
    /// The ids of their versions, in order.
    subjects: BTreeMap<String, Vec<u32>>,
    guarded: bool,
    away: bool,
    faults: VecDeque<Fault>,
    requests: Vec<String>,
}

/// Who may connect.
#[derive(Clone)]
enum Door {
    Open,
    Tls(TlsAcceptor),
}

impl Registry {
    /// # Errors
    /// Where no port of loopback is free.
    pub async fn start() -> std::io::Result<Self> {
        Self::behind(Door::Open, "http").await
    }

    /// With the certificate of a broker.
    ///
    /// # Errors
    /// Where no port of loopback is free, or the certificates cannot be read.
    pub async fn over_tls(certificates: &Certificates) -> std::io::Result<Self> {
        let door = Door::Tls(certificates.acceptor(Clients::Any)?);
        Self::behind(door, "https").await
    }

    /// The same, for those who bring a certificate of the same authority.
    ///
    /// # Errors
    /// As `over_tls`.
    pub async fn over_mutual_tls(certificates: &Certificates) -> std::io::Result<Self> {
        let door = Door::Tls(certificates.acceptor(Clients::Vouched)?);
        Self::behind(door, "https").await
    }

    async fn behind(door: Door, scheme: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State::default()));
        let serving = tokio::spawn(serve(listener, door, state.clone()));
        Ok(Self {
            url,
            state,
            serving,
        })
    }

    /// `http://127.0.0.1:port`, or https.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on only for `USER` with `PASSWORD`, or who brings `TOKEN`.
    pub fn guard(&self) {
        locked(&self.state).guarded = true;
    }

    /// The next requests meet these, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.state).faults.extend(faults);
    }

    /// From now on every connection breaks; or no more.
    pub fn set_away(&self, away: bool) {
        locked(&self.state).away = away;
    }

    /// Registers a schema as another program does, whatever was there; returns its id.
    pub fn put(&self, subject: &str, schema: &str) -> u32 {
        locked(&self.state).add(subject, schema)
    }

    /// The ids of a subject's versions, oldest first.
    pub fn versions(&self, subject: &str) -> Vec<u32> {
        let state = locked(&self.state);
        state.subjects.get(subject).cloned().unwrap_or_default()
    }

    /// Method and target of every request since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.state).requests)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, door: Door, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (door, state) = (door.clone(), state.clone());
        tokio::spawn(async move {
            match door {
                Door::Open => converse(stream, state).await,
                Door::Tls(acceptor) => match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => converse(stream, state).await,
                    // Who is not let in hears why from TLS; closed at once, the connection would be reset, and the word lost.
                    Err((_, mut stream)) => {
                        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    }
                },
            }
        });
    }
}

async fn converse<S>(stream: S, state: Arc<Mutex<State>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| answer(request, state.clone()));
    // A client that hangs up, or a connection broken on purpose, is no error here.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Body = Full<Bytes>;

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Body>, &'static str> {
    let (parts, body) = request.into_parts();
    let given = parts.headers.get(AUTHORIZATION);
    let given = given.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let let_in = given == BASIC || given.strip_prefix("Bearer ") == Some(TOKEN);
    let body = body.collect().await.map_err(|_| "cut short")?.to_bytes();
    let fault = {
        let mut state = locked(&state);
        state
            .requests
            .push(format!("{} {}", parts.method, parts.uri));
        if state.away {
            return Err("away on purpose");
        }
        if state.guarded && !let_in {
            return Ok(refused(StatusCode::UNAUTHORIZED, 401, "Unauthorized"));
        }
        state.faults.pop_front()
    };
    match fault {
        Some(Fault::Unavailable) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Ok(refused(status, 50003, "the leader is away"));
        }
        Some(Fault::Busy) => {
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, 429, "too many requests");
            response.headers_mut().insert(RETRY_AFTER, 0.into());
            return Ok(response);
        }
        Some(Fault::Garbage) => return Ok(said("<html>this is a proxy</html>".to_owned())),
        Some(Fault::Wrong) => {
            return Ok(said(json!({ "id": 7, "schema": "\"string\"" }).to_string()));
        }
        Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
        None => {}
    }
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    Ok(locked(&state).respond(parts.method.as_str(), &path, &body))
}

impl State {
    fn respond(&mut self, method: &str, path: &[&str], body: &[u8]) -> Response<Body> {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let schema = asked["schema"].as_str().unwrap_or_default();
        if method == "POST" && Schema::parse_str(schema).is_err() {
            return refused(StatusCode::UNPROCESSABLE_ENTITY, 42201, "invalid schema");
        }
        match (method, path) {
            ("GET", ["schemas", "ids", id]) => {
                let found = id.parse().ok().and_then(|id: u32| self.schemas.get(&id));
                match found {
                    Some(schema) => said(json!({ "schema": schema }).to_string()),
                    None => refused(StatusCode::NOT_FOUND, 40403, "Schema not found"),
                }
            }
            ("POST", ["subjects", subject]) => self.find(subject, schema),
            ("POST", ["subjects", subject, "versions"]) => match self.objection(subject, schema) {
                Some(why) => {
                    let why = format!("incompatible with an earlier schema, details: [{why}]");
                    refused(StatusCode::CONFLICT, 409, &why)
                }
                None => said(json!({ "id": self.add(subject, schema) }).to_string()),
            },
            ("POST", ["compatibility", "subjects", subject, "versions", "latest"]) => {
                if !self.subjects.contains_key(*subject) {
                    return refused(StatusCode::NOT_FOUND, 40401, "Subject not found");
                }
                let why: Vec<String> = self.objection(subject, schema).into_iter().collect();
                said(json!({ "is_compatible": why.is_empty(), "messages": why }).to_string())
            }
            _ => refused(StatusCode::NOT_FOUND, 404, "HTTP 404 Not Found"),
        }
    }

    fn find(&self, subject: &str, schema: &str) -> Response<Body> {
        let Some(ids) = self.subjects.get(subject) else {
            return refused(StatusCode::NOT_FOUND, 40401, "Subject not found");
        };
        let found = self.id_of(schema).filter(|id| ids.contains(id));
        let Some(id) = found else {
            return refused(StatusCode::NOT_FOUND, 40403, "Schema not found");
        };
        let version = ids.iter().position(|it| *it == id).unwrap_or_default() + 1;
        let text = self.schemas.get(&id);
        let found = json!({ "subject": subject, "id": id, "version": version, "schema": text });
        said(found.to_string())
    }

    /// Why the subject does not take this schema.
    fn objection(&self, subject: &str, schema: &str) -> Option<String> {
        let newest = self.subjects.get(subject)?.last()?;
        let newest = Schema::parse_str(self.schemas.get(newest)?).ok()?;
        let new = Schema::parse_str(schema).ok()?;
        match SchemaCompatibility::can_read(&newest, &new) {
            Ok(Compatibility::Full) => None,
            Ok(Compatibility::Partial) => Some("not all that was written can be read".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    fn add(&mut self, subject: &str, schema: &str) -> u32 {
        let next = FIRST_ID + self.schemas.len() as u32;
        let id = self.id_of(schema).unwrap_or(next);
        self.schemas.entry(id).or_insert_with(|| schema.to_owned());
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        id
    }

    /// Schemas are the same that differ in white space only.
    fn id_of(&self, schema: &str) -> Option<u32> {
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        let wanted = read(schema)?;
        let is_it = |(_, text): &(&u32, &String)| read(text).as_ref() == Some(&wanted);
        self.schemas.iter().find(is_it).map(|(id, _)| *id)
    }
}

fn said(text: String) -> Response<Body> {
    Response::new(Full::new(text.into()))
}

fn refused(status: StatusCode, code: u32, message: &str) -> Response<Body> {
    let mut response = said(json!({ "error_code": code, "message": message }).to_string());
    *response.status_mut() = status;
    response
}
