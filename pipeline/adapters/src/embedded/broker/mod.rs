//! A Kafka broker inside the process, on loopback: Tansu's protocol, topics and consumer groups, over a log of our own on
//! SQLite. Tansu's own storage of records is left out: it takes every batch apart into a row per record and per header,
//! scans the whole rest of a partition for each fetch, polls instead of waiting, and repeats records after compaction.

mod fetch;
mod groups;
mod log;
mod serve;
mod standing;
#[cfg(test)]
mod tests;
mod upkeep;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use penstock_runtime::Failure;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tansu_storage::{BrokerRegistrationRequest, Storage as _, StorageContainer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use url::Url;
use uuid::Uuid;

use self::groups::Members;
use self::log::Log;

const CLUSTER: &str = "penstock";
const NODE: i32 = 1;
const STOP_LIMIT: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(30);

/// A running broker. Its data outlives it, whatever port the next one gets.
pub struct Broker {
    serving: Serving,
    /// Its own threads: a busy pipeline must not starve heartbeats, nor the broker the pipeline.
    threads: Threads,
}

struct Serving {
    /// `127.0.0.1:port`
    address: String,
    log: Log,
    alias: Option<Alias>,
}

impl Broker {
    /// Starts on the data in `dir`, which one process at a time may own, and waits until it answers.
    pub async fn start(dir: &Path) -> Result<Self, Failure> {
        let doing = format!("start the broker on {}", dir.display());
        let fatal = |error: String| Failure::fatal(format!("{doing}: {error}"));
        std::fs::create_dir_all(dir).map_err(|error| fatal(error.to_string()))?;
        let dir = dir
            .canonicalize()
            .map_err(|error| fatal(error.to_string()))?;
        let threads = Threads::start().map_err(|error| fatal(error.to_string()))?;
        let launched = threads.launch(dir).await;
        let serving = launched
            .map_err(|error| error.to_string())
            .and_then(|launched| launched)
            .map_err(fatal)?;
        let address = serving.address.clone();
        let broker = Self { serving, threads };
        tokio::task::spawn_blocking(move || ready(&address))
            .await
            .map_err(|error| fatal(error.to_string()))?
            .map_err(fatal)?;
        Ok(broker)
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        self.serving.address.clone()
    }

    /// Applies retention and compaction now; else it happens every ten minutes.
    pub async fn tidy(&self) -> Result<(), Failure> {
        upkeep::tidy(&self.serving.log, upkeep::now())
            .await
            .map_err(|error| Failure::transient(format!("tidy up the embedded log: {error}")))
    }

    /// Drops what stands before `offset` in partition `number` of `topic`, for each (topic, number, offset): what every
    /// reader is done with. Offsets go on from where they are. The file shrinks with it.
    pub async fn trim(&self, positions: &[(String, i32, i64)]) -> Result<(), Failure> {
        upkeep::trim(&self.serving.log, positions)
            .await
            .map_err(|error| Failure::transient(format!("trim the embedded log: {error}")))
    }

    /// Ends it. What was acknowledged is on disk.
    pub async fn stop(self) {
        let Self { serving, threads } = self;
        let Serving { log, alias, .. } = serving;
        drop(log);
        // Waits for what holds the database, so that the next broker on it finds it free.
        if tokio::task::spawn_blocking(move || threads.stop())
            .await
            .is_err()
        {
            tracing::warn!("the embedded broker's threads ended badly");
        }
        drop(alias);
    }
}

/// A runtime that may be dropped anywhere, also inside another.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> std::io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("broker")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    /// Opens the data in `dir` and serves it in the background. Not an async function, and its task boxed: else the
    /// broker, with all of the protocol, would be compiled anew by each crate that awaits its start.
    fn launch(&self, dir: PathBuf) -> JoinHandle<Result<Serving, String>> {
        match &self.0 {
            Some(runtime) => {
                let task: BoxFuture<'static, Result<Serving, String>> = Box::pin(launch(dir));
                runtime.spawn(task)
            }
            None => tokio::spawn(async { Err("its threads have ended".to_owned()) }),
        }
    }

    fn stop(mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(STOP_LIMIT);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the data and serves it in the background.
async fn launch(dir: PathBuf) -> Result<Serving, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(|error| format!("find a free port on 127.0.0.1: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (path, alias) = spelled(&dir)?;
    let url = |text: String| Url::parse(&text).map_err(|error| format!("{text}: {error}"));
    // Three slashes and the path's own: Tansu takes what follows the third for the path.
    let storage = url(format!("sqlite:///{path}/meta.db"))?;
    let meta = StorageContainer::builder()
        .cluster_id(CLUSTER)
        .node_id(NODE)
        .advertised_listener(url(format!("tcp://{address}"))?)
        .storage(storage)
        .silent(true)
        .build()
        .await
        .map_err(|error| error.to_string())?;
    let registration = BrokerRegistrationRequest {
        broker_id: NODE,
        cluster_id: CLUSTER.to_owned(),
        incarnation_id: Uuid::new_v4(),
        rack: None,
    };
    meta.register_broker(registration)
        .await
        .map_err(|error| error.to_string())?;
    let members = Members::open(&dir.join("meta.db"))
        .await
        .map_err(|error| error.to_string())?;
    members.disband().await.map_err(|error| error.to_string())?;
    let log = Log::open(&dir.join("records.db"), meta)
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(upkeep::upkeep(log.clone()));
    let served = log.clone();
    tokio::spawn(async move {
        if let Err(error) = serve::serve(listener, CLUSTER, served, members).await {
            tracing::error!(%error, "the embedded broker stopped");
        }
    });
    Ok(Serving {
        address: address.to_string(),
        log,
        alias,
    })
}

/// A link to a folder whose own name Tansu cannot take.
struct Alias(PathBuf);

impl Drop for Alias {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, alias = %self.0.display(), "remove");
        }
    }
}

/// The folder's path as Tansu takes it. It reads the path off a URL without decoding it, so a name with a space or an
/// umlaut needs a plain one.
fn spelled(dir: &Path) -> Result<(String, Option<Alias>), String> {
    let plain = |path: &Path| {
        let text = path.to_str()?;
        let kept = |c: char| c.is_ascii_alphanumeric() || "/._-+~".contains(c);
        text.chars().all(kept).then(|| text.to_owned())
    };
    if let Some(path) = plain(dir) {
        return Ok((path, None));
    }
    let link = std::env::temp_dir().join(format!("penstock-{}", Uuid::new_v4()));
    let path = plain(&link)
        .ok_or_else(|| format!("{} has to be a path of plain letters", link.display()))?;
    std::os::unix::fs::symlink(dir, &link)
        .map_err(|error| format!("link {}: {error}", link.display()))?;
    Ok((path, Some(Alias(link))))
}

/// Until a metadata request succeeds.
fn ready(address: &str) -> Result<(), String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .create()
        .map_err(|error| format!("ask it: {error}"))?;
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        match consumer.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(format!("it does not answer on {address}: {error}"));
            }
            Err(_) => {}
        }
    }
}
