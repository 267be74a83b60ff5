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
        of(&mut self.undecodable, &self.policy, partition).good();
    }

    pub fn undecodable(&mut self, partition: &Partition) -> Result<(), String> {
        of(&mut self.undecodable, &self.policy, partition).bad()
    }

    /// A verdict was given, whichever.
    pub fn processed(&mut self, partition: &Partition) {
        of(&mut self.panics, &self.policy, partition).good();
    }

    pub fn panicked(&mut self, partition: &Partition) -> Result<(), String> {
        of(&mut self.panics, &self.policy, partition).bad()
    }

    pub fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.undecodable.remove(partition);
            self.panics.remove(partition);
        }
    }
}

fn of<'a>(
    floods: &'a mut BTreeMap<Partition, Flood>,
    policy: &FloodPolicy,
    partition: &Partition,
) -> &'a mut Flood {
    floods
        .entry(partition.clone())
        .or_insert_with(|| Flood::new(policy))
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
        self.push(false);
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
