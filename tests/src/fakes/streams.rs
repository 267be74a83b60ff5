use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use penstock::streams::{Stand, Streams};
use penstock_runtime::bus::Bus;
use penstock_runtime::{Failure, Record, Sink, Source, Trails};
use penstock_schemas::{Codec, topics};
use penstock_stages::settle::{Claim, LedgerLog, Newest, document_of, term_of};
use uuid::Uuid;

use super::lock;

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
            claims: Mutex::default(),
            overtaken: Mutex::default(),
        })
    }

    async fn stand(&self, group: &str, topic: &str) -> Result<Stand, Failure> {
        let committed = self.bus.committed(group, topic);
        Ok(Stand {
            waiting: self.bus.lag(group, topic),
            done: committed.values().map(|it| *it as u64).sum(),
        })
    }
}

struct BusLedger {
    bus: Bus,
    codec: Codec,
    /// By partition: our term, and one past the last record looked at.
    claims: Mutex<HashMap<i32, (i64, i64)>>,
    overtaken: Mutex<Vec<(i32, Uuid)>>,
}

#[async_trait]
impl LedgerLog for BusLedger {
    async fn claim(&self, partition: i32) -> Result<Claim, Failure> {
        let (mut newest, mut seen) = (Newest::default(), 0);
        for record in self.bus.records(topics::LEDGER.name()) {
            if record.partition.number == partition {
                newest.hear(&record);
                seen = record.offset + 1;
            }
        }
        let claim = newest.claim(&self.codec)?;
        let mut claims = lock(&self.claims);
        claims.insert(partition, (claim.term, seen));
        let overtaken = claim.overtaken.iter().map(|id| (partition, *id));
        lock(&self.overtaken).extend(overtaken);
        Ok(claim)
    }

    async fn overtaken(&self) -> Result<Vec<(i32, Uuid)>, Failure> {
        let mut overtaken = std::mem::take(&mut *lock(&self.overtaken));
        let mut claims = lock(&self.claims);
        for record in self.bus.records(topics::LEDGER.name()) {
            let number = record.partition.number;
            let Some((term, seen)) = claims.get_mut(&number) else {
                continue;
            };
            if record.offset >= *seen {
                *seen = record.offset + 1;
                let foreign = term_of(&record) < *term;
                let document = document_of(&record).filter(|_| foreign);
                overtaken.extend(document.map(|id| (number, id)));
            }
        }
        Ok(overtaken)
    }
}
