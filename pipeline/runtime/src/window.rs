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

    /// The oldest records, as many as `next_len` has said.
    pub fn take(&mut self, len: usize) -> impl Iterator<Item = T> {
        let len = len.min(self.waiting.len());
        for taken in self.waiting.iter().take(len) {
            self.bytes = self.bytes.saturating_sub(taken.bytes);
            self.cost = self.cost.saturating_sub(taken.cost);
        }
        self.waiting.drain(..len).map(|taken| taken.item)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const AGE: Duration = Duration::from_millis(50);

    fn check(records: &[(usize, u64)], limit: usize, expect: &[usize]) {
        let mut window = Window::new(WindowPolicy {
            count: 4,
            bytes: 100,
            cost: 10,
            age: AGE,
        });
        let now = Instant::now();
        for (place, (bytes, cost)) in records.iter().enumerate() {
            window.push(place, *bytes, *cost, now);
        }
        let mut sizes = Vec::new();
        let mut taken = Vec::new();
        while !window.is_empty() {
            let announced = window.next_len(limit);
            let batch: Vec<usize> = window.take(announced).collect();
            assert_eq!(announced, batch.len(), "{records:?}");
            sizes.push(batch.len());
            taken.extend(batch);
        }
        assert_eq!(sizes, expect, "{records:?}");
        assert_eq!(taken, (0..records.len()).collect::<Vec<_>>(), "in order");
        assert_eq!((window.bytes, window.cost), (0, 0));
    }

    #[test]
    fn batches_end_at_the_first_bound() {
        check(&[], 9, &[]);
        check(&[(1, 1); 9], 9, &[4, 4, 1]);
        check(&[(1, 1); 4], 3, &[3, 1]);
        check(&[(60, 1), (40, 1), (1, 1)], 9, &[2, 1]);
        check(&[(1, 6), (1, 5), (1, 5)], 9, &[1, 2]);
        // Too large for any batch: alone, not never.
        check(&[(500, 1), (1, 1), (1, 50), (1, 1)], 9, &[1, 1, 1, 1]);
        check(&[(1, 1), (1, 1)], 0, &[1, 1]);
    }

    #[test]
    fn ripe_when_full_or_old() {
        let policy = WindowPolicy {
            count: 2,
            bytes: 100,
            cost: 10,
            age: AGE,
        };
        let now = Instant::now();
        let ripe = |records: &[(usize, u64)], after: Duration| {
            let mut window = Window::new(policy.clone());
            for (bytes, cost) in records {
                window.push((), *bytes, *cost, now);
            }
            window.is_ripe(now + after)
        };
        let at_once = Duration::ZERO;
        assert!(!ripe(&[], AGE));
        assert!(!ripe(&[(1, 1)], AGE / 2));
        assert!(ripe(&[(1, 1)], AGE));
        assert!(ripe(&[(1, 1), (1, 1)], at_once));
        assert!(ripe(&[(100, 1)], at_once));
        assert!(ripe(&[(1, 10)], at_once));
    }

    #[test]
    fn dropped_records_no_longer_count() {
        let mut window = Window::new(WindowPolicy {
            count: 3,
            bytes: 100,
            cost: 10,
            age: AGE,
        });
        let now = Instant::now();
        for place in 0..3 {
            window.push(place, 40, 4, now);
        }
        window.retain(|place| *place == 1);
        assert!(!window.is_ripe(now));
        assert_eq!(window.take(9).collect::<Vec<_>>(), [1]);
        assert_eq!((window.bytes, window.cost), (0, 0));
    }
}
