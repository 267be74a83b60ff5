use std::time::Duration;

use async_trait::async_trait;
use penstock_runtime::{Failure, Outgoing, Sink};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};

use super::config::KafkaConfig;
use super::connection::Connection;
use super::{classify, convert};

/// How long to let a full send queue drain before asking again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);

/// One idempotent producer, shared by all stages of the process. Cheap to clone.
#[derive(Clone)]
pub struct KafkaSink {
    producer: FutureProducer<Connection>,
    connection: Connection,
}

impl KafkaSink {
    /// Connects lazily: a broker that is away shows at the first record.
    pub fn new(config: &KafkaConfig) -> Result<Self, Failure> {
        let connection = Connection::new();
        let producer = config
            .producer()
            .create_with_context(connection.clone())
            .map_err(|error| classify(&error, "open the producer"))?;
        Ok(Self {
            producer,
            connection,
        })
    }

    /// Waits until all that was handed over is with the broker, or `limit` has passed.
    pub async fn flush(&self, limit: Duration) -> Result<(), Failure> {
        let producer = self.producer.clone();
        tokio::task::spawn_blocking(move || producer.flush(limit))
            .await
            .map_err(|error| Failure::fatal(format!("flush the producer: {error}")))?
            .map_err(|error| classify(&error, "flush the producer"))
    }

    /// Hands a record to librdkafka. A full queue is pressure, not an error: it waits.
    async fn enqueue(&self, record: &Outgoing) -> Result<DeliveryFuture, Failure> {
        loop {
            let mut outgoing: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&record.topic);
            outgoing.key = record.key.as_deref();
            outgoing.payload = record.value.as_deref();
            outgoing.headers = convert::headers(&record.headers);
            match self.producer.send_result(outgoing) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    tokio::time::sleep(QUEUE_FULL_WAIT).await;
                }
                Err((error, _)) => return Err(failed(&error, &record.topic)),
            }
        }
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn produce(&self, records: Vec<Outgoing>) -> Result<(), Failure> {
        tokio::select! {
            biased;
            outcome = self.deliver(records) => outcome,
            // Nothing of what is queued arrives any more: librdkafka would go on logging in until it times out.
            refused = self.connection.until_refused() => Err(refused),
        }
    }
}

impl KafkaSink {
    async fn deliver(&self, records: Vec<Outgoing>) -> Result<(), Failure> {
        let mut worst: Option<Failure> = None;
        let mut deliveries = Vec::with_capacity(records.len());
        for record in &records {
            match self.enqueue(record).await {
                Ok(delivery) => deliveries.push((delivery, &record.topic)),
                Err(failure) => worst = Some(worse(worst, failure)),
            }
        }
        // All are awaited even after an error: none may arrive behind the caller's back.
        for (delivery, topic) in deliveries {
            let failure = match delivery.await {
                Ok(Ok(_)) => continue,
                Ok(Err((error, _))) => failed(&error, topic),
                Err(_) => Failure::fatal(format!("produce to {topic}: the producer was closed")),
            };
            worst = Some(worse(worst, failure));
        }
        worst.map_or(Ok(()), Err)
    }
}

fn failed(error: &KafkaError, topic: &str) -> Failure {
    classify(error, &format!("produce to {topic}"))
}

/// Of two failures, the one that decides: Fatal over Poison over Transient, else the first.
fn worse(first: Option<Failure>, second: Failure) -> Failure {
    let rank = |failure: &Failure| match failure {
        Failure::Transient { .. } => 0,
        Failure::Poison(_) => 1,
        Failure::Fatal(_) => 2,
    };
    match first {
        Some(first) if rank(&first) >= rank(&second) => first,
        _ => second,
    }
}
