//! Engines that run inside the process, for one machine: log, vectors, graph, and the cache of vectors.

pub mod broker;
pub mod cache;
pub mod graph;
pub mod qdrant_edge;
mod sql;
