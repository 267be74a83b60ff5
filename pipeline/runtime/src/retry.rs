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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            base: Duration::from_millis(100),
            max: Duration::from_secs(10),
            budget_ratio: 0.5,
            budget_floor: 1.0,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn waits_double_with_jitter_up_to_the_longest() {
        let now = Instant::now();
        let check = |attempts: u32, full_ms: u64| {
            for seed in 0..50 {
                let wait = Retry::new(policy(), seed).wait(attempts, None, now);
                let full = Duration::from_millis(full_ms);
                assert!(wait >= full / 2 && wait <= full, "{attempts}: {wait:?}");
            }
        };
        check(1, 100);
        check(2, 200);
        check(5, 1_600);
        check(9, 10_000);
        check(u32::MAX, 10_000);
        let mut many: Vec<Duration> = (0..50)
            .map(|seed| Retry::new(policy(), seed).wait(3, None, now))
            .collect();
        many.dedup();
        assert!(many.len() > 40, "jitter spreads them");
    }

    #[test]
    fn never_before_the_other_side_asks() {
        let asked = Duration::from_secs(77);
        let wait = Retry::new(policy(), 1).wait(1, Some(asked), Instant::now());
        assert_eq!(wait, asked);
    }

    #[test]
    fn a_spent_budget_makes_retries_rare_until_it_fills() {
        let mut retry = Retry::new(policy(), 1);
        let mut now = Instant::now();
        let is_short = |wait: Duration| wait <= Duration::from_millis(100);
        let quick = (0..100)
            .take_while(|_| is_short(retry.wait(1, None, now)))
            .count();
        assert_eq!(quick, 10, "ten seconds of the floor are saved up");
        now += Duration::from_secs(2);
        assert!(is_short(retry.wait(1, None, now)), "the floor fills it");
        assert!(is_short(retry.wait(1, None, now)));
        assert!(!is_short(retry.wait(1, None, now)));
        retry.first_attempts(4);
        assert!(is_short(retry.wait(1, None, now)), "and so do attempts");
        assert!(is_short(retry.wait(1, None, now)));
        assert!(!is_short(retry.wait(1, None, now)));
    }
}
