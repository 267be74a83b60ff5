//! Asking the log without joining a group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_runtime::Failure;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::classify;
use super::config::KafkaConfig;
use super::connection::{Connection, is_of_connection};

pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// How long one question waits: what is wrong with the connection is heard between two.
const SLICE: Duration = Duration::from_secs(1);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// A consumer that asks and reads, and never joins its group.
pub(super) type Reader = BaseConsumer<Connection>;

/// How far a group is behind on one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    pub partition: i32,
    /// The next offset the group will read; none where it has not committed.
    pub committed: Option<i64>,
    /// The first offset that is there.
    pub first: i64,
    /// One past the last record.
    pub end: i64,
}

impl Lag {
    /// The offset of the record the group reads next.
    pub fn position(&self) -> i64 {
        self.committed.unwrap_or(self.first).max(self.first)
    }

    /// Records between the group and the end.
    pub fn records(&self) -> i64 {
        (self.end - self.position()).max(0)
    }
}

/// Where `group` stands on every partition of `topic`. Asks without joining the group.
pub async fn lags(config: &KafkaConfig, group: &str, topic: &str) -> Result<Vec<Lag>, Failure> {
    let (config, group, topic) = (config.clone(), group.to_owned(), topic.to_owned());
    blocking("look up lag", move || {
        let doing = format!("look up the lag of {group} on {topic}");
        let consumer = reader(&config, &group)?;
        let mut list = TopicPartitionList::new();
        for number in numbers(&consumer, &topic)? {
            list.add_partition(&topic, number);
        }
        let committed = ask(&consumer, &doing, |limit| {
            consumer.committed_offsets(list.clone(), limit)
        })?;
        let mut lags = Vec::new();
        for element in committed.elements() {
            let partition = element.partition();
            let (first, end) = watermarks(&consumer, &topic, partition)?;
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            lags.push(Lag {
                partition,
                committed,
                first,
                end,
            });
        }
        Ok(lags)
    })
    .await
}

/// The first record of each partition that is not older than `time`, milliseconds since the epoch; none where there is
/// none.
pub async fn offsets_at(
    config: &KafkaConfig,
    topic: &str,
    time: i64,
) -> Result<Vec<(i32, Option<i64>)>, Failure> {
    let (config, topic) = (config.clone(), topic.to_owned());
    blocking("look up a time", move || {
        let doing = format!("look up a time in {topic}");
        let consumer = reader(&config, "penstock.reader")?;
        let mut list = TopicPartitionList::new();
        for number in numbers(&consumer, &topic)? {
            list.add_partition_offset(&topic, number, Offset::Offset(time.max(0)))
                .map_err(|error| classify(&error, &doing))?;
        }
        let found = ask(&consumer, &doing, |limit| {
            consumer.offsets_for_times(list.clone(), limit)
        })?;
        let offset = |it: Offset| match it {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        let elements = found.elements();
        let offsets = elements
            .iter()
            .map(|it| (it.partition(), offset(it.offset())));
        Ok(offsets.collect())
    })
    .await
}

pub(super) fn reader(config: &KafkaConfig, group: &str) -> Result<Reader, Failure> {
    config
        .consumer(group)
        .set("enable.partition.eof", "true")
        .create_with_context(Connection::new())
        .map_err(|error| classify(&error, "open a reader"))
}

/// Asks until there is an answer, the brokers do not let us in, or the time is up. Only for a reader that has nothing
/// assigned: it is polled in between.
pub(super) fn ask<T>(
    reader: &Reader,
    doing: &str,
    question: impl Fn(Duration) -> KafkaResult<T>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let error = match question(SLICE) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // Serves what librdkafka has to say, all of it: what matters stands behind log lines. And asks no faster than this.
        let until = Instant::now() + PAUSE;
        let connection = reader.context();
        while connection.refused().is_none() && Instant::now() < until {
            let _ = reader.poll(until.saturating_duration_since(Instant::now()));
        }
        if let Some(refused) = connection.refused() {
            return Err(refused);
        }
        let failure = classify(&error, doing);
        let may_pass = failure.class() == "transient" || is_of_connection(&error);
        if !may_pass {
            return Err(failure);
        }
        if Instant::now() >= deadline {
            let why = connection.last().unwrap_or_else(|| error.to_string());
            return Err(Failure::transient(format!(
                "{doing}: no answer in {} s ({why}); check kafka.brokers, and security.protocol in kafka.properties",
                LIMIT.as_secs()
            )));
        }
    }
}

/// The partitions of a topic. A topic that is not there is Fatal.
pub(super) fn numbers(reader: &Reader, topic: &str) -> Result<Vec<i32>, Failure> {
    let doing = format!("look up topic {topic}");
    let metadata = ask(reader, &doing, |limit| {
        reader.fetch_metadata(Some(topic), limit)
    })?;
    let mut numbers: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic && found.error().is_none())
        .flat_map(|found| found.partitions().iter().map(|partition| partition.id()))
        .collect();
    if numbers.is_empty() {
        return Err(Failure::fatal(format!(
            "topic {topic} does not exist; create it with `penstock topics apply`"
        )));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// librdkafka's lookups block: off the runtime with them.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::fatal(format!("{doing}: {error}")))?
}

/// First offset, and one past the last.
pub(super) fn watermarks(reader: &Reader, topic: &str, number: i32) -> Result<(i64, i64), Failure> {
    let doing = format!("look up the end of {topic} partition {number}");
    ask(reader, &doing, |limit| {
        reader.fetch_watermarks(topic, number, limit)
    })
}

pub(super) fn assign(
    reader: &Reader,
    topic: &str,
    starts: &BTreeMap<i32, i64>,
) -> Result<(), Failure> {
    let doing = format!("read {topic}");
    let mut list = TopicPartitionList::new();
    for (number, start) in starts {
        list.add_partition_offset(topic, *number, Offset::Offset(*start))
            .map_err(|error| classify(&error, &doing))?;
    }
    reader
        .assign(&list)
        .map_err(|error| classify(&error, &doing))
}
