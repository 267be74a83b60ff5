//! Chunks and the entities they mention into the knowledge graph.

mod port;
mod rules;
mod stage;

pub use port::{ChunkRef, GraphCounts, GraphStore, Linked, Mention, Neighbour};
pub use rules::Rules;
pub use stage::Link;
