//! Bytes from outside cost no more than this.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use penstock_runtime::Failure;

const MIB: u64 = 1 << 20;

/// Caps for one document or one part of it. Each breach is a Poison that names the limit and the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Source, bytes.
    pub source_bytes: u64,
    /// Source of a format that must be held whole to be read (all but those cut at line ends), bytes.
    pub whole_bytes: u64,
    /// Pages of a PDF.
    pub pages: usize,
    /// Text of one part, characters.
    pub text_chars: usize,
    /// All that a zip-based document decompresses to, bytes; counted while inflating.
    pub inflated_bytes: u64,
    /// Decompressed bytes per byte of the document; counted while inflating, beyond the first 16 MiB.
    pub inflation_ratio: u64,
    /// Members of a zip-based document.
    pub zip_entries: usize,
    /// Elements inside each other in XML, and mails inside mails.
    pub nesting: usize,
    /// One part, wall clock.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 1024 * MIB,
            whole_bytes: 512 * MIB,
            pages: 20_000,
            text_chars: 32_000_000,
            inflated_bytes: 512 * MIB,
            inflation_ratio: 200,
            zip_entries: 10_000,
            nesting: 256,
            time: Duration::from_secs(120),
        }
    }
}

/// Below this, a high ratio harms nobody: small, repetitive documents compress very well.
const RATIO_COUNTS_FROM: u64 = 16 * MIB;

impl Limits {
    /// The source's size against the limits.
    pub fn source(&self, bytes: u64) -> Result<(), Failure> {
        above("source size", bytes, self.source_bytes, "bytes")
    }

    /// The same for a format that must be held whole.
    pub fn whole(&self, bytes: u64) -> Result<(), Failure> {
        above(
            "source size for this format",
            bytes,
            self.whole_bytes,
            "bytes",
        )
    }

    pub fn page_count(&self, pages: usize) -> Result<(), Failure> {
        above("page count", pages as u64, self.pages as u64, "pages")
    }

    pub fn entries(&self, entries: usize) -> Result<(), Failure> {
        above(
            "zip archive",
            entries as u64,
            self.zip_entries as u64,
            "entries",
        )
    }

    pub fn chars(&self, chars: usize) -> Result<(), Failure> {
        above(
            "text of one part",
            chars as u64,
            self.text_chars as u64,
            "characters",
        )
    }

    pub fn depth(&self, depth: usize) -> Result<(), Failure> {
        above(
            "nested too deep",
            depth as u64,
            self.nesting as u64,
            "levels",
        )
    }
}

fn above(what: &str, value: u64, limit: u64, unit: &str) -> Result<(), Failure> {
    if value <= limit {
        return Ok(());
    }
    Err(Failure::poison(format!(
        "{what}: {value} {unit}, above the limit of {limit} {unit}"
    )))
}

/// Tells a parse that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one parse has used of its limits. Lives on the parse's own thread.
#[derive(Debug)]
pub struct Budget {
    pub limits: Limits,
    cancel: Cancel,
    started: Instant,
    inflated: Cell<u64>,
    breach: RefCell<Option<Failure>>,
}

impl Budget {
    pub fn new(limits: &Limits, cancel: Cancel) -> Self {
        Self {
            limits: limits.clone(),
            cancel,
            started: Instant::now(),
            inflated: Cell::new(0),
            breach: RefCell::default(),
        }
    }

    /// Asked between pages, members and the like.
    pub fn check(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() || self.started.elapsed() > self.limits.time {
            return Err(took_too_long(self.limits.time));
        }
        Ok(())
    }

    /// Keeps a refusal that has to travel through an error type of its own, such as `io::Error`.
    pub fn set_breach(&self, failure: Failure) {
        self.breach.borrow_mut().get_or_insert(failure);
    }

    pub fn take_breach(&self) -> Option<Failure> {
        self.breach.borrow_mut().take()
    }

    /// Counts `more` bytes that came out of an archive of `archive` bytes.
    pub fn inflate(&self, more: u64, archive: u64) -> Result<(), Failure> {
        let total = self.inflated.get().saturating_add(more);
        self.inflated.set(total);
        let limit = self.limits.inflated_bytes;
        if total > limit {
            return Err(Failure::poison(format!(
                "decompresses to {total} bytes and more, above the limit of {limit} bytes"
            )));
        }
        let ratio = self.limits.inflation_ratio;
        if total > RATIO_COUNTS_FROM && total > archive.saturating_mul(ratio) {
            return Err(Failure::poison(format!(
                "decompresses to {total} bytes and more from {archive}, above the limit of {ratio} to 1"
            )));
        }
        Ok(())
    }
}

pub fn took_too_long(limit: Duration) -> Failure {
    Failure::poison(format!(
        "took longer than the limit of {} s to read",
        limit.as_secs_f64()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_names_limit_and_value() {
        fn check(verdict: Result<(), Failure>, expect: &str) {
            match verdict {
                Ok(()) => assert_eq!(expect, ""),
                Err(failure) => {
                    assert_eq!(failure.class(), "poison");
                    assert_eq!(failure.reason(), expect);
                }
            }
        }
        let limits = Limits {
            pages: 3,
            inflated_bytes: 100 * MIB,
            time: Duration::from_secs(7),
            ..Limits::default()
        };
        check(limits.page_count(3), "");
        check(
            limits.page_count(4),
            "page count: 4 pages, above the limit of 3 pages",
        );
        let budget = Budget::new(&limits, Cancel::default());
        check(budget.inflate(16 * MIB, 1), "");
        check(
            budget.inflate(1, MIB / 200),
            "decompresses to 16777217 bytes and more from 5242, above the limit of 200 to 1",
        );
        check(
            budget.inflate(90 * MIB, u64::MAX),
            "decompresses to 111149057 bytes and more, above the limit of 104857600 bytes",
        );
        check(budget.check(), "");
        let cancel = Cancel::default();
        let budget = Budget::new(&limits, cancel.clone());
        cancel.cancel();
        check(budget.check(), "took longer than the limit of 7 s to read");
    }
}
