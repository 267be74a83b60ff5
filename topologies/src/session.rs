//! A command's hold on the system: with stores on the network, as the owner of the data folder, or beside the process that
//! owns it.

use std::sync::Arc;
use std::time::Duration;

use penstock_adapters::kafka::KafkaSink;
use penstock_runtime::{Failure, Stop};
use penstock_stages::settle::Stores;
use uuid::Uuid;

use crate::config::Config;
use crate::engines::{has_stores, open_stores};
use crate::heartbeat;
use crate::ingest::Intake;
use crate::network::Network;
use crate::pipeline::{Parts, Pipeline};
use crate::serve::{Client, Server};
use crate::shared::{Shared, open_blobs, open_checked};
use crate::system::{Craft, Folder, Log, Owner, Ownership, disk_full};
use crate::topics;

/// How long stages may take to finish what they have begun.
pub const DRAIN: Duration = Duration::from_secs(20);

/// The owner of the folder, with stages at work.
pub struct Working {
    pub pipeline: Pipeline,
    pub parts: Arc<Parts>,
    pub intake: Intake,
    server: Server,
    folder: Folder,
}

impl Working {
    /// Opens everything, starts the named stages (none named: all), and serves other processes.
    pub async fn start(
        config: &Config,
        folder: Folder,
        stages: &[String],
        stop: Stop,
    ) -> Result<Self, Failure> {
        if !config.is_embedded() {
            topics::are_there(config, stages).await?;
        }
        let craft = load_craft(config).await?;
        check_space(folder.path()).await?;
        let mut stores = open_stores(folder.path())?;
        if config.is_shared() {
            let shared = Shared::open(config).await?;
            (stores.blobs, stores.cache) = (shared.blobs, shared.cache);
        }
        let log = Arc::new(Log::open(config, folder.path()).await?);
        let parts = Parts::new(config.clone(), log.clone(), stores.clone(), craft.clone())?;
        let parts = Arc::new(parts.only(stages));
        let token = Uuid::new_v4().simple().to_string();
        let server = Server::start(parts.clone(), log.clone(), token.clone()).await?;
        folder.announce(&Owner {
            address: server.address(),
            token,
            kafka: log.kafka.brokers.clone(),
            recipe: craft.recipe.clone(),
        })?;
        let intake = Intake {
            log: log.clone(),
            sink: parts.sink.clone(),
            blobs: stores.blobs.clone(),
            recipe: craft.recipe,
            max_source: max_source(config),
            marks: config.throttle.policy(),
        };
        let pipeline = Pipeline::start(parts.clone(), stages, stop.clone())?;
        tokio::spawn(heartbeat::beat(parts.clone(), stop.clone()));
        tokio::spawn(keep_small(log, stop));
        Ok(Self {
            pipeline,
            parts,
            intake,
            server,
            folder,
        })
    }

    /// Stops the stages, then the server, then the engines.
    pub async fn close(self) -> Result<(), Failure> {
        let outcome = self.pipeline.close(DRAIN).await;
        if outcome.is_ok() {
            start_again_empty(&self.intake.log).await;
        }
        self.server.stop();
        drop(self.folder);
        outcome
    }
}

/// Gives disk space back whenever all is done, for as long as the process runs.
async fn keep_small(log: Arc<Log>, stop: Stop) {
    const EVERY: Duration = Duration::from_secs(60);
    loop {
        tokio::select! {
            () = stop.softly() => return,
            () = tokio::time::sleep(EVERY) => start_again_empty(&log).await,
        }
    }
}

async fn start_again_empty(log: &Log) {
    if let Err(failure) = log.start_again_empty().await {
        // Nothing is wrong but the space it takes; the next time may go better.
        tracing::warn!(%failure, "the log stays as large as it is");
    }
}

/// Beside the owner of the folder.
pub struct Beside {
    pub client: Client,
    config: Config,
    owner: Owner,
}

impl Beside {
    pub fn of(config: &Config, owner: Owner) -> Self {
        Self {
            client: Client::new(&owner),
            config: config.clone(),
            owner,
        }
    }

    /// The log, for those who need more than the owner's answers.
    pub async fn log(&self) -> Result<Arc<Log>, Failure> {
        Log::of_owner(&self.config, &self.owner).await.map(Arc::new)
    }

    /// What `ingest` needs to hand documents to the owner's stages.
    pub async fn intake(&self) -> Result<Intake, Failure> {
        let log = self.log().await?;
        Ok(Intake {
            sink: Arc::new(KafkaSink::new(&log.kafka)?),
            log,
            blobs: open_blobs(&self.config)?,
            recipe: self.owner.recipe.clone(),
            max_source: max_source(&self.config),
            marks: self.config.throttle.policy(),
        })
    }
}

/// What `ingest` needs where the stages run as processes of their own, wherever.
pub async fn intake_of_cluster(config: &Config) -> Result<Intake, Failure> {
    // Sooner told than the model is loaded.
    topics::are_there(config, &[]).await?;
    let craft = load_craft(config).await?;
    intake_of(config, craft.recipe).await
}

/// The same for those who have loaded the model already.
pub async fn intake_of(config: &Config, recipe: String) -> Result<Intake, Failure> {
    let log = Arc::new(Log::of_cluster(config).await?);
    Ok(Intake {
        sink: Arc::new(KafkaSink::new(&log.kafka)?),
        log,
        blobs: open_checked(config).await?,
        recipe,
        max_source: max_source(config),
        marks: config.throttle.policy(),
    })
}

/// The stores of a folder that nobody else has open. On a cluster they are in one folder only: made in another, they would
/// answer that there is nothing.
pub fn stores_at_rest(config: &Config, folder: &Folder) -> Result<Stores, Failure> {
    if config.is_shared() && !has_stores(folder.path()) {
        return Err(Failure::fatal(format!(
            "data folder {}: no stores are in it; name that of the process that runs index, link and settle with --data",
            folder.path().display()
        )));
    }
    let mut stores = open_stores(folder.path())?;
    if config.is_shared() {
        stores.blobs = open_blobs(config)?;
    }
    Ok(stores)
}

/// The stores on the network, the owner's place, or a way to it.
pub enum Session {
    Network(Box<Network>),
    Owner(Folder),
    Beside(Box<Beside>),
}

impl Session {
    pub fn open(config: &Config) -> Result<Self, Failure> {
        if let Some(network) = Network::of(config) {
            return Ok(Self::Network(Box::new(network)));
        }
        match Folder::take(&config.data)? {
            Ownership::Ours(folder) => Ok(Self::Owner(folder)),
            Ownership::Others(owner) => Ok(Self::Beside(Box::new(Beside::of(config, owner)))),
        }
    }
}

/// Refuses to start where there is no room to work.
async fn check_space(folder: &std::path::Path) -> Result<(), Failure> {
    tokio::select! {
        biased;
        full = disk_full(folder.to_owned()) => Err(full),
        () = std::future::ready(()) => Ok(()),
    }
}

/// Loads model and rules off the runtime's threads.
pub async fn load_craft(config: &Config) -> Result<Craft, Failure> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || Craft::load(&config))
        .await
        .map_err(|error| Failure::fatal(format!("loading the model broke off: {error}")))?
}

fn max_source(config: &Config) -> u64 {
    config.parse.max_source_mib << 20
}

/// Stops softly at the first SIGINT or SIGTERM, hard at the second.
pub fn stop_on_signals(stop: &Stop) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let wrong = |error| Failure::fatal(format!("signals cannot be heard: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_soft() {
                stop.hard();
            }
            stop.soft();
        }
    });
    Ok(())
}
