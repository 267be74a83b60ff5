//! Reading a topic from its beginning to the end it had when asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_runtime::{Failure, Record, learn};
use penstock_schemas::{Codec, Message, Topic};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::config::KafkaConfig;
use super::connection::is_of_connection;
use super::reader::{Reader, assign, blocking, numbers, reader, watermarks};
use super::{classify, convert};

const POLL: Duration = Duration::from_millis(100);
/// Without a record for this long, before the end, a reading is given up.
const STALLED: Duration = Duration::from_secs(30);
const CHANNEL: usize = 64;
const READER: &str = "penstock.reader";

/// A record of a typed topic.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    /// None for a null value.
    pub value: Option<T>,
}

/// A topic on its way from one end to the other: up to the ends it had when the reading started.
pub struct Reading {
    doing: String,
    records: mpsc::Receiver<Record>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Reading {
    /// From the beginning. Takes the ends before it returns: what is produced later is not read. `partitions`: which,
    /// none for all. A null value or a gap left by compaction is nothing special.
    pub async fn start(
        config: &KafkaConfig,
        topic: &str,
        partitions: Option<&[i32]>,
    ) -> Result<Self, Failure> {
        Self::open(config, topic, partitions.map(<[i32]>::to_vec), None).await
    }

    /// One partition, from the first record at or behind `offset`.
    pub async fn start_at(
        config: &KafkaConfig,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Self, Failure> {
        Self::open(config, topic, Some(vec![partition]), Some(offset)).await
    }

    /// The next record, none at the end. Cancel-safe until it returns none.
    pub async fn next(&mut self) -> Result<Option<Record>, Failure> {
        if let Some(record) = self.records.recv().await {
            return Ok(Some(record));
        }
        // The channel also closes where the thread broke off: only its own word makes this the end.
        match self.thread.take() {
            None => Ok(None),
            Some(thread) => thread
                .await
                .map_err(|error| Failure::fatal(format!("{}: {error}", self.doing)))?
                .map(|()| None),
        }
    }

    async fn open(
        config: &KafkaConfig,
        topic: &str,
        partitions: Option<Vec<i32>>,
        offset: Option<i64>,
    ) -> Result<Self, Failure> {
        let doing = format!("read {topic}");
        let (config, name) = (config.clone(), topic.to_owned());
        let span = blocking(&doing, move || Span::of(&config, &name, partitions, offset)).await?;
        let (sender, records) = mpsc::channel(CHANNEL);
        let thread = tokio::task::spawn_blocking(move || span.read(&sender));
        Ok(Self {
            doing,
            records,
            thread: Some(thread),
        })
    }
}

/// Feeds every record of `topic` to `fold`, in order within a partition, up to the ends as they are at the call;
/// returns how many. `partitions`: which, none for all.
pub async fn fold_topic(
    config: &KafkaConfig,
    topic: &str,
    partitions: Option<&[i32]>,
    mut fold: impl FnMut(Record) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut reading = Reading::start(config, topic, partitions).await?;
    let mut count = 0;
    while let Some(record) = reading.next().await? {
        fold(record)?;
        count += 1;
    }
    Ok(count)
}

/// Every record of a typed topic, decoded.
pub async fn read_topic<T: Message>(
    config: &KafkaConfig,
    codec: &Codec,
    topic: Topic<T>,
) -> Result<Vec<Entry<T>>, Failure> {
    let mut entries = Vec::new();
    fold_entries(config, codec, topic, |entry| entries.push(entry)).await?;
    Ok(entries)
}

/// The same one by one, for topics that may be large.
pub async fn fold_entries<T: Message>(
    config: &KafkaConfig,
    codec: &Codec,
    topic: Topic<T>,
    mut each: impl FnMut(Entry<T>),
) -> Result<u64, Failure> {
    fold_readable(config, codec, topic.name(), None, |record| {
        each(entry(codec, &record)?);
        Ok(())
    })
    .await
}

/// As `fold_topic`, each record once its schema is known.
pub async fn fold_readable(
    config: &KafkaConfig,
    codec: &Codec,
    topic: &str,
    partitions: Option<&[i32]>,
    mut fold: impl FnMut(Record) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut reading = Reading::start(config, topic, partitions).await?;
    let mut count = 0;
    while let Some(record) = reading.next().await? {
        learn(codec, &record).await?;
        fold(record)?;
        count += 1;
    }
    Ok(count)
}

/// Decodes a record of our own making; one that does not decode is Fatal.
fn entry<T: Message>(codec: &Codec, record: &Record) -> Result<Entry<T>, Failure> {
    let value = match &record.value {
        Some(bytes) => Some(codec.decode::<T>(bytes).map_err(|error| {
            Failure::fatal(format!(
                "decode {} partition {} offset {}: {error}",
                record.partition.topic, record.partition.number, record.offset
            ))
        })?),
        None => None,
    };
    Ok(Entry {
        partition: record.partition.number,
        offset: record.offset,
        key: record
            .key
            .as_ref()
            .map(|key| String::from_utf8_lossy(key).into_owned()),
        value,
    })
}

/// What is to be read, and with what.
struct Span {
    consumer: Reader,
    topic: Arc<str>,
    /// The ends that are still to be reached, by partition.
    open: HashMap<i32, i64>,
}

impl Span {
    fn of(
        config: &KafkaConfig,
        topic: &str,
        which: Option<Vec<i32>>,
        offset: Option<i64>,
    ) -> Result<Self, Failure> {
        let consumer = reader(config, READER)?;
        let all = numbers(&consumer, topic)?;
        let which = match which {
            None => all,
            Some(which) => match which.iter().find(|number| !all.contains(number)) {
                None => which,
                Some(number) => {
                    return Err(Failure::fatal(format!(
                        "read {topic}: there is no partition {number}, it has {}",
                        all.len()
                    )));
                }
            },
        };
        let mut open = HashMap::new();
        let mut starts = BTreeMap::new();
        for number in which {
            let (first, end) = watermarks(&consumer, topic, number)?;
            let first = offset.map_or(first, |offset| offset.max(first));
            if first < end {
                open.insert(number, end);
                starts.insert(number, first);
            }
        }
        assign(&consumer, topic, &starts)?;
        Ok(Self {
            consumer,
            topic: topic.into(),
            open,
        })
    }

    /// Until all ends are reached, or nobody listens any more.
    fn read(mut self, records: &mpsc::Sender<Record>) -> Result<(), Failure> {
        let doing = format!("read {}", self.topic);
        let mut last = Instant::now();
        while !self.open.is_empty() {
            match self.consumer.poll(POLL) {
                None if records.is_closed() => return Ok(()),
                None if last.elapsed() > STALLED => {
                    return Err(Failure::transient(format!(
                        "{doing}: no record for {} s, though partitions {:?} are not at their end; is the broker well?",
                        STALLED.as_secs(),
                        self.open.keys().collect::<Vec<_>>()
                    )));
                }
                None => {}
                Some(Ok(message)) => {
                    let number = message.partition();
                    let Some(end) = self.open.get(&number).copied() else {
                        continue;
                    };
                    let record = convert::record(&message, &self.topic);
                    if message.offset() < end && records.blocking_send(record).is_err() {
                        return Ok(());
                    }
                    // A listener that takes its time is not a broker that says nothing.
                    last = Instant::now();
                    if message.offset() + 1 >= end {
                        self.open.remove(&number);
                    }
                }
                // Nothing more is there, whatever the watermark said: the tail was compacted or expired.
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    self.open.remove(&number);
                }
                Some(Err(error)) => {
                    if let Some(refused) = self.consumer.context().refused() {
                        return Err(refused);
                    }
                    let failure = classify(&error, &doing);
                    if failure.class() != "transient" && !is_of_connection(&error) {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(())
    }
}
