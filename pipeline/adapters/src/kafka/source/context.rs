//! What librdkafka tells us from inside a poll: rebalances, errors, log lines.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use penstock_runtime::{Assignment, Failure, Partition, Position, RevokeAck};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use super::bell::Bell;
use crate::kafka::connection::Connection;
use crate::kafka::{classify, convert};

const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
const LOOKUPS: usize = 3;

/// What the loop must hear whether it takes records or not.
pub(super) enum Control {
    Assigned(Vec<Assignment>, u64),
    Revoked(Vec<Partition>, RevokeAck),
    /// We were given partitions and cannot tell where they start, for now. The group believes that we read them.
    Unplaced(Failure),
    Failed(Failure),
}

/// What the poll thread, the callbacks it makes and the source share.
pub(super) struct Shared {
    pub(super) group: String,
    pub(super) closing: AtomicBool,
    /// Bytes in the data channel.
    queued: AtomicUsize,
    control: mpsc::UnboundedSender<Control>,
    /// Partitions we own, and under which assignment. One that is being revoked stays until the loop has let go.
    assigned: Mutex<HashMap<Partition, u64>>,
    generation: AtomicU64,
    /// Raised by each rebalance: the partitions' queues have to be opened again.
    pub(super) reassigned: AtomicBool,
    pub(super) bell: Bell,
    /// The poll thread waits for room in the data channel.
    pub(super) full: AtomicBool,
    revoke_limit: Duration,
    connection: Connection,
}

impl Shared {
    pub(super) fn new(
        group: &str,
        control: mpsc::UnboundedSender<Control>,
        revoke_limit: Duration,
    ) -> Self {
        Self {
            group: group.to_owned(),
            closing: AtomicBool::new(false),
            queued: AtomicUsize::new(0),
            control,
            assigned: Mutex::default(),
            generation: AtomicU64::new(0),
            reassigned: AtomicBool::new(false),
            bell: Bell::default(),
            full: AtomicBool::new(false),
            revoke_limit,
            connection: Connection::new(),
        }
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn took(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(super) fn assigned(&self) -> MutexGuard<'_, HashMap<Partition, u64>> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those positions whose partitions are ours.
    pub(super) fn owned(&self, positions: &[Position]) -> Vec<Position> {
        let assigned = self.assigned();
        let (owned, others): (Vec<_>, Vec<_>) = positions
            .iter()
            .cloned()
            .partition(|position| assigned.contains_key(&position.partition));
        if !others.is_empty() {
            tracing::debug!(group = %self.group, ?others, "not committed: revoked meanwhile");
        }
        owned
    }

    pub(super) fn fail(&self, failure: Failure) {
        self.say(Control::Failed(failure));
    }

    fn say(&self, control: Control) {
        // A source that was dropped hears nothing; its thread is about to end.
        let _ = self.control.send(control);
    }
}

pub(super) struct Context(pub(super) Arc<Shared>);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        match self.0.connection.hear(&error, reason) {
            Some(refused) => self.0.fail(refused),
            None => tracing::warn!(group = %self.0.group, %error, reason, "kafka client"),
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }
}

impl Context {
    /// Looks up where each partition starts, tells the loop, then starts fetching, in this order: the loop knows of an
    /// assignment before it sees a record of it.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let shared = &self.0;
        let doing = format!("take over partitions for group {}", shared.group);
        let mut started = TopicPartitionList::new();
        if !shared.closing.load(Ordering::SeqCst) {
            match starts(consumer, list, &shared.group) {
                Ok(assignments) => {
                    let generation = shared.generation.fetch_add(1, Ordering::Relaxed) + 1;
                    let mut assigned = shared.assigned();
                    for assignment in &assignments {
                        let Partition { topic, number } = &assignment.partition;
                        let added = started.add_partition_offset(
                            topic,
                            *number,
                            Offset::Offset(assignment.start),
                        );
                        if let Err(error) = added {
                            shared.fail(classify(&error, &doing));
                            continue;
                        }
                        assigned.insert(assignment.partition.clone(), generation);
                    }
                    drop(assigned);
                    shared.say(Control::Assigned(assignments, generation));
                }
                Err(failure) if failure.class() == "transient" => {
                    shared.say(Control::Unplaced(failure));
                }
                Err(failure) => shared.fail(failure),
            }
        }
        // Answered even when nothing can be started, or the group waits for us.
        let result = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&started),
            _ => consumer.assign(&started),
        };
        if let Err(error) = result {
            shared.fail(classify(&error, &doing));
        }
        shared.reassigned.store(true, Ordering::SeqCst);
    }

    /// Tells the loop, waits until it has committed and let go, then gives the partitions back.
    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let shared = &self.0;
        let partitions = convert::partitions(list);
        if !partitions.is_empty() && !shared.closing.load(Ordering::SeqCst) {
            let (ack, done) = RevokeAck::new();
            shared.say(Control::Revoked(partitions.clone(), ack));
            let let_go = wait(done, shared.revoke_limit, &shared.closing);
            if !let_go && !shared.closing.load(Ordering::SeqCst) {
                tracing::warn!(group = %shared.group, ?partitions, "the loop did not let go in time");
            }
        }
        {
            let mut assigned = shared.assigned();
            for partition in &partitions {
                assigned.remove(partition);
            }
        }
        let result = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        };
        if let Err(error) = result {
            // After a lost session there may be nothing left to give back.
            tracing::debug!(group = %shared.group, %error, "unassign");
        }
        shared.reassigned.store(true, Ordering::SeqCst);
    }
}

/// The committed offset of each partition, or its first. A position that retention has overtaken is Fatal: records
/// were lost, and only a replay brings them back.
fn starts<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
    group: &str,
) -> Result<Vec<Assignment>, Failure> {
    let doing = format!("look up positions of group {group}");
    let committed = again(|| consumer.committed_offsets(list.clone(), LOOKUP_LIMIT))
        .map_err(|error| unplaced(&error, &doing))?;
    let mut assignments = Vec::new();
    let mut names = convert::Names::default();
    for element in committed.elements() {
        let partition = Partition {
            topic: names.shared(element.topic()),
            number: element.partition(),
        };
        let (first, end) =
            again(|| consumer.fetch_watermarks(&partition.topic, partition.number, LOOKUP_LIMIT))
                .map_err(|error| unplaced(&error, &doing))?;
        let start = match element.offset() {
            Offset::Offset(offset) if offset < first => {
                return Err(Failure::fatal(format!(
                    "group {group} stands at {offset} of {} partition {}, but retention has removed all before {first}; \
                     run `penstock replay split --beginning`",
                    partition.topic, partition.number
                )));
            }
            // The topic was made anew under the same name.
            Offset::Offset(offset) if offset > end => first,
            Offset::Offset(offset) => offset,
            _ => first,
        };
        assignments.push(Assignment { partition, start });
    }
    Ok(assignments)
}

/// The group has just given these partitions, so there are such: a client or a broker that does not know them has only
/// started, and will.
fn unplaced(error: &KafkaError, doing: &str) -> Failure {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition,
        ) => Failure::transient(format!("{doing}: {error}")),
        _ => classify(error, doing),
    }
}

fn again<T>(mut lookup: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    let mut result = lookup();
    for _ in 1..LOOKUPS {
        if result.is_ok() {
            break;
        }
        result = lookup();
    }
    result
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until the loop has let go (true), or the time is up or the source closes (false).
fn wait(done: oneshot::Receiver<()>, limit: Duration, closing: &AtomicBool) -> bool {
    let deadline = Instant::now() + limit;
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut task = std::task::Context::from_waker(&waker);
    let mut done = pin!(done);
    loop {
        // Dropping the ack without a word is as good as letting go.
        if done.as_mut().poll(&mut task).is_ready() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || closing.load(Ordering::SeqCst) {
            return false;
        }
        std::thread::park_timeout(left.min(Duration::from_millis(100)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_group_gives_is_there() {
        let check = |code: RDKafkaErrorCode, expect: &str| {
            let failure = unplaced(&KafkaError::MetadataFetch(code), "look up positions");
            assert_eq!(failure.class(), expect, "{code:?}");
        };
        check(RDKafkaErrorCode::UnknownPartition, "transient");
        check(RDKafkaErrorCode::UnknownTopicOrPartition, "transient");
        check(RDKafkaErrorCode::NotLeaderForPartition, "transient");
        check(RDKafkaErrorCode::GroupAuthorizationFailed, "fatal");
    }
}
