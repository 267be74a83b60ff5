//! What a stage is: a verdict per input. It never commits, produces, retries, sleeps or counts.

use async_trait::async_trait;
use penstock_schemas::{Codec, CodecError, Lineage, Message, Opened, Topic};
use uuid::Uuid;

use crate::lineage::Origin;
use crate::{Failure, Headers, Outgoing};

/// A decoded record as a stage sees it.
#[derive(Debug, Clone)]
pub struct Input<T> {
    pub record: T,
    pub headers: Headers,
    /// Where it stands, to order what must be ordered and to name it in logs.
    pub partition: i32,
    pub offset: i64,
}

/// What a stage made of an input, and what settle is to hear of it.
#[derive(Debug, Clone)]
pub struct Emit<O> {
    pub outputs: Vec<O>,
    pub note: Note,
}

/// What the loop reports to settle for a closed input.
#[derive(Debug, Clone)]
pub enum Note {
    /// Done. `ids` are the chunk ids that settle counts; `run` marks a list that replaces those of earlier runs;
    /// `opened` comes from split.
    Outputs {
        ids: Vec<Uuid>,
        run: Option<Uuid>,
        opened: Option<Box<Opened>>,
        /// Lineage to report under, where the input has none (a `Document`).
        lineage: Option<Box<Lineage>>,
    },
    /// Nothing came of it, on purpose.
    Filtered,
    /// A deletion was read; from split.
    Deleted {
        opened: Box<Opened>,
        lineage: Box<Lineage>,
    },
    /// Nothing to report: settle's own verdicts, and records that belong to no document.
    Silent,
}

impl<O: Message> Emit<O> {
    /// Outputs whose chunk ids, or the input's own where they have none, tell settle what is done.
    pub fn outputs(outputs: Vec<O>) -> Self {
        let ids = outputs.iter().filter_map(Message::chunk).collect();
        Self {
            outputs,
            note: Note::Outputs {
                ids,
                run: None,
                opened: None,
                lineage: None,
            },
        }
    }
}

impl<O> Emit<O> {
    /// A deliberate filter.
    pub fn filtered() -> Self {
        Self {
            outputs: Vec::new(),
            note: Note::Filtered,
        }
    }

    /// Done without an output record; `id` is what was finished.
    pub fn done(id: Uuid) -> Self {
        Self {
            outputs: Vec::new(),
            note: Note::Outputs {
                ids: vec![id],
                run: None,
                opened: None,
                lineage: None,
            },
        }
    }
}

/// One input's verdict.
pub type Verdict<O> = Result<Emit<O>, Failure>;

/// A stage that works on one record at a time.
#[async_trait]
pub trait Stage: Send + Sync + 'static {
    type In: Message;
    type Out: Send + Sync + 'static;
    /// Under which lineage the input is reported, where it carries none itself (a `Document`).
    fn lineage(&self, input: &Self::In) -> Option<Lineage> {
        input.lineage()
    }
    async fn process(&self, input: &Input<Self::In>) -> Verdict<Self::Out>;
}

/// How a stage's outputs become records: which topic, which key, which bytes.
pub trait Route<O>: Send + Sync + 'static {
    /// Topics that outputs may go to.
    fn topics(&self) -> Vec<&'static str>;
    /// The record to produce, with its lineage as headers. An error is our bug: type and schema disagree.
    fn encode(&self, codec: &Codec, output: &O) -> Result<Outgoing, CodecError>;
}

impl<T: Message> Route<T> for Topic<T> {
    fn topics(&self) -> Vec<&'static str> {
        vec![self.name()]
    }

    fn encode(&self, codec: &Codec, output: &T) -> Result<Outgoing, CodecError> {
        Ok(Outgoing {
            topic: self.name().into(),
            key: Some(output.key().into()),
            value: Some(output.encode(codec)?),
            headers: Origin::of(output).headers(),
        })
    }
}

/// For a stage that reports progress and emits no records.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

/// An output type without values.
#[derive(Debug, Clone, Copy)]
pub enum Nothing {}

impl Route<Nothing> for Nowhere {
    fn topics(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn encode(&self, _codec: &Codec, output: &Nothing) -> Result<Outgoing, CodecError> {
        match *output {}
    }
}

/// The inputs of one call.
pub type Batch<T> = [Input<T>];

/// A stage that works on a batch. `Err` is a verdict on the whole batch: a Poison is split in halves until the guilty
/// record stands alone.
#[async_trait]
pub trait BatchStage: Send + Sync + 'static {
    type In: Message;
    type Out: Send + Sync + 'static;
    /// What an input costs, in the unit of the window's cost limit (tokens for embed).
    fn cost(&self, _input: &Self::In) -> u64 {
        1
    }
    /// Under which lineage the input is reported, where it carries none itself (a `Document`).
    fn lineage(&self, input: &Self::In) -> Option<Lineage> {
        input.lineage()
    }
    /// A verdict per input, in order.
    async fn process(&self, batch: &Batch<Self::In>) -> Result<Vec<Verdict<Self::Out>>, Failure>;
    /// Partitions (of the input topic) now served, in full; called before a record of a new one is processed.
    async fn assigned(&self, _partitions: &[i32]) -> Result<(), Failure> {
        Ok(())
    }
    /// Time has passed. Answered like a record: whatever it emits is produced before anything later is committed.
    async fn tick(&self) -> Result<Vec<Emit<Self::Out>>, Failure> {
        Ok(Vec::new())
    }
}

/// A `Stage` as a `BatchStage`.
pub struct Each<S>(pub S);

#[async_trait]
impl<S: Stage> BatchStage for Each<S> {
    type In = S::In;
    type Out = S::Out;

    fn lineage(&self, input: &Self::In) -> Option<Lineage> {
        self.0.lineage(input)
    }

    async fn process(&self, batch: &Batch<Self::In>) -> Result<Vec<Verdict<Self::Out>>, Failure> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for input in batch {
            verdicts.push(self.0.process(input).await);
        }
        Ok(verdicts)
    }
}
