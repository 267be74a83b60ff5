//! The world behind the ports: Kafka, candle, the object store, and the embedded engines.

pub mod candle;
pub mod kafka;
pub mod objects;

#[cfg(feature = "embedded")]
pub mod embedded;
