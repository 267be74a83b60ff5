//! Reading a topic from its beginning to the end it had when asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_runtime::{Failure, Record};
use penstock_schemas::{Codec, Message, Topic};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use tokio::sync::mpsc;

use super::config::KafkaConfig;
use super::connection::is_of_connection;
use super::reader::{assign, blocking, numbers, reader, watermarks};
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

/// Feeds every record of `topic` to `fold`, in order within a partition, up to the ends as they are at the call;
/// returns how many. `partitions`: which, none for all. A null value or a gap left by compaction is nothing special.
pub async fn fold_topic(
    config: &KafkaConfig,
    topic: &str,
    partitions: Option<&[i32]>,
    mut fold: impl FnMut(Record) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let (sender, mut records) = mpsc::channel(CHANNEL);
    let (config, name, which) = (
        config.clone(),
        topic.to_owned(),
        partitions.map(<[i32]>::to_vec),
    );
    let reading = blocking("read a topic", move || read(&config, &name, which, &sender));
    let folding = async {
        let mut count = 0;
        while let Some(record) = records.recv().await {
            fold(record)?;
            count += 1;
        }
        // Closes the channel on an error too, which ends the reading.
        drop(records);
        Ok(count)
    };
    let (read, folded) = tokio::join!(reading, folding);
    let count = folded?;
    read.map(|()| count)
}

/// Every record of a typed topic, decoded.
pub async fn read_topic<T: Message>(
    config: &KafkaConfig,
    codec: &Codec,
    topic: Topic<T>,
) -> Result<Vec<Entry<T>>, Failure> {
    let mut entries = Vec::new();
    fold_topic(config, topic.name(), None, |record| {
        entries.push(entry(codec, &record)?);
        Ok(())
    })
    .await?;
    Ok(entries)
}

/// Decodes a record of our own making; one that does not decode is Fatal.
pub(super) fn entry<T: Message>(codec: &Codec, record: &Record) -> Result<Entry<T>, Failure> {
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

fn read(
    config: &KafkaConfig,
    topic: &str,
    which: Option<Vec<i32>>,
    records: &mpsc::Sender<Record>,
) -> Result<(), Failure> {
    let doing = format!("read {topic}");
    let consumer = reader(config, READER)?;
    let all = numbers(&consumer, topic)?;
    let which = match which {
        None => all,
        Some(which) => match which.iter().find(|number| !all.contains(number)) {
            None => which,
            Some(number) => {
                return Err(Failure::fatal(format!(
                    "{doing}: there is no partition {number}, it has {}",
                    all.len()
                )));
            }
        },
    };
    // The ends that are still to be reached, by partition.
    let mut open: HashMap<i32, i64> = HashMap::new();
    let mut starts = BTreeMap::new();
    for number in which {
        let (first, end) = watermarks(&consumer, topic, number)?;
        if first < end {
            open.insert(number, end);
            starts.insert(number, first);
        }
    }
    assign(&consumer, topic, &starts)?;
    let name: Arc<str> = topic.into();
    let mut last = Instant::now();
    while !open.is_empty() {
        match consumer.poll(POLL) {
            None if records.is_closed() => return Ok(()),
            None if last.elapsed() > STALLED => {
                return Err(Failure::transient(format!(
                    "{doing}: no record for {} s, though partitions {:?} are not at their end; is the broker well?",
                    STALLED.as_secs(),
                    open.keys().collect::<Vec<_>>()
                )));
            }
            None => {}
            Some(Ok(message)) => {
                last = Instant::now();
                let number = message.partition();
                let Some(end) = open.get(&number).copied() else {
                    continue;
                };
                if message.offset() < end
                    && records
                        .blocking_send(convert::record(&message, &name))
                        .is_err()
                {
                    return Ok(());
                }
                if message.offset() + 1 >= end {
                    open.remove(&number);
                }
            }
            // Nothing more is there, whatever the watermark said: the tail was compacted or expired.
            Some(Err(KafkaError::PartitionEOF(number))) => {
                open.remove(&number);
            }
            Some(Err(error)) => {
                if let Some(refused) = consumer.context().refused() {
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
