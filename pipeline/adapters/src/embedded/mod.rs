//! Engines that run inside the process, for one machine: log, vectors, graph.

pub mod broker;
pub mod cache;
pub mod graph;
pub mod qdrant_edge;
