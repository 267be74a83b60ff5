//! What may start now: batches as far as throttle and breaker let them, deliveries, ticks.

use tokio::time::Instant;

use super::consumer::{Consumer, Phase, Waiting};
use super::work::{Delivery, Resolved, Work};
use crate::breaker::Admit;
use crate::policy::Order;
use crate::{BatchStage, Failure, Route};

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    /// Starts all that may start now.
    pub fn begin(&mut self, now: Instant) -> Result<(), Failure> {
        self.gauges.turns.add(1);
        self.begin_deliveries(now);
        self.begin_assigning(now);
        let settled = !self.assigning.stale && !self.assigning.running;
        if settled {
            self.look_into(now)?;
            if self.may_begin() {
                self.begin_tick(now);
            }
            self.throttle.downstream(self.gauges.downstream());
            while self.may_begin()
                && let Some(work) = self.next_work(now)
            {
                self.begin_attempt(work);
            }
        }
        let held_up = !settled || !self.breaker.is_closed() || self.throttle.limit(now) == 0;
        if held_up && self.phase == Phase::Stopping {
            // What is not begun by now would keep the stop waiting for others; it is read again.
            self.forget_unbegun();
        }
        self.gauges.in_flight.set(self.in_flight as u64);
        let limit = self.throttle.limit(now);
        self.gauges.in_flight_limit.set(limit as u64);
        Ok(())
    }

    fn may_begin(&self) -> bool {
        match self.policy.order {
            Order::Any if !self.care.is_alone() => true,
            Order::Any | Order::OneAtATime => self.tasks.is_empty() && self.undelivered.is_empty(),
        }
    }

    fn begin_deliveries(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.undelivered)
            .into_iter()
            .partition(|waiting| waiting.due <= now);
        self.undelivered = later;
        for waiting in due {
            self.gauges.retries.add(1);
            self.begin_delivery(waiting.what);
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
        let due = (0..self.waiting.len())
            .filter_map(|place| Some((self.waiting.get(place)?.due, place)))
            .filter(|(due, _)| *due <= now)
            .min();
        let (_, due) = due?;
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
        let limit = self.limit(now);
        let len = self.window.next_len(limit);
        if len == 0 {
            return None;
        }
        self.room_for(len, now)?;
        let mut work = Work::with_capacity(len);
        for (item, input) in self.window.take(len) {
            work.push(item, input);
        }
        self.retry.first_attempts(work.len());
        Some(work)
    }

    /// The limit, where so many records may be begun now. What is larger than the limit may start on its own.
    fn room_for(&self, records: usize, now: Instant) -> Option<usize> {
        let limit = self.limit(now);
        let fits = self.in_flight == 0 || self.in_flight + records <= limit;
        (limit > 0 && fits).then_some(limit)
    }

    /// A record that runs alone keeps all others of the process waiting, those downstream as well: it does not wait for
    /// their lag.
    fn limit(&self, now: Instant) -> usize {
        let limit = self.throttle.limit(now);
        let held = self.throttle.held_until().is_some_and(|until| until > now);
        match self.care.is_alone() && !held {
            true => limit.max(1),
            false => limit,
        }
    }

    fn begin_attempt(&mut self, mut work: Work<S::In>) {
        for item in &mut work.items {
            item.attempts += 1;
            if item.attempts > 1 {
                self.gauges.retries.add(1);
            }
        }
        self.take_up(work.items.iter());
        self.tasks.spawn(self.crew.clone().attempt(work));
    }

    /// Sends what is resolved to the log.
    pub(super) fn deliver(&mut self, resolved: Vec<Resolved>) {
        if resolved.is_empty() {
            return;
        }
        self.take_up(resolved.iter().map(|resolved| &resolved.item));
        let delivery = Delivery {
            resolved,
            ticked: Vec::new(),
            attempts: 0,
        };
        self.begin_delivery(delivery);
    }

    pub(super) fn begin_delivery(&mut self, delivery: Delivery) {
        self.delivering += 1;
        self.tasks.spawn(self.crew.clone().deliver(delivery));
    }
}
