//! Live numbers of a running stage, for `status` and heartbeats: cheap to write, readable from anywhere.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::throttle::Backlog;

/// Counters only grow; `in_flight` and `in_flight_limit` are of the moment. Each stands alone: a reader may see one
/// updated before another.
#[derive(Debug)]
pub struct Gauges {
    pub processed: Gauge,
    pub outputs: Gauge,
    pub filtered: Gauge,
    pub dead_letters: Gauge,
    pub retries: Gauge,
    pub commits: Gauge,
    pub in_flight: Gauge,
    pub in_flight_limit: Gauge,
    /// Microseconds during which some partition was paused.
    pub paused_us: Gauge,
    /// Turns of the loop: while it grows, the loop lives, paused or not.
    pub turns: Gauge,
    downstream_records: AtomicU64,
    /// The bits of an `f64`; none where they stand for no number.
    downstream_seconds: AtomicU64,
}

#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Relaxed);
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn add_micros(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Relaxed);
    }
}

/// Stands for a lag nobody has told.
const UNKNOWN: u64 = u64::MAX;

impl Default for Gauges {
    fn default() -> Self {
        Self {
            processed: Gauge::default(),
            outputs: Gauge::default(),
            filtered: Gauge::default(),
            dead_letters: Gauge::default(),
            retries: Gauge::default(),
            commits: Gauge::default(),
            in_flight: Gauge::default(),
            in_flight_limit: Gauge::default(),
            paused_us: Gauge::default(),
            turns: Gauge::default(),
            downstream_records: AtomicU64::new(UNKNOWN),
            downstream_seconds: AtomicU64::new(f64::NAN.to_bits()),
        }
    }
}

impl Gauges {
    /// Tells the loop what waits for the group downstream; the throttle heeds it.
    pub fn set_downstream(&self, backlog: Backlog) {
        let seconds = backlog.seconds.unwrap_or(f64::NAN);
        self.downstream_seconds.store(seconds.to_bits(), Relaxed);
        self.downstream_records.store(backlog.records, Relaxed);
    }

    /// None: nobody has told.
    pub fn downstream(&self) -> Option<Backlog> {
        let records = self.downstream_records.load(Relaxed);
        let seconds = f64::from_bits(self.downstream_seconds.load(Relaxed));
        (records != UNKNOWN).then_some(Backlog {
            records,
            seconds: (!seconds.is_nan()).then_some(seconds),
        })
    }

    pub fn summary(&self) -> Summary {
        Summary {
            processed: self.processed.get(),
            outputs: self.outputs.get(),
            filtered: self.filtered.get(),
            dead_letters: self.dead_letters.get(),
            retries: self.retries.get(),
            commits: self.commits.get(),
        }
    }
}

impl std::ops::Sub for Summary {
    type Output = Self;

    /// What happened since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            processed: self.processed.saturating_sub(earlier.processed),
            outputs: self.outputs.saturating_sub(earlier.outputs),
            filtered: self.filtered.saturating_sub(earlier.filtered),
            dead_letters: self.dead_letters.saturating_sub(earlier.dead_letters),
            retries: self.retries.saturating_sub(earlier.retries),
            commits: self.commits.saturating_sub(earlier.commits),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Positions closed.
    pub processed: u64,
    /// Records produced, without progress and dead letters.
    pub outputs: u64,
    pub filtered: u64,
    pub dead_letters: u64,
    pub retries: u64,
    pub commits: u64,
}
