mod apply;
mod drift;

use penstock_servers::qdrant::Qdrant;
use penstock_stages::index::CollectionSpec;

use crate::qdrant::QdrantConfig;

fn spec() -> CollectionSpec {
    CollectionSpec::declared().unwrap()
}

/// A node with nothing on it.
async fn node() -> (Qdrant, QdrantConfig) {
    let server = Qdrant::start().await.unwrap();
    let config = QdrantConfig::new(server.url());
    (server, config)
}
