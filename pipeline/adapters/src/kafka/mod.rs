//! The log: consumers, the producer, topics, and reading a topic from end to end. The same code serves a real cluster
//! and the embedded broker.

mod admin;
mod classify;
mod config;
mod connection;
mod convert;
mod declared;
mod group;
mod ledger;
mod purge;
mod read;
mod reader;
mod sink;
mod source;
mod tail;
#[cfg(test)]
#[cfg(feature = "embedded")]
mod tests;
mod topics;

pub use admin::{Admin, Shape};
pub use classify::classify;
pub use config::KafkaConfig;
pub use declared::{Difference, Remedy};
pub use group::{Standing, commit_for, standing_of};
pub use ledger::LedgerReader;
pub use purge::{Keeping, groups};
pub use read::{Entry, Reading, fold_entries, fold_readable, fold_topic, read_topic};
pub use reader::{Lag, lags, offsets_at};
pub use sink::KafkaSink;
pub use source::KafkaSource;
pub use tail::Tail;
