//! The promises of the whole program, on real documents, embedded engines and a real Kafka cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail loudly"
)]

mod backpressure;
mod changes;
mod chaos;
mod cluster;
mod crashes;
mod dead_letters;
mod errors;
mod fleet;
mod floods;
mod killers;
mod memory;
mod objects;
mod producer;
mod registry;
mod replays;
mod samples;
mod topology;
mod world;
