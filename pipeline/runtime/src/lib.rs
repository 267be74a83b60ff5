//! Records flow, fail, wait and commit here. Tokio only: no Kafka, no stores.

mod failure;
mod record;
mod stage;
mod stop;

pub use failure::Failure;
pub use record::{
    Assignment, Event, Headers, Outgoing, Partition, Position, Record, RevokeAck, Sink, Source,
};
pub use stage::{
    Batch, BatchStage, Each, Emit, Input, Note, Nothing, Nowhere, Route, Stage, Verdict,
};
pub use stop::Stop;
