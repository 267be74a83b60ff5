use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use crate::policy::RetryPolicy;

/// How much the budget can save up, in seconds of its floor.
const SAVINGS_SECONDS: f64 = 10.0;

/// When to try again. Retries are paid from a budget that first attempts fill: attempts alone make storms. Where it is
/// spent, a retry waits the longest time; nothing is given up for want of budget.
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    tokens: f64,
    filled_at: Option<Instant>,
    random: StdRng,
}

impl Retry {
    /// `seed` sets the jitter.
    pub fn new(policy: RetryPolicy, seed: u64) -> Self {
        let tokens = policy.budget_floor * SAVINGS_SECONDS;
        Self {
            policy,
            tokens,
            filled_at: None,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// So many records were tried for the first time.
    pub fn first_attempts(&mut self, records: usize) {
        self.tokens += self.policy.budget_ratio * records as f64;
        self.tokens = self.tokens.min(self.most());
    }

    /// How long to wait before the attempt that follows the `attempts`th: exponential with equal jitter, never less
    /// than the other side asked for.
    pub fn wait(&mut self, attempts: u32, retry_after: Option<Duration>, now: Instant) -> Duration {
        self.fill(now);
        let exponential = if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            let doublings = attempts.saturating_sub(1).min(16);
            (self.policy.base * 2_u32.pow(doublings)).min(self.policy.max)
        } else {
            self.policy.max
        };
        let jittered = exponential.mul_f64(0.5 + 0.5 * self.random.random::<f64>());
        jittered.max(retry_after.unwrap_or_default())
    }

    fn fill(&mut self, now: Instant) {
        let since = self
            .filled_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.filled_at = Some(now);
        self.tokens += self.policy.budget_floor * since.as_secs_f64();
        self.tokens = self.tokens.min(self.most());
    }

    fn most(&self) -> f64 {
        self.policy.budget_floor * SAVINGS_SECONDS + 100.0 * self.policy.budget_ratio
    }
}
