//! The promises of the whole program, on real documents and embedded engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail loudly"
)]

mod changes;
mod crashes;
mod errors;
mod producer;
mod samples;
mod topology;
