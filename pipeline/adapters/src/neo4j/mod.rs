//! Neo4j over Bolt.
//!
//! **Addresses.** Of those in `neo4j.url` one is in use at a time, by all connections of an adapter. With several, the
//! first one that answers is asked who takes writes, and that one is used if it is in the list; a server that cannot be
//! reached, is no leader any more or takes no writes is left for the next. The driver does no routing of its own.
//! `neo4j://` differs from `bolt://` by the routing context that it sends with the login: a server of a cluster then
//! passes what it may not do itself on to the leader (server-side routing, `dbms.routing.enabled`, on by default since
//! Neo4j 5), while with `bolt://` it refuses. For a cluster: `neo4j://` with the address of every member.
//!
//! **Reads see writes** because both are transactions in write mode on the server in use, that is on the leader or
//! passed on to it; the driver has no bookmarks. An adapter elsewhere sees them too, for it uses the same leader.
//!
//! **Transactions.** Every call is one. Where it met another one (a deadlock, two that make the same node, a node that
//! was deleted meanwhile) it is begun again, a few times, after a random pause; that is counted. What lasts longer is
//! Transient: the loop retries.

mod classify;
mod config;
mod dump;
mod facts;
pub mod migrations;
mod read;
mod rows;
mod servers;
mod show;
mod statements;
mod sweep;
#[cfg(test)]
mod tests;
mod transaction;
mod write;

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::link::{ChunkRef, GraphCounts, GraphStore, Linked, Neighbour};
use penstock_stages::scope::Scope;
use uuid::Uuid;

use dump::Dump;
use read::{AboutServer, CountOf, Counts, Neighbours, Scroll};
use servers::Servers;
use show::Show;
use sweep::{DropEditions, RemoveChunks, RemoveDangling, Retain};
use transaction::{Work, transact};
use write::Write;

pub use config::Neo4jConfig;

/// A `GraphStore` in Neo4j 4.4 or 5. Calls may run at once: each has a connection of its own, of which there are at
/// most as many as the configuration says. A call whose future is dropped leaves nothing or all of it.
pub struct Neo4j {
    servers: Servers,
    retries: AtomicU64,
}

impl Neo4j {
    /// Reads the configuration and certificates; connects at the first call. The schema must be applied.
    pub fn open(config: &Neo4jConfig) -> Result<Self, Failure> {
        Ok(Self {
            servers: Servers::new(config)?,
            retries: AtomicU64::new(0),
        })
    }

    /// How often a transaction was begun again, by a deadlock or the like, or at another server.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    async fn call<W: Work>(&self, work: &W) -> Result<W::Told, Failure> {
        transact(&self.servers, &self.retries, work).await
    }
}

#[async_trait]
impl GraphStore for Neo4j {
    async fn write(&self, rows: Vec<Linked>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        self.call(&Write::of(&rows)?).await
    }

    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure> {
        let work = Retain {
            document,
            edition,
            chunks,
        };
        self.call(&work).await
    }

    async fn show(&self, document: Uuid, edition: Uuid, order: &[Uuid]) -> Result<(), Failure> {
        let work = Show {
            document,
            edition,
            order,
        };
        self.call(&work).await
    }

    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
        self.call(&DropEditions { document, editions }).await
    }

    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure> {
        self.call(&RemoveChunks(chunks)).await
    }

    async fn remove_dangling(&self) -> Result<(), Failure> {
        self.call(&RemoveDangling).await
    }

    async fn neighbours(&self, chunks: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure> {
        self.call(&Neighbours(chunks)).await
    }

    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ChunkRef>, Failure> {
        self.call(&Scroll { after, limit }).await
    }

    async fn dump(&self) -> Result<Vec<String>, Failure> {
        self.call(&Dump).await
    }

    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure> {
        self.call(&CountOf(scope)).await
    }

    async fn counts(&self) -> Result<GraphCounts, Failure> {
        self.call(&Counts).await
    }

    async fn health(&self) -> Result<String, Failure> {
        self.call(&AboutServer).await
    }
}
