use std::collections::{BTreeMap, VecDeque};

use crate::Partition;
use crate::policy::FloodPolicy;

/// The least a share is taken over.
const LEAST_WINDOW: usize = 100;

/// A flood per partition, of records that do not decode and of records that make the stage panic. They are counted
/// apart: decoding runs ahead of processing, and its successes must not hide that every record panics.
#[derive(Debug)]
pub struct Floods {
    policy: FloodPolicy,
    undecodable: BTreeMap<Partition, Flood>,
    panics: BTreeMap<Partition, Flood>,
}

impl Floods {
    pub fn new(policy: FloodPolicy) -> Self {
        Self {
            policy,
            undecodable: BTreeMap::new(),
            panics: BTreeMap::new(),
        }
    }

    pub fn decoded(&mut self, partition: &Partition) {
        on(&mut self.undecodable, &self.policy, partition, Flood::good);
    }

    pub fn undecodable(&mut self, partition: &Partition) -> Result<(), String> {
        on(&mut self.undecodable, &self.policy, partition, Flood::bad)
    }

    /// A verdict was given, whichever.
    pub fn processed(&mut self, partition: &Partition) {
        on(&mut self.panics, &self.policy, partition, Flood::good);
    }

    pub fn panicked(&mut self, partition: &Partition) -> Result<(), String> {
        on(&mut self.panics, &self.policy, partition, Flood::bad)
    }

    pub fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.undecodable.remove(partition);
            self.panics.remove(partition);
        }
    }
}

fn on<R>(
    floods: &mut BTreeMap<Partition, Flood>,
    policy: &FloodPolicy,
    partition: &Partition,
    count: impl FnOnce(&mut Flood) -> R,
) -> R {
    // Asked for every record: the partition's name is counted once more only where it is new.
    match floods.get_mut(partition) {
        Some(flood) => count(flood),
        None => {
            let flood = floods.entry(partition.clone());
            count(flood.or_insert_with(|| Flood::new(policy)))
        }
    }
}

/// Tells bad records from a bad deploy, for one partition and one kind of fault.
///
/// What was counted before a restart is forgotten, so three quarters of each allowance count as used at the start:
/// a process that crashes again and again must not empty the topic into its dead letters a window at a time.
#[derive(Debug)]
pub struct Flood {
    in_a_row_limit: usize,
    bad_limit: usize,
    in_a_row: usize,
    /// The last outcomes, true for a bad one.
    window: VecDeque<bool>,
    bad: usize,
}

impl Flood {
    pub fn new(policy: &FloodPolicy) -> Self {
        let size = policy.window.max(LEAST_WINDOW);
        let bad_limit = ((size as f64 * policy.share).ceil() as usize).clamp(1, size);
        let in_a_row_limit = policy.in_a_row.max(1);
        let used = bad_limit * 3 / 4;
        let window = (0..size).map(|place| place >= size - used).collect();
        Self {
            in_a_row_limit,
            bad_limit,
            in_a_row: in_a_row_limit * 3 / 4,
            window,
            bad: used,
        }
    }

    pub fn good(&mut self) {
        self.in_a_row = 0;
        // Where all are good one more changes nothing.
        if self.bad > 0 {
            self.push(false);
        }
    }

    /// Counts a bad record. An error says which limit tripped: the record must not be dead-lettered.
    pub fn bad(&mut self) -> Result<(), String> {
        self.in_a_row += 1;
        self.push(true);
        if self.in_a_row >= self.in_a_row_limit {
            return Err(format!("{} in a row", self.in_a_row));
        }
        if self.bad >= self.bad_limit {
            return Err(format!("{} of the last {}", self.bad, self.window.len()));
        }
        Ok(())
    }

    fn push(&mut self, bad: bool) {
        self.bad += usize::from(bad);
        self.window.push_back(bad);
        if self.window.pop_front() == Some(true) {
            self.bad -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flood(window: usize, share: f64, in_a_row: usize) -> Flood {
        Flood::new(&FloodPolicy {
            window,
            share,
            in_a_row,
        })
    }

    /// Bad records that are let through.
    fn let_through(flood: &mut Flood, outcomes: impl Iterator<Item = bool>) -> usize {
        let mut passed = 0;
        for bad in outcomes {
            if !bad {
                flood.good();
            } else if flood.bad().is_ok() {
                passed += 1;
            } else {
                break;
            }
        }
        passed
    }

    #[test]
    fn many_in_a_row_trip() {
        let mut settled = flood(100, 1.0, 20);
        (0..100).for_each(|_| settled.good());
        assert_eq!(let_through(&mut settled, [true; 100].into_iter()), 19);
    }

    #[test]
    fn a_share_of_the_window_trips() {
        let mut settled = flood(200, 0.25, 100);
        (0..200).for_each(|_| settled.good());
        let every_second = (0..400).map(|place| place % 2 == 0);
        assert_eq!(let_through(&mut settled, every_second), 49);
        let mut settled = flood(200, 0.25, 100);
        (0..200).for_each(|_| settled.good());
        let every_fifth = (0..2_000).map(|place| place % 5 == 0);
        assert_eq!(let_through(&mut settled, every_fifth), 400, "below it");
    }

    #[test]
    fn the_window_is_never_below_a_hundred() {
        let mut settled = flood(1, 0.5, 100);
        (0..100).for_each(|_| settled.good());
        assert_eq!(let_through(&mut settled, [true; 100].into_iter()), 49);
    }

    #[test]
    fn a_restart_leaves_a_quarter_of_each_allowance() {
        let mut fresh = flood(100, 1.0, 20);
        assert_eq!(let_through(&mut fresh, [true; 100].into_iter()), 4);
        let mut fresh = flood(100, 0.5, 100);
        let every_second = (0..100).map(|place| place % 2 == 0);
        assert_eq!(let_through(&mut fresh, every_second), 12);
    }

    #[test]
    fn decoding_does_not_hide_panics() {
        let mut floods = Floods::new(FloodPolicy {
            window: 100,
            share: 1.0,
            in_a_row: 20,
        });
        let partition = Partition {
            topic: "t".into(),
            number: 0,
        };
        let let_through = (0..100)
            .take_while(|_| {
                floods.decoded(&partition);
                floods.panicked(&partition).is_ok()
            })
            .count();
        assert_eq!(let_through, 4);
    }
}
