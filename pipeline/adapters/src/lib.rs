//! The world behind the ports: Kafka, the schema registry, candle, the object store, and the embedded engines.

pub mod candle;
mod graph;
pub mod kafka;
pub mod neo4j;
pub mod objects;
pub mod qdrant;
pub mod registry;

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(test)]
mod vector_store;
