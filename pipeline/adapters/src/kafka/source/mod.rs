//! A consumer as a `Source`. librdkafka is polled on a thread of its own and never from the runtime; messages and
//! rebalances reach the loop as events, over two channels: records over a bounded one, control over an unbounded one,
//! so that a loop that is slow with records still hears of a rebalance at once.

mod bell;
mod context;
mod thread;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use penstock_runtime::{Event, Failure, Partition, Position, Record, Source};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{mpsc, oneshot};

use self::context::{Context, Control, Shared};
use self::thread::{CHANNEL_BYTES, Command, Poller};
use super::config::KafkaConfig;
use super::{classify, convert};

/// Records between the poll thread and the loop, at most.
const DATA_CHANNEL: usize = 256;
/// How long `close` waits for the consumer to leave its group: librdkafka's close is known to hang.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
const COMMIT_LIMIT: Duration = Duration::from_secs(30);

/// A record and the assignment it was read under.
struct Tagged {
    record: Record,
    generation: u64,
}

/// One member of a consumer group.
pub struct KafkaSource {
    group: String,
    shared: Arc<Shared>,
    /// The poll thread owns the consumer, so that its drop, which may hang, happens there.
    consumer: Weak<BaseConsumer<Context>>,
    commands: std::sync::mpsc::Sender<Command>,
    control: mpsc::UnboundedReceiver<Control>,
    data: mpsc::Receiver<Tagged>,
    ended: Option<oneshot::Receiver<()>>,
    /// Assignments the loop knows of: a record of another generation was read for a former owner, or a former self.
    known: HashMap<Partition, u64>,
    paused: HashSet<Partition>,
    /// Records of paused partitions that were on their way already.
    held: HashMap<Partition, VecDeque<Tagged>>,
    /// Records to give before the channel's.
    ready: VecDeque<Tagged>,
}

impl KafkaSource {
    /// Joins `group` for `topics`. Returns before the group has settled: the first event is the assignment.
    pub fn open(config: &KafkaConfig, group: &str, topics: &[&str]) -> Result<Self, Failure> {
        let doing = format!("join group {group}");
        let settings = config.consumer(group);
        let (control_sender, control) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(group, control_sender, revoke_limit(&settings)));
        let mut consumer: BaseConsumer<Context> = settings
            .create_with_context(Context(shared.clone()))
            .map_err(|error| classify(&error, &doing))?;
        consumer
            .subscribe(topics)
            .map_err(|error| classify(&error, &doing))?;
        let bell = shared.clone();
        consumer.set_nonempty_callback(move || bell.bell.ring());
        let consumer = Arc::new(consumer);
        let (data_sender, data) = mpsc::channel(DATA_CHANNEL);
        let (commands, command_receiver) = std::sync::mpsc::channel();
        let (ended_sender, ended) = oneshot::channel();
        let weak = Arc::downgrade(&consumer);
        let poller = Poller::new(consumer, shared.clone(), data_sender, command_receiver);
        std::thread::Builder::new()
            .name(format!("kafka {group}"))
            .spawn(move || {
                poller.run();
                // The source may be gone: then nobody waits for the end.
                let _ = ended_sender.send(());
            })
            .map_err(|error| Failure::fatal(format!("{doing}: start its thread: {error}")))?;
        Ok(Self {
            group: group.to_owned(),
            shared,
            consumer: weak,
            commands,
            control,
            data,
            ended: Some(ended),
            known: HashMap::new(),
            paused: HashSet::new(),
            held: HashMap::new(),
            ready: VecDeque::new(),
        })
    }

    fn apply(&mut self, control: Control) -> Result<Event, Failure> {
        match control {
            Control::Assigned(assignments, generation) => {
                for assignment in &assignments {
                    self.known.insert(assignment.partition.clone(), generation);
                }
                Ok(Event::Assigned(assignments))
            }
            Control::Revoked(partitions, ack) => {
                for partition in &partitions {
                    self.known.remove(partition);
                    self.paused.remove(partition);
                    self.held.remove(partition);
                }
                Ok(Event::Revoked(partitions, ack))
            }
            Control::Failed(failure) => Err(failure),
        }
    }

    /// The record, if the loop is to see it now: not of an assignment that is over, and not of a paused partition.
    fn admit(&mut self, tagged: Tagged) -> Option<Record> {
        let partition = &tagged.record.partition;
        if self.known.get(partition) != Some(&tagged.generation) {
            return None;
        }
        if self.paused.contains(partition) {
            self.held
                .entry(partition.clone())
                .or_default()
                .push_back(tagged);
            return None;
        }
        Some(tagged.record)
    }

    fn tell(&self, command: Command) -> Result<(), Failure> {
        self.commands.send(command).map_err(|_| self.gone())?;
        self.shared.bell.ring();
        Ok(())
    }

    /// A record has left the channel: once it is half empty the poll thread is told, if it waits for that.
    fn took(&self, record: &Record) {
        self.shared.took(convert::weight(record));
        let room =
            self.data.len() <= DATA_CHANNEL / 2 && self.shared.queued_bytes() <= CHANNEL_BYTES / 2;
        if room && self.shared.full.load(Ordering::SeqCst) {
            self.shared.bell.ring();
        }
    }

    fn gone(&self) -> Failure {
        Failure::fatal(format!("the consumer of group {} has ended", self.group))
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            // Control goes first. The thread announces an assignment before it sends a record of it, so a record that
            // was received is looked at only after control was asked again.
            if let Ok(control) = self.control.try_recv() {
                return self.apply(control);
            }
            if let Some(tagged) = self.ready.pop_front() {
                if let Some(record) = self.admit(tagged) {
                    return Ok(Event::Record(record));
                }
                continue;
            }
            tokio::select! {
                biased;
                control = self.control.recv() => match control {
                    Some(control) => return self.apply(control),
                    None => return Err(self.gone()),
                },
                tagged = self.data.recv() => match tagged {
                    Some(tagged) => {
                        self.took(&tagged.record);
                        self.ready.push_back(tagged);
                    }
                    None => return Err(self.gone()),
                },
            }
        }
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
        self.tell(Command::Pause(new))
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let mut resumed = Vec::new();
        for partition in partitions {
            if self.paused.remove(partition) {
                self.ready
                    .extend(self.held.remove(partition).unwrap_or_default());
                resumed.push(partition.clone());
            }
        }
        if resumed.is_empty() {
            return Ok(());
        }
        self.tell(Command::Resume(resumed))
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Failure> {
        // Whatever the caller believes: a partition that was given up is not committed.
        let owned = self.shared.owned(positions);
        if owned.is_empty() {
            return Ok(());
        }
        let doing = format!("commit for group {}", self.group);
        let list = convert::positions(&owned).map_err(|error| classify(&error, &doing))?;
        let consumer = self.consumer.clone();
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
        self.shared.close();
        self.data.close();
        let Some(ended) = self.ended.take() else {
            return;
        };
        if tokio::time::timeout(CLOSE_LIMIT, ended).await.is_err() {
            tracing::warn!(group = %self.group, "consumer did not close in time, leaving it behind");
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // The thread closes the consumer by itself.
        self.shared.close();
    }
}

/// How long a revoke may wait for the loop: well below the session timeout, after which the group would go on without
/// asking us.
fn revoke_limit(settings: &rdkafka::ClientConfig) -> Duration {
    let session = settings
        .get("session.timeout.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(45_000);
    Duration::from_millis(session / 2)
}
