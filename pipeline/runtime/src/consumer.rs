//! What the loop knows, and the steps it takes without waiting for anything but a commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::breaker::{Admit, Breaker};
use crate::dead_letters::DeadLetters;
use crate::flood::Floods;
use crate::gauges::Gauges;
use crate::offsets::{Offsets, Ticket};
use crate::pauses::Pauses;
use crate::policy::{Order, Policy};
use crate::retry::Retry;
use crate::run::Wiring;
use crate::throttle::Throttle;
use crate::window::Window;
use crate::work::{Crew, Delivery, Done, Item, Resolved, Work};
use crate::{BatchStage, Failure, Input, Partition, Position, RevokeAck, Route, Sink, Source};

/// One stage's share of the work in this process.
pub(crate) struct Consumer<S: BatchStage, R> {
    pub(crate) crew: Arc<Crew<S, R>>,
    pub(crate) policy: Policy,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) offsets: Offsets,
    /// The partitions of `offsets`.
    pub(crate) held: BTreeSet<Partition>,
    pub(crate) window: Window<(Item, Input<S::In>)>,
    /// Halves of batches that failed as a whole; they go before what waits in the window.
    pub(crate) halves: VecDeque<Work<S::In>>,
    pub(crate) waiting: Vec<Waiting<Work<S::In>>>,
    pub(crate) undelivered: Vec<Waiting<Delivery>>,
    pub(crate) tasks: JoinSet<Done<S::In>>,
    pub(crate) in_flight: usize,
    /// Records in flight by partition: what a revoke waits for.
    pub(crate) busy: BTreeMap<Partition, usize>,
    pub(crate) throttle: Throttle,
    pub(crate) retry: Retry,
    pub(crate) breaker: Breaker,
    pub(crate) floods: Floods,
    pub(crate) pauses: Pauses,
    pub(crate) leaving: Vec<Leaving>,
    pub(crate) assigning: Assigning,
    pub(crate) tick: Tick,
    /// Records the stage has worked on with success.
    pub(crate) successes: u64,
    pub(crate) commit_at: Instant,
    /// The source failed for a transient reason: not before this.
    pub(crate) listen_at: Instant,
    pub(crate) deaf_times: u32,
    pub(crate) phase: Phase,
}

/// Something that waits for its next attempt.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub due: Instant,
    pub what: T,
}

/// Partitions taken from us, until their records in flight are through.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub partitions: Vec<Partition>,
    pub ack: RevokeAck,
    pub deadline: Instant,
}

/// Telling the stage which partitions it serves. Nothing is begun meanwhile.
#[derive(Debug)]
pub(crate) struct Assigning {
    /// The stage does not know what is held now.
    pub stale: bool,
    pub running: bool,
    pub not_before: Instant,
    pub attempts: u32,
}

#[derive(Debug)]
pub(crate) struct Tick {
    pub due: Instant,
    /// Begun, and what it emitted is not in the log yet.
    pub pending: bool,
    pub failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
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
            }),
            gauges,
            offsets: Offsets::new(policy.cap.clone()),
            held: BTreeSet::new(),
            window: Window::new(policy.window.clone()),
            halves: VecDeque::new(),
            waiting: Vec::new(),
            undelivered: Vec::new(),
            tasks: JoinSet::new(),
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
            && self.window.is_empty()
            && self.halves.is_empty()
            && self.waiting.is_empty()
            && self.undelivered.is_empty()
            && self.tasks.is_empty()
            && self.leaving.is_empty()
    }

    /// Starts all that may start now.
    pub fn begin(&mut self, now: Instant) {
        self.gauges.turns.add(1);
        self.begin_deliveries(now);
        self.begin_assigning(now);
        let settled = !self.assigning.stale && !self.assigning.running;
        if settled {
            if self.may_begin() {
                self.begin_tick(now);
            }
            self.throttle.downstream(self.gauges.downstream_lag());
            while self.may_begin()
                && let Some(work) = self.next_work(now)
            {
                self.begin_attempt(work);
            }
        }
        self.gauges.in_flight.set(self.in_flight as u64);
        let limit = self.throttle.limit(now);
        self.gauges.in_flight_limit.set(limit as u64);
    }

    fn may_begin(&self) -> bool {
        match self.policy.order {
            Order::Any => true,
            Order::OneAtATime => self.tasks.is_empty() && self.undelivered.is_empty(),
        }
    }

    fn begin_deliveries(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.undelivered)
            .into_iter()
            .partition(|waiting| waiting.due <= now);
        self.undelivered = later;
        for waiting in due {
            self.gauges.retries.add(1);
            self.tasks.spawn(self.crew.clone().deliver(waiting.what));
        }
    }

    fn begin_assigning(&mut self, now: Instant) {
        let assigning = &mut self.assigning;
        if !assigning.stale || assigning.running || assigning.not_before > now {
            return;
        }
        assigning.stale = false;
        assigning.running = true;
        let partitions = self.held.iter().map(|held| held.number).collect();
        self.tasks.spawn(self.crew.clone().assign(partitions));
    }

    fn begin_tick(&mut self, now: Instant) {
        let wanted = self.policy.tick_every.is_some() && self.phase != Phase::Stopping;
        if !wanted || self.tick.pending || self.tick.due > now || self.held.is_empty() {
            return;
        }
        self.tick.pending = true;
        self.tasks.spawn(self.crew.clone().tick());
    }

    /// The next batch, where throttle and breaker let one through.
    fn next_work(&mut self, now: Instant) -> Option<Work<S::In>> {
        match self.breaker.admit(now) {
            Admit::All => self
                .due_work(now)
                .or_else(|| self.next_half(now))
                .or_else(|| self.fresh_work(now)),
            Admit::Probe => {
                // Something else than what failed, if there is anything else: a record that can never
                // succeed must not keep the breaker open.
                let probe = self
                    .next_half(now)
                    .or_else(|| self.window_work(now))
                    .or_else(|| self.due_work(now))?;
                self.breaker.probing();
                Some(probe)
            }
            Admit::None => None,
        }
    }

    fn due_work(&mut self, now: Instant) -> Option<Work<S::In>> {
        let due = self.waiting.iter().position(|waiting| waiting.due <= now)?;
        let len = self.waiting.get(due)?.what.len();
        let limit = self.room_for(len, now)?;
        let mut waiting = self.waiting.swap_remove(due);
        if waiting.what.len() > limit {
            // Too much at once may be what failed.
            let what = waiting.what.split_off(limit);
            let due = waiting.due;
            self.waiting.push(Waiting { due, what });
        }
        self.end_pause_of(&waiting.what);
        Some(waiting.what)
    }

    fn next_half(&mut self, now: Instant) -> Option<Work<S::In>> {
        let len = self.halves.front()?.len();
        self.room_for(len, now)?;
        self.halves.pop_front()
    }

    fn fresh_work(&mut self, now: Instant) -> Option<Work<S::In>> {
        let ripe = self.window.is_ripe(now) || self.phase != Phase::Taking;
        if ripe { self.window_work(now) } else { None }
    }

    fn window_work(&mut self, now: Instant) -> Option<Work<S::In>> {
        let limit = self.throttle.limit(now);
        let len = self.window.next_len(limit);
        if len == 0 {
            return None;
        }
        let limit = self.room_for(len, now)?;
        let mut work = Work::default();
        for (item, input) in self.window.take(limit) {
            work.push(item, input);
        }
        self.retry.first_attempts(work.len());
        Some(work)
    }

    /// The limit, where so many records may be begun now. What is larger than the limit may start on its own.
    fn room_for(&self, records: usize, now: Instant) -> Option<usize> {
        let limit = self.throttle.limit(now);
        let fits = self.in_flight == 0 || self.in_flight + records <= limit;
        (limit > 0 && fits).then_some(limit)
    }

    fn begin_attempt(&mut self, mut work: Work<S::In>) {
        for item in &mut work.items {
            item.attempts += 1;
            if item.attempts > 1 {
                self.gauges.retries.add(1);
            }
        }
        self.take_up(&work.items);
        self.tasks.spawn(self.crew.clone().attempt(work));
    }

    /// Sends what is resolved to the log.
    pub(crate) fn deliver(&mut self, resolved: Vec<Resolved>) {
        if resolved.is_empty() {
            return;
        }
        self.take_up(resolved.iter().map(|resolved| &resolved.item));
        let delivery = Delivery {
            resolved,
            ticked: Vec::new(),
            attempts: 0,
        };
        self.tasks.spawn(self.crew.clone().deliver(delivery));
    }

    pub(crate) fn take_up<'a>(&mut self, items: impl IntoIterator<Item = &'a Item>) {
        for item in items {
            self.in_flight += 1;
            *self.busy.entry(item.ticket.partition.clone()).or_default() += 1;
        }
    }

    pub(crate) fn put_down<'a>(&mut self, items: impl IntoIterator<Item = &'a Item>) {
        for item in items {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some(count) = self.busy.get_mut(&item.ticket.partition) {
                *count -= 1;
                if *count == 0 {
                    self.busy.remove(&item.ticket.partition);
                }
            }
        }
    }

    /// The records no longer wait for another attempt.
    pub(crate) fn end_pause_of(&mut self, work: &Work<S::In>) {
        for item in work.items.iter().filter(|item| item.pausing) {
            self.pauses.wait_over(&item.ticket.partition);
        }
    }

    /// Whether working on this record can still come to something here.
    pub(crate) fn is_ours(&self, ticket: &Ticket) -> bool {
        let leaving = self
            .leaving
            .iter()
            .any(|leaving| leaving.partitions.contains(&ticket.partition));
        !leaving && self.offsets.is_current(ticket)
    }

    /// Drops what is not begun and no longer ours.
    pub(crate) fn drop_foreign(&mut self) {
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

    /// Lets go of revoked partitions whose records are through, or whose time is up: commit, forget, acknowledge.
    pub async fn let_go(&mut self, source: &mut dyn Source, now: Instant) -> Result<(), Failure> {
        let (ready, not_yet): (Vec<_>, Vec<_>) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|leaving| leaving.deadline <= now || self.is_through(leaving));
        self.leaving = not_yet;
        for leaving in ready {
            let positions = self.offsets.committable_of(&leaving.partitions);
            // A quarter of the deadline was kept for this commit.
            let patience = self.policy.revoke_deadline / 4;
            let committed = timeout(patience, self.commit_these(source, positions)).await;
            self.offsets.revoke(&leaving.partitions);
            self.pauses.revoked(&leaving.partitions);
            self.floods.forget(&leaving.partitions);
            for partition in &leaving.partitions {
                self.held.remove(partition);
            }
            self.drop_foreign();
            leaving.ack.done();
            self.assigning.stale = true;
            self.assigning.not_before = now;
            // Without an answer the records are read again by their new owner, which is safe.
            committed.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    fn is_through(&self, leaving: &Leaving) -> bool {
        let busy = |partition: &Partition| self.busy.contains_key(partition);
        !self.tick.pending && !leaving.partitions.iter().any(busy)
    }

    /// Commits what is closed, once an interval.
    pub async fn commit(&mut self, source: &mut dyn Source, now: Instant) -> Result<(), Failure> {
        if self.commit_at > now {
            return Ok(());
        }
        self.commit_at = now + self.policy.commit_every;
        let positions = self.offsets.committable();
        self.commit_these(source, positions).await
    }

    async fn commit_these(
        &mut self,
        source: &mut dyn Source,
        positions: Vec<Position>,
    ) -> Result<(), Failure> {
        // What a tick emits is in the log before anything that was closed after it is committed.
        if positions.is_empty() || self.tick.pending {
            return Ok(());
        }
        match source.commit(&positions).await {
            Ok(()) => {
                self.offsets.committed(&positions);
                self.gauges.commits.add(1);
                Ok(())
            }
            Err(Failure::Transient { reason, .. }) => {
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    "commit failed; the next one covers it"
                );
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// The last commit, and the acknowledgement of what is being taken from us.
    pub async fn leave(&mut self, source: &mut dyn Source) {
        self.tasks.abort_all();
        let positions = self.offsets.committable();
        if let Err(failure) = self.commit_these(source, positions).await {
            tracing::warn!(
                stage = self.name(),
                reason = failure.reason(),
                "last commit failed"
            );
        }
        for leaving in std::mem::take(&mut self.leaving) {
            leaving.ack.done();
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
            .chain(self.window.ripe_at())
            .chain(self.throttle.held_until())
            .chain(self.breaker.probe_at())
            .chain([self.tick.due, self.assigning.not_before, self.listen_at])
            .filter(|due| *due > now)
            .min();
        // The interval also bounds how long a change of the downstream lag goes unnoticed.
        let interval = self.commit_at.max(now + Duration::from_millis(1));
        soonest.map_or(interval, |soonest| soonest.min(interval))
    }
}
