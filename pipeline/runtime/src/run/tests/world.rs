//! A scripted stage between sections and chunks, on the bus.

use std::collections::BTreeMap;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use penstock_schemas::{About, Blob, Chunk, Codec, Lineage, Progress, Section, chunk_guid, topics};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::bus::Bus;
use crate::{
    Attempts, Batch, BatchStage, Emit, Failure, Gauges, Policy, Record, Stop, Summary, Trails,
    Verdict, Wiring, lineage, run,
};

pub const GROUP: &str = "penstock.shard";
pub const FROM: &str = "rag.sections.v1";
pub const TO: &str = "rag.chunks.v1";
pub const DLQ: &str = "rag.sections.v1.dlq";
pub const ATTEMPTS: &str = "rag.sections.v1.attempts";

/// What the stage does with a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    Emit(usize),
    Filter,
    Poison,
    Panic,
    Fatal,
    /// Never comes back, as where the process is killed over it.
    Hang,
    /// So many times a transient failure, then one output. `u32::MAX`: for ever.
    Transient(u32),
    /// The batch it is in is refused as a whole, for ever.
    BatchPoison,
    /// The batch it is in fails so many times.
    BatchTransient(u32),
}

#[derive(Debug, Default)]
pub struct Script {
    pub deeds: Mutex<BTreeMap<i32, Deed>>,
    pub attempts: Mutex<BTreeMap<i32, u32>>,
    /// Every call, by the parts in it.
    pub calls: Mutex<Vec<Vec<i32>>>,
    pub assigned: Mutex<Vec<Vec<i32>>>,
    pub assign_failures: Mutex<Vec<Failure>>,
    pub ticks: Mutex<Vec<Result<Vec<Chunk>, Failure>>>,
    pub delay: Mutex<Duration>,
    pub tick_delay: Mutex<Duration>,
    /// Everything fails for a transient reason.
    pub outage: Mutex<Option<Failure>>,
    pub at_work: AtomicUsize,
    pub most_at_work: AtomicUsize,
}

pub struct Scripted(pub Arc<Script>);

#[async_trait]
impl BatchStage for Scripted {
    type In = Section;
    type Out = Chunk;

    async fn process(&self, batch: &Batch<Section>) -> Result<Vec<Verdict<Chunk>>, Failure> {
        let script = &self.0;
        let parts: Vec<i32> = batch.iter().map(|input| input.record.part).collect();
        script.calls.lock().unwrap().push(parts.clone());
        let working = script.at_work.fetch_add(batch.len(), Ordering::SeqCst) + batch.len();
        script.most_at_work.fetch_max(working, Ordering::SeqCst);
        let guard = AtWork(script, batch.len());
        let delay = *script.delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        drop(guard);
        let outage = script.outage.lock().unwrap().clone();
        if let Some(outage) = outage {
            return Err(outage);
        }
        let mut verdicts = Vec::new();
        for input in batch {
            let part = input.record.part;
            let attempt = {
                let mut attempts = script.attempts.lock().unwrap();
                let attempt = attempts.entry(part).or_insert(0);
                *attempt = attempt.saturating_add(1);
                *attempt
            };
            let deed = script.deeds.lock().unwrap().get(&part).cloned();
            verdicts.push(match deed.unwrap_or(Deed::Emit(1)) {
                Deed::Emit(count) => Ok(chunks(&input.record, count)),
                Deed::Filter => Ok(Emit::filtered()),
                Deed::Poison => Err(Failure::poison("bad part")),
                Deed::Panic => panic!("part {part} blew up"),
                Deed::Fatal => Err(Failure::fatal("wrong collection")),
                Deed::Hang => std::future::pending().await,
                Deed::Transient(times) if attempt <= times => Err(Failure::transient("busy")),
                Deed::BatchPoison => return Err(Failure::poison("bad batch")),
                Deed::BatchTransient(times) if attempt <= times => {
                    return Err(Failure::transient("store is down"));
                }
                Deed::Transient(_) | Deed::BatchTransient(_) => Ok(chunks(&input.record, 1)),
            });
        }
        Ok(verdicts)
    }

    async fn assigned(&self, partitions: &[i32]) -> Result<(), Failure> {
        let failure = self.0.assign_failures.lock().unwrap().pop();
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.0.assigned.lock().unwrap().push(partitions.to_vec());
        Ok(())
    }

    async fn tick(&self) -> Result<Vec<Emit<Chunk>>, Failure> {
        let delay = *self.0.tick_delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let next = self.0.ticks.lock().unwrap().pop();
        next.unwrap_or(Ok(Vec::new()))
            .map(|chunks| vec![Emit::outputs(chunks)])
    }
}

struct AtWork<'a>(&'a Script, usize);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(self.1, Ordering::SeqCst);
    }
}

pub fn chunks(section: &Section, count: usize) -> Emit<Chunk> {
    let chunks = (0..i32::try_from(count).unwrap()).map(|ordinal| chunk(section, ordinal));
    Emit::outputs(chunks.collect())
}

pub fn chunk(section: &Section, ordinal: i32) -> Chunk {
    let lineage = section.lineage.clone();
    let hash = format!("hash {ordinal}");
    Chunk {
        chunk_guid: chunk_guid(
            lineage.document_guid,
            lineage.edition,
            section.part,
            ordinal,
            &hash,
        ),
        lineage,
        part: section.part,
        ordinal,
        text: "text".to_owned(),
        start_char: 0,
        end_char: 4,
        page_first: None,
        page_last: None,
        heading_path: Vec::new(),
        content_hash: hash,
        tokens: 1,
        about: section.about.clone(),
    }
}

pub fn lineage() -> Lineage {
    Lineage {
        group: "freight".to_owned(),
        document_guid: Uuid::from_u128(1),
        version: Uuid::from_u128(2),
        edition: Uuid::from_u128(3),
        stamped: 4,
    }
}

pub fn section(part: i32) -> Section {
    Section {
        lineage: lineage(),
        part,
        parts: 1,
        text: Blob {
            key: "k".to_owned(),
            sha256: "s".to_owned(),
            size: 1,
        },
        pages: Vec::new(),
        about: About {
            source: "s".to_owned(),
            key: "k".to_owned(),
            path: "p".to_owned(),
            title: None,
            author: None,
            language: None,
            created_at: None,
            attributes: BTreeMap::new(),
        },
    }
}

/// A bus, a script and the consumers on it.
pub struct World {
    pub bus: Bus,
    pub script: Arc<Script>,
    pub policy: Policy,
    pub gauges: Arc<Gauges>,
    /// Whether it is remembered what was at work when a process was killed.
    pub remembers: bool,
}

impl World {
    pub fn new(partitions: i32) -> Self {
        quiet_panics();
        let policy = Policy {
            jitter_seed: Some(7),
            ..Policy::default()
        };
        Self {
            bus: Bus::with_all_topics(partitions),
            script: Arc::default(),
            policy,
            gauges: Arc::default(),
            remembers: false,
        }
    }

    /// Publishes a section per deed, to partitions in turn; parts count from 0.
    pub fn feed(&self, partitions: i32, deeds: &[Deed]) {
        let first = self.bus.records(FROM).len();
        for (place, deed) in deeds.iter().enumerate() {
            let part = i32::try_from(first + place).unwrap();
            self.script.deeds.lock().unwrap().insert(part, deed.clone());
            self.publish(part, part % partitions);
        }
    }

    pub fn publish(&self, part: i32, partition: i32) {
        let section = section(part);
        let value = Codec::default().encode(&section).unwrap();
        let headers = lineage::Origin::of(&section).headers();
        self.bus
            .append_to(FROM, partition, Some(value), headers)
            .unwrap();
    }

    pub fn garbage(&self, partition: i32, part: Option<i32>) {
        let headers = part
            .map(|part| lineage::Origin::of(&section(part)).headers())
            .unwrap_or_default();
        let value = Some(Bytes::from_static(b"not avro"));
        self.bus.append_to(FROM, partition, value, headers).unwrap();
    }

    pub fn start(&self) -> Consumer {
        self.start_on(Box::new(self.bus.join(GROUP, FROM)))
    }

    pub fn start_on(&self, source: Box<dyn crate::Source>) -> Consumer {
        let stop = Stop::new();
        let wiring = Wiring {
            name: "shard".to_owned(),
            stage: Scripted(self.script.clone()),
            from: topics::SECTIONS,
            to: topics::CHUNKS,
            codec: Codec::default(),
            attempts: self.remembers.then(|| self.attempts()),
        };
        let task = tokio::spawn(run(
            wiring,
            source,
            Arc::new(self.bus.sink()),
            self.policy.clone(),
            self.gauges.clone(),
            stop.clone(),
        ));
        Consumer { stop, task }
    }

    /// Those of a process of its own.
    pub fn attempts(&self) -> Attempts {
        let trails: Arc<dyn Trails> = Arc::new(self.bus.clone());
        let alone = Arc::new(Semaphore::new(1));
        Attempts::new(GROUP, ATTEMPTS, trails, Arc::new(self.bus.sink()), alone)
    }

    /// Runs one consumer until all is committed, then stops it softly.
    pub async fn run_dry(&self) -> Result<Summary, Failure> {
        let consumer = self.start();
        self.caught_up().await;
        consumer.finish().await
    }

    pub async fn caught_up(&self) {
        tokio::time::timeout(Duration::from_secs(36_000), self.bus.caught_up(GROUP, FROM))
            .await
            .expect("the group catches up");
    }

    /// Parts of which there are outputs, with how many different ones.
    pub fn outputs(&self) -> BTreeMap<i32, usize> {
        let mut chunks: Vec<(i32, i32)> = self
            .bus
            .read(topics::CHUNKS)
            .unwrap()
            .into_iter()
            .map(|chunk| (chunk.part, chunk.ordinal))
            .collect();
        chunks.sort_unstable();
        chunks.dedup();
        let mut counts = BTreeMap::new();
        for (part, _) in chunks {
            *counts.entry(part).or_insert(0) += 1;
        }
        counts
    }

    pub fn progress(&self) -> Vec<Progress> {
        self.bus.read(topics::PROGRESS).unwrap()
    }

    /// Dead letters as (offset of the original, class).
    pub fn dead(&self) -> Vec<(i64, String)> {
        let letters = self.bus.records(DLQ);
        let mut dead: Vec<_> = letters
            .iter()
            .map(|letter| {
                let offset = header(letter, "dlq.offset").parse().unwrap();
                (offset, header(letter, "dlq.class"))
            })
            .collect();
        dead.sort_unstable();
        dead
    }
}

pub fn header(record: &Record, name: &str) -> String {
    lineage::text(&record.headers, name)
        .unwrap_or_default()
        .to_owned()
}

pub struct Consumer {
    pub stop: Stop,
    pub task: JoinHandle<Result<Summary, Failure>>,
}

impl Consumer {
    /// A soft stop, and its end.
    pub async fn finish(self) -> Result<Summary, Failure> {
        self.stop.soft();
        self.ended().await
    }

    pub async fn ended(self) -> Result<Summary, Failure> {
        tokio::time::timeout(Duration::from_secs(36_000), self.task)
            .await
            .expect("the consumer ends")
            .expect("the loop does not panic")
    }

    /// As SIGKILL does: nothing is said to anyone.
    pub async fn crash(self) {
        self.task.abort();
        // Aborted or just ended: either way it is gone.
        let _ = self.task.await;
    }
}

/// Panics on purpose need no backtrace on the screen.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let said = info.payload().downcast_ref::<String>();
            if !said.is_some_and(|said| said.ends_with("blew up")) {
                usual(info);
            }
        }));
    });
}
