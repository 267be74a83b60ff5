//! The poll loop. It never sleeps: pressure pauses, and it goes on polling.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc as commands;
use std::time::Duration;

use penstock_runtime::Partition;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Tagged;
use super::context::{Context, Shared};
use crate::kafka::{classify, convert};

/// How long a poll waits when there is nothing to do: how late a command may be heard.
const IDLE: Duration = Duration::from_millis(20);
/// The same while records wait for room in the channel.
const PRESSED: Duration = Duration::from_millis(2);
/// Bytes in the data channel, at most, unless one record alone is larger.
const CHANNEL_BYTES: usize = 4 * 1024 * 1024;
/// A backlog of this size pauses the consumer. Room to spare keeps it from pausing and resuming on every record: each
/// resume fetches again what librdkafka had fetched ahead.
const BACKLOG: usize = 4096;
const BACKLOG_BYTES: usize = 4 * 1024 * 1024;

pub(super) enum Command {
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
}

pub(super) struct Poller {
    consumer: Arc<BaseConsumer<Context>>,
    shared: Arc<Shared>,
    data: mpsc::Sender<Tagged>,
    commands: commands::Receiver<Command>,
    /// What did not fit the channel.
    backlog: VecDeque<Tagged>,
    backlog_bytes: usize,
    /// All partitions are paused until the backlog is gone.
    throttled: bool,
    /// Paused by the loop.
    paused: HashSet<Partition>,
    topics: HashMap<String, Arc<str>>,
}

impl Poller {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Context>>,
        shared: Arc<Shared>,
        data: mpsc::Sender<Tagged>,
        commands: commands::Receiver<Command>,
    ) -> Self {
        Self {
            consumer,
            shared,
            data,
            commands,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            throttled: false,
            paused: HashSet::new(),
            topics: HashMap::new(),
        }
    }

    /// Until the source closes. The consumer is dropped, and leaves its group, on this thread.
    pub(super) fn run(mut self) {
        let consumer = self.consumer.clone();
        while !self.shared.closing.load(Ordering::SeqCst) && !self.data.is_closed() {
            self.obey();
            self.deliver();
            self.balance();
            let patience = if self.backlog.is_empty() {
                IDLE
            } else {
                PRESSED
            };
            match consumer.poll(patience) {
                None => {}
                Some(Ok(message)) => self.keep(&message),
                Some(Err(error)) => self.report(&error),
            }
            if self.shared.reassigned.swap(false, Ordering::SeqCst) {
                self.pause_again();
            }
        }
        self.shared.closing.store(true, Ordering::SeqCst);
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Pause(partitions) => {
                    self.pause(&partitions);
                    self.paused.extend(partitions);
                }
                Command::Resume(partitions) => {
                    let resumed: Vec<_> = partitions
                        .into_iter()
                        .filter(|it| self.paused.remove(it))
                        .collect();
                    if !self.throttled {
                        self.resume(&resumed);
                    }
                }
            }
        }
    }

    /// Moves the backlog into the channel, as far as there is room.
    fn deliver(&mut self) {
        while let Some(tagged) = self.backlog.pop_front() {
            let bytes = convert::weight(&tagged.record);
            let queued = self.shared.queued_bytes();
            if queued > 0 && queued + bytes > CHANNEL_BYTES {
                self.backlog.push_front(tagged);
                return;
            }
            self.shared.sent(bytes);
            match self.data.try_send(tagged) {
                Ok(()) => self.backlog_bytes -= bytes,
                Err(TrySendError::Full(tagged)) => {
                    self.shared.took(bytes);
                    self.backlog.push_front(tagged);
                    return;
                }
                // The source is closing.
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }

    /// Pauses everything under a full backlog, and resumes once it is gone.
    fn balance(&mut self) {
        let full = self.backlog.len() >= BACKLOG || self.backlog_bytes >= BACKLOG_BYTES;
        if full && !self.throttled {
            self.throttled = true;
            self.pause(&self.owned(|_| true));
        } else if self.throttled && self.backlog.is_empty() {
            self.throttled = false;
            self.resume(&self.owned(|partition| !self.paused.contains(partition)));
        }
    }

    fn keep(&mut self, message: &BorrowedMessage<'_>) {
        let topic = match self.topics.get(message.topic()) {
            Some(topic) => topic.clone(),
            None => {
                let topic: Arc<str> = message.topic().into();
                self.topics
                    .insert(message.topic().to_owned(), topic.clone());
                topic
            }
        };
        let record = convert::record(message, &topic);
        let Some(generation) = self.shared.assigned().get(&record.partition).copied() else {
            return;
        };
        self.backlog_bytes += convert::weight(&record);
        self.backlog.push_back(Tagged { record, generation });
    }

    /// Errors that pass by themselves are librdkafka's to retry; the others end the loop.
    fn report(&self, error: &KafkaError) {
        let failure = classify(error, &format!("read for group {}", self.shared.group));
        if failure.class() == "transient" {
            tracing::warn!(group = %self.shared.group, %error, "kafka consumer; it goes on trying");
        } else {
            self.shared.fail(failure);
        }
    }

    /// A pause does not survive every rebalance, so all are applied again; those of partitions we lost are forgotten.
    fn pause_again(&mut self) {
        let owned: HashSet<Partition> = self.owned(|_| true).into_iter().collect();
        self.paused.retain(|partition| owned.contains(partition));
        let again: Vec<Partition> = if self.throttled {
            owned.into_iter().collect()
        } else {
            self.paused.iter().cloned().collect()
        };
        self.pause(&again);
    }

    fn owned(&self, which: impl Fn(&Partition) -> bool) -> Vec<Partition> {
        self.shared
            .assigned()
            .keys()
            .filter(|partition| which(partition))
            .cloned()
            .collect()
    }

    fn pause(&self, partitions: &[Partition]) {
        if partitions.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.pause(&convert::list(partitions)) {
            tracing::debug!(group = %self.shared.group, %error, "pause");
        }
    }

    fn resume(&self, partitions: &[Partition]) {
        if partitions.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.resume(&convert::list(partitions)) {
            tracing::debug!(group = %self.shared.group, %error, "resume");
        }
    }
}
