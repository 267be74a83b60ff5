//! Topics and their records.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_schemas::now_ms;

use crate::{Failure, Outgoing, Partition, Record};

#[derive(Debug, Default)]
pub(super) struct Log {
    topics: BTreeMap<Arc<str>, Vec<Tail>>,
}

/// One partition.
#[derive(Debug, Default)]
struct Tail {
    records: Vec<Record>,
    end: i64,
}

impl Log {
    pub fn create(&mut self, topic: &str, partitions: i32) {
        let tails = (0..partitions.max(1)).map(|_| Tail::default()).collect();
        self.topics.entry(topic.into()).or_insert(tails);
    }

    /// By the key; without one, the partition that holds least.
    pub fn partition_for(&self, record: &Outgoing) -> Result<i32, Failure> {
        let tails = self.tails(&record.topic)?;
        let chosen = match &record.key {
            // FNV-1a: stable, and good enough to spread keys.
            Some(key) => {
                let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                });
                usize::try_from(hash % tails.len() as u64).unwrap_or(0)
            }
            None => tails
                .iter()
                .enumerate()
                .min_by_key(|(_, tail)| tail.end)
                .map_or(0, |(number, _)| number),
        };
        Ok(i32::try_from(chosen).unwrap_or(0))
    }

    pub fn append(&mut self, partition: i32, record: Outgoing) -> Result<i64, Failure> {
        let topic = record.topic.clone();
        let tail = self.tail_mut(&topic, partition)?;
        let offset = tail.end;
        tail.end += 1;
        tail.records.push(Record {
            partition: Partition {
                topic: topic.into(),
                number: partition,
            },
            offset,
            timestamp: now_ms(),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        Ok(offset)
    }

    pub fn skip(&mut self, topic: &str, partition: i32, count: i64) -> Result<(), Failure> {
        self.tail_mut(topic, partition)?.end += count.max(0);
        Ok(())
    }

    pub fn records(&self, topic: &str) -> Vec<Record> {
        let tails = self.topics.get(topic).into_iter().flatten();
        tails.flat_map(|tail| tail.records.clone()).collect()
    }

    /// The offset behind the last record, by partition.
    pub fn ends(&self, topic: &str) -> BTreeMap<i32, i64> {
        let tails = self.topics.get(topic).into_iter().flatten();
        (0..).zip(tails.map(|tail| tail.end)).collect()
    }

    /// The first record at or behind `offset`.
    pub fn read(&self, partition: &Partition, offset: i64) -> Option<&Record> {
        let number = usize::try_from(partition.number).ok()?;
        let tail = self.topics.get(&partition.topic)?.get(number)?;
        let at = tail
            .records
            .partition_point(|record| record.offset < offset);
        tail.records.get(at)
    }

    fn tails(&self, topic: &str) -> Result<&Vec<Tail>, Failure> {
        self.topics.get(topic).ok_or_else(|| missing(topic))
    }

    fn tail_mut(&mut self, topic: &str, partition: i32) -> Result<&mut Tail, Failure> {
        let tails = self.topics.get_mut(topic).ok_or_else(|| missing(topic))?;
        let number = usize::try_from(partition).ok();
        number
            .and_then(|number| tails.get_mut(number))
            .ok_or_else(|| Failure::fatal(format!("topic {topic} has no partition {partition}")))
    }
}

fn missing(topic: &str) -> Failure {
    Failure::fatal(format!("topic {topic} is missing: create it first"))
}
