//! The engines of one machine: log and stores inside the process. A build without them (the lean image for pods) says so
//! where one is asked for.

use std::path::Path;

#[cfg(feature = "embedded")]
pub use here::{Broker, open_stores};
#[cfg(not(feature = "embedded"))]
pub use lean::{Broker, open_stores};

const GRAPH: &str = "graph.db";

/// Whether stores were made in `folder` before.
pub fn has_stores(folder: &Path) -> bool {
    folder.join(GRAPH).exists()
}

#[cfg(feature = "embedded")]
mod here {
    use std::path::Path;
    use std::sync::Arc;

    pub use penstock_adapters::embedded::broker::Broker;
    use penstock_adapters::embedded::cache::SqlVectorCache;
    use penstock_adapters::embedded::graph::SqlGraph;
    use penstock_adapters::embedded::qdrant_edge::QdrantEdge;
    use penstock_adapters::objects::Objects;
    use penstock_runtime::Failure;
    use penstock_stages::index::CollectionSpec;
    use penstock_stages::settle::Stores;

    /// The stores in `folder`, made where they are missing. One process at a time may have them open.
    pub fn open_stores(folder: &Path) -> Result<Stores, Failure> {
        let spec = CollectionSpec::declared()?;
        let vectors = QdrantEdge::open(&folder.join("vectors"), &spec, spec.vectors.dense.size)?;
        Ok(Stores {
            vectors: Arc::new(vectors),
            graph: Arc::new(SqlGraph::open(&folder.join(super::GRAPH))?),
            blobs: Arc::new(Objects::in_folder(&folder.join("objects"))?),
            cache: Arc::new(SqlVectorCache::open(&folder.join("vectors.db"))?),
        })
    }
}

#[cfg(not(feature = "embedded"))]
mod lean {
    use std::path::Path;

    use penstock_runtime::Failure;
    use penstock_stages::settle::Stores;

    /// There is none in this build.
    pub enum Broker {}

    impl Broker {
        pub async fn start(_dir: &Path) -> Result<Self, Failure> {
            Err(absent("log"))
        }

        pub fn address(&self) -> String {
            match *self {}
        }

        pub async fn trim(&self, _positions: &[(String, i32, i64)]) -> Result<(), Failure> {
            match *self {}
        }

        pub async fn stop(self) {
            match self {}
        }
    }

    pub fn open_stores(_folder: &Path) -> Result<Stores, Failure> {
        Err(absent("stores"))
    }

    fn absent(what: &str) -> Failure {
        Failure::fatal(format!(
            "this build has no embedded {what}: configure a cluster, or build with the feature embedded"
        ))
    }
}
