//! Sends documents straight to the log, as any program may, and now and then what is no record at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use penstock_adapters::kafka::{KafkaConfig, KafkaSink};
use penstock_runtime::{Outgoing, Route, Sink};
use penstock_schemas::{Codec, topics};
use penstock_servers::s3::S3;
use uuid::Uuid;

use crate::Failed;
use crate::dice::Dice;
use crate::documents::{Documents, Killing, Sending};
use crate::watch::{Watch, Watched, watched};

/// Below which all objects lie.
pub const PREFIX: &str = "chaos/";
/// Marks what is garbage on purpose.
pub const GARBAGE: &str = "chaos.garbage";
/// After so many documents one record of garbage comes.
const GARBAGE_EVERY: u64 = 100;
/// Documents sent between two looks at the log.
const BURST: u64 = 10;
/// Records that may wait for a stage that works on documents, or on chunks, before nothing more is sent.
const DOCUMENTS_WAITING: i64 = 30;
const CHUNKS_WAITING: i64 = 1400;

/// Sends what the seed says.
pub struct Post {
    seed: u64,
    documents: Mutex<Documents>,
    sink: KafkaSink,
    codec: Codec,
    s3: Arc<S3>,
    garbage: Mutex<u64>,
}

impl Post {
    pub fn new(seed: u64, kafka: &KafkaConfig, s3: Arc<S3>) -> Result<Self, Failed> {
        Ok(Self {
            seed,
            documents: Mutex::new(Documents::new(seed)),
            sink: KafkaSink::new(kafka)?,
            codec: Codec::default(),
            s3,
            garbage: Mutex::default(),
        })
    }

    /// Sends documents as fast as the fleet takes them: `count` of them, and more until nothing more `breaks`.
    pub async fn run(&self, count: u64, breaks: &AtomicBool, watch: &Watch) -> Result<(), Failed> {
        let stages = watched();
        let mut looks = watch.follow();
        while self.documents().count < count || breaks.load(Ordering::Relaxed) {
            let seen = looks.changed().await;
            seen.map_err(|_| Failed("nobody looks at the log any more".to_owned()))?;
            // Requests are noted for tests; here they would only grow.
            self.s3.take_requests();
            let has_room = looks.borrow_and_update().as_ref().is_some_and(|sample| {
                let waiting = |(number, it): (usize, &Watched)| {
                    let most = match it.stage {
                        "split" | "parse" | "shard" => DOCUMENTS_WAITING,
                        _ => CHUNKS_WAITING,
                    };
                    sample.waiting(number, it.from) < most
                };
                stages.iter().enumerate().all(waiting)
            });
            for _ in 0..if has_room { BURST } else { 0 } {
                let sending = self.documents().next();
                self.send(sending).await?;
                let sent = self.documents().count;
                if sent.is_multiple_of(GARBAGE_EVERY) {
                    self.send_garbage(sent / GARBAGE_EVERY).await?;
                }
            }
        }
        Ok(())
    }

    /// A document that kills who reads it. It is not sent yet.
    pub fn killer(&self, killing: Killing) -> Sending {
        self.documents().killer(killing)
    }

    pub async fn send(&self, sending: Sending) -> Result<(), Failed> {
        if let Some((key, bytes)) = sending.object {
            self.s3.put(&format!("{PREFIX}{key}"), bytes);
        }
        let record = topics::DOCUMENTS
            .encode(&self.codec, &sending.record)
            .map_err(|error| Failed(format!("a document does not encode: {error}")))?;
        Ok(self.sink.produce(vec![record]).await?)
    }

    /// Bytes that are no record, to one topic after the other.
    async fn send_garbage(&self, number: u64) -> Result<(), Failed> {
        let mut dice = Dice::of(self.seed, number.wrapping_add(1 << 48));
        let stages = watched();
        let topic = stages
            .get(number as usize % stages.len())
            .map_or("", |it| it.from);
        let noise: Vec<u8> = (0..40).map(|_| (dice.next() % 256) as u8).collect();
        let value: Vec<u8> = match dice.below(3) {
            0 => b"no record".to_vec(),
            // The mark of a record, and a schema that nobody knows.
            1 => [0xC3, 0x01].into_iter().chain(noise).collect(),
            _ => Vec::new(),
        };
        let record = Outgoing {
            topic: topic.into(),
            key: Some(Bytes::from(
                Uuid::from_u64_pair(dice.next(), number).to_string(),
            )),
            value: Some(value.into()),
            headers: vec![(GARBAGE.into(), Bytes::from(number.to_string()))],
        };
        self.sink.produce(vec![record]).await?;
        *self.garbage.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ok(())
    }

    /// All that was sent until now.
    pub fn documents(&self) -> MutexGuard<'_, Documents> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records of garbage sent until now.
    pub fn garbage(&self) -> u64 {
        *self.garbage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
