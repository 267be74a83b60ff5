//! What each step does. No network: what a stage needs of the world is a port, declared beside it.

pub mod blobs;
pub mod embed;
pub mod index;
pub mod link;
pub mod parse;
pub mod scope;
pub mod settle;
pub mod shard;
pub mod split;
