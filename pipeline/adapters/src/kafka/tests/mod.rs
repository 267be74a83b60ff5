//! Against the embedded broker, where each test has its own on its own folder and port, and against Apache Kafka, which
//! they share: there each test has topics and groups of its own name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use penstock_runtime::{
    Assignment, Event, Failure, Outgoing, Partition, Position, Record, Sink, Source,
};
use penstock_schemas::TopicSpec;
use penstock_servers::{Kafka, Listener, Witness};

use super::*;
use crate::embedded::broker::Broker;

mod away;
mod group;
mod outside;
mod reading;
mod security;
mod shape;

const LIMIT: Duration = Duration::from_secs(60);

macro_rules! on_each_broker {
    ($($module:ident :: $test:ident),* $(,)?) => {
        mod on_embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$module::$test(super::World::embedded().await).await;
            })*
        }
        mod on_kafka {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$module::$test(super::World::kafka(super::Listener::Plain).await).await;
            })*
        }
    };
}

on_each_broker!(
    group::a_consumer_that_is_given_nothing_is_made_anew,
    group::a_dropped_source_leaves_its_group,
    group::a_pause_outlives_a_rebalance,
    group::a_paused_partition_is_silent_and_loses_nothing,
    group::a_second_member_takes_its_share_and_nothing_is_lost_or_committed_late,
    group::a_slow_loop_keeps_its_membership_and_its_place,
    group::next_may_be_dropped_at_any_time,
    group::records_come_back_as_they_were_sent,
    outside::a_group_is_moved_only_while_nobody_is_in_it,
    outside::a_reading_starts_where_asked_and_ends_where_the_topic_ended,
    outside::a_time_is_the_first_record_not_older,
    reading::a_tail_hears_what_comes_after_it_and_nothing_before,
    reading::failures_name_whose_fault_it_is,
    reading::folding_reads_to_the_end_also_of_empty_partitions,
    reading::lag_is_counted_from_the_first_record_before_any_commit,
    reading::the_ledger_is_read_back_newest_entry_by_document,
    reading::what_shares_a_key_shares_a_partition_number,
);

struct World {
    broker: Option<Broker>,
    dir: Option<tempfile::TempDir>,
    config: KafkaConfig,
    /// Put before the names of topics and groups.
    prefix: String,
    _logs: Option<Witness<'static>>,
}

impl World {
    async fn embedded() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(dir.path()).await.unwrap();
        let config = KafkaConfig::embedded(broker.address());
        Self {
            broker: Some(broker),
            dir: Some(dir),
            config,
            prefix: String::new(),
            _logs: None,
        }
    }

    async fn kafka(listener: Listener) -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let kafka = tokio::task::spawn_blocking(Kafka::shared).await.unwrap();
        Self {
            broker: None,
            dir: None,
            config: KafkaConfig::new(kafka.brokers(listener)),
            prefix: format!("{number}."),
            _logs: Some(kafka.witness()),
        }
    }

    async fn restart(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.stop().await;
        }
        let dir = self.dir.as_ref().unwrap();
        let broker = Broker::start(dir.path()).await.unwrap();
        self.config.brokers = broker.address();
        self.broker = Some(broker);
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn topic(&self, name: &str, partitions: i32) {
        let admin = Admin::new(&self.config).unwrap();
        admin
            .ensure_topics(&[spec(&self.name(name))], partitions, 1)
            .await
            .unwrap();
    }

    async fn produce(&self, topic: &str, values: impl IntoIterator<Item = String>) {
        let records = values
            .into_iter()
            .map(|value| self.outgoing(topic, &value))
            .collect();
        KafkaSink::new(&self.config)
            .unwrap()
            .produce(records)
            .await
            .unwrap();
    }

    fn source(&self, group: &str, topic: &str) -> KafkaSource {
        KafkaSource::open(&self.config, &self.name(group), &[&self.name(topic)]).unwrap()
    }

    async fn lags(&self, group: &str, topic: &str) -> Result<Vec<Lag>, Failure> {
        lags(&self.config, &self.name(group), &self.name(topic)).await
    }

    async fn values(&self, topic: &str) -> Vec<String> {
        let mut all = Vec::new();
        fold_topic(&self.config, &self.name(topic), None, |record| {
            all.push(value(&record));
            Ok(())
        })
        .await
        .unwrap();
        all
    }

    fn outgoing(&self, topic: &str, value: &str) -> Outgoing {
        Outgoing {
            topic: self.name(topic).into(),
            key: Some(Bytes::from(format!("key of {value}"))),
            value: Some(Bytes::from(value.to_owned())),
            headers: Vec::new(),
        }
    }
}

fn spec(name: &str) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        compacted: false,
        retention_hours: Some(1),
        co_partitioned: false,
        intermediate: false,
    }
}

fn value(record: &Record) -> String {
    String::from_utf8(record.value.clone().unwrap_or_default().to_vec()).unwrap()
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("{number}")).collect()
}

async fn next(source: &mut KafkaSource) -> Event {
    tokio::time::timeout(LIMIT, source.next())
        .await
        .expect("no event in time")
        .unwrap()
}

async fn assigned(source: &mut KafkaSource) -> Vec<Assignment> {
    match next(source).await {
        Event::Assigned(assignments) => assignments,
        other => panic!("expected an assignment, got {other:?}"),
    }
}

/// The next records, however many rebalances come between.
async fn records(source: &mut KafkaSource, count: usize) -> Vec<Record> {
    let mut all = Vec::new();
    while all.len() < count {
        match next(source).await {
            Event::Record(record) => all.push(record),
            Event::Assigned(_) => {}
            Event::Revoked(_, ack) => ack.done(),
            Event::End => panic!("unexpected end"),
        }
    }
    all
}

/// The highest position of each partition.
fn positions(records: &[Record]) -> Vec<Position> {
    let mut highest: HashMap<Partition, i64> = HashMap::new();
    for record in records {
        let offset = highest.entry(record.partition.clone()).or_default();
        *offset = (*offset).max(record.offset + 1);
    }
    highest
        .into_iter()
        .map(|(partition, offset)| Position { partition, offset })
        .collect()
}
