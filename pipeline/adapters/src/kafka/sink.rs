use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use penstock_runtime::{Failure, Outgoing, Sink};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::config::KafkaConfig;
use super::connection::Connection;
use super::{classify, convert};

/// How long to let a full send queue drain before asking again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);

/// One idempotent producer, shared by all stages of the process. Cheap to clone.
#[derive(Clone)]
pub struct KafkaSink {
    producer: ThreadedProducer<Context>,
    connection: Connection,
}

impl KafkaSink {
    /// Connects lazily: a broker that is away shows at the first record.
    pub fn new(config: &KafkaConfig) -> Result<Self, Failure> {
        let connection = Connection::new();
        let producer = config
            .producer()
            .create_with_context(Context(connection.clone()))
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
    async fn enqueue(&self, record: &Outgoing, waiting: &Arc<Waiting>) -> Result<(), Failure> {
        let mut outgoing: BaseRecord<'_, [u8], [u8], _> =
            BaseRecord::with_opaque_to(&record.topic, waiting.clone());
        outgoing.key = record.key.as_deref();
        outgoing.payload = record.value.as_deref();
        outgoing.headers = convert::headers(&record.headers);
        while let Err((error, back)) = self.producer.send(outgoing) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(failed(&error, &record.topic));
            }
            outgoing = back;
            tokio::time::sleep(QUEUE_FULL_WAIT).await;
        }
        Ok(())
    }

    async fn deliver(&self, records: &[&Outgoing]) -> Result<(), Failure> {
        let (waiting, delivered) = Waiting::for_records(records.len());
        for record in records {
            if let Err(failure) = self.enqueue(record, &waiting).await {
                waiting.heard(Err(failure));
            }
        }
        // Only the producer holds it now: where that is closed, nobody is left to tell.
        drop(waiting);
        // All are awaited even after an error: none may arrive behind the caller's back.
        match delivered.await {
            Ok(outcome) => outcome.map_err(|failure| self.broken().unwrap_or(failure)),
            Err(_) => Err(Failure::fatal("produce: the producer was closed")),
        }
    }

    /// Why this producer will never produce again, if it is so: then it drops what it has, and says only that.
    fn broken(&self) -> Option<Failure> {
        let (_, reason) = self.producer.client().fatal_error()?;
        Some(Failure::fatal(format!("produce: {reason}")))
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn send(&self, records: &[&Outgoing]) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            outcome = self.deliver(records) => outcome,
            // Nothing of what is queued arrives any more: librdkafka would go on logging in until it times out.
            refused = self.connection.until_refused() => Err(refused),
        }
    }
}

/// Records that were sent together, until the broker has answered for each. One answer for all of them: a channel for each
/// record costs as much as the record.
struct Waiting {
    left: AtomicUsize,
    outcome: Mutex<Outcome>,
}

struct Outcome {
    worst: Option<Failure>,
    told: Option<oneshot::Sender<Result<(), Failure>>>,
}

impl Waiting {
    fn for_records(count: usize) -> (Arc<Self>, oneshot::Receiver<Result<(), Failure>>) {
        let (told, delivered) = oneshot::channel();
        let outcome = Outcome {
            worst: None,
            told: Some(told),
        };
        let waiting = Self {
            left: AtomicUsize::new(count),
            outcome: Mutex::new(outcome),
        };
        (Arc::new(waiting), delivered)
    }

    /// What became of one record.
    fn heard(&self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            outcome.worst = Some(worse(outcome.worst.take(), failure));
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = outcome.told.take() {
            // Whoever waited may have given up.
            let _ = told.send(outcome.worst.take().map_or(Ok(()), Err));
        }
    }
}

/// What the producer's own thread calls.
struct Context(Connection);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Waiting>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Arc<Waiting>) {
        waiting.heard(match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(failed(error, message.topic())),
        });
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
