//! The poll loop. Each partition has a queue of its own beside the consumer's, so that a partition the loop does not want
//! records of is simply not asked: librdkafka stops fetching for it when its queue is full, and nothing has to be
//! paused, thrown away and fetched again. The consumer's own queue, where rebalances arrive, is served always.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc as commands;
use std::time::Duration;

use penstock_runtime::Partition;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Chunk;
use super::context::{Context, Shared};
use crate::kafka::classify;
use crate::kafka::connection::is_of_connection;

/// How long to wait for the bell at most: what does not ring it (a stop) is seen this late.
const PATIENCE: Duration = Duration::from_millis(50);
/// Times the consumer's queue is asked in vain before it counts as empty: a rebalance it served looks the same.
const NOTHING: usize = 2;
/// Records taken of one partition before the others have their turn, and bytes: they go to the loop together.
const TURN: usize = 128;
const TURN_BYTES: usize = 256 * 1024;
/// Bytes in the data channel, at most, unless one record alone is larger.
pub(super) const CHANNEL_BYTES: usize = 4 * 1024 * 1024;

pub(super) enum Command {
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
}

/// What a round of asking came to.
enum Round {
    /// There may be more.
    More,
    Drained,
    /// The channel is full.
    Full,
}

struct Lane {
    queue: PartitionQueue<Context>,
    generation: u64,
}

pub(super) struct Poller {
    consumer: Arc<BaseConsumer<Context>>,
    shared: Arc<Shared>,
    data: mpsc::Sender<Chunk>,
    commands: commands::Receiver<Command>,
    lanes: HashMap<Partition, Lane>,
    /// What is not in the channel yet: records of one turn, and those that came by the consumer's own queue.
    backlog: VecDeque<Chunk>,
    /// Paused by the loop.
    paused: HashSet<Partition>,
    /// What a turn's records shared, the last time: bytes.
    room: usize,
}

impl Poller {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Context>>,
        shared: Arc<Shared>,
        data: mpsc::Sender<Chunk>,
        commands: commands::Receiver<Command>,
    ) -> Self {
        Self {
            consumer,
            shared,
            data,
            commands,
            lanes: HashMap::new(),
            backlog: VecDeque::new(),
            paused: HashSet::new(),
            room: 0,
        }
    }

    /// Until the source closes. The consumer is dropped, and leaves its group, on this thread.
    pub(super) fn run(mut self) {
        let consumer = self.consumer.clone();
        while !self.shared.closing.load(Ordering::SeqCst) && !self.data.is_closed() {
            self.obey();
            self.serve(&consumer);
            match self.round() {
                Round::More => {}
                Round::Drained => self.shared.bell.wait(PATIENCE),
                Round::Full => {
                    // The source rings when there is room. It may have made some just before it saw this.
                    self.shared.full.store(true, Ordering::SeqCst);
                    if !self.deliver() {
                        self.shared.bell.wait(PATIENCE);
                    }
                    self.shared.full.store(false, Ordering::SeqCst);
                }
            }
        }
        self.shared.closing.store(true, Ordering::SeqCst);
        self.lanes.clear();
    }

    /// Serves the consumer's own queue: rebalances, errors, and records that came before their partition had a queue,
    /// or after a rebalance undid it.
    fn serve(&mut self, consumer: &BaseConsumer<Context>) {
        let mut nothing = 0;
        while nothing < NOTHING {
            match consumer.poll(Duration::ZERO) {
                // Or a rebalance was served: what the callback did shows below.
                None => nothing += 1,
                Some(Ok(message)) => {
                    // Its own queue first, so that nothing more comes this way; then all that did, before what is in
                    // that queue by now: the order holds.
                    self.shared.reassigned.store(false, Ordering::SeqCst);
                    self.open_lanes();
                    let partition = Partition {
                        topic: message.topic().into(),
                        number: message.partition(),
                    };
                    let generation = self.shared.assigned().get(&partition).copied();
                    if let Some(generation) = generation {
                        self.keep(&partition, generation, &message);
                    }
                    nothing = 0;
                }
                Some(Err(error)) => self.report(&error),
            }
            if self.shared.reassigned.swap(false, Ordering::SeqCst) {
                self.open_lanes();
            }
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Pause(partitions) => self.paused.extend(partitions),
                Command::Resume(partitions) => {
                    for partition in partitions {
                        self.paused.remove(&partition);
                    }
                }
            }
        }
    }

    /// A queue for every partition of the assignment; those of former assignments go.
    fn open_lanes(&mut self) {
        let assigned = self.shared.assigned().clone();
        self.lanes
            .retain(|partition, lane| assigned.get(partition) == Some(&lane.generation));
        self.paused
            .retain(|partition| assigned.contains_key(partition));
        for (partition, generation) in assigned {
            // Also for one that has a queue: a rebalance may have joined it to the consumer's own. The old handle goes
            // first, for it takes the bell with it.
            self.lanes.remove(&partition);
            let Some(mut queue) = self
                .consumer
                .split_partition_queue(&partition.topic, partition.number)
            else {
                tracing::warn!(group = %self.shared.group, ?partition, "no queue for it, reading it from the consumer's");
                continue;
            };
            let shared = self.shared.clone();
            queue.set_nonempty_callback(move || shared.bell.ring());
            self.lanes.insert(partition, Lane { queue, generation });
        }
        // What was queued before the bell hung there did not ring it.
        self.shared.bell.ring();
    }

    /// Asks each partition in turn.
    fn round(&mut self) -> Round {
        if !self.deliver() {
            return Round::Full;
        }
        let mut more = false;
        let lanes = std::mem::take(&mut self.lanes);
        let mut full = false;
        for (partition, lane) in &lanes {
            if self.paused.contains(partition) {
                continue;
            }
            more |= self.take_turn(partition, lane);
            if !self.deliver() {
                full = true;
                break;
            }
        }
        self.lanes = lanes;
        match (full, more) {
            (true, _) => Round::Full,
            (false, true) => Round::More,
            (false, false) => Round::Drained,
        }
    }

    /// Takes of one partition what its turn allows; says whether there may be more.
    fn take_turn(&mut self, partition: &Partition, lane: &Lane) -> bool {
        let (mut taken, mut bytes) = (0, 0);
        while taken < TURN && bytes < TURN_BYTES {
            let Some(polled) = lane.queue.poll(Duration::ZERO) else {
                return false;
            };
            match polled {
                Ok(message) => {
                    bytes += self.keep(partition, lane.generation, &message);
                }
                Err(error) => self.report(&error),
            }
            taken += 1;
        }
        true
    }

    /// Moves the backlog into the channel; false if there was no room for all of it.
    fn deliver(&mut self) -> bool {
        while let Some(chunk) = self.backlog.pop_front() {
            let bytes = chunk.bytes();
            let queued = self.shared.queued_bytes();
            if queued > 0 && queued + bytes > CHANNEL_BYTES {
                self.backlog.push_front(chunk);
                return false;
            }
            self.room = chunk.shared_bytes();
            self.shared.sent(bytes);
            match self.data.try_send(chunk) {
                Ok(()) => {}
                Err(TrySendError::Full(chunk)) => {
                    self.shared.took(bytes);
                    self.backlog.push_front(chunk);
                    return false;
                }
                // The source is closing.
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        true
    }

    /// Puts a message behind those of its turn; tells its bytes.
    fn keep(
        &mut self,
        partition: &Partition,
        generation: u64,
        message: &BorrowedMessage<'_>,
    ) -> usize {
        let takes = |chunk: &Chunk| chunk.takes(partition, generation);
        if !self.backlog.back().is_some_and(takes) {
            let chunk = Chunk::of(partition.clone(), generation, self.room);
            self.backlog.push_back(chunk);
        }
        let Some(chunk) = self.backlog.back_mut() else {
            return 0;
        };
        let before = chunk.bytes();
        chunk.push(message);
        chunk.bytes() - before
    }

    /// Errors that pass by themselves are librdkafka's to retry; the others end the loop. What becomes of a connection is
    /// the context's to judge, which hears more of it.
    fn report(&self, error: &KafkaError) {
        if is_of_connection(error) {
            return;
        }
        let failure = classify(error, &format!("read for group {}", self.shared.group));
        if failure.class() == "transient" {
            tracing::warn!(group = %self.shared.group, %error, "kafka consumer; it goes on trying");
        } else {
            self.shared.fail(failure);
        }
    }
}
