//! A Qdrant endpoint: the services of Qdrant's own client over its engine in the process, on loopback, with or without TLS,
//! that can be told to misbehave. It speaks for one node of version `VERSION`: collections, aliases, payload indexes, points,
//! queries with prefetch and fusion. Validation and words are the server's; what is not served is `Unimplemented`.
//!
//! A collection's configuration is kept and given back in full. Of it the engine is given the vectors, the graph and the
//! thresholds; quantization changes no search. A collection that does not say otherwise is in strict mode: filters need
//! indexes.

mod collection;
mod collections;
mod config;
mod convert;
mod engine;
mod fault;
mod filter;
mod index;
mod journal;
mod points;
mod query;
mod shelf;
mod strict;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::QdrantServer;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::service::Routes;

use self::fault::Calls;
pub use self::fault::Fault;
use self::shelf::Shelf;
use crate::certificates::{Certificates, Clients};

/// What it says it is.
pub const VERSION: &str = "1.18.0";
/// Answered to everybody, whatever key they bring.
const HEALTH: &str = "Qdrant/HealthCheck";
/// Bytes a client may have on the way in one stream.
const WINDOW: u32 = 8 * 1024 * 1024;

/// The server. It ends when it is dropped; `stop` ends it in good order.
pub struct Qdrant {
    address: SocketAddr,
    folder: PathBuf,
    /// Removed with the server, where nobody gave it one.
    _own: Option<TempDir>,
    door: Door,
    running: Option<Running>,
}

struct Running {
    serving: JoinHandle<()>,
    shelf: Arc<Shelf>,
}

/// What outlives a restart.
#[derive(Clone)]
struct Door {
    tls: Option<TlsAcceptor>,
    key: Arc<Mutex<Option<String>>>,
    calls: Arc<Calls>,
}

impl Qdrant {
    /// # Errors
    /// Where no port of loopback is free, or no temporary folder can be made.
    pub async fn start() -> std::io::Result<Self> {
        let own = tempfile::tempdir()?;
        let folder = own.path().to_owned();
        Self::open(folder, Some(own), None).await
    }

    /// With the data in `folder`, which stays.
    ///
    /// # Errors
    /// As `start`, or where the data cannot be opened.
    pub async fn start_in(folder: &Path) -> std::io::Result<Self> {
        Self::open(folder.to_owned(), None, None).await
    }

    /// With the certificate of a broker.
    ///
    /// # Errors
    /// As `start`, or where the certificates cannot be read.
    pub async fn over_tls(certificates: &Certificates) -> std::io::Result<Self> {
        let own = tempfile::tempdir()?;
        let folder = own.path().to_owned();
        let tls = certificates.http2_acceptor(Clients::Any)?;
        Self::open(folder, Some(own), Some(tls)).await
    }

    async fn open(
        folder: PathBuf,
        own: Option<TempDir>,
        tls: Option<TlsAcceptor>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut server = Self {
            address: listener.local_addr()?,
            folder,
            _own: own,
            door: Door {
                tls,
                key: Arc::default(),
                calls: Arc::default(),
            },
            running: None,
        };
        server.serve(listener).await?;
        Ok(server)
    }

    /// `http://127.0.0.1:port`, or https.
    pub fn url(&self) -> String {
        let scheme = match self.door.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on only for those who bring this key.
    pub fn guard(&self, key: &str) {
        let mut wanted = self.door.key.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = Some(key.to_owned());
    }

    /// The next `times` calls of this name, such as `Points/Upsert`, meet this.
    pub fn fail(&self, call: &str, fault: Fault, times: usize) {
        self.door.calls.fail(call, &fault, times);
    }

    /// From now on all goes well.
    pub fn mend(&self) {
        self.door.calls.mend();
    }

    /// Faults nobody has met yet.
    pub fn faults_left(&self) -> usize {
        self.door.calls.left()
    }

    /// How often this was called, such as `Points/Upsert`, whatever became of it.
    pub fn calls(&self, call: &str) -> u64 {
        self.door.calls.count(call)
    }

    /// Puts all segments in order, as a server does while it is idle: indexes and graphs are built.
    ///
    /// # Errors
    /// Where it is stopped, or the engine cannot.
    pub async fn optimise(&self) -> std::io::Result<()> {
        let Some(running) = &self.running else {
            return Err(std::io::Error::other("it is stopped"));
        };
        let shelf = running.shelf.clone();
        let done = tokio::task::spawn_blocking(move || shelf.optimise()).await?;
        done.map_err(|status| std::io::Error::other(status.message().to_owned()))
    }

    /// Breaks all connections and closes the data. What is being done is done first.
    pub async fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.serving.abort();
        // Ended by us, and with it every connection.
        let _ = running.serving.await;
        let closed = tokio::task::spawn_blocking(move || running.shelf.close());
        let _ = closed.await;
    }

    /// Goes on where it was, on the same port.
    ///
    /// # Errors
    /// Where the port was taken meanwhile, or the data cannot be opened.
    pub async fn start_again(&mut self) -> std::io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        self.serve(listener).await
    }

    async fn serve(&mut self, listener: TcpListener) -> std::io::Result<()> {
        let folder = self.folder.clone();
        let opened = tokio::task::spawn_blocking(move || Shelf::open(&folder)).await?;
        let shelf = Arc::new(opened?);
        let points = PointsServer::new(points::Desk(shelf.clone()));
        let collections = CollectionsServer::new(collections::Desk(shelf.clone()));
        let routes = Routes::new(points.max_decoding_message_size(usize::MAX))
            .add_service(collections)
            .add_service(QdrantServer::new(collections::Desk(shelf.clone())));
        let serving = tokio::spawn(accept(listener, self.door.clone(), routes));
        self.running = Some(Running { serving, shelf });
        Ok(())
    }
}

impl Drop for Qdrant {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.serving.abort();
            running.shelf.close();
        }
    }
}

/// Until it is aborted; then all connections end with it.
async fn accept(listener: TcpListener, door: Door, routes: Routes) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // Small answers are not to wait for more.
        let _ = stream.set_nodelay(true);
        let (door, routes) = (door.clone(), routes.clone());
        connections.spawn(async move {
            match door.tls.clone() {
                None => converse(stream, door, routes).await,
                Some(acceptor) => match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => converse(stream, door, routes).await,
                    // Who is not let in hears why from TLS; closed at once, the connection would be reset, and the word lost.
                    Err((_, mut stream)) => {
                        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    }
                },
            }
        });
    }
}

async fn converse<S>(stream: S, door: Door, routes: Routes)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = Arc::new(Notify::new());
    let told = cut.clone();
    let service = service_fn(move |request| {
        let (door, routes, cut) = (door.clone(), routes.clone(), told.clone());
        async move { Ok::<_, Infallible>(answer(request, &door, routes, &cut).await) }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    // A client that hangs up is no error here.
    tokio::select! {
        _ = connection => {}
        () = cut.notified() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    door: &Door,
    mut routes: Routes,
    cut: &Notify,
) -> Response<Body> {
    let path = request.uri().path();
    let call = path.strip_prefix("/qdrant.").unwrap_or(path).to_owned();
    let fault = door.calls.made(&call);
    if let Err(refusal) = let_in(&request, &call, door) {
        return refusal.into_http();
    }
    if let Some(status) = fault.as_ref().and_then(Fault::answer) {
        return status.into_http();
    }
    match &fault {
        Some(Fault::Slow(pause)) => tokio::time::sleep(*pause).await,
        Some(Fault::CutBefore) => return broken(cut).await,
        _ => {}
    }
    let response = match routes.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if matches!(fault, Some(Fault::CutAfter)) {
        return broken(cut).await;
    }
    response
}

/// Never answers: the connection goes, and this with it.
async fn broken(cut: &Notify) -> Response<Body> {
    cut.notify_one();
    std::future::pending().await
}

fn let_in(request: &Request<Incoming>, call: &str, door: &Door) -> Result<(), Status> {
    let wanted = door.key.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(wanted) = wanted.as_deref().filter(|_| call != HEALTH) else {
        return Ok(());
    };
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let bearer = || header("authorization")?.strip_prefix("Bearer ");
    match header("api-key").or_else(bearer) {
        None => Err(Status::unauthenticated(
            "Must provide an API key or an Authorization bearer token",
        )),
        Some(key) if key != wanted => Err(Status::unauthenticated("Invalid API key or JWT")),
        Some(_) => Ok(()),
    }
}
