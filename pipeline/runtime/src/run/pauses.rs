//! Which partitions are paused, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Failure, Partition, Source};

/// Keeps the source's pauses as they should be: each applied once, resumed once, and applied again where an assignment
/// may have lost it.
#[derive(Debug, Default)]
pub struct Pauses {
    /// Partitions full of open records.
    full: BTreeSet<Partition>,
    /// Records waiting for another attempt, by partition.
    waiting: BTreeMap<Partition, usize>,
    /// The breaker is open, or no more is taken.
    all: bool,
    applied: BTreeSet<Partition>,
    since: Option<Instant>,
}

impl Pauses {
    pub fn set_full(&mut self, partition: &Partition, full: bool) {
        if !full {
            self.full.remove(partition);
        } else if !self.full.contains(partition) {
            self.full.insert(partition.clone());
        }
    }

    pub fn is_full(&self, partition: &Partition) -> bool {
        self.full.contains(partition)
    }

    pub fn wait(&mut self, partition: &Partition) {
        *self.waiting.entry(partition.clone()).or_default() += 1;
    }

    pub fn wait_over(&mut self, partition: &Partition) {
        if let Some(count) = self.waiting.get_mut(partition) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(partition);
            }
        }
    }

    pub fn set_all(&mut self, all: bool) {
        self.all = all;
    }

    /// Newly assigned partitions are not paused, whatever they were before; and no other's pause is sure to have
    /// survived, so all are applied anew.
    pub fn assigned(&mut self) {
        self.applied.clear();
    }

    pub fn revoked(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.full.remove(partition);
            self.applied.remove(partition);
        }
    }

    /// Makes the source's pauses what they should be. Returns how long some partition has been paused since last asked.
    pub fn apply(
        &mut self,
        held: &BTreeSet<Partition>,
        source: &mut dyn Source,
        now: Instant,
    ) -> Result<Duration, Failure> {
        let wanted: BTreeSet<Partition> = if self.all {
            held.clone()
        } else {
            let waiting = self.waiting.keys();
            let wanted = self.full.iter().chain(waiting);
            wanted.filter(|one| held.contains(one)).cloned().collect()
        };
        if wanted != self.applied {
            let pause: Vec<Partition> = wanted.difference(&self.applied).cloned().collect();
            let resume: Vec<Partition> = self.applied.difference(&wanted).cloned().collect();
            if !pause.is_empty() {
                source.pause(&pause)?;
            }
            if !resume.is_empty() {
                source.resume(&resume)?;
            }
            self.applied = wanted;
        }
        let paused = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.since = (!self.applied.is_empty()).then_some(now);
        Ok(paused)
    }
}
