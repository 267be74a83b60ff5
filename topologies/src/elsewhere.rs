//! In place of stores that are not open in this process.

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::embed::VectorCache;
use penstock_stages::index::{Hit, Point, PointRef, Search, VectorStore};
use penstock_stages::link::{ChunkRef, GraphCounts, GraphStore, Linked, Neighbour};
use penstock_stages::scope::Scope;
use serde_json::Value;
use uuid::Uuid;

/// Stands where a store would: it is in another process, or none of the stages here asks for it.
pub struct Elsewhere;

fn elsewhere<T>() -> Result<T, Failure> {
    Err(Failure::fatal(
        "the stores are not open in this process; run index, link and settle in the one that owns the data folder",
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

    async fn count(&self, _: &str, _: Uuid) -> Result<u64, Failure> {
        elsewhere()
    }

    async fn forget(&self, _: &str, _: Uuid) -> Result<(), Failure> {
        Ok(())
    }
}

const HEALTH: &str = "not open in this process";

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

    async fn remove_chunks(&self, _: &[Uuid]) -> Result<(), Failure> {
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

    async fn count_of(&self, _: &Scope) -> Result<u64, Failure> {
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

    async fn remove_chunks(&self, _: &[Uuid]) -> Result<(), Failure> {
        elsewhere()
    }

    async fn remove_dangling(&self) -> Result<(), Failure> {
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

    async fn count_of(&self, _: &Scope) -> Result<u64, Failure> {
        elsewhere()
    }

    async fn counts(&self) -> Result<GraphCounts, Failure> {
        elsewhere()
    }

    async fn health(&self) -> Result<String, Failure> {
        Ok(HEALTH.to_owned())
    }
}
