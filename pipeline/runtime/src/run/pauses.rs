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
    /// An assignment may have undone what was applied.
    unsure: bool,
    /// A partition is full that was not when pauses were last applied.
    overdue: bool,
    since: Option<Instant>,
}

impl Pauses {
    pub fn set_full(&mut self, partition: &Partition, full: bool) {
        if !full {
            self.full.remove(partition);
        } else if !self.full.contains(partition) {
            self.full.insert(partition.clone());
            self.overdue = true;
        }
    }

    /// Whether pauses have to be applied before more is taken.
    pub fn are_overdue(&self) -> bool {
        self.overdue
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
        self.unsure = true;
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
        self.overdue = false;
        let wanted: BTreeSet<Partition> = if self.all {
            held.clone()
        } else {
            let waiting = self.waiting.keys();
            let wanted = self.full.iter().chain(waiting);
            wanted.filter(|one| held.contains(one)).cloned().collect()
        };
        if self.unsure || wanted != self.applied {
            let unsure = std::mem::take(&mut self.unsure);
            let new = |partition: &&Partition| unsure || !self.applied.contains(*partition);
            let pause: Vec<Partition> = wanted.iter().filter(new).cloned().collect();
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::{Event, Position};

    /// Writes down what it is told.
    #[derive(Default)]
    struct Notes(Vec<String>);

    #[async_trait]
    impl Source for Notes {
        async fn next(&mut self) -> Result<Event, Failure> {
            Ok(Event::End)
        }

        fn pause(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
            let numbers = partitions.iter().map(|partition| partition.number);
            self.0
                .push(format!("pause {:?}", numbers.collect::<Vec<_>>()));
            Ok(())
        }

        fn resume(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
            let numbers = partitions.iter().map(|partition| partition.number);
            self.0
                .push(format!("resume {:?}", numbers.collect::<Vec<_>>()));
            Ok(())
        }

        async fn commit(&mut self, _positions: &[Position]) -> Result<(), Failure> {
            Ok(())
        }

        async fn close(&mut self) {}
    }

    fn partition(number: i32) -> Partition {
        Partition {
            topic: "t".into(),
            number,
        }
    }

    #[test]
    fn each_pause_is_applied_once_and_again_after_an_assignment() {
        let held: BTreeSet<Partition> = (0..3).map(partition).collect();
        let now = Instant::now();
        let mut pauses = Pauses::default();
        let mut check = |change: &dyn Fn(&mut Pauses), expect: &[&str]| {
            let mut notes = Notes::default();
            change(&mut pauses);
            pauses.apply(&held, &mut notes, now).unwrap();
            assert_eq!(notes.0, expect);
        };
        check(&|_| (), &[]);
        check(
            &|pauses| pauses.set_full(&partition(1), true),
            &["pause [1]"],
        );
        check(&|pauses| pauses.wait(&partition(1)), &[]);
        check(&|pauses| pauses.wait(&partition(1)), &[]);
        check(&|pauses| pauses.set_full(&partition(1), false), &[]);
        check(&|pauses| pauses.wait_over(&partition(1)), &[]);
        check(&|pauses| pauses.assigned(), &["pause [1]"]);
        check(&|pauses| pauses.wait_over(&partition(1)), &["resume [1]"]);
        check(&|pauses| pauses.set_all(true), &["pause [0, 1, 2]"]);
        check(&|pauses| pauses.revoked(&[partition(2)]), &["pause [2]"]);
        // The assignment and the end of the pause at once: still resumed.
        let both = |pauses: &mut Pauses| {
            pauses.assigned();
            pauses.set_all(false);
        };
        check(&both, &["resume [0, 1, 2]"]);
        check(&|pauses| pauses.set_full(&partition(9), true), &[]);
    }

    #[tokio::test(start_paused = true)]
    async fn time_counts_while_any_is_paused() {
        let held: BTreeSet<Partition> = (0..2).map(partition).collect();
        let mut notes = Notes::default();
        let mut pauses = Pauses::default();
        let second = Duration::from_secs(1);
        let mut total = Duration::ZERO;
        for full in [true, true, false, false, true] {
            pauses.set_full(&partition(0), full);
            total += pauses.apply(&held, &mut notes, Instant::now()).unwrap();
            tokio::time::advance(second).await;
        }
        assert_eq!(total, 2 * second, "the last second is not told yet");
    }
}
