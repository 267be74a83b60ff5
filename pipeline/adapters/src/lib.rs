//! The world behind the ports: Kafka, the schema registry, candle, the object store, and the embedded engines.

pub mod candle;
pub mod kafka;
pub mod objects;
pub mod registry;

#[cfg(feature = "embedded")]
pub mod embedded;
