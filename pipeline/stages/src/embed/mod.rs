//! Chunks to vectors.

mod port;

pub use port::{Embedder, ModelInfo, VectorCache};
