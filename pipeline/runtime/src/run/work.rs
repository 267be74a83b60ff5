//! Records on their way through the loop, and what is done with them off it.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use penstock_schemas::{Codec, now_ms, topics};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::dead_letters::{Cause, DeadLetters, Original};
use crate::lineage::{self, Origin};
use crate::offsets::Ticket;
use crate::policy::Reporting;
use crate::progress::{Fact, aggregate};
use crate::{
    Attempts, BatchStage, Emit, Failure, Headers, Input, Note, Outgoing, Partition, Record, Route,
    Sink, Trail,
};

/// A record that is open.
#[derive(Debug)]
pub(super) struct Item {
    pub ticket: Ticket,
    /// As they came; its headers live with the input, once there is one.
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub origin: Origin,
    pub cost: u64,
    pub attempts: u32,
    /// How many records had succeeded when this one first failed.
    pub failing_since: Option<u64>,
    /// It waits for another attempt and keeps its partition paused.
    pub pausing: bool,
}

/// Records to process together. `items` and `inputs` run in parallel.
#[derive(Debug)]
#[allow(
    clippy::vec_box,
    reason = "an item passes through many hands, and is large"
)]
pub(super) struct Work<T> {
    pub items: Vec<Box<Item>>,
    pub inputs: Vec<Input<T>>,
}

impl<T> Default for Work<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            inputs: Vec::new(),
        }
    }
}

impl<T> Work<T> {
    pub fn with_capacity(records: usize) -> Self {
        Self {
            items: Vec::with_capacity(records),
            inputs: Vec::with_capacity(records),
        }
    }

    pub fn push(&mut self, item: Box<Item>, input: Input<T>) {
        self.items.push(item);
        self.inputs.push(input);
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn cost(&self) -> u64 {
        self.items
            .iter()
            .fold(0, |sum, item| sum.saturating_add(item.cost))
    }

    pub fn attempts(&self) -> u32 {
        self.items
            .iter()
            .map(|item| item.attempts)
            .max()
            .unwrap_or(0)
    }

    /// Cuts off what is behind the first `keep`.
    pub fn split_off(&mut self, keep: usize) -> Self {
        let keep = keep.min(self.len());
        Self {
            items: self.items.split_off(keep),
            inputs: self.inputs.split_off(keep),
        }
    }

    pub fn retain(self, keep: impl Fn(&Item) -> bool) -> Self {
        let mut kept = Self::default();
        for (item, input) in self.items.into_iter().zip(self.inputs) {
            if keep(&item) {
                kept.push(item, input);
            }
        }
        kept
    }
}

/// What became of a record before anything is produced.
#[derive(Debug)]
pub(super) enum Ending {
    Done(Finished),
    Dead(Cause),
}

/// What a stage made of a record.
#[derive(Debug)]
pub(super) struct Finished {
    pub outputs: Vec<Outgoing>,
    pub filtered: bool,
    /// Boxed: most stages' records have one, and a record without is small.
    pub fact: Option<Box<Fact>>,
}

/// A record whose end is known, and still has to be told to the log.
#[derive(Debug)]
pub(super) struct Resolved {
    pub item: Box<Item>,
    pub headers: Headers,
    pub ending: Ending,
}

/// What is produced together.
#[derive(Debug)]
pub(super) struct Delivery {
    pub resolved: Vec<Resolved>,
    /// What a tick emitted; it belongs to no record.
    pub ticked: Vec<Finished>,
    pub attempts: u32,
}

impl Delivery {
    fn outputs(&self) -> impl Iterator<Item = &Outgoing> {
        let of_records = self.resolved.iter().filter_map(|it| match &it.ending {
            Ending::Done(finished) => Some(finished),
            Ending::Dead(_) => None,
        });
        self.ticked
            .iter()
            .chain(of_records)
            .flat_map(|it| &it.outputs)
    }
}

/// What came back from off the loop.
#[derive(Debug)]
pub(super) enum Done<T> {
    Attempted {
        work: Work<T>,
        verdict: Result<Vec<Result<Finished, Failure>>, Trouble>,
        latency: Duration,
    },
    Delivered {
        delivery: Delivery,
        result: Result<(), Failure>,
        latency: Duration,
    },
    Assigned(Result<BTreeMap<i32, Trail>, Trouble>),
    Ticked(Result<Vec<Finished>, Trouble>),
    Entered(Vec<Partition>, Result<(), Failure>),
    Announced(Box<Raw>, Result<OwnedSemaphorePermit, Failure>),
}

/// A record that is open and not looked into yet.
#[derive(Debug)]
pub(super) struct Raw {
    pub ticket: Ticket,
    pub record: Record,
}

/// A call of the stage that gave no verdict per record.
#[derive(Debug)]
pub(super) enum Trouble {
    Failed(Failure),
    Panicked(String),
}

/// Everything a task off the loop needs.
pub(super) struct Crew<S, R> {
    pub name: Arc<str>,
    pub stage: S,
    pub route: R,
    pub codec: Codec,
    pub sink: Arc<dyn Sink>,
    pub letters: DeadLetters,
    pub reporting: Reporting,
    pub attempts: Option<Attempts>,
}

impl<S, R> Crew<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    /// One call of the stage, its outputs encoded.
    pub async fn attempt(self: Arc<Self>, work: Work<S::In>) -> Done<S::In> {
        let begun = Instant::now();
        let result = guarded(self.stage.process(&work.inputs)).await;
        let latency = begun.elapsed();
        let verdict = result.and_then(|verdicts| {
            if verdicts.len() != work.len() {
                return Err(Trouble::Failed(Failure::fatal(format!(
                    "stage {} gave {} verdicts on {} records: a bug in the stage",
                    self.name,
                    verdicts.len(),
                    work.len()
                ))));
            }
            let judged = verdicts
                .into_iter()
                .zip(work.items.iter().zip(&work.inputs));
            Ok(judged
                .map(|(verdict, (item, input))| {
                    let carried = lineage::carried(
                        &input.headers,
                        &item.ticket.partition.topic,
                        input.partition,
                        input.offset,
                    );
                    self.finish(verdict?, &item.origin, carried)
                })
                .collect())
        });
        Done::Attempted {
            work,
            verdict,
            latency,
        }
    }

    /// Produces outputs, dead letters and progress together.
    pub async fn deliver(self: Arc<Self>, delivery: Delivery) -> Done<S::In> {
        let begun = Instant::now();
        let result = match self.telling(&delivery) {
            Ok(told) => {
                let all: Vec<&Outgoing> = delivery.outputs().chain(&told).collect();
                match all.is_empty() {
                    true => Ok(()),
                    false => self.sink.send(&all).await,
                }
            }
            Err(failure) => Err(failure),
        };
        Done::Delivered {
            delivery,
            result,
            latency: begun.elapsed(),
        }
    }

    /// Tells the stage what it serves, and looks for what processes before this one have left.
    pub async fn assign(self: Arc<Self>, partitions: Vec<i32>) -> Done<S::In> {
        let trails = match &self.attempts {
            Some(attempts) => attempts.read().await,
            None => Ok(BTreeMap::new()),
        };
        Done::Assigned(match trails {
            Ok(trails) => guarded(self.stage.assigned(&partitions))
                .await
                .map(|()| trails),
            Err(failure) => Err(Trouble::Failed(failure)),
        })
    }

    /// Leaves word that work on these partitions begins.
    pub async fn enter(
        self: Arc<Self>,
        attempts: Attempts,
        trails: Vec<(Partition, Trail)>,
    ) -> Done<S::In> {
        let (partitions, trails): (Vec<_>, Vec<_>) = trails
            .into_iter()
            .map(|(partition, trail)| {
                let number = partition.number;
                (partition, (number, Some(trail)))
            })
            .unzip();
        Done::Entered(partitions, attempts.write(&trails).await)
    }

    /// Leaves word that this record is about to run alone, once no other of the process does.
    pub async fn announce(
        self: Arc<Self>,
        attempts: Attempts,
        raw: Raw,
        trail: Trail,
    ) -> Done<S::In> {
        let number = raw.ticket.partition.number;
        let announced = async {
            let permit = attempts.alone().await?;
            attempts.write(&[(number, Some(trail))]).await?;
            Ok(permit)
        };
        Done::Announced(Box::new(raw), announced.await)
    }

    pub async fn tick(self: Arc<Self>) -> Done<S::In> {
        let result = guarded(self.stage.tick()).await.and_then(|emits| {
            let finished = emits
                .into_iter()
                .map(|emit| self.finish(emit, &Origin::default(), Headers::new()));
            finished.collect::<Result<_, _>>().map_err(Trouble::Failed)
        });
        Done::Ticked(result)
    }

    fn finish(
        &self,
        emit: Emit<S::Out>,
        origin: &Origin,
        mut carried: Headers,
    ) -> Result<Finished, Failure> {
        let mut outputs = Vec::with_capacity(emit.outputs.len());
        let last = emit.outputs.len().saturating_sub(1);
        for (number, output) in emit.outputs.iter().enumerate() {
            let mut record = self.route.encode(&self.codec, output).map_err(|error| {
                Failure::fatal(format!(
                    "stage {} made a record that does not encode: {error}; type and schema disagree",
                    self.name
                ))
            })?;
            if number < last {
                record.headers.extend(carried.iter().cloned());
            } else if record.headers.is_empty() {
                record.headers = std::mem::take(&mut carried);
            } else {
                record.headers.append(&mut carried);
            }
            outputs.push(record);
        }
        let filtered = matches!(emit.note, Note::Filtered);
        let fact = match self.reporting {
            Reporting::Progress => Fact::of_note(emit.note, origin).map(Box::new),
            Reporting::Silent => None,
        };
        Ok(Finished {
            outputs,
            filtered,
            fact,
        })
    }

    /// What has to be in the log beside the outputs before the records of this delivery may close: dead letters, then
    /// progress.
    fn telling(&self, delivery: &Delivery) -> Result<Vec<Outgoing>, Failure> {
        let at = now_ms();
        let mut records = Vec::new();
        let mut facts = Vec::new();
        for finished in &delivery.ticked {
            facts.extend(finished.fact.as_deref().cloned());
        }
        for resolved in &delivery.resolved {
            match &resolved.ending {
                Ending::Done(finished) => facts.extend(finished.fact.as_deref().cloned()),
                Ending::Dead(cause) => {
                    let item = &resolved.item;
                    let original = Original {
                        partition: &item.ticket.partition,
                        offset: item.ticket.offset,
                        key: &item.key,
                        value: &item.value,
                        headers: &resolved.headers,
                    };
                    records.push(self.letters.letter(&original, cause, item.attempts, at));
                    if self.reporting == Reporting::Progress {
                        facts.extend(Fact::of_death(cause, &self.name, &item.origin));
                    }
                }
            }
        }
        let carried = delivery
            .resolved
            .first()
            .map(|first| {
                let Ticket {
                    partition, offset, ..
                } = &first.item.ticket;
                lineage::carried(&first.headers, &partition.topic, partition.number, *offset)
            })
            .unwrap_or_default();
        for progress in aggregate(facts, &self.name, at) {
            let mut record = topics::PROGRESS
                .encode(&self.codec, &progress)
                .map_err(|error| {
                    Failure::fatal(format!(
                        "progress of {} does not encode: {error}; type and schema disagree",
                        self.name
                    ))
                })?;
            record.headers.extend(carried.iter().cloned());
            records.push(record);
        }
        Ok(records)
    }
}

/// Runs a call of the stage; a panic in it is a result like any other.
async fn guarded<O>(call: impl Future<Output = Result<O, Failure>>) -> Result<O, Trouble> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result.map_err(Trouble::Failed),
        Err(panic) => Err(Trouble::Panicked(panic_text(panic.as_ref()))),
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    said.unwrap_or_else(|| "no message".to_owned())
}
