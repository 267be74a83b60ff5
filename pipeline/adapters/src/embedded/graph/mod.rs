//! The knowledge graph on SQLite, for one machine.

mod dump;
mod layout;
mod read;
mod show;
mod sweep;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::link::{ChunkRef, GraphCounts, GraphStore, Linked, Neighbour};
use penstock_stages::scope::Scope;
use uuid::Uuid;

use super::sql::{Db, DbThread};

/// A `GraphStore` in one SQLite file. The file belongs to a thread of its own, and every call is a job and one
/// transaction there: dropping a call's future does not undo or halve it.
pub struct SqlGraph {
    db: DbThread,
}

impl SqlGraph {
    /// Opens the graph in `file`, and makes it if there is none. A file written by a newer Penstock is refused.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let db = Db::open(file)?;
        layout::prepare(&db)?;
        Ok(Self {
            db: DbThread::start("graph", db)?,
        })
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.db.call(work).await
    }
}

#[async_trait]
impl GraphStore for SqlGraph {
    async fn write(&self, rows: Vec<Linked>) -> Result<(), Failure> {
        self.call(move |db| write::write(db, &rows)).await
    }

    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure> {
        let chunks = chunks.to_vec();
        self.call(move |db| sweep::retain_chunks(db, document, edition, &chunks))
            .await
    }

    async fn show(&self, document: Uuid, edition: Uuid, order: &[Uuid]) -> Result<(), Failure> {
        let order = order.to_vec();
        self.call(move |db| show::show(db, document, edition, &order))
            .await
    }

    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
        let editions = editions.to_vec();
        self.call(move |db| sweep::drop_editions(db, document, &editions))
            .await
    }

    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure> {
        let chunks = chunks.to_vec();
        self.call(move |db| sweep::remove_chunks(db, &chunks)).await
    }

    async fn remove_dangling(&self) -> Result<(), Failure> {
        self.call(sweep::remove_dangling).await
    }

    async fn neighbours(&self, chunks: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure> {
        let chunks = chunks.to_vec();
        self.call(move |db| read::neighbours(db, &chunks)).await
    }

    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ChunkRef>, Failure> {
        self.call(move |db| read::scroll(db, after, limit)).await
    }

    async fn dump(&self) -> Result<Vec<String>, Failure> {
        self.call(dump::dump).await
    }

    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure> {
        let scope = scope.clone();
        self.call(move |db| read::count_of(db, &scope)).await
    }

    async fn counts(&self) -> Result<GraphCounts, Failure> {
        self.call(read::counts).await
    }

    async fn health(&self) -> Result<String, Failure> {
        self.call(read::health).await
    }
}
