//! The nodes of a cluster, and a call to whichever of them answers.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use penstock_runtime::Failure;
use prost::Message;
use qdrant_client::qdrant::HealthCheckRequest;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use url::Url;

use super::classify::{classify, is_of_the_node};
use super::config::QdrantConfig;
use super::method::{HEALTH, Method, Ready};

/// How long a node that could not be reached is asked only where no other is.
const LEFT_OUT: Duration = Duration::from_secs(10);
/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection on which a call waits is asked for life so often, and taken for dead after so long.
const PULSE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(10));
/// Bytes of the largest answer taken.
const ANSWER: usize = 64 * 1024 * 1024;
/// The oldest server that inserts without overwriting, as major and minor.
const OLDEST: (u64, u64) = (1, 17);

pub(super) struct Cluster {
    nodes: Vec<Node>,
    /// Whose turn it is.
    turn: AtomicUsize,
    key: Option<MetadataValue<Ascii>>,
    timeout: Duration,
    collection: String,
}

struct Node {
    name: String,
    channel: Channel,
    /// Since when it is left out.
    down: Mutex<Option<Instant>>,
    /// Its version, once it was found new enough.
    version: OnceCell<String>,
}

impl Cluster {
    /// Connects to nothing yet.
    pub fn new(config: &QdrantConfig, collection: &str) -> Result<Self, Failure> {
        config.check()?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Failure::fatal(
                "qdrant: connections need a runtime, and there is none here",
            ));
        }
        let key = match config.api_key.as_str() {
            "" => None,
            key => {
                let mut key: MetadataValue<Ascii> = key.parse().map_err(|_| {
                    Failure::fatal("qdrant.api_key holds characters that no header can: check it")
                })?;
                key.set_sensitive(true);
                Some(key)
            }
        };
        let authority = match config.ca.as_str() {
            "" => None,
            path => Some(
                std::fs::read(path)
                    .map(Certificate::from_pem)
                    .map_err(|error| {
                        Failure::fatal(format!("qdrant.ca: {path} cannot be read: {error}"))
                    })?,
            ),
        };
        let urls = config.urls()?;
        let nodes: Result<Vec<Node>, Failure> = urls
            .iter()
            .map(|url| Node::new(url, authority.as_ref(), config.timeout))
            .collect();
        Ok(Self {
            nodes: nodes?,
            turn: AtomicUsize::new(0),
            key,
            timeout: config.timeout,
            collection: collection.to_owned(),
        })
    }

    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// Asks one node after the other until one answers, each once, those that were unreachable lately last. All calls of
    /// ours may be done twice, so a lost answer is a reason to ask the next one too.
    pub async fn call<Q, A>(&self, method: Method<Q, A>, request: &Q) -> Result<A, Failure>
    where
        Q: Message,
        A: Message + Default + 'static,
    {
        let request = Bytes::from(request.encode_to_vec());
        let deadline = Instant::now() + self.timeout;
        let mut failure = None;
        for node in self.in_turn() {
            let asked = self.ask(node, method, request.clone());
            let refused = match tokio::time::timeout_at(deadline, asked).await {
                Ok(Ok(answer)) => {
                    node.set_down(None);
                    return Ok(answer);
                }
                Ok(Err(Refused::Node(failure))) => failure,
                Ok(Err(Refused::All(failure))) => return Err(failure),
                Err(_) => {
                    // It may be this node, and there is no time left for another.
                    node.set_down(Some(Instant::now()));
                    return Err(Failure::transient(format!(
                        "qdrant: {} at {}: no answer within {:?}; see whether the node is overloaded, or raise qdrant.timeout",
                        method.name(),
                        node.name,
                        self.timeout
                    )));
                }
            };
            node.set_down(Some(Instant::now()));
            failure = Some(refused);
        }
        Err(failure.unwrap_or_else(|| Failure::fatal("qdrant.url names no node")))
    }

    /// How many nodes answer, of how many, and their versions.
    pub async fn health(&self) -> (usize, usize, Vec<String>) {
        let asked = self.nodes.iter().map(|node| async move {
            let up = tokio::time::timeout(self.timeout, self.version(node)).await;
            up.is_ok_and(|up| up.is_ok())
        });
        let up = futures::future::join_all(asked).await;
        let mut versions: Vec<String> = self
            .nodes
            .iter()
            .filter_map(|node| node.version.get().cloned())
            .collect();
        versions.sort_unstable();
        versions.dedup();
        (
            up.iter().filter(|up| **up).count(),
            self.nodes.len(),
            versions,
        )
    }

    /// All nodes, the next one first; behind them those that are left out.
    fn in_turn(&self) -> impl Iterator<Item = &Node> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len().max(1);
        let (before, from) = self.nodes.split_at(first);
        let in_turn = || from.iter().chain(before);
        let now = Instant::now();
        let mut nodes: Vec<&Node> = in_turn().filter(|node| !node.is_down(now)).collect();
        nodes.extend(in_turn().filter(|node| node.is_down(now)));
        nodes.into_iter()
    }

    async fn ask<Q, A>(
        &self,
        node: &Node,
        method: Method<Q, A>,
        request: Bytes,
    ) -> Result<A, Refused>
    where
        A: Message + Default + 'static,
    {
        let known = node.version.get_or_try_init(|| self.version(node));
        known.await?;
        let sent = self.send(node, method, request).await;
        sent.map_err(|status| self.refused(&status, node, method.name()))
    }

    /// Refuses a node that would take an insert for an overwrite.
    async fn version(&self, node: &Node) -> Result<String, Refused> {
        let request = Bytes::from(HealthCheckRequest::default().encode_to_vec());
        let reply = self
            .send(node, HEALTH, request)
            .await
            .map_err(|status| self.refused(&status, node, HEALTH.name()))?;
        if is_new_enough(&reply.version) {
            return Ok(reply.version);
        }
        Err(Refused::All(Failure::fatal(format!(
            "qdrant: {} runs version {:?}, which cannot insert without overwriting: upgrade it to {}.{} or newer",
            node.name, reply.version, OLDEST.0, OLDEST.1
        ))))
    }

    async fn send<Q, A>(
        &self,
        node: &Node,
        method: Method<Q, A>,
        request: Bytes,
    ) -> Result<A, Status>
    where
        A: Message + Default + 'static,
    {
        let mut request = Request::new(request);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("api-key", key.clone());
        }
        let mut client =
            tonic::client::Grpc::new(node.channel.clone()).max_decoding_message_size(ANSWER);
        client
            .ready()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static(method.path);
        let response = client.unary(request, path, Ready::default()).await?;
        Ok(response.into_inner())
    }

    fn refused(&self, status: &Status, node: &Node, call: &str) -> Refused {
        let doing = format!("qdrant: {call} at {}", node.name);
        let failure = classify(status, &doing, &self.collection);
        // What people have to mend at one node has to be heard of.
        match is_of_the_node(status) && matches!(failure, Failure::Transient { .. }) {
            true => Refused::Node(failure),
            false => Refused::All(failure),
        }
    }
}

pub(super) fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|it| it.parse::<u64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST,
        _ => false,
    }
}

/// Why a node did not do it.
enum Refused {
    /// Another one may.
    Node(Failure),
    /// Another one would say the same.
    All(Failure),
}

impl Node {
    fn new(url: &Url, authority: Option<&Certificate>, timeout: Duration) -> Result<Self, Failure> {
        let name = url.as_str().trim_end_matches('/').to_owned();
        let wrong = |error: tonic::transport::Error| {
            Failure::fatal(format!("qdrant.url: {name} cannot be used: {error}"))
        };
        let mut endpoint = Endpoint::from_shared(name.clone())
            .map_err(wrong)?
            .connect_timeout(CONNECT.min(timeout))
            .http2_keep_alive_interval(PULSE.0)
            .keep_alive_timeout(PULSE.1)
            .tcp_nodelay(true);
        if url.scheme() == "https" {
            let tls = match authority {
                Some(authority) => ClientTlsConfig::new().ca_certificate(authority.clone()),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(|error| {
                Failure::fatal(format!(
                    "qdrant: TLS to {name} cannot be set up: {error}; check qdrant.ca"
                ))
            })?;
        }
        Ok(Self {
            channel: endpoint.connect_lazy(),
            name,
            down: Mutex::new(None),
            version: OnceCell::new(),
        })
    }

    fn is_down(&self, now: Instant) -> bool {
        let down = *self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.is_some_and(|since| now.duration_since(since) < LEFT_OUT)
    }

    fn set_down(&self, since: Option<Instant>) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_some() && down.is_none() {
            tracing::warn!(node = self.name, "qdrant node is left out for a while");
        }
        *down = since;
    }
}
