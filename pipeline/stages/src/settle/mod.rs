//! Knows when a document is finished in both stores, and makes it visible.

mod port;

pub use port::LedgerLog;
