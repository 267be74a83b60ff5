use std::collections::{BTreeMap, VecDeque};

use crate::policy::Cap;
use crate::{Assignment, Partition, Position};

/// How many times the cap may lie behind one record that will not close.
const SPAN: usize = 64;

/// Proof that a position was opened. It carries its assignment's generation: what is closed after a revoke closes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub partition: Partition,
    pub offset: i64,
    generation: u64,
}

/// Open and closed positions of every partition held. The committable position is the lowest unresolved one.
#[derive(Debug)]
pub struct Offsets {
    cap: Cap,
    /// Grows with each assignment, so that no two tickets of different assignments are alike.
    generation: u64,
    held: BTreeMap<Partition, Held>,
}

#[derive(Debug)]
struct Held {
    generation: u64,
    /// In ascending order; gaps are offsets that the log does not have.
    positions: VecDeque<Slot>,
    /// The lowest offset that may still come.
    next: i64,
    /// What a restart would read first, as far as the broker knows.
    committed: i64,
    open_records: usize,
    open_bytes: usize,
}

#[derive(Debug)]
struct Slot {
    offset: i64,
    bytes: usize,
    closed: bool,
}

impl Offsets {
    pub fn new(cap: Cap) -> Self {
        Self {
            cap,
            generation: 0,
            held: BTreeMap::new(),
        }
    }

    /// Takes partitions on. One that is held already starts anew: its tickets are void.
    pub fn assign(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            self.generation += 1;
            self.held.insert(
                assignment.partition.clone(),
                Held {
                    generation: self.generation,
                    positions: VecDeque::new(),
                    next: assignment.start,
                    committed: assignment.start,
                    open_records: 0,
                    open_bytes: 0,
                },
            );
        }
    }

    /// Lets partitions go: their tickets are void.
    pub fn revoke(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.held.remove(partition);
        }
    }

    /// Opens a position. None where the partition is not held, or the offset was seen before.
    pub fn open(&mut self, partition: &Partition, offset: i64, bytes: usize) -> Option<Ticket> {
        let held = self.held.get_mut(partition)?;
        if offset < held.next {
            return None;
        }
        held.next = offset + 1;
        held.open_records += 1;
        held.open_bytes += bytes;
        held.positions.push_back(Slot {
            offset,
            bytes,
            closed: false,
        });
        Some(Ticket {
            partition: partition.clone(),
            offset,
            generation: held.generation,
        })
    }

    /// Closes a position; says whether the ticket was still good.
    pub fn close(&mut self, ticket: &Ticket) -> bool {
        let Some(held) = self.held.get_mut(&ticket.partition) else {
            return false;
        };
        if held.generation != ticket.generation {
            return false;
        }
        let found = held
            .positions
            .binary_search_by_key(&ticket.offset, |slot| slot.offset);
        let Some(slot) = found.ok().and_then(|at| held.positions.get_mut(at)) else {
            return false;
        };
        if slot.closed {
            return false;
        }
        slot.closed = true;
        held.open_records -= 1;
        held.open_bytes = held.open_bytes.saturating_sub(slot.bytes);
        while held.positions.front().is_some_and(|slot| slot.closed) {
            held.positions.pop_front();
        }
        true
    }

    /// Whether closing this ticket would still count.
    pub fn is_current(&self, ticket: &Ticket) -> bool {
        self.held
            .get(&ticket.partition)
            .is_some_and(|held| held.generation == ticket.generation)
    }

    /// No more should be taken from this partition.
    pub fn is_full(&self, partition: &Partition) -> bool {
        self.held.get(partition).is_some_and(|held| {
            held.open_records >= self.cap.records
                || held.open_bytes >= self.cap.bytes
                || held.positions.len() >= self.longest_span()
        })
    }

    /// Half of the cap is free again. Later than "not full", so that a partition is not paused and resumed per record.
    pub fn has_room(&self, partition: &Partition) -> bool {
        self.held.get(partition).is_some_and(|held| {
            held.open_records <= self.cap.records / 2
                && held.open_bytes <= self.cap.bytes / 2
                && held.positions.len() <= self.longest_span() / 2
        })
    }

    /// Positions from the lowest open one to the highest: what a restart would do again.
    fn longest_span(&self) -> usize {
        self.cap.records.saturating_mul(SPAN)
    }

    /// Positions that a commit would move forward.
    pub fn committable(&self) -> Vec<Position> {
        self.held
            .iter()
            .filter_map(|(partition, held)| held.committable(partition))
            .collect()
    }

    /// The same, of these partitions only.
    pub fn committable_of(&self, partitions: &[Partition]) -> Vec<Position> {
        partitions
            .iter()
            .filter_map(|partition| self.held.get(partition)?.committable(partition))
            .collect()
    }

    /// The broker has these.
    pub fn committed(&mut self, positions: &[Position]) {
        for position in positions {
            if let Some(held) = self.held.get_mut(&position.partition) {
                held.committed = held.committed.max(position.offset);
            }
        }
    }

    /// Where a restart would begin; none where the partition is not held.
    pub fn committed_of(&self, partition: &Partition) -> Option<i64> {
        self.held.get(partition).map(|held| held.committed)
    }

    /// Partitions held, in order.
    pub fn partitions(&self) -> Vec<Partition> {
        self.held.keys().cloned().collect()
    }

    pub fn holds(&self, partition: &Partition) -> bool {
        self.held.contains_key(partition)
    }

    /// Records open, over all partitions.
    pub fn open_records(&self) -> usize {
        self.held.values().map(|held| held.open_records).sum()
    }
}

impl Held {
    fn committable(&self, partition: &Partition) -> Option<Position> {
        // Closed positions are dropped from the front, so the front is the lowest unresolved one.
        let offset = match self.positions.front() {
            Some(lowest) => lowest.offset,
            None => self.next,
        };
        (offset > self.committed).then(|| Position {
            partition: partition.clone(),
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn partition(number: i32) -> Partition {
        Partition {
            topic: "t".into(),
            number,
        }
    }

    fn offsets(records: usize, start: i64) -> Offsets {
        let mut offsets = Offsets::new(Cap {
            records,
            bytes: 1_000,
        });
        offsets.assign(&[Assignment {
            partition: partition(0),
            start,
        }]);
        offsets
    }

    fn committable(offsets: &Offsets) -> Option<i64> {
        offsets.committable().first().map(|at| at.offset)
    }

    #[test]
    fn the_lowest_open_position_bounds_the_commit() {
        let mut offsets = offsets(10, 5);
        // 6 to 8 do not exist.
        let tickets: Vec<Ticket> = [5, 9, 10]
            .iter()
            .map(|offset| offsets.open(&partition(0), *offset, 1).unwrap())
            .collect();
        assert_eq!(committable(&offsets), None);
        assert!(offsets.close(&tickets[1]));
        assert_eq!(committable(&offsets), None, "5 is open");
        assert!(offsets.close(&tickets[0]));
        assert_eq!(committable(&offsets), Some(10));
        assert!(!offsets.close(&tickets[0]), "closed twice");
        assert!(offsets.close(&tickets[2]));
        assert_eq!(committable(&offsets), Some(11));
        let positions = offsets.committable();
        offsets.committed(&positions);
        assert_eq!(committable(&offsets), None, "nothing new");
    }

    #[test]
    fn a_ticket_of_an_earlier_assignment_closes_nothing() {
        let mut offsets = offsets(10, 0);
        let old = offsets.open(&partition(0), 0, 1).unwrap();
        offsets.revoke(&[partition(0)]);
        assert!(!offsets.close(&old));
        assert!(offsets.open(&partition(0), 1, 1).is_none(), "not held");
        let again = Assignment {
            partition: partition(0),
            start: 0,
        };
        offsets.assign(&[again]);
        let new = offsets.open(&partition(0), 0, 1).unwrap();
        assert!(!offsets.close(&old) && !offsets.is_current(&old));
        assert_eq!(committable(&offsets), None);
        assert!(offsets.close(&new));
        assert_eq!(committable(&offsets), Some(1));
    }

    #[test]
    fn what_was_seen_is_not_opened_again() {
        let mut offsets = offsets(10, 3);
        assert!(offsets.open(&partition(0), 2, 1).is_none(), "committed");
        assert!(offsets.open(&partition(0), 3, 1).is_some());
        assert!(offsets.open(&partition(0), 3, 1).is_none(), "twice");
    }

    #[test]
    fn the_cap_counts_records_and_bytes() {
        let check = |cap: usize, sizes: &[usize], full: bool| {
            let mut offsets = offsets(cap, 0);
            let mut tickets = Vec::new();
            for (offset, bytes) in (0..).zip(sizes) {
                tickets.push(offsets.open(&partition(0), offset, *bytes).unwrap());
            }
            assert_eq!(offsets.is_full(&partition(0)), full, "{sizes:?}");
            for ticket in &tickets {
                offsets.close(ticket);
            }
            assert!(offsets.has_room(&partition(0)), "{sizes:?}");
        };
        check(3, &[1, 1], false);
        check(3, &[1, 1, 1], true);
        check(3, &[400, 700], true);
        check(3, &[], false);
    }

    #[test]
    fn one_record_that_does_not_close_bounds_what_runs_ahead() {
        let mut offsets = offsets(2, 0);
        offsets.open(&partition(0), 0, 1).unwrap();
        let mut ahead = 0;
        while !offsets.is_full(&partition(0)) {
            ahead += 1;
            let ticket = offsets.open(&partition(0), ahead, 1).unwrap();
            offsets.close(&ticket);
        }
        assert_eq!(ahead, 2 * 64 - 1);
    }

    proptest! {
        /// Against a model: the set of open offsets.
        #[test]
        fn commits_stop_at_the_lowest_unresolved(
            gaps in proptest::collection::vec(1_i64..4, 1..40),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let mut offsets = offsets(1_000, 0);
            let mut open = BTreeSet::new();
            let mut tickets = Vec::new();
            let mut last = -1;
            for gap in gaps {
                last += gap;
                tickets.push(offsets.open(&partition(0), last, 1).unwrap());
                open.insert(last);
            }
            for index in order {
                let ticket = index.get(&tickets);
                prop_assert_eq!(offsets.close(ticket), open.remove(&ticket.offset));
                let expected = open.first().copied().unwrap_or(last + 1);
                prop_assert_eq!(committable(&offsets).unwrap_or(0), expected);
                prop_assert_eq!(offsets.open_records(), open.len());
            }
        }
    }
}
