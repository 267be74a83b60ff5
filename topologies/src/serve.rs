//! The owner of a data folder serves other processes of the same user, on loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{FromRef, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use penstock_runtime::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::audit::{Audit, Manner, Repaired, audit_log, repair};
use crate::forget::{Holdings, Inventory};
use crate::pipeline::Parts;
use crate::query::{Answer, AnswerNeighbour, Question, answer};
use crate::status::{StoreStatus, store_status};
use crate::system::{Log, Owner};

/// Work done by the owner since it started, for the summary of an `ingest` beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    pub pages: u64,
    pub chunks: u64,
    pub embedded: u64,
    /// Entities in the graph now.
    pub entities: u64,
}

/// What an audit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    pub manner: Manner,
    /// Of a repair: how long it waits for the next document to be finished.
    pub deadline: Duration,
    /// Of a repair: also where the ledger does not name most of what is there.
    pub even_if_most: bool,
}

impl Work {
    pub async fn of(parts: &Parts) -> Result<Self, Failure> {
        Ok(Self {
            pages: parts.counters.pages.get(),
            chunks: parts.counters.chunks.get(),
            embedded: parts.counters.embed.embedded.load(Ordering::Relaxed),
            entities: parts.stores.graph.counts().await?.entities,
        })
    }
}

/// What requests are answered from.
#[derive(Clone)]
struct Answers {
    parts: Arc<Parts>,
    log: Arc<Log>,
}

impl FromRef<Answers> for Arc<Parts> {
    fn from_ref(answers: &Answers) -> Self {
        answers.parts.clone()
    }
}

impl FromRef<Answers> for Arc<Log> {
    fn from_ref(answers: &Answers) -> Self {
        answers.log.clone()
    }
}

/// The server; ends when stopped.
pub struct Server {
    address: String,
    serving: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1. Every request must bring `token`.
    pub async fn start(parts: Arc<Parts>, log: Arc<Log>, token: String) -> Result<Self, Failure> {
        let wrong = |error: std::io::Error| {
            Failure::fatal(format!(
                "cannot serve other processes on 127.0.0.1: {error}"
            ))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?.to_string();
        let expected: Arc<str> = format!("Bearer {token}").into();
        let routes = Router::new()
            .route("/query", post(serve_query))
            .route("/points", post(serve_points))
            .route("/neighbours", post(serve_neighbours))
            .route("/work", get(serve_work))
            .route("/stores", get(serve_stores))
            .route("/audit", post(serve_audit))
            .route("/repair", post(serve_repair))
            .route("/count", post(serve_count))
            .layer(middleware::from_fn_with_state(expected, check_token))
            .with_state(Answers { parts, log });
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the loopback server stopped");
            }
        });
        Ok(Self { address, serving })
    }

    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub fn stop(self) {
        self.serving.abort();
    }
}

async fn check_token(State(expected): State<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get("authorization");
    if given.is_some_and(|it| it.as_bytes() == expected.as_bytes()) {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

struct Refused(Failure);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0 {
            Failure::Poison(_) => StatusCode::BAD_REQUEST,
            Failure::Transient { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Fatal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.0.reason().to_owned()).into_response()
    }
}

type Served<T> = Result<Json<T>, Refused>;

async fn serve_query(
    State(parts): State<Arc<Parts>>,
    Json(question): Json<Question>,
) -> Served<Answer> {
    let answer = answer(
        &question,
        parts.craft.embedder.as_ref(),
        parts.stores.vectors.as_ref(),
        parts.stores.graph.as_ref(),
    );
    answer.await.map(Json).map_err(Refused)
}

async fn serve_points(
    State(parts): State<Arc<Parts>>,
    Json(document): Json<Uuid>,
) -> Served<Vec<Value>> {
    let points = parts.stores.vectors.dump(document).await;
    points.map(Json).map_err(Refused)
}

async fn serve_neighbours(
    State(parts): State<Arc<Parts>>,
    Json(chunks): Json<Vec<Uuid>>,
) -> Served<Vec<Vec<AnswerNeighbour>>> {
    let found = parts.stores.graph.neighbours(&chunks).await;
    let each = |it: Vec<_>| it.into_iter().map(AnswerNeighbour::from).collect();
    found
        .map(|found| Json(found.into_iter().map(each).collect()))
        .map_err(Refused)
}

async fn serve_work(State(parts): State<Arc<Parts>>) -> Served<Work> {
    Work::of(&parts).await.map(Json).map_err(Refused)
}

async fn serve_stores(State(parts): State<Arc<Parts>>) -> Served<Vec<StoreStatus>> {
    Ok(Json(store_status(&parts.stores).await))
}

async fn serve_audit(
    State(parts): State<Arc<Parts>>,
    State(log): State<Arc<Log>>,
    Json(how): Json<Examination>,
) -> Served<Audit> {
    let audit = audit_log(&log, &parts.stores, &parts.config.data, how.manner);
    audit.await.map(Json).map_err(Refused)
}

async fn serve_repair(
    State(parts): State<Arc<Parts>>,
    State(log): State<Arc<Log>>,
    Json(how): Json<Examination>,
) -> Served<Repaired> {
    let repaired = repair(&parts, &log, how);
    repaired.await.map(Json).map_err(Refused)
}

async fn serve_count(
    State(parts): State<Arc<Parts>>,
    Json(inventory): Json<Inventory>,
) -> Served<Holdings> {
    let counted = inventory.count(&parts.stores);
    counted.await.map(Json).map_err(Refused)
}

/// Asks the owner.
pub struct Client {
    address: String,
    token: String,
}

impl Client {
    pub fn new(owner: &Owner) -> Self {
        Self {
            address: owner.address.clone(),
            token: owner.token.clone(),
        }
    }

    pub async fn query(&self, question: &Question) -> Result<Answer, Failure> {
        self.ask("/query", question).await
    }

    /// The document's visible points, as `VectorStore::dump` tells them.
    pub async fn points(&self, document: Uuid) -> Result<Vec<Value>, Failure> {
        self.ask("/points", &document).await
    }

    /// What the graph has beside each chunk.
    pub async fn neighbours(&self, chunks: &[Uuid]) -> Result<Vec<Vec<AnswerNeighbour>>, Failure> {
        self.ask("/neighbours", chunks).await
    }

    pub async fn work(&self) -> Result<Work, Failure> {
        self.call(Method::GET, "/work", Vec::new()).await
    }

    pub async fn stores(&self) -> Result<Vec<StoreStatus>, Failure> {
        self.call(Method::GET, "/stores", Vec::new()).await
    }

    pub async fn audit(&self, how: &Examination) -> Result<Audit, Failure> {
        self.ask("/audit", how).await
    }

    pub async fn repair(&self, how: &Examination) -> Result<Repaired, Failure> {
        self.ask("/repair", how).await
    }

    /// What the owner's stores hold.
    pub async fn count(&self, inventory: &Inventory) -> Result<Holdings, Failure> {
        self.ask("/count", inventory).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &(impl Serialize + ?Sized),
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(question)
            .map_err(|error| Failure::fatal(format!("the question cannot be sent: {error}")))?;
        self.call(Method::POST, path, body).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let (status, bytes) = self.exchange(method, path, body).await.map_err(|error| {
            Failure::transient(format!(
                "the process that owns the data folder does not answer: {error}"
            ))
        })?;
        if !status.is_success() {
            let reason = String::from_utf8_lossy(&bytes);
            return Err(Failure::fatal(if reason.is_empty() {
                format!("the process that owns the data folder answers {status}")
            } else {
                reason.into_owned()
            }));
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::fatal(format!(
                "the process that owns the data folder answers something else: {error}: is it another version?"
            ))
        })
    }

    /// One request on a connection of its own.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driving = tokio::spawn(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        driving.abort();
        Ok((status, bytes))
    }
}
