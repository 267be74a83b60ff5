use async_trait::async_trait;

use super::{Bus, ProduceFault};
use crate::{Failure, Outgoing, Sink};

/// Produces to the bus, with the faults and the delay it was told to have.
#[derive(Debug, Clone)]
pub struct BusSink {
    bus: Bus,
}

impl BusSink {
    pub(super) fn new(bus: Bus) -> Self {
        Self { bus }
    }
}

#[async_trait]
impl Sink for BusSink {
    async fn send(&self, records: &[&Outgoing]) -> Result<(), Failure> {
        let (delay, largest) = {
            let state = self.bus.lock();
            let settings = &state.settings;
            (settings.produce_delay, settings.largest_record)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let size = |record: &Outgoing| record.value.as_ref().map_or(0, |value| value.len());
        if let Some(large) = records.iter().find(|record| size(record) > largest) {
            return Err(Failure::poison(format!(
                "record of {} bytes for {} is larger than {largest}",
                size(large),
                large.topic
            )));
        }
        let outcome = {
            let mut state = self.bus.lock();
            let fault = state.produce_faults.pop_front();
            let (count, outcome) = match fault.unwrap_or(ProduceFault::None) {
                ProduceFault::None => (records.len(), Ok(())),
                ProduceFault::Refused(failure) => (0, Err(failure)),
                ProduceFault::Partly(count, failure) => (count, Err(failure)),
                ProduceFault::AckLost(failure) => (records.len(), Err(failure)),
            };
            for record in records.iter().take(count) {
                state.append((*record).clone())?;
            }
            outcome
        };
        self.bus.announce();
        outcome
    }
}
