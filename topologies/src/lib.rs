//! Which stage reads and writes what, configuration, and the command line.

pub mod audit;
pub mod bench;
pub mod cli;
pub mod commands;
pub mod config;
pub mod counted;
pub mod dead_letters;
pub mod describe;
pub mod engines;
pub mod heartbeat;
pub mod ingest;
pub mod objects;
pub mod pipeline;
pub mod policies;
pub mod query;
pub mod replay;
pub mod serve;
pub mod session;
pub mod shared;
pub mod status;
pub mod streams;
pub mod system;
pub mod topics;
pub mod workers;
