use std::time::Duration;

use tokio::time::Instant;

use crate::policy::ThrottlePolicy;

/// How many records may be in flight. A pure controller: it knows only what it is told and when.
///
/// Additive increase while there is demand and latency stays near its best, multiplicative decrease when the other side
/// pushes back, when the log does, or when latency grows beyond `tolerance` times its best (what waits in a queue there
/// gains nothing). The lag of the group downstream scales the limit down to nothing: the pressure travels upstream.
#[derive(Debug)]
pub struct Throttle {
    policy: ThrottlePolicy,
    limit: f64,
    stage: Latency,
    sink: Latency,
    shrunk_at: Option<Instant>,
    hold_until: Option<Instant>,
    downstream_lag: Option<u64>,
}

impl Throttle {
    pub fn new(policy: ThrottlePolicy) -> Self {
        let limit = policy.start.clamp(policy.min.max(1), policy.max.max(1)) as f64;
        Self {
            policy,
            limit,
            stage: Latency::default(),
            sink: Latency::default(),
            shrunk_at: None,
            hold_until: None,
            downstream_lag: None,
        }
    }

    /// Records in flight that are permitted now.
    pub fn limit(&self, now: Instant) -> usize {
        if self.hold_until.is_some_and(|until| until > now) {
            return 0;
        }
        // Truncation is meant: half a record more is none.
        (self.limit * self.downstream_share()).ceil() as usize
    }

    /// Records that may be begun beside those in flight. An idle consumer may always begin one unless it is held.
    pub fn room(&self, now: Instant, in_flight: usize) -> usize {
        self.limit(now).saturating_sub(in_flight)
    }

    /// When a push-back ends.
    pub fn held_until(&self) -> Option<Instant> {
        self.hold_until
    }

    /// An attempt came back. `cost` is the batch's, `in_flight` the records in flight beside it: where they are few,
    /// the limit was not what bounded them, and it does not grow.
    pub fn attempted(&mut self, latency: Duration, cost: u64, in_flight: usize, now: Instant) {
        self.stage.sample(latency, cost);
        let in_demand = in_flight as f64 * 2.0 >= self.limit;
        if self.is_slow() {
            self.shrink(latency, now);
        } else if in_demand {
            // One more for each limit's worth of successes.
            self.limit = (self.limit + 1.0 / self.limit.max(1.0)).min(self.policy.max as f64);
        }
    }

    /// The other side refused for now.
    pub fn pushed_back(&mut self, retry_after: Option<Duration>, now: Instant) {
        let pause = self.stage.recent_pause();
        self.shrink(pause, now);
        if let Some(wait) = retry_after {
            let until = now + wait;
            self.hold_until = Some(self.hold_until.map_or(until, |held| held.max(until)));
        }
    }

    /// The log took the outputs of so many records.
    pub fn produced(&mut self, latency: Duration, records: usize, now: Instant) {
        self.sink.sample(latency, records as u64);
        if self.is_slow() {
            self.shrink(latency, now);
        }
    }

    /// The log refused for now.
    pub fn sink_failed(&mut self, now: Instant) {
        let pause = self.sink.recent_pause();
        self.shrink(pause, now);
    }

    /// Records the group downstream lags; none: unknown.
    pub fn downstream(&mut self, lag: Option<u64>) {
        self.downstream_lag = lag;
    }

    fn is_slow(&self) -> bool {
        self.stage.is_slow(self.policy.tolerance) || self.sink.is_slow(self.policy.tolerance)
    }

    /// Once per round trip at most: one congestion is reported by all that is in flight.
    fn shrink(&mut self, round_trip: Duration, now: Instant) {
        if self.shrunk_at.is_some_and(|at| now < at + round_trip) {
            return;
        }
        self.shrunk_at = Some(now);
        self.limit = (self.limit * self.policy.back_off).max(self.policy.min.max(1) as f64);
    }

    /// 1 up to `lag_low`, falling to 0 at `lag_high`.
    fn downstream_share(&self) -> f64 {
        let Some(lag) = self.downstream_lag else {
            return 1.0;
        };
        if lag <= self.policy.lag_low {
            return 1.0;
        }
        let span = self.policy.lag_high.saturating_sub(self.policy.lag_low);
        let left = self.policy.lag_high.saturating_sub(lag);
        if span == 0 {
            return 0.0;
        }
        left as f64 / span as f64
    }
}

/// Latency per unit of cost: its best and its recent value, in seconds.
#[derive(Debug, Default)]
struct Latency {
    best: Option<f64>,
    recent: f64,
    /// Of a whole attempt.
    last: Duration,
}

impl Latency {
    fn sample(&mut self, latency: Duration, cost: u64) {
        let unit = latency.as_secs_f64() / cost.max(1) as f64;
        self.last = latency;
        match self.best {
            None => {
                self.best = Some(unit);
                self.recent = unit;
            }
            Some(best) => {
                self.recent += (unit - self.recent) * 0.2;
                // The best drifts towards the present, so that one lucky sample does not bind for ever.
                self.best = Some(unit.min(best + (self.recent - best).max(0.0) * 0.01));
            }
        }
    }

    fn is_slow(&self, tolerance: f64) -> bool {
        /// Below this a difference is noise of the machine's, not a queue.
        const NOISE: f64 = 0.000_5;
        self.best
            .is_some_and(|best| self.recent > (best * tolerance).max(NOISE))
    }

    fn recent_pause(&self) -> Duration {
        self.last
    }
}
