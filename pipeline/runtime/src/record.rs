//! Ports to the log.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::Failure;

/// Header names and values, in order. Values are bytes; ours are UTF-8. Names that are known cost nothing.
pub type Headers = Vec<(Cow<'static, str>, Bytes)>;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
}

/// By topic, then by number. Partitions are looked up for every record, and most are of one topic: that is seen without
/// reading its name.
impl Ord for Partition {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.topic, &other.topic) {
            return self.number.cmp(&other.number);
        }
        let by_topic = self.topic.cmp(&other.topic);
        by_topic.then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Partition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}", self.topic, self.number)
    }
}

/// A place in a partition; for a commit, the next offset to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub partition: Partition,
    pub offset: i64,
}

/// A record as it came from the log.
#[derive(Debug, Clone)]
pub struct Record {
    pub partition: Partition,
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Headers,
}

/// A record on its way to the log.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub topic: Cow<'static, str>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Headers,
}

/// Partitions given to this consumer, with the offset each starts at.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub partition: Partition,
    /// The committed offset, or where the consumer starts without one.
    pub start: i64,
}

/// Told to the source when the loop has committed and let go of revoked partitions.
#[derive(Debug)]
pub struct RevokeAck(oneshot::Sender<()>);

impl RevokeAck {
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    pub fn done(self) {
        // The source may have passed its deadline and stopped listening.
        let _ = self.0.send(());
    }
}

/// What a source has to say.
#[derive(Debug)]
pub enum Event {
    Record(Record),
    /// Partitions given in addition to those held. One that is held already starts anew.
    Assigned(Vec<Assignment>),
    /// Partitions taken away. Commits for them are possible until the ack, never after.
    Revoked(Vec<Partition>, RevokeAck),
    /// The end of a bounded source (a replay): nothing more will come.
    End,
}

/// Where records come from.
#[async_trait]
pub trait Source: Send {
    /// The next event. Cancel-safe: dropping the future loses nothing.
    async fn next(&mut self) -> Result<Event, Failure>;
    /// A further record, where one is here already: what comes together is taken together. None says nothing of what
    /// `next` has to say.
    fn ready(&mut self) -> Option<Record> {
        None
    }
    /// Stops fetching from these partitions; `next` goes on serving events and the others.
    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Failure>;
    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Failure>;
    /// Commits `offset` as the next to read. Resolves when the broker has it.
    async fn commit(&mut self, positions: &[Position]) -> Result<(), Failure>;
    /// Leaves the group. No call follows.
    async fn close(&mut self);
}

/// Where records go.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Resolves when the broker has every record. On an error some may have arrived.
    async fn send(&self, records: &[&Outgoing]) -> Result<(), Failure>;
    /// The same, of records that are not needed any more.
    async fn produce(&self, records: Vec<Outgoing>) -> Result<(), Failure> {
        let all: Vec<&Outgoing> = records.iter().collect();
        self.send(&all).await
    }
}
