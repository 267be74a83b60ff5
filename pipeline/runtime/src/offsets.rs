use std::collections::{BTreeMap, VecDeque};

use crate::policy::Cap;
use crate::{Assignment, Partition, Position};

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
            held.open_records >= self.cap.records || held.open_bytes >= self.cap.bytes
        })
    }

    /// Half of the cap is free again. Later than "not full", so that a partition is not paused and resumed per record.
    pub fn has_room(&self, partition: &Partition) -> bool {
        self.held.get(partition).is_some_and(|held| {
            held.open_records <= self.cap.records / 2 && held.open_bytes <= self.cap.bytes / 2
        })
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
