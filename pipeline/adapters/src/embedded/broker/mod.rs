//! A Kafka broker inside the process: Tansu on SQLite, on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use penstock_runtime::Failure;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Runtime;
use url::Url;
use uuid::Uuid;

const CLUSTER: &str = "penstock";
const NODE: i32 = 1;
const STOP_LIMIT: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(30);

/// A running broker. Its data outlives it, whatever port the next one gets.
pub struct Broker {
    address: String,
    /// Its own threads: a busy pipeline must not starve heartbeats, nor the broker the pipeline.
    runtime: Option<Runtime>,
}

impl Broker {
    /// Starts on the data in `dir`, which one process at a time may own, and waits until it answers.
    pub async fn start(dir: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(dir)
            .map_err(|error| Failure::fatal(format!("create {}: {error}", dir.display())))?;
        let file = dir.join("log.db");
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("broker")
            .enable_all()
            .build()
            .map_err(|error| Failure::fatal(format!("start the broker's threads: {error}")))?;
        let storage = parse(&format!("sqlite:///{}", file.display()))?;
        let url = parse(&format!("tcp://{address}"))?;
        let built = runtime
            .spawn(async move {
                let mut broker = tansu_broker::broker::Broker::<
                    tansu_broker::coordinator::group::administrator::Controller<
                        tansu_storage::StorageContainer,
                    >,
                    tansu_storage::StorageContainer,
                >::builder()
                .node_id(NODE)
                .cluster_id(CLUSTER)
                .incarnation_id(Uuid::new_v4())
                .advertised_listener(url.clone())
                .storage(storage)
                .listener(url)
                .silent(true)
                .build()
                .await
                .map_err(|error| error.to_string())?;
                prepare(&file).await.map_err(|error| error.to_string())?;
                tokio::spawn(async move {
                    if let Err(error) = broker.serve(tokio::time::Instant::now()).await {
                        tracing::error!(%error, "the broker stopped");
                    }
                });
                Ok::<(), String>(())
            })
            .await;
        let broker = Self {
            address,
            runtime: Some(runtime),
        };
        match built {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                return Err(Failure::fatal(format!(
                    "start the broker on {}: {error}",
                    dir.display()
                )));
            }
            Err(error) => {
                return Err(Failure::fatal(format!(
                    "start the broker on {}: {error}",
                    dir.display()
                )));
            }
        }
        let address = broker.address.clone();
        tokio::task::spawn_blocking(move || ready(&address))
            .await
            .map_err(|error| Failure::fatal(format!("wait for the broker: {error}")))??;
        Ok(broker)
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Ends it. What was acknowledged is on disk.
    pub async fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits for what holds the database, so that the next broker on it finds it free.
            let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(STOP_LIMIT));
            if ending.await.is_err() {
                tracing::warn!("the broker's threads ended badly");
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn prepare(file: &Path) -> Result<(), libsql::Error> {
    let database = libsql::Builder::new_local(file).build().await?;
    let connection = database.connect()?;
    connection
        .execute_batch(
            "create index if not exists header_by_record on header (topition, offset_id); \
             delete from consumer_group_detail;",
        )
        .await?;
    Ok(())
}

fn parse(url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|error| Failure::fatal(format!("{url}: {error}")))
}

fn free_port() -> Result<u16, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Failure::fatal(format!("find a free port on 127.0.0.1: {error}")))
}

/// Until a metadata request succeeds.
fn ready(address: &str) -> Result<(), Failure> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .create()
        .map_err(|error| Failure::fatal(format!("ask the broker: {error}")))?;
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        match consumer.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(Failure::fatal(format!(
                    "the broker on {address} does not answer: {error}"
                )));
            }
            Err(_) => {}
        }
    }
}
