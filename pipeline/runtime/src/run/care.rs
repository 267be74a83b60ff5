//! What is known of records that may kill the process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::work::Raw;
use crate::offsets::Ticket;
use crate::{Assignment, Partition, Position, Trail};

/// Trails, suspects, and the record that runs alone.
#[derive(Debug)]
pub struct Care {
    /// Records that are not looked into yet, as they came.
    pub raw: VecDeque<Raw>,
    /// The partition whose turn it was last.
    pub turn: Option<Partition>,
    pub partitions: BTreeMap<Partition, Watch>,
    pub alone: Option<Alone>,
    /// A trail is being written.
    pub writing: bool,
    pub not_before: Instant,
    pub failures: u32,
}

#[derive(Debug)]
pub struct Watch {
    pub start: i64,
    /// The trails of others were looked at.
    pub read: bool,
    /// Our own is in the log.
    pub entered: bool,
    pub suspects: Option<Suspects>,
    /// Its first commit was asked for.
    pub hurried: bool,
}

#[derive(Debug)]
pub struct Suspects {
    /// One past the last.
    pub until: i64,
    /// How often each ran alone and did not close.
    pub times: BTreeMap<i64, u32>,
}

/// The record that runs alone.
#[derive(Debug)]
pub struct Alone {
    pub ticket: Ticket,
    _permit: OwnedSemaphorePermit,
}

impl Alone {
    pub fn new(ticket: Ticket, permit: OwnedSemaphorePermit) -> Self {
        Self {
            ticket,
            _permit: permit,
        }
    }
}

impl Care {
    pub fn new(now: Instant) -> Self {
        Self {
            raw: VecDeque::new(),
            turn: None,
            partitions: BTreeMap::new(),
            alone: None,
            writing: false,
            not_before: now,
            failures: 0,
        }
    }

    pub fn assigned(&mut self, assignments: &[Assignment]) {
        for it in assignments {
            // Given again before it was let go: the trail that is there is our own.
            let before = self.partitions.remove(&it.partition);
            let (read, suspects) = before.map_or((false, None), |it| (it.read, it.suspects));
            let watch = Watch {
                start: it.start,
                read,
                entered: false,
                suspects,
                hurried: false,
            };
            self.partitions.insert(it.partition.clone(), watch);
        }
    }

    /// The next record that waits unread. Partitions take turns: none waits for all that is suspect in another.
    pub fn next_raw(&mut self) -> Option<Raw> {
        let waiting: BTreeSet<&Partition> =
            self.raw.iter().map(|raw| &raw.ticket.partition).collect();
        let after = |it: &&&Partition| Some(**it) > self.turn.as_ref();
        let next = waiting.iter().find(after).or(waiting.first());
        let turn = next.map(|it| (*it).clone());
        let place = self
            .raw
            .iter()
            .position(|raw| Some(&raw.ticket.partition) == turn.as_ref());
        self.turn = turn;
        self.raw.remove(place?)
    }

    /// Whether a partition's first commit was not asked for yet. Rarely: `hurries` need not be asked for each delivery.
    pub fn has_unmoved(&self) -> bool {
        self.partitions.values().any(|it| !it.hurried)
    }

    /// Whether the first commit of one of these partitions is still to be asked for; from now on it is not.
    pub fn hurries(&mut self, positions: &[Position]) -> bool {
        let mut hurries = false;
        for position in positions {
            if let Some(watch) = self.partitions.get_mut(&position.partition) {
                hurries |= !std::mem::replace(&mut watch.hurried, true);
            }
        }
        hurries
    }

    /// Whether a record runs alone, and nothing may run beside it.
    pub fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    pub fn is_careful(&self) -> bool {
        self.partitions.values().any(|it| it.suspects.is_some())
    }

    /// Partitions with records to look into, and no trail of ours.
    pub fn unentered(&self) -> Vec<(Partition, Trail)> {
        let waiting = |partition: &Partition| {
            self.raw
                .iter()
                .any(|raw| raw.ticket.partition == *partition)
        };
        self.partitions
            .iter()
            .filter(|(partition, watch)| !watch.entered && waiting(partition))
            .map(|(partition, watch)| {
                let trail = Trail {
                    from: watch.start,
                    alone: BTreeMap::new(),
                };
                (partition.clone(), trail)
            })
            .collect()
    }

    fn end_alone(&mut self, ticket: &Ticket) {
        if self.alone.as_ref().is_some_and(|it| it.ticket == *ticket) {
            self.alone = None;
        }
    }

    /// A position is closed: the partition moves, so nothing that ran alone before keeps it from moving.
    pub fn closed(&mut self, ticket: &Ticket) {
        self.end_alone(ticket);
        let Some(watch) = self.partitions.get_mut(&ticket.partition) else {
            return;
        };
        if let Some(suspects) = &mut watch.suspects {
            suspects.times.clear();
            if ticket.offset + 1 >= suspects.until {
                watch.suspects = None;
            }
        }
    }

    /// It failed so often that it is not what kills: others may go on.
    pub fn survived(&mut self, ticket: &Ticket) {
        self.end_alone(ticket);
    }

    pub fn retain(&mut self, keep: impl Fn(&Ticket) -> bool) {
        self.raw.retain(|raw| keep(&raw.ticket));
        if self.alone.as_ref().is_some_and(|it| !keep(&it.ticket)) {
            self.alone = None;
        }
    }
}
