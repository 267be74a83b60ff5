//! The promises of the whole program, on real documents, embedded engines and a real Kafka cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail loudly"
)]

mod changes;
mod chaos;
mod cluster;
mod crashes;
mod dead_letters;
mod errors;
mod fleet;
mod killers;
mod producer;
mod replays;
mod samples;
mod topology;
mod world;
