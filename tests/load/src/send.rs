//! Documents on their way to the first topic, at times that are set before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use penstock::ingest::Pressure;
use penstock::shared::open_blobs;
use penstock::system::Log;
use penstock_adapters::kafka::KafkaSink;
use penstock_runtime::{Failure, Outgoing, Route, Sink, ThrottlePolicy};
use penstock_schemas::topics;
use penstock_stages::blobs::{self, Blobs, version_prefix};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::arrivals::Arrival;
use crate::documents::document;
use crate::fleet::Fleet;

/// A document whose bytes are in the object store already.
pub struct Prepared {
    pub id: Uuid,
    pub arrival: Arrival,
    record: Outgoing,
}

/// Makes the documents of a plan, the first of which has the number `first`, and stores their bytes.
pub async fn prepare(
    fleet: &Fleet,
    plan: &[Arrival],
    first: usize,
) -> Result<Vec<Prepared>, Failure> {
    /// Writes at once.
    const AT_ONCE: usize = 8;
    let blobs = open_blobs(&fleet.config)?;
    stream::iter(plan.iter().enumerate())
        .map(|(place, arrival)| one(fleet, blobs.clone(), first + place, *arrival))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn one(
    fleet: &Fleet,
    blobs: Arc<dyn Blobs>,
    number: usize,
    arrival: Arrival,
) -> Result<Prepared, Failure> {
    let (mut document, bytes) = document(number, arrival.group);
    let id = document.document_guid;
    let prefix = version_prefix(&document.group, id, document.version);
    document.blob = Some(blobs::store(blobs.as_ref(), &prefix, bytes).await?);
    let record = topics::DOCUMENTS
        .encode(&fleet.log.codec, &document)
        .map_err(|error| Failure::fatal(format!("document cannot be encoded: {error}")))?;
    Ok(Prepared {
        id,
        arrival,
        record,
    })
}

/// Produces each at its time after `begun`, whether those before it are through or not. A document arrives when it is
/// due: were the sender late, that would count against the pipeline, not for it.
pub async fn send(fleet: &Fleet, prepared: &[Prepared], begun: Instant) -> Result<(), Failure> {
    let sink: Arc<dyn Sink> = Arc::new(KafkaSink::new(&fleet.log.kafka)?);
    let mut sending = JoinSet::new();
    for it in prepared {
        tokio::time::sleep_until((begun + it.arrival.at).into()).await;
        let (sink, record) = (sink.clone(), it.record.clone());
        sending.spawn(async move { sink.produce(vec![record]).await });
        while let Some(sent) = sending.try_join_next() {
            arrived(sent)?;
        }
    }
    while let Some(sent) = sending.join_next().await {
        arrived(sent)?;
    }
    Ok(())
}

fn arrived(sent: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    sent.unwrap_or_else(|error| Err(Failure::fatal(format!("a sender broke off: {error}"))))
}

/// The same as `ingest` does it: one at a time, and no faster than split takes them.
pub async fn send_as_ingest(
    log: Arc<Log>,
    marks: ThrottlePolicy,
    prepared: Vec<Prepared>,
    begun: Instant,
) -> Result<(), Failure> {
    let sink = KafkaSink::new(&log.kafka)?;
    let mut pressure = Pressure::new(log, marks);
    for it in prepared {
        tokio::time::sleep_until((begun + it.arrival.at).into()).await;
        pressure.send(sink.produce(vec![it.record])).await?;
    }
    Ok(())
}

/// All at once.
pub fn burst(count: usize, group: &'static str) -> Vec<Arrival> {
    let at = Duration::ZERO;
    vec![Arrival { at, group }; count]
}
