//! The account: what became of everything.

mod commits;
mod fates;
mod heard;
mod steps;
mod stores;

pub use commits::Commits;
pub use fates::{Fates, count as count_fates, versions_of};
pub use heard::{hear, read_ledger};
pub use steps::{StepCount, count as count_steps};
pub use stores::{StoreCount, count as count_stores};
