//! Stores on the network: a Qdrant cluster and Neo4j, which any process opens.

use std::sync::Arc;

use penstock_adapters::neo4j::{Neo4j, Neo4jConfig, migrations};
use penstock_adapters::qdrant::{Qdrant, QdrantConfig, schema};
use penstock_runtime::Failure;
use penstock_stages::index::{CollectionSpec, VectorStore};
use penstock_stages::link::GraphStore;
use penstock_stages::settle::Stores;

use crate::config::Config;
use crate::shared::Shared;
use crate::status::{StoreStatus, health};

/// How they are reached.
pub struct Network {
    qdrant: QdrantConfig,
    neo4j: Neo4jConfig,
}

impl Network {
    /// None where the stores lie in a data folder.
    pub fn of(config: &Config) -> Option<Self> {
        Some(Self {
            qdrant: config.qdrant()?,
            neo4j: config.neo4j()?,
        })
    }

    /// Both stores, with the objects that belong to them.
    pub async fn stores(&self, config: &Config) -> Result<Stores, Failure> {
        let shared = Shared::open(config).await?;
        Ok(Stores {
            vectors: self.vectors()?,
            graph: self.graph()?,
            blobs: shared.blobs,
            cache: shared.cache,
        })
    }

    /// Nothing is asked yet.
    pub fn vectors(&self) -> Result<Arc<dyn VectorStore>, Failure> {
        Ok(Arc::new(Qdrant::open(&self.qdrant)?))
    }

    /// Nothing is asked yet.
    pub fn graph(&self) -> Result<Arc<dyn GraphStore>, Failure> {
        Ok(Arc::new(Neo4j::open(&self.neo4j)?))
    }

    /// The same for a stage. Refuses a collection that lacks what stages need, with the command to run.
    pub async fn vectors_as_declared(&self) -> Result<Arc<dyn VectorStore>, Failure> {
        schema::check(&self.qdrant, &CollectionSpec::declared()?).await?;
        self.vectors()
    }

    /// The same for a stage. Refuses a database that lacks a migration, with the command to run.
    pub async fn graph_as_declared(&self) -> Result<Arc<dyn GraphStore>, Failure> {
        migrations::check(&self.neo4j).await?;
        self.graph()
    }

    /// How they are. One that cannot be opened is not healthy, and the other is told of all the same.
    pub async fn status(&self) -> Vec<StoreStatus> {
        let vectors = match self.vectors() {
            Ok(vectors) => vectors.health().await,
            Err(failure) => Err(failure),
        };
        let graph = match self.graph() {
            Ok(graph) => graph.health().await,
            Err(failure) => Err(failure),
        };
        vec![health("vectors", vectors), health("graph", graph)]
    }
}
