//! Stores and a model in memory that keep their ports' promises, with faults on demand. They live in whatever time
//! tokio has.

mod blobs;
mod cache;
mod embedder;
mod faults;
mod graph;
mod streams;
mod vectors;

pub use blobs::FakeBlobs;
pub use cache::FakeCache;
pub use embedder::FakeEmbedder;
pub use faults::Faults;
pub use graph::FakeGraph;
pub use streams::BusStreams;
pub use vectors::FakeVectors;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What panics on demand leaves nothing half-done behind: a fake changes after its faults, in one go.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
