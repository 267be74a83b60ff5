//! What happened when, on stderr.

use std::time::Instant;

/// Cheap to clone.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    start: Instant,
}

impl Log {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub fn say(&self, text: impl AsRef<str>) {
        eprintln!(
            "{:8.1} s  {}",
            self.start.elapsed().as_secs_f64(),
            text.as_ref()
        );
    }
}
