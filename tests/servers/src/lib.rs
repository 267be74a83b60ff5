//! Servers for tests on free loopback ports: Apache Kafka and Neo4j from their published artifacts, and an S3 endpoint, a
//! schema registry and a Qdrant node of our own that can be told to misbehave. `scripts/setup.sh servers` fetches the artifacts; where they are missing a test fails and
//! says so.
//!
//! Whatever happens to the process that started a server, by the end of it the server is gone, and so is its folder,
//! unless a test failed: then the logs stay, and the test says where.

mod certificates;
mod janitor;
mod kafka;
mod neo4j;
pub mod qdrant;
pub mod registry;
pub mod s3;
mod settings;

use std::path::PathBuf;

pub use certificates::{Certificates, KEY_PASSWORD};
pub use janitor::Janitor;
pub use kafka::{Kafka, Witness};
pub use neo4j::{NEO4J_PASSWORD, NEO4J_USER, Neo4j};
pub use settings::{Listener, PASSWORD, USER};

/// Folder of a server's jars: each has its own, for they do not go together.
fn jars(folder: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_default();
    let jars = cache.join("penstock").join(folder);
    if !jars.join("installed").exists() {
        fail(&format!(
            "{} is missing or half full: run `make test`, or scripts/setup.sh servers",
            jars.display()
        ));
    }
    jars
}

#[allow(
    clippy::panic,
    reason = "tests end by panicking; this crate is theirs alone"
)]
fn fail(reason: &str) -> ! {
    panic!("{reason}")
}
