//! Processes of stages that need no store: split, parse, shard and embed, as many of each as one likes, beside one
//! process that owns the stores.

use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Failure, Stop};
use penstock_stages::embed::VectorCache;
use penstock_stages::index::{Hit, Point, PointRef, Search, VectorStore};
use penstock_stages::link::{ChunkRef, GraphCounts, GraphStore, Linked, Neighbour};
use penstock_stages::settle::Stores;
use serde_json::Value;
use uuid::Uuid;

use crate::config::Config;
use crate::heartbeat;
use crate::pipeline::{Parts, Pipeline, check_names};
use crate::session::{DRAIN, load_craft};
use crate::shared::{Shared, open_blobs};
use crate::system::Log;
use crate::topics;

/// The stages that write to the stores, which one process owns.
pub const OWNERS: [&str; 3] = ["index", "link", "settle"];

/// How named stages of a cluster are run in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// With the stores, as the owner of the data folder.
    Owner,
    /// Without.
    Worker,
}

/// Refuses what would tear the stores or the objects apart.
pub fn role(config: &Config, stages: &[String]) -> Result<Role, Failure> {
    check_names(stages)?;
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
             run them together, with run index link settle",
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

/// What stages without stores are built from.
pub async fn parts(config: &Config, log: Arc<Log>, stages: &[String]) -> Result<Parts, Failure> {
    let shared = Shared::open(config).await?;
    topics::are_there(config, stages).await?;
    let craft = load_craft(config).await?;
    let stores = Stores {
        vectors: Arc::new(Elsewhere),
        graph: Arc::new(Elsewhere),
        blobs: shared.blobs,
        cache: shared.cache,
    };
    Ok(Parts::new(config.clone(), log, stores, craft)?.only(stages))
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

/// In place of a store that another process owns. None of the stages here asks for it.
struct Elsewhere;

fn elsewhere<T>() -> Result<T, Failure> {
    Err(Failure::fatal(
        "the stores are not in this process; run index, link and settle in the one that owns the data folder",
    ))
}

/// Without the owner's vectors every text is embedded anew.
#[async_trait]
impl VectorCache for Elsewhere {
    async fn get(
        &self,
        _: &str,
        _: Uuid,
        _: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Vec<f32>>>, Failure> {
        Ok(vec![None; hashes.len()])
    }

    async fn put(
        &self,
        _: &str,
        _: Uuid,
        _: &str,
        _: &[(String, Vec<f32>)],
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn forget(&self, _: &str, _: Uuid) -> Result<(), Failure> {
        Ok(())
    }
}

const HEALTH: &str = "owned by another process";

#[async_trait]
impl VectorStore for Elsewhere {
    async fn insert(&self, _: Vec<Point>) -> Result<(), Failure> {
        elsewhere()
    }

    async fn retain_chunks(&self, _: Uuid, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
        elsewhere()
    }

    async fn show(&self, _: Uuid, _: Uuid) -> Result<(), Failure> {
        elsewhere()
    }

    async fn drop_editions(&self, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
        elsewhere()
    }

    async fn search(&self, _: &Search) -> Result<Vec<Hit>, Failure> {
        elsewhere()
    }

    async fn scroll(&self, _: Option<Uuid>, _: usize) -> Result<Vec<PointRef>, Failure> {
        elsewhere()
    }

    async fn dump(&self, _: Uuid) -> Result<Vec<Value>, Failure> {
        elsewhere()
    }

    async fn count(&self) -> Result<u64, Failure> {
        elsewhere()
    }

    async fn model(&self) -> Result<Option<String>, Failure> {
        elsewhere()
    }

    async fn health(&self) -> Result<String, Failure> {
        Ok(HEALTH.to_owned())
    }
}

#[async_trait]
impl GraphStore for Elsewhere {
    async fn write(&self, _: Vec<Linked>) -> Result<(), Failure> {
        elsewhere()
    }

    async fn retain_chunks(&self, _: Uuid, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
        elsewhere()
    }

    async fn show(&self, _: Uuid, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
        elsewhere()
    }

    async fn drop_editions(&self, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
        elsewhere()
    }

    async fn neighbours(&self, _: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure> {
        elsewhere()
    }

    async fn scroll(&self, _: Option<Uuid>, _: usize) -> Result<Vec<ChunkRef>, Failure> {
        elsewhere()
    }

    async fn dump(&self) -> Result<Vec<String>, Failure> {
        elsewhere()
    }

    async fn counts(&self) -> Result<GraphCounts, Failure> {
        elsewhere()
    }

    async fn health(&self) -> Result<String, Failure> {
        Ok(HEALTH.to_owned())
    }
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
