//! Processes of stages on a cluster, as many of each as one likes. With stores on the network any process runs any stage;
//! without, split, parse, shard and embed run beside one process that owns the stores.

use std::sync::Arc;

use penstock_runtime::{Failure, Stop};
use penstock_stages::index::VectorStore;
use penstock_stages::link::GraphStore;
use penstock_stages::settle::Stores;

use crate::config::Config;
use crate::elsewhere::Elsewhere;
use crate::heartbeat;
use crate::network::Network;
use crate::pipeline::{Parts, Pipeline, check_names};
use crate::session::{DRAIN, load_craft};
use crate::shared::{Shared, open_blobs};
use crate::system::Log;
use crate::topics;

/// The stages that write to the stores.
pub const OWNERS: [&str; 3] = ["index", "link", "settle"];

/// How named stages of a cluster are run in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// With stores in the data folder, as its owner.
    Owner,
    /// Without a data folder: with stores on the network, or stages that need none.
    Worker,
}

/// Refuses what would tear the stores or the objects apart.
pub fn role(config: &Config, stages: &[String]) -> Result<Role, Failure> {
    check_names(stages)?;
    if Network::of(config).is_some() {
        return Ok(Role::Worker);
    }
    if stages.is_empty() {
        return Ok(Role::Owner);
    }
    if config.is_embedded() {
        return Err(Failure::fatal(
            "run STAGE needs kafka.brokers: without a cluster all stages run in one process, with plain run",
        ));
    }
    if !config.is_shared() {
        return Err(Failure::fatal(
            "run STAGE needs objects.url: what all processes share, such as s3://BUCKET/PREFIX or file:///srv/penstock/objects",
        ));
    }
    let named = |stage: &&&str| stages.iter().any(|it| it == **stage);
    match OWNERS.iter().filter(named).count() {
        0 => Ok(Role::Worker),
        count if count == OWNERS.len() => Ok(Role::Owner),
        _ => Err(Failure::fatal(
            "index, link and settle share the stores in the data folder, which one process owns: \
             run them together, with run index link settle, or set qdrant.url and neo4j.url",
        )),
    }
}

/// Runs the stages until stopped.
pub async fn work(config: &Config, stages: &[String], stop: Stop) -> Result<(), Failure> {
    let log = Arc::new(Log::of_cluster(config).await?);
    let parts = Arc::new(parts(config, log, stages).await?);
    let mut pipeline = Pipeline::start(parts.clone(), stages, stop.clone())?;
    tokio::spawn(heartbeat::beat(parts, stop));
    eprintln!("running: log on {}", config.kafka.brokers);
    let ended = pipeline.is_over().await;
    let closed = pipeline.close(DRAIN).await;
    ended.and(closed)
}

/// What these stages are built from (none named: all), with the stores they use.
pub async fn parts(config: &Config, log: Arc<Log>, stages: &[String]) -> Result<Parts, Failure> {
    let shared = Shared::open(config).await?;
    topics::are_there(config, stages).await?;
    let (vectors, graph) = stores_of(config, stages).await?;
    let craft = load_craft(config).await?;
    let stores = Stores {
        vectors,
        graph,
        blobs: shared.blobs,
        cache: shared.cache,
    };
    Ok(Parts::new(config.clone(), log, stores, craft)?.only(stages))
}

/// Opens what the stages use and no more: one that has no use for a store starts though it is away.
async fn stores_of(
    config: &Config,
    stages: &[String],
) -> Result<(Arc<dyn VectorStore>, Arc<dyn GraphStore>), Failure> {
    let used_by = |users: [&str; 2]| {
        stages.is_empty() || stages.iter().any(|it| users.contains(&it.as_str()))
    };
    let network = Network::of(config);
    let vectors: Arc<dyn VectorStore> = match &network {
        Some(network) if used_by(["index", "settle"]) => network.vectors_as_declared().await?,
        _ => Arc::new(Elsewhere),
    };
    let graph: Arc<dyn GraphStore> = match &network {
        Some(network) if used_by(["link", "settle"]) => network.graph_as_declared().await?,
        _ => Arc::new(Elsewhere),
    };
    Ok((vectors, graph))
}

/// What there is of the stores beside the process that owns the data folder: the bytes of documents.
pub fn beside_owner(config: &Config) -> Result<Stores, Failure> {
    Ok(Stores {
        vectors: Arc::new(Elsewhere),
        graph: Arc::new(Elsewhere),
        blobs: open_blobs(config)?,
        cache: Arc::new(Elsewhere),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(brokers: &str, url: &str, stages: &[&str]) -> Result<Role, Failure> {
        let mut config = Config::default();
        config.kafka.brokers = brokers.to_owned();
        config.objects.url = url.to_owned();
        let stages: Vec<String> = stages.iter().map(|it| (*it).to_owned()).collect();
        role(&config, &stages)
    }

    #[test]
    fn with_stores_on_the_network_any_process_runs_any_stage() {
        let mut config = Config::default();
        config.kafka.brokers = "a:9092".to_owned();
        config.objects.url = "file:///srv".to_owned();
        config.qdrant.url = "http://q:6334".to_owned();
        config.neo4j.url = "bolt://n:7687".to_owned();
        let check = |stages: &[&str]| {
            let stages: Vec<String> = stages.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(role(&config, &stages).unwrap(), Role::Worker, "{stages:?}");
        };
        check(&[]);
        check(&["index"]);
        check(&["settle"]);
        check(&["embed", "link"]);
        assert!(role(&config, &["indx".to_owned()]).is_err());
    }

    #[test]
    fn who_owns_the_stores() {
        let (brokers, url) = ("a:9092", "file:///srv");
        let check = |stages: &[&str], expect: Role| {
            assert_eq!(role_of(brokers, url, stages).unwrap(), expect, "{stages:?}");
        };
        check(&[], Role::Owner);
        check(&["embed"], Role::Worker);
        check(&["split", "parse", "shard", "embed"], Role::Worker);
        check(&["settle", "index", "link"], Role::Owner);
        check(&["embed", "settle", "index", "link"], Role::Owner);
        assert_eq!(role_of("", "", &[]).unwrap(), Role::Owner);
        let refused = |result: Result<Role, Failure>, word: &str| {
            let failure = result.unwrap_err();
            assert_eq!(failure.class(), "fatal");
            assert!(failure.reason().contains(word), "{failure} lacks {word}");
        };
        refused(role_of("", "", &["embed"]), "kafka.brokers");
        refused(role_of(brokers, "", &["embed"]), "objects.url");
        for torn in [
            ["index"].as_slice(),
            &["settle"],
            &["index", "link"],
            &["embed", "link"],
        ] {
            refused(role_of(brokers, url, torn), "run index link settle");
        }
    }
}
