use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use penstock::streams::Streams;
use penstock_runtime::bus::Bus;
use penstock_runtime::{Failure, Record, Sink, Source, Trails};
use penstock_schemas::{Codec, LedgerEntry, topics};
use penstock_stages::settle::LedgerLog;

/// The in-memory bus as the log of a pipeline.
pub struct BusStreams {
    bus: Bus,
    codec: Codec,
}

impl BusStreams {
    pub fn new(bus: Bus) -> Self {
        Self {
            bus,
            codec: Codec::default(),
        }
    }
}

#[async_trait]
impl Trails for BusStreams {
    async fn records(&self, topic: &str) -> Result<Vec<Record>, Failure> {
        Ok(self.bus.records(topic))
    }
}

#[async_trait]
impl Streams for BusStreams {
    fn codec(&self) -> &Codec {
        &self.codec
    }

    fn source(&self, group: &str, topic: &str) -> Result<Box<dyn Source>, Failure> {
        Ok(Box::new(self.bus.join(group, topic)))
    }

    fn sink(&self) -> Result<Arc<dyn Sink>, Failure> {
        Ok(Arc::new(self.bus.sink()))
    }

    fn ledger(&self) -> Arc<dyn LedgerLog> {
        Arc::new(BusLedger {
            bus: self.bus.clone(),
            codec: self.codec.clone(),
        })
    }

    async fn lag(&self, group: &str, topic: &str) -> Result<u64, Failure> {
        Ok(self.bus.lag(group, topic))
    }
}

struct BusLedger {
    bus: Bus,
    codec: Codec,
}

#[async_trait]
impl LedgerLog for BusLedger {
    async fn restore(&self, partition: i32) -> Result<Vec<LedgerEntry>, Failure> {
        let mut newest = BTreeMap::new();
        for record in self.bus.records(topics::LEDGER.name()) {
            if record.partition.number == partition {
                newest.insert(record.key, record.value.unwrap_or_default());
            }
        }
        newest
            .values()
            .map(|value| {
                let decoded = self.codec.decode::<LedgerEntry>(value);
                decoded.map_err(|error| Failure::fatal(error.to_string()))
            })
            .collect()
    }
}
