//! A consumer as a `Source`. librdkafka is polled on a thread of its own and never from the runtime; messages and
//! rebalances reach the loop as events, over two channels: records over a bounded one, control over an unbounded one,
//! so that a loop that is slow with records still hears of a rebalance at once. A consumer that is stuck is made anew.

mod bell;
mod chunk;
mod context;
mod member;
mod thread;
mod watch;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use penstock_runtime::{Event, Failure, Partition, Position, Record, RevokeAck, Source};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::chunk::Chunk;
use self::context::Control;
use self::member::Member;
use self::thread::Command;
use self::watch::{Known, Missed, Watch};
use super::config::KafkaConfig;
use super::{classify, convert};

/// How long `close` waits for the consumer to leave its group: librdkafka's close is known to hang.
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(10);
const COMMIT_LIMIT: Duration = Duration::from_secs(30);

/// One member of a consumer group.
pub struct KafkaSource {
    config: KafkaConfig,
    group: String,
    topics: Vec<String>,
    member: Member,
    watch: Watch,
    renewal: Renewal,
    /// Assignments the loop knows of: a record of another generation was read for a former owner, or a former self.
    known: HashMap<Partition, Known>,
    paused: HashSet<Partition>,
    /// Records of paused partitions that were on their way already.
    held: HashMap<Partition, VecDeque<Chunk>>,
    /// What came out of the channel and is not looked at yet.
    arrived: VecDeque<Chunk>,
    /// Records to give: of assignments that hold, and of no paused partition.
    ready: VecDeque<Chunk>,
}

/// Whether the consumer is being made anew.
enum Renewal {
    No,
    /// The loop lets go of what this one was given; then it is told why, if there is more to say, and comes back later.
    LettingGo(oneshot::Receiver<()>, Option<Failure>),
    Due,
}

impl KafkaSource {
    /// Joins `group` for `topics`. Returns before the group has settled: the first event is the assignment.
    pub fn open(config: &KafkaConfig, group: &str, topics: &[&str]) -> Result<Self, Failure> {
        let topics: Vec<String> = topics.iter().map(|it| (*it).to_owned()).collect();
        Ok(Self {
            config: config.clone(),
            group: group.to_owned(),
            member: Member::join(config, group, &topics)?,
            topics,
            watch: Watch::new(),
            renewal: Renewal::No,
            known: HashMap::new(),
            paused: HashSet::new(),
            held: HashMap::new(),
            arrived: VecDeque::new(),
            ready: VecDeque::new(),
        })
    }

    /// The consumer is given nothing though there is more.
    fn abandon_stuck(&mut self, missed: &Missed) -> Event {
        tracing::warn!(
            group = %self.group,
            partition = %missed.partition,
            offset = missed.next,
            "the consumer is given nothing though there is more: it is made anew"
        );
        self.abandon(None)
    }

    /// Takes everything from the loop, for another consumer to be given.
    fn abandon(&mut self, why: Option<Failure>) -> Event {
        let partitions = self.known.drain().map(|(partition, _)| partition).collect();
        self.paused.clear();
        self.held.clear();
        self.arrived.clear();
        self.ready.clear();
        let (ack, done) = RevokeAck::new();
        self.renewal = Renewal::LettingGo(done, why);
        Event::Revoked(partitions, ack)
    }

    async fn renew(&mut self) -> Result<(), Failure> {
        if let Renewal::LettingGo(done, why) = &mut self.renewal {
            // Dropping the ack without a word is as good as letting go.
            let _ = done.await;
            let why = why.take();
            self.renewal = Renewal::Due;
            if let Some(failure) = why {
                return Err(failure);
            }
        }
        if let Renewal::Due = self.renewal {
            // The stuck one leaves on its own thread, if it can.
            self.member = Member::join(&self.config, &self.group, &self.topics)?;
            self.renewal = Renewal::No;
        }
        Ok(())
    }

    fn apply(&mut self, control: Control) -> Result<Event, Failure> {
        match control {
            Control::Assigned(assignments, generation) => {
                for assignment in &assignments {
                    let known = Known {
                        generation,
                        next: assignment.start,
                        heard: Instant::now(),
                    };
                    self.known.insert(assignment.partition.clone(), known);
                    self.drop_read(&assignment.partition);
                }
                Ok(Event::Assigned(assignments))
            }
            Control::Revoked(partitions, ack) => {
                for partition in &partitions {
                    self.known.remove(partition);
                    self.paused.remove(partition);
                    self.drop_read(partition);
                }
                Ok(Event::Revoked(partitions, ack))
            }
            Control::Unplaced(failure) => {
                // Only who joins anew is given them again.
                tracing::warn!(
                    group = %self.group,
                    "it cannot be told where partitions start: the consumer is made anew"
                );
                if self.known.is_empty() {
                    self.renewal = Renewal::Due;
                    return Err(failure);
                }
                Ok(self.abandon(Some(failure)))
            }
            Control::Failed(failure) => Err(failure),
        }
    }

    /// Drops what was read of a partition under an assignment that is over.
    fn drop_read(&mut self, partition: &Partition) {
        self.held.remove(partition);
        self.ready.retain(|chunk| chunk.partition != *partition);
    }

    /// Puts records where the loop will find them: not those of an assignment that is over, later those of a paused
    /// partition.
    fn admit(&mut self, chunk: Chunk) {
        let Some(known) = self.known.get_mut(&chunk.partition) else {
            return;
        };
        if known.generation != chunk.generation {
            return;
        }
        known.next = chunk.end();
        known.heard = Instant::now();
        if !self.paused.contains(&chunk.partition) {
            self.ready.push_back(chunk);
            return;
        }
        match self.held.get_mut(&chunk.partition) {
            Some(held) => held.push_back(chunk),
            None => {
                self.held.insert(chunk.partition.clone(), [chunk].into());
            }
        }
    }

    fn next_ready(&mut self) -> Option<Record> {
        while let Some(chunk) = self.ready.front_mut() {
            if let Some(record) = chunk.pop() {
                return Some(record);
            }
            self.ready.pop_front();
        }
        None
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn next(&mut self) -> Result<Event, Failure> {
        self.renew().await?;
        loop {
            // Control goes first. The thread announces an assignment before it sends a record of it, so a record that
            // was received is looked at only after control was asked again.
            if let Ok(control) = self.member.control.try_recv() {
                return self.apply(control);
            }
            while let Some(chunk) = self.arrived.pop_front() {
                self.admit(chunk);
            }
            if let Some(record) = self.next_ready() {
                return Ok(Event::Record(record));
            }
            tokio::select! {
                biased;
                control = self.member.control.recv() => match control {
                    Some(control) => return self.apply(control),
                    None => return Err(self.member.gone()),
                },
                chunk = self.member.data.recv() => match chunk {
                    Some(chunk) => {
                        self.member.took(&chunk);
                        self.arrived.push_back(chunk);
                    }
                    None => return Err(self.member.gone()),
                },
                missed = self.watch.missed(
                    &self.config,
                    &self.member.consumer,
                    &self.known,
                    &self.paused,
                ) => return Ok(self.abandon_stuck(&missed)),
            }
        }
    }

    fn ready(&mut self) -> Option<Record> {
        // Only what was looked at after control was asked: an assignment or a revoke may stand before the rest.
        if !self.member.control.is_empty() {
            return None;
        }
        self.next_ready()
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let new: Vec<Partition> = partitions
            .iter()
            .filter(|partition| self.known.contains_key(*partition))
            .filter(|partition| !self.paused.contains(*partition))
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        self.paused.extend(new.iter().cloned());
        for chunk in std::mem::take(&mut self.ready) {
            if !self.paused.contains(&chunk.partition) {
                self.ready.push_back(chunk);
                continue;
            }
            let held = self.held.entry(chunk.partition.clone()).or_default();
            held.push_back(chunk);
        }
        self.member.tell(Command::Pause(new))
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let mut resumed = Vec::new();
        for partition in partitions {
            if self.paused.remove(partition) {
                if let Some(known) = self.known.get_mut(partition) {
                    known.heard = Instant::now();
                }
                self.ready
                    .extend(self.held.remove(partition).unwrap_or_default());
                resumed.push(partition.clone());
            }
        }
        if resumed.is_empty() {
            return Ok(());
        }
        self.member.tell(Command::Resume(resumed))
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Failure> {
        // Whatever the caller believes: a partition that was given up is not committed.
        let owned = self.member.shared.owned(positions);
        if owned.is_empty() {
            return Ok(());
        }
        let doing = format!("commit for group {}", self.group);
        let list = convert::positions(&owned).map_err(|error| classify(&error, &doing))?;
        let consumer = self.member.consumer.clone();
        // librdkafka's commit blocks until the coordinator answers; it may be called beside a poll, and must be: the
        // poll thread itself waits for the loop while partitions are revoked.
        let commit = tokio::task::spawn_blocking(move || match consumer.upgrade() {
            Some(consumer) => consumer.commit(&list, CommitMode::Sync),
            None => Err(KafkaError::Canceled),
        });
        match tokio::time::timeout(COMMIT_LIMIT, commit).await {
            Err(_) => Err(Failure::transient(format!(
                "{doing}: no answer in {} s",
                COMMIT_LIMIT.as_secs()
            ))),
            Ok(Err(error)) => Err(Failure::fatal(format!("{doing}: {error}"))),
            // There was nothing newer to commit.
            Ok(Ok(Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)))) => Ok(()),
            Ok(Ok(Err(error))) => Err(classify(&error, &doing)),
            Ok(Ok(Ok(()))) => Ok(()),
        }
    }

    async fn close(&mut self) {
        if !self.member.leave(CLOSE_LIMIT).await {
            tracing::warn!(group = %self.group, "consumer did not close in time, leaving it behind");
        }
    }
}

#[cfg(test)]
impl KafkaSource {
    /// Looks into partitions that are silent for this long.
    pub(super) fn be_wary(&mut self, patience: Duration) {
        self.watch = Watch::with(patience);
    }

    /// From now on the consumer is given nothing, and does not know.
    pub(super) fn stick(&self) {
        let consumer = self.member.consumer.upgrade().unwrap();
        consumer.pause(&consumer.assignment().unwrap()).unwrap();
    }
}
