//! All that can be set about the loop: plain numbers, read in one place and passed down.

use std::time::Duration;

/// How a stage is run. The defaults suit a stage that handles single records quickly.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub window: WindowPolicy,
    pub cap: Cap,
    pub throttle: ThrottlePolicy,
    pub retry: RetryPolicy,
    pub breaker: BreakerPolicy,
    pub flood: FloodPolicy,
    /// How often closed positions are committed.
    pub commit_every: Duration,
    /// How often the stage hears that time has passed; none: never.
    pub tick_every: Option<Duration>,
    /// How long a revoke may wait for records in flight. Below the consumer's session timeout.
    pub revoke_deadline: Duration,
    pub reporting: Reporting,
    pub order: Order,
    /// Fixes the jitter of retries; none: at random.
    pub jitter_seed: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            window: WindowPolicy::default(),
            cap: Cap::default(),
            throttle: ThrottlePolicy::default(),
            retry: RetryPolicy::default(),
            breaker: BreakerPolicy::default(),
            flood: FloodPolicy::default(),
            commit_every: Duration::from_secs(1),
            tick_every: None,
            revoke_deadline: Duration::from_secs(10),
            reporting: Reporting::Progress,
            order: Order::Any,
            jitter_seed: None,
        }
    }
}

/// Whether batches and ticks may overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Any,
    /// The next batch or tick begins when all that the one before emitted is in the log: for a stage whose outputs
    /// replace each other.
    OneAtATime,
}

/// Whether the loop tells settle what became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporting {
    Progress,
    /// For settle itself, which would otherwise read its own reports.
    Silent,
}

/// When a batch is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowPolicy {
    /// Records.
    pub count: usize,
    /// Bytes of encoded values.
    pub bytes: usize,
    /// In the unit of `BatchStage::cost`.
    pub cost: u64,
    /// How long the oldest record waits for company. Zero: a batch is whatever waits when there is room in flight.
    pub age: Duration,
}

impl Default for WindowPolicy {
    fn default() -> Self {
        Self {
            count: 64,
            bytes: 4 << 20,
            cost: u64::MAX,
            age: Duration::ZERO,
        }
    }
}

/// What a partition may have open at once: the only buffer there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// Records.
    pub records: usize,
    /// Bytes of encoded values.
    pub bytes: usize,
}

impl Default for Cap {
    fn default() -> Self {
        Self {
            records: 256,
            bytes: 16 << 20,
        }
    }
}

/// Bounds and pace of the permitted in-flight, in records.
#[derive(Debug, Clone, PartialEq)]
pub struct ThrottlePolicy {
    pub min: usize,
    /// Better too low than too high: it grows fast, but a queue that stands from the start passes for normal.
    pub start: usize,
    pub max: usize,
    /// Latency per cost may grow to this multiple of the best before the limit shrinks. Infinite where the cost of a
    /// record says little about the time it takes.
    pub tolerance: f64,
    /// What is left of the limit after a push-back, between 0 and 1.
    pub back_off: f64,
    /// Records the group downstream may lag before the limit shrinks.
    pub lag_low: u64,
    /// Records the group downstream may lag before nothing more is begun.
    pub lag_high: u64,
    /// The same as time, at the pace of that group, where more than `lag_least` records wait.
    pub lag_time_low: Duration,
    pub lag_time_high: Duration,
    pub lag_least: u64,
}

impl Default for ThrottlePolicy {
    fn default() -> Self {
        Self {
            min: 1,
            start: 32,
            max: 512,
            tolerance: 2.0,
            back_off: 0.5,
            lag_low: 50_000,
            lag_high: 200_000,
            lag_time_low: Duration::from_secs(10),
            lag_time_high: Duration::from_secs(60),
            lag_least: 1_000,
        }
    }
}

/// How long the loop waits at most before it asks again. What was down for a minute is found within it, so that the full
/// rate is back in 15 s; a probe so often costs nobody anything.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How what failed is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Wait before the second attempt; doubles with each.
    pub base: Duration,
    /// The longest wait, unless the other side asks for more.
    pub max: Duration,
    /// Retries earned by each first attempt.
    pub budget_ratio: f64,
    /// Retries a second that are always allowed.
    pub budget_floor: f64,
    /// Successes of others after which a record that goes on failing is dead-lettered.
    pub exhausted_after: u64,
    /// Attempts a record has in any case.
    pub min_attempts: u32,
    /// Attempts during which a waiting record pauses its partition.
    pub pausing_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(200),
            max: LONGEST_WAIT,
            budget_ratio: 0.2,
            budget_floor: 10.0,
            exhausted_after: 50,
            min_attempts: 6,
            pausing_attempts: 3,
        }
    }
}

/// When all but a probe waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Attempts that fail in a row before it opens.
    pub failures: u32,
    /// Wait before the first probe; doubles with each that fails.
    pub cool_down: Duration,
    pub max_cool_down: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            cool_down: Duration::from_secs(1),
            max_cool_down: LONGEST_WAIT,
        }
    }
}

/// When undecodable records and panics are no longer the records' fault.
#[derive(Debug, Clone, PartialEq)]
pub struct FloodPolicy {
    /// Records the share is taken over; at least 100.
    pub window: usize,
    /// Share of the window, between 0 and 1.
    pub share: f64,
    /// Bad records one after another.
    pub in_a_row: usize,
}

impl Default for FloodPolicy {
    fn default() -> Self {
        Self {
            window: 200,
            share: 0.5,
            in_a_row: 40,
        }
    }
}
