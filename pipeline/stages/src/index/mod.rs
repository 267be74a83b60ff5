//! Vectors into the vector store.

mod port;

pub use port::{Hit, Point, PointRef, Search, Sparse, VectorStore};
