use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use penstock_schemas::{Codec, LookupError};
use tokio::time::sleep;

use crate::{Event, Failure, Partition, Position, Record, Source};

/// Between two questions to a registry that gives no answer: it doubles from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(15);

/// Sees to it that the schema of `record` is known, as far as a registry knows it: then whether the record can be decoded
/// says something of the record.
pub async fn learn(codec: &Codec, record: &Record) -> Result<(), Failure> {
    match &record.value {
        Some(value) => ask(codec, value).await,
        None => Ok(()),
    }
}

async fn ask(codec: &Codec, value: &[u8]) -> Result<(), Failure> {
    codec.learn(value).await.map_err(|error| match error {
        LookupError::Away(reason) => Failure::transient(reason),
        LookupError::Refused(reason) => Failure::fatal(reason),
    })
}

/// A source whose records can be decoded, or never will be: one that names a schema nobody here has seen waits until the
/// registry was asked, and its partition with it. Other partitions and all that is said of them go on.
pub struct Readable {
    inner: Box<dyn Source>,
    codec: Codec,
    /// Records of partitions whose first one waits. The partitions are paused.
    held: BTreeMap<Partition, VecDeque<Record>>,
    /// Paused from outside.
    paused: HashSet<Partition>,
    asking: Option<BoxFuture<'static, Result<(), Failure>>>,
    ended: bool,
}

impl Readable {
    pub fn new(inner: Box<dyn Source>, codec: Codec) -> Self {
        Self {
            inner,
            codec,
            held: BTreeMap::new(),
            paused: HashSet::new(),
            asking: None,
            ended: false,
        }
    }

    /// What of it is to be told now.
    fn hear(&mut self, event: Event) -> Result<Option<Event>, Failure> {
        match event {
            Event::Record(record)
                if self.held.contains_key(&record.partition) || self.lacks(&record) =>
            {
                self.hold(record)?;
                Ok(None)
            }
            Event::Record(record) => Ok(Some(Event::Record(record))),
            Event::Assigned(given) => {
                for assignment in &given {
                    // It starts anew: what is held of it comes again.
                    self.paused.remove(&assignment.partition);
                    self.give_up(&assignment.partition)?;
                }
                Ok(Some(Event::Assigned(given)))
            }
            Event::Revoked(taken, ack) => {
                for partition in &taken {
                    self.held.remove(partition);
                    self.paused.remove(partition);
                }
                Ok(Some(Event::Revoked(taken, ack)))
            }
            Event::End => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    fn lacks(&self, record: &Record) -> bool {
        let value = record.value.as_deref();
        value.is_some_and(|value| self.codec.lacks(value))
    }

    fn hold(&mut self, record: Record) -> Result<(), Failure> {
        let partition = record.partition.clone();
        let held = self.held.entry(partition.clone()).or_default();
        held.push_back(record);
        match held.len() {
            1 => self.inner.pause(&[partition]),
            _ => Ok(()),
        }
    }

    /// Holds nothing of this partition any more.
    fn give_up(&mut self, partition: &Partition) -> Result<(), Failure> {
        if self.held.remove(partition).is_none() || self.paused.contains(partition) {
            return Ok(());
        }
        self.inner.resume(std::slice::from_ref(partition))
    }

    /// A record that waits no longer.
    fn release(&mut self) -> Result<Option<Record>, Failure> {
        let codec = &self.codec;
        let readable = |(partition, records): (&Partition, &mut VecDeque<Record>)| {
            let first = records.pop_front_if(|record| {
                let value = record.value.as_deref();
                !value.is_some_and(|value| codec.lacks(value))
            });
            first.map(|record| (partition.clone(), record, records.is_empty()))
        };
        let free = |(partition, _): &(&Partition, _)| !self.paused.contains(*partition);
        let found = self.held.iter_mut().filter(free).find_map(readable);
        let Some((partition, record, was_last)) = found else {
            return Ok(None);
        };
        if was_last {
            self.give_up(&partition)?;
        }
        Ok(Some(record))
    }

    /// The first value that waits for its schema.
    fn unread(&self) -> Option<Bytes> {
        let first = self.held.values().filter_map(VecDeque::front);
        let mut values = first.filter_map(|record| record.value.clone());
        values.find(|value| self.codec.lacks(value))
    }
}

#[async_trait]
impl Source for Readable {
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(record) = self.release()? {
                return Ok(Event::Record(record));
            }
            if self.ended && self.held.is_empty() {
                return Ok(Event::End);
            }
            let unread = self.unread();
            if unread.is_none() {
                self.asking = None;
            } else if let Some(value) = unread
                && self.asking.is_none()
            {
                self.asking = Some(ask_on(self.codec.clone(), value).boxed());
            }
            tokio::select! {
                // The question first: records of other partitions may never stop coming.
                biased;
                asked = answer(&mut self.asking) => {
                    self.asking = None;
                    asked?;
                }
                event = self.inner.next(), if !self.ended => {
                    if let Some(event) = self.hear(event?)? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        self.paused.extend(partitions.iter().cloned());
        self.inner.pause(partitions)
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let mut free = Vec::new();
        for partition in partitions {
            self.paused.remove(partition);
            if !self.held.contains_key(partition) {
                free.push(partition.clone());
            }
        }
        self.inner.resume(&free)
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Failure> {
        self.inner.commit(positions).await
    }

    async fn close(&mut self) {
        self.inner.close().await;
    }
}

async fn answer(
    asking: &mut Option<BoxFuture<'static, Result<(), Failure>>>,
) -> Result<(), Failure> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// Asks until there is an answer. The loop does not hear of it: it would wait with all partitions.
async fn ask_on(codec: Codec, value: Bytes) -> Result<(), Failure> {
    let mut wait = FIRST_WAIT;
    loop {
        match ask(&codec, &value).await {
            Err(Failure::Transient { reason, .. }) => {
                // Many processes wait for the same registry.
                let wait_now = wait.mul_f64(0.5 + rand::random::<f64>() / 2.0);
                tracing::warn!(
                    reason,
                    wait = ?wait_now,
                    "the schema of a record cannot be looked up; its partition waits, asking again"
                );
                sleep(wait_now).await;
                wait = LAST_WAIT.min(wait * 2);
            }
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests;
