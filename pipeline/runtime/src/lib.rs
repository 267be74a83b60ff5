//! Records flow, fail, wait and commit here. Tokio only: no Kafka, no stores.
//!
//! [`run`] is the loop. Around it: [`Offsets`] (what is open), [`Window`] (what becomes a batch), [`Throttle`],
//! [`Retry`] and [`Breaker`] (when to try, and try again), [`Floods`] and [`DeadLetters`] (what is given up).

mod attempts;
mod breaker;
pub mod bus;
mod dead_letters;
mod failure;
mod flood;
mod gauges;
pub mod lineage;
mod offsets;
pub mod policy;
mod progress;
mod readable;
mod record;
mod retry;
mod run;
mod stage;
mod stop;
mod throttle;
mod until;
mod window;

pub use attempts::{Attempts, Trail, Trails};
pub use breaker::{Admit, Breaker};
pub use dead_letters::{Cause, DeadLetters, Original, Provenance, REDRIVES, put_back, stripped};
pub use failure::Failure;
pub use flood::{Flood, Floods};
pub use gauges::{Gauge, Gauges, Summary};
pub use offsets::{Offsets, Ticket};
pub use policy::{Cap, Order, Policy, Reporting, ThrottlePolicy, WindowPolicy};
pub use progress::death;
pub use readable::{Readable, learn};
pub use record::{
    Assignment, Event, Headers, Outgoing, Partition, Position, Record, RevokeAck, Sink, Source,
};
pub use retry::Retry;
pub use run::{Wiring, run};
pub use stage::{
    Batch, BatchStage, Each, Emit, Input, Note, Nothing, Nowhere, Route, Stage, Verdict,
};
pub use stop::Stop;
pub use throttle::{Backlog, Pace, Throttle};
pub use until::{Until, Wanted};
pub use window::Window;
