//! The peer to beat: consume, produce, commit by hand, with nothing around it. At least once like the others: what is
//! committed has been delivered. One thread and one producer, as one writes it; librdkafka has threads of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use penstock_schemas::{Codec, Message as _};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::Job;
use crate::records::Sample;

const COMMIT_EVERY: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);

/// Counts what could not be delivered.
#[derive(Clone, Default)]
struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub fn run(job: &Job, stopped: &AtomicBool) -> Result<(), String> {
    let deliveries = Deliveries::default();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &job.brokers)
        .set("group.id", &job.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        // A full queue is asked again soon: by default that takes a second, and most of the throughput.
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .map_err(|error| error.to_string())?;
    let producer: BaseProducer<Deliveries> = producer(&job.brokers, deliveries.clone())?;
    consumer
        .subscribe(&[&job.from])
        .map_err(|error| error.to_string())?;
    let codec = Codec::default();
    let mut commit_at = Instant::now() + COMMIT_EVERY;
    while !stopped.load(Ordering::Relaxed) {
        if let Some(message) = consumer.poll(POLL) {
            let message = message.map_err(|error| error.to_string())?;
            if job.avro {
                let value = again(&codec, &message)?;
                send(&producer, &job.to, &message, value.as_ref())?;
            } else {
                let value = message.payload().unwrap_or_default();
                send(&producer, &job.to, &message, value)?;
            }
        }
        producer.poll(Duration::ZERO);
        if Instant::now() >= commit_at {
            commit(&consumer, &producer, &deliveries)?;
            commit_at = Instant::now() + COMMIT_EVERY;
        }
    }
    commit(&consumer, &producer, &deliveries)
}

/// Settings as Penstock's own producer has them.
pub fn producer<C: ProducerContext>(brokers: &str, context: C) -> Result<BaseProducer<C>, String> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "20")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.kbytes", "65536")
        .create_with_context(context)
        .map_err(|error| error.to_string())
}

/// Decoded and encoded by the codec that Penstock's loop uses.
fn again(codec: &Codec, message: &BorrowedMessage<'_>) -> Result<Bytes, String> {
    let sample: Sample = codec
        .decode(message.payload().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    sample.encode(codec).map_err(|error| error.to_string())
}

fn send<V: ToBytes + ?Sized>(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    message: &BorrowedMessage<'_>,
    value: &V,
) -> Result<(), String> {
    let mut record = BaseRecord::to(topic).payload(value);
    record.key = message.key();
    record.headers = message.headers().map(|headers| headers.detach());
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(POLL);
            }
            Err((error, _)) => return Err(error.to_string()),
        }
    }
}

/// All that was sent is delivered before the positions behind it are committed.
fn commit(
    consumer: &BaseConsumer,
    producer: &BaseProducer<Deliveries>,
    deliveries: &Deliveries,
) -> Result<(), String> {
    producer
        .flush(Duration::from_secs(30))
        .map_err(|error| error.to_string())?;
    if deliveries.failed.load(Ordering::Relaxed) > 0 {
        return Err("a record was not delivered".to_owned());
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
