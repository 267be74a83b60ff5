//! What the loop knows, and the steps it takes without waiting for anything but a commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Wiring;
use super::care::Care;
use super::pauses::Pauses;
use super::work::{Crew, Delivery, Done, Item, Work};
use crate::breaker::Breaker;
use crate::dead_letters::DeadLetters;
use crate::flood::Floods;
use crate::gauges::Gauges;
use crate::offsets::{Offsets, Ticket};
use crate::policy::Policy;
use crate::retry::Retry;
use crate::throttle::Throttle;
use crate::window::Window;
use crate::{BatchStage, Failure, Input, Partition, RevokeAck, Route, Sink, Source};

/// One stage's share of the work in this process.
pub(super) struct Consumer<S: BatchStage, R> {
    pub(super) crew: Arc<Crew<S, R>>,
    pub(super) policy: Policy,
    pub(super) gauges: Arc<Gauges>,
    pub(super) offsets: Offsets,
    /// The partitions of `offsets`.
    pub(super) held: BTreeSet<Partition>,
    pub(super) window: Window<(Box<Item>, Input<S::In>)>,
    /// Halves of batches that failed as a whole; they go before what waits in the window.
    pub(super) halves: VecDeque<Work<S::In>>,
    pub(super) waiting: Vec<Waiting<Work<S::In>>>,
    pub(super) undelivered: Vec<Waiting<Delivery>>,
    pub(super) tasks: JoinSet<Done<S::In>>,
    /// How many of the tasks deliver.
    pub(super) delivering: usize,
    pub(super) in_flight: usize,
    /// Records in flight by partition: what a revoke waits for.
    pub(super) busy: BTreeMap<Partition, usize>,
    pub(super) throttle: Throttle,
    pub(super) retry: Retry,
    pub(super) breaker: Breaker,
    pub(super) floods: Floods,
    pub(super) pauses: Pauses,
    pub(super) leaving: Vec<Leaving>,
    pub(super) assigning: Assigning,
    pub(super) tick: Tick,
    pub(super) care: Care,
    /// Records the stage has worked on with success.
    pub(super) successes: u64,
    pub(super) commit_at: Instant,
    /// The source failed for a transient reason: not before this.
    pub(super) listen_at: Instant,
    pub(super) deaf_times: u32,
    pub(super) phase: Phase,
}

/// Something that waits for its next attempt.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub due: Instant,
    pub what: T,
}

/// Partitions taken from us, until their records in flight are through.
#[derive(Debug)]
pub(super) struct Leaving {
    pub partitions: Vec<Partition>,
    pub ack: RevokeAck,
    /// When records in flight are no longer waited for.
    pub deadline: Instant,
    /// A commit was refused: the next try.
    pub not_before: Instant,
    pub refusals: u32,
    /// When the commit is no longer waited for either.
    pub last: Instant,
}

/// Telling the stage which partitions it serves. Nothing is begun meanwhile.
#[derive(Debug)]
pub(super) struct Assigning {
    /// The stage does not know what is held now.
    pub stale: bool,
    pub running: bool,
    pub not_before: Instant,
    pub attempts: u32,
}

#[derive(Debug)]
pub(super) struct Tick {
    pub due: Instant,
    /// Begun, and what it emitted is not in the log yet.
    pub pending: bool,
    pub failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Taking,
    /// The source has ended; what was taken is finished, however long it takes.
    Ended,
    /// A soft stop: what was taken is finished, unless it has to be tried again.
    Stopping,
}

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    pub fn new(
        wiring: Wiring<S, R>,
        sink: Arc<dyn Sink>,
        policy: Policy,
        gauges: Arc<Gauges>,
    ) -> Self {
        let now = Instant::now();
        let letters = DeadLetters::new(&wiring.name, &wiring.from.dead_letters());
        Self {
            crew: Arc::new(Crew {
                name: wiring.name.into(),
                stage: wiring.stage,
                route: wiring.to,
                codec: wiring.codec,
                sink,
                letters,
                reporting: policy.reporting,
                attempts: wiring.attempts,
            }),
            gauges,
            offsets: Offsets::new(policy.cap.clone()),
            held: BTreeSet::new(),
            window: Window::new(policy.window.clone()),
            halves: VecDeque::new(),
            waiting: Vec::new(),
            undelivered: Vec::new(),
            tasks: JoinSet::new(),
            delivering: 0,
            in_flight: 0,
            busy: BTreeMap::new(),
            throttle: Throttle::new(policy.throttle.clone()),
            retry: Retry::new(
                policy.retry.clone(),
                policy.jitter_seed.unwrap_or_else(rand::random),
            ),
            breaker: Breaker::new(policy.breaker.clone()),
            floods: Floods::new(policy.flood.clone()),
            pauses: Pauses::default(),
            leaving: Vec::new(),
            assigning: Assigning {
                stale: false,
                running: false,
                not_before: now,
                attempts: 0,
            },
            tick: Tick {
                due: now + policy.tick_every.unwrap_or_default(),
                pending: false,
                failures: 0,
            },
            care: Care::new(now),
            successes: 0,
            commit_at: now + policy.commit_every,
            listen_at: now,
            deaf_times: 0,
            phase: Phase::Taking,
            policy,
        }
    }

    pub fn name(&self) -> &str {
        &self.crew.name
    }

    /// A soft stop: no more is taken, and nothing waits for another attempt.
    pub fn take_no_more(&mut self, now: Instant) {
        if self.phase == Phase::Stopping {
            return;
        }
        self.phase = Phase::Stopping;
        for waiting in std::mem::take(&mut self.waiting) {
            self.end_pause_of(&waiting.what);
        }
        self.care.raw.clear();
        self.commit_at = now;
    }

    pub fn takes_more(&self) -> bool {
        self.phase != Phase::Stopping
    }

    /// Whether to ask the source for its next event.
    pub fn listens(&self, now: Instant) -> bool {
        self.phase != Phase::Ended && self.listen_at <= now
    }

    /// Nothing more comes, and nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.phase != Phase::Taking
            && self.care.raw.is_empty()
            && self.window.is_empty()
            && self.halves.is_empty()
            && self.waiting.is_empty()
            && self.undelivered.is_empty()
            && self.tasks.is_empty()
            && self.leaving.is_empty()
    }

    pub(super) fn take_up<'a>(&mut self, items: impl Iterator<Item = &'a Box<Item>>) {
        for (partition, count) in runs(items) {
            self.in_flight += count;
            match self.busy.get_mut(partition) {
                Some(busy) => *busy += count,
                None => {
                    self.busy.insert(partition.clone(), count);
                }
            }
        }
    }

    pub(super) fn put_down<'a>(&mut self, items: impl Iterator<Item = &'a Box<Item>>) {
        for (partition, count) in runs(items) {
            self.in_flight = self.in_flight.saturating_sub(count);
            if let Some(busy) = self.busy.get_mut(partition) {
                *busy = busy.saturating_sub(count);
                if *busy == 0 {
                    self.busy.remove(partition);
                }
            }
        }
    }

    /// The records no longer wait for another attempt.
    pub(super) fn end_pause_of(&mut self, work: &Work<S::In>) {
        for item in work.items.iter().filter(|item| item.pausing) {
            self.pauses.wait_over(&item.ticket.partition);
        }
    }

    /// Whether working on this record can still come to something here.
    pub(super) fn is_ours(&self, ticket: &Ticket) -> bool {
        let leaving = self
            .leaving
            .iter()
            .any(|leaving| leaving.partitions.contains(&ticket.partition));
        !leaving && self.offsets.is_current(ticket)
    }

    pub fn forget_unbegun(&mut self) {
        self.window.retain(|_| false);
        self.halves.clear();
    }

    /// Drops what is not begun and no longer ours.
    pub(super) fn drop_foreign(&mut self) {
        let mut care = std::mem::replace(&mut self.care, Care::new(Instant::now()));
        care.retain(|ticket| self.is_ours(ticket));
        self.care = care;
        let mut window =
            std::mem::replace(&mut self.window, Window::new(self.policy.window.clone()));
        window.retain(|(item, _)| self.is_ours(&item.ticket));
        self.window = window;
        let halves = std::mem::take(&mut self.halves);
        self.halves = halves
            .into_iter()
            .map(|work| work.retain(|item| self.is_ours(&item.ticket)))
            .filter(|work| !work.is_empty())
            .collect();
        for waiting in std::mem::take(&mut self.waiting) {
            self.end_pause_of(&waiting.what);
            let what = waiting.what.retain(|item| self.is_ours(&item.ticket));
            if what.is_empty() {
                continue;
            }
            for item in what.items.iter().filter(|item| item.pausing) {
                self.pauses.wait(&item.ticket.partition);
            }
            let due = waiting.due;
            self.waiting.push(Waiting { due, what });
        }
    }

    /// Makes the source pause what has to wait.
    pub fn pause(&mut self, source: &mut dyn Source, now: Instant) -> Result<(), Failure> {
        // While the breaker is open, what is in hand serves for probes. Where nothing is, records may still come:
        // the one that failed must not be the only one to probe with.
        let probing = !self.breaker.is_closed() && !self.window.is_empty();
        self.pauses.set_all(probing || !self.takes_more());
        let paused = self.pauses.apply(&self.held, source, now)?;
        self.gauges.paused_us.add_micros(paused);
        Ok(())
    }

    /// When something is due that no event announces. What is due already could not be done, and waits for an event.
    pub fn wake_at(&self, now: Instant) -> Instant {
        let soonest = self
            .waiting
            .iter()
            .map(|waiting| waiting.due)
            .chain(self.undelivered.iter().map(|waiting| waiting.due))
            .chain(self.leaving.iter().map(|leaving| leaving.deadline))
            .chain(self.leaving.iter().map(|leaving| leaving.not_before))
            .chain(self.window.ripe_at())
            .chain(self.throttle.held_until())
            .chain(self.breaker.probe_at())
            .chain([
                self.tick.due,
                self.assigning.not_before,
                self.care.not_before,
                self.listen_at,
            ])
            .filter(|due| *due > now)
            .min();
        // The interval also bounds how long a change of the downstream lag goes unnoticed.
        let interval = match self.tick.pending {
            // No commit before its end, which is an event.
            true => now + self.policy.commit_every,
            false => self.commit_at.max(now + Duration::from_millis(1)),
        };
        soonest.map_or(interval, |soonest| soonest.min(interval))
    }
}

/// How many records of one partition follow each other: they are read in turns, so the runs are long.
fn runs<'a>(
    items: impl Iterator<Item = &'a Box<Item>>,
) -> impl Iterator<Item = (&'a Partition, usize)> {
    let mut items = items.map(|item| &item.ticket.partition).peekable();
    std::iter::from_fn(move || {
        let partition = items.next()?;
        let mut count = 1;
        while items.next_if_eq(&partition).is_some() {
            count += 1;
        }
        Some((partition, count))
    })
}
