use std::collections::VecDeque;

use tokio::time::Instant;

use crate::policy::WindowPolicy;

/// Records that wait to become a batch, by count, bytes, cost or age.
#[derive(Debug)]
pub struct Window<T> {
    policy: WindowPolicy,
    waiting: VecDeque<Waiting<T>>,
    bytes: usize,
    cost: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    bytes: usize,
    cost: u64,
    since: Instant,
}

impl<T> Window<T> {
    pub fn new(policy: WindowPolicy) -> Self {
        Self {
            policy,
            waiting: VecDeque::new(),
            bytes: 0,
            cost: 0,
        }
    }

    pub fn push(&mut self, item: T, bytes: usize, cost: u64, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.cost = self.cost.saturating_add(cost);
        self.waiting.push_back(Waiting {
            item,
            bytes,
            cost,
            since: now,
        });
    }

    /// A full batch waits, or the oldest record has waited long enough.
    pub fn is_ripe(&self, now: Instant) -> bool {
        let full = self.waiting.len() >= self.policy.count
            || self.bytes >= self.policy.bytes
            || self.cost >= self.policy.cost;
        !self.waiting.is_empty() && (full || self.ripe_at().is_some_and(|at| at <= now))
    }

    /// When the oldest record has waited long enough.
    pub fn ripe_at(&self) -> Option<Instant> {
        self.waiting
            .front()
            .map(|oldest| oldest.since + self.policy.age)
    }

    /// How many records the next batch has: as many as fit, at most `limit`, and at least one where any waits.
    pub fn next_len(&self, limit: usize) -> usize {
        let count = limit.min(self.policy.count).max(1);
        let (mut bytes, mut cost) = (0_usize, 0_u64);
        let fitting = self.waiting.iter().take(count).take_while(|waiting| {
            bytes = bytes.saturating_add(waiting.bytes);
            cost = cost.saturating_add(waiting.cost);
            bytes <= self.policy.bytes && cost <= self.policy.cost
        });
        fitting.count().max(1).min(self.waiting.len())
    }

    /// The next batch, oldest first.
    pub fn take(&mut self, limit: usize) -> Vec<T> {
        let batch: Vec<Waiting<T>> = self.waiting.drain(..self.next_len(limit)).collect();
        for taken in &batch {
            self.bytes = self.bytes.saturating_sub(taken.bytes);
            self.cost = self.cost.saturating_sub(taken.cost);
        }
        batch.into_iter().map(|taken| taken.item).collect()
    }

    /// Drops what does not satisfy `keep`.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.waiting.retain(|waiting| keep(&waiting.item));
        self.bytes = self
            .waiting
            .iter()
            .fold(0, |sum, waiting| sum.saturating_add(waiting.bytes));
        self.cost = self
            .waiting
            .iter()
            .fold(0, |sum, waiting| sum.saturating_add(waiting.cost));
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}
