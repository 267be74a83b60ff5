//! The log as stages see it, so that the topology runs on any.

use std::sync::Arc;

use async_trait::async_trait;
use penstock_adapters::kafka::{KafkaSink, KafkaSource, Lag, LedgerReader, fold_topic, lags};
use penstock_runtime::{Failure, Readable, Record, Sink, Source, Trails};
use penstock_schemas::Codec;
use penstock_stages::settle::LedgerLog;

use crate::pipeline::group_of;
use crate::system::Log;

/// A log with consumer groups.
#[async_trait]
pub trait Streams: Trails {
    /// How records are encoded on this log.
    fn codec(&self) -> &Codec;
    /// The consumer group of a stage.
    fn group(&self, stage: &str) -> String {
        group_of(stage)
    }
    /// A member of `group` that consumes `topic`.
    fn source(&self, group: &str, topic: &str) -> Result<Box<dyn Source>, Failure>;
    fn sink(&self) -> Result<Arc<dyn Sink>, Failure>;
    /// The ledger, as settle reads it back.
    fn ledger(&self) -> Arc<dyn LedgerLog>;
    /// How far `group` has come with `topic`.
    async fn stand(&self, group: &str, topic: &str) -> Result<Stand, Failure>;
}

/// How far a group has come with a topic, in records over all partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Not committed.
    pub waiting: u64,
    /// Before that. Only what it grows by means anything.
    pub done: u64,
}

#[async_trait]
impl Trails for Log {
    async fn records(&self, topic: &str) -> Result<Vec<Record>, Failure> {
        let mut records = Vec::new();
        fold_topic(&self.kafka, topic, None, |record| {
            records.push(record);
            Ok(())
        })
        .await?;
        Ok(records)
    }
}

#[async_trait]
impl Streams for Log {
    fn codec(&self) -> &Codec {
        &self.codec
    }

    fn source(&self, group: &str, topic: &str) -> Result<Box<dyn Source>, Failure> {
        let source = Box::new(KafkaSource::open(&self.kafka, group, &[topic])?);
        Ok(match self.codec.is_registered() {
            true => Box::new(Readable::new(source, self.codec.clone())),
            false => source,
        })
    }

    fn sink(&self) -> Result<Arc<dyn Sink>, Failure> {
        Ok(Arc::new(KafkaSink::new(&self.kafka)?))
    }

    fn ledger(&self) -> Arc<dyn LedgerLog> {
        Arc::new(LedgerReader::new(self.kafka.clone(), self.codec.clone()))
    }

    async fn stand(&self, group: &str, topic: &str) -> Result<Stand, Failure> {
        let lags = lags(&self.kafka, group, topic).await?;
        let sum = |of: fn(&Lag) -> i64| -> u64 { lags.iter().map(|it| of(it).max(0) as u64).sum() };
        Ok(Stand {
            waiting: sum(Lag::records),
            done: sum(|it: &Lag| it.end - it.records()),
        })
    }
}
