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
mod forget;
mod killers;
mod life;
mod memory;
mod network;
mod objects;
mod producer;
mod rebuild;
mod registry;
mod repair;
mod replays;
mod samples;
mod schema;
mod smoke;
mod topology;
mod world;
