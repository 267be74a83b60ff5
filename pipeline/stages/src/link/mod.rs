//! Chunks and the entities they mention into the knowledge graph.

mod port;

pub use port::{ChunkRef, GraphCounts, GraphStore, Linked, Mention, Neighbour};
