//! The log in memory: topics with partitions, groups that rebalance, commits, and faults on demand. It lives in
//! whatever time tokio has, so tests with `start_paused` run as fast as they compute.

mod group;
mod log;
mod member;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use penstock_schemas::{Codec, Message, Topic};
use tokio::sync::watch;

use crate::lineage::Origin;
use crate::{Failure, Headers, Outgoing, Record, Trails};

pub use member::Member;
pub use sink::BusSink;

use group::Group;
use log::Log;

/// A log in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct Bus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts changes, so that members know when to look again.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    log: Log,
    groups: BTreeMap<String, Group>,
    next_member: u64,
    settings: Settings,
    produce_faults: VecDeque<ProduceFault>,
    commit_faults: VecDeque<Failure>,
    history: Vec<Happened>,
}

#[derive(Debug, Clone)]
struct Settings {
    produce_delay: Duration,
    revoke_timeout: Duration,
    largest_record: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            produce_delay: Duration::ZERO,
            revoke_timeout: Duration::from_secs(30),
            largest_record: usize::MAX,
        }
    }
}

/// What the next call of `produce` meets.
#[derive(Debug, Clone)]
pub enum ProduceFault {
    /// Nothing goes wrong.
    None,
    /// Nothing is appended.
    Refused(Failure),
    /// So many records are appended, then it fails.
    Partly(usize, Failure),
    /// All is appended, but the answer is lost.
    AckLost(Failure),
}

/// What happened to the log, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    Appended {
        topic: Arc<str>,
        partition: i32,
        offset: i64,
    },
    Committed {
        group: String,
        topic: Arc<str>,
        partition: i32,
        offset: i64,
    },
    /// A member tried to commit what it does not own.
    Trespassed {
        group: String,
        topic: Arc<str>,
        partition: i32,
        offset: i64,
    },
}

#[async_trait]
impl Trails for Bus {
    async fn records(&self, topic: &str) -> Result<Vec<Record>, Failure> {
        Ok(Bus::records(self, topic))
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }))
    }
}

impl Bus {
    /// A log without topics.
    pub fn new() -> Self {
        Self::default()
    }

    /// A log with every topic of the pipeline, dead letters included.
    pub fn with_all_topics(partitions: i32) -> Self {
        let bus = Self::new();
        for topic in penstock_schemas::topics::all() {
            bus.create(&topic.name, partitions);
        }
        bus
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        self.lock().log.create(topic, partitions);
    }

    /// Appends a record without faults or delay; its partition follows from the key.
    pub fn publish<T: Message>(&self, topic: Topic<T>, record: &T) -> Result<i64, Failure> {
        let value = Codec::default()
            .encode(record)
            .map_err(|error| Failure::fatal(error.to_string()))?;
        self.append(Outgoing {
            topic: topic.name().into(),
            key: Some(Bytes::from(record.key())),
            value: Some(value),
            headers: Origin::of(record).headers(),
        })
    }

    /// The same for a record as bytes.
    pub fn append(&self, record: Outgoing) -> Result<i64, Failure> {
        let offset = self.lock().append(record)?;
        self.announce();
        Ok(offset)
    }

    /// The same with the partition chosen.
    pub fn append_to(
        &self,
        topic: &str,
        partition: i32,
        value: Option<Bytes>,
        headers: Headers,
    ) -> Result<i64, Failure> {
        let offset = {
            let mut state = self.lock();
            let record = Outgoing {
                topic: topic.to_owned().into(),
                key: None,
                value,
                headers,
            };
            state.append_to(partition, record)?
        };
        self.announce();
        Ok(offset)
    }

    /// Leaves offsets out, as compaction and transaction markers do.
    pub fn skip_offsets(&self, topic: &str, partition: i32, count: i64) -> Result<(), Failure> {
        self.lock().log.skip(topic, partition, count)
    }

    /// All records of a topic, by partition and offset.
    pub fn records(&self, topic: &str) -> Vec<Record> {
        self.lock().log.records(topic)
    }

    /// All records of a topic, decoded. An error names the first that is none.
    pub fn read<T: Message>(&self, topic: Topic<T>) -> Result<Vec<T>, Failure> {
        let codec = Codec::default();
        self.records(topic.name())
            .iter()
            .map(|record| {
                let value = record.value.as_deref().unwrap_or_default();
                codec
                    .decode(value)
                    .map_err(|error| Failure::poison(error.to_string()))
            })
            .collect()
    }

    /// The next offset to read, by partition, where one was committed.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let state = self.lock();
        let Some(group) = state.groups.get(group) else {
            return BTreeMap::new();
        };
        let of_topic = group.committed.iter();
        of_topic
            .filter(|(partition, _)| &*partition.topic == topic)
            .map(|(partition, offset)| (partition.number, *offset))
            .collect()
    }

    /// Records a group has not committed.
    pub fn lag(&self, group: &str, topic: &str) -> u64 {
        let committed = self.committed(group, topic);
        let state = self.lock();
        let ends = state.log.ends(topic);
        ends.into_iter()
            .map(|(partition, end)| {
                let next = committed.get(&partition).copied().unwrap_or(0);
                u64::try_from(end - next).unwrap_or(0)
            })
            .sum()
    }

    /// The next offset to hand out, by partition, where a member of the group owns it.
    pub fn taken(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let state = self.lock();
        let members = state.groups.get(group).into_iter();
        members
            .flat_map(|group| group.members.values())
            .flat_map(|member| &member.owned)
            .filter(|(partition, _)| &*partition.topic == topic)
            .map(|(partition, offset)| (partition.number, *offset))
            .collect()
    }

    /// Forgets what a group without members has committed: whoever joins next starts at the beginning.
    pub fn rewind(&self, group: &str) {
        if let Some(group) = self.lock().groups.get_mut(group) {
            group.committed.clear();
        }
    }

    /// Resolves when the group has committed all there is.
    pub async fn caught_up(&self, group: &str, topic: &str) {
        self.until(|bus| bus.lag(group, topic) == 0).await;
    }

    /// Resolves once `reached` holds, which is asked after every change.
    pub async fn until(&self, mut reached: impl FnMut(&Self) -> bool) {
        let mut changes = self.0.changed.subscribe();
        while !reached(self) {
            // The sender lives as long as this bus.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// A consumer of `topic` in `group`. Its partitions come as events.
    pub fn join(&self, group: &str, topic: &str) -> Member {
        Member::join(self.clone(), group, topic)
    }

    /// Takes partitions from a member and gives them back to the group, as an unasked-for rebalance does.
    pub fn rebalance(&self, group: &str) {
        group::shuffle(self, group);
    }

    pub fn sink(&self) -> BusSink {
        BusSink::new(self.clone())
    }

    /// The next calls of `produce` meet these, one each.
    pub fn fail_produce(&self, faults: impl IntoIterator<Item = ProduceFault>) {
        self.lock().produce_faults.extend(faults);
    }

    /// The next commits fail with these, one each.
    pub fn fail_commit(&self, failures: impl IntoIterator<Item = Failure>) {
        self.lock().commit_faults.extend(failures);
    }

    pub fn set_produce_delay(&self, delay: Duration) {
        self.lock().settings.produce_delay = delay;
    }

    /// How long a rebalance waits for a member to let go.
    pub fn set_revoke_timeout(&self, timeout: Duration) {
        self.lock().settings.revoke_timeout = timeout;
    }

    /// Bytes of a value beyond which `produce` answers that the record is at fault.
    pub fn set_largest_record(&self, bytes: usize) {
        self.lock().settings.largest_record = bytes;
    }

    /// All that happened, in order.
    pub fn history(&self) -> Vec<Happened> {
        self.lock().history.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing half-done here: every change is one statement long.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.0.changed.send_modify(|count| *count += 1);
    }
}

impl State {
    fn append(&mut self, record: Outgoing) -> Result<i64, Failure> {
        let partition = self.log.partition_for(&record)?;
        self.append_to(partition, record)
    }

    fn append_to(&mut self, partition: i32, record: Outgoing) -> Result<i64, Failure> {
        let topic = record.topic.clone();
        let offset = self.log.append(partition, record)?;
        self.history.push(Happened::Appended {
            topic: topic.into(),
            partition,
            offset,
        });
        Ok(offset)
    }
}
