use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::ThrottlePolicy;
use crate::retry::LONGEST_ASKED;

mod pace;
#[cfg(test)]
mod simulated;

pub use pace::{Backlog, Pace};

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
    downstream: Option<Backlog>,
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
            downstream: None,
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

    /// An attempt came back. `cost` is the batch's, `succeeded` how many of its records did, `in_flight` the records in
    /// flight with it: where they are few, the limit was not what bounded them, and it does not grow.
    pub fn attempted(
        &mut self,
        latency: Duration,
        cost: u64,
        succeeded: usize,
        in_flight: usize,
        now: Instant,
    ) {
        self.stage.sample(latency, cost);
        let in_demand = in_flight as f64 * 2.0 >= self.limit * self.downstream_share();
        if self.is_slow() {
            self.shrink(latency, now);
        } else if in_demand {
            // One more for each success until the first sign of congestion, then for each limit's worth of them.
            let step = match self.shrunk_at {
                None => 1.0,
                Some(_) => 1.0 / self.limit.max(1.0),
            };
            self.limit = (self.limit + step * succeeded as f64).min(self.policy.max as f64);
        }
    }

    /// The other side was down and is back. That it refused says nothing of what it can do: growth begins anew.
    pub fn recovered(&mut self) {
        self.shrunk_at = None;
    }

    /// The other side refused for now.
    pub fn pushed_back(&mut self, retry_after: Option<Duration>, now: Instant) {
        let pause = self.stage.recent_pause();
        self.shrink(pause, now);
        if let Some(wait) = retry_after {
            let until = now + wait.min(LONGEST_ASKED);
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

    /// What waits for the group downstream; none: unknown.
    pub fn downstream(&mut self, backlog: Option<Backlog>) {
        self.downstream = backlog;
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

    fn downstream_share(&self) -> f64 {
        let share = |backlog: Backlog| backlog.share(&self.policy);
        self.downstream.map_or(1.0, share)
    }
}

/// Latency per unit of cost, by the size of what was done: small batches pay more for each record, and compared with
/// large ones they would look like a queue, shrink the limit, and become smaller still.
#[derive(Debug, Default)]
struct Latency {
    by_size: BTreeMap<u32, OfSize>,
    /// Size of the last attempt, and how long it took.
    size: u32,
    last: Duration,
}

/// Best and recent value, in seconds.
#[derive(Debug)]
struct OfSize {
    best: f64,
    recent: f64,
}

/// Per sample; a best is forgotten over some thousands. Faster, and the best would follow a queue as it builds.
const DRIFT: f64 = 0.000_2;

impl Latency {
    fn sample(&mut self, latency: Duration, cost: u64) {
        /// Sizes to a doubling: within one, the fixed cost of an attempt changes its unit cost by a fifth at most.
        const STEPS: f64 = 4.0;
        let cost = cost.max(1) as f64;
        let unit = latency.as_secs_f64() / cost;
        self.last = latency;
        self.size = (cost.log2() * STEPS) as u32;
        let of_size = self.by_size.entry(self.size).or_insert(OfSize {
            best: unit,
            recent: unit,
        });
        of_size.recent += (unit - of_size.recent) * 0.2;
        // The best drifts towards the present, so that one lucky sample does not bind for ever.
        let drift = (of_size.recent - of_size.best).max(0.0) * DRIFT;
        of_size.best = unit.min(of_size.best + drift);
    }

    fn is_slow(&self, tolerance: f64) -> bool {
        /// Below this a difference is noise of the machine's, not a queue.
        const NOISE: f64 = 0.000_5;
        // A best of nothing times infinity is no number.
        let limit = |best: f64| match tolerance.is_finite() {
            true => (best * tolerance).max(NOISE),
            false => f64::INFINITY,
        };
        self.by_size
            .get(&self.size)
            .is_some_and(|it| it.recent > limit(it.best))
    }

    fn recent_pause(&self) -> Duration {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn policy() -> ThrottlePolicy {
        ThrottlePolicy {
            min: 2,
            start: 10,
            max: 100,
            tolerance: 2.0,
            back_off: 0.5,
            lag_low: 1_000,
            lag_high: 2_000,
            ..ThrottlePolicy::default()
        }
    }

    #[test]
    fn grows_only_where_the_limit_is_what_bounds() {
        let now = Instant::now();
        let mut busy = Throttle::new(policy());
        let mut idle = Throttle::new(policy());
        for _ in 0..100 {
            busy.attempted(10 * MS, 1, 1, busy.limit(now), now);
            idle.attempted(10 * MS, 1, 1, 1, now);
        }
        assert!(busy.limit(now) > 14, "{}", busy.limit(now));
        assert_eq!(idle.limit(now), 10);
    }

    /// An attempt has a fixed cost. Where records come few at a time each pays more of it, and nothing is congested.
    #[test]
    fn small_batches_are_no_queue() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(policy());
        for round in 0..2_000 {
            let records = if round % 3 == 0 { 64 } else { 1 + round % 5 };
            let latency = 5 * MS + MS / 20 * records;
            now += latency;
            let limit = throttle.limit(now);
            throttle.attempted(latency, u64::from(records), records as usize, limit, now);
            throttle.produced(latency, records as usize, now);
        }
        assert!(throttle.limit(now) > 10, "{}", throttle.limit(now));
    }

    #[test]
    fn a_push_back_halves_once_per_round_trip_and_holds_as_asked() {
        let now = Instant::now();
        let mut throttle = Throttle::new(policy());
        throttle.attempted(10 * MS, 1, 1, 0, now);
        for _ in 0..10 {
            throttle.pushed_back(None, now);
        }
        assert_eq!(throttle.limit(now), 5, "one congestion, told ten times");
        throttle.pushed_back(Some(200 * MS), now + 10 * MS);
        assert_eq!(throttle.limit(now + 20 * MS), 0, "held");
        assert_eq!(throttle.held_until(), Some(now + 210 * MS));
        assert_eq!(throttle.limit(now + 210 * MS), 3);
        let mut misled = Throttle::new(policy());
        misled.pushed_back(Some(Duration::MAX), now);
        assert_eq!(misled.held_until(), Some(now + LONGEST_ASKED));
        for step in 1..20 {
            throttle.sink_failed(now + step * 1_000 * MS);
        }
        assert_eq!(
            throttle.limit(now + 20_000 * MS),
            2,
            "never below the least"
        );
    }

    #[test]
    fn the_lag_downstream_closes_the_tap() {
        let now = Instant::now();
        let mut throttle = Throttle::new(policy());
        let mut check = |lag: Option<u64>, limit: usize| {
            throttle.downstream(lag.map(Backlog::of));
            assert_eq!(throttle.limit(now), limit, "{lag:?}");
        };
        check(None, 10);
        check(Some(1_000), 10);
        check(Some(1_100), 6);
        check(Some(1_200), 3);
        check(Some(1_999), 1);
        check(Some(2_000), 0);
        check(Some(u64::MAX), 0);
        check(Some(0), 10);
    }

    #[test]
    fn so_does_the_time_it_will_take() {
        let now = Instant::now();
        let mut throttle = Throttle::new(ThrottlePolicy {
            lag_low: 100_000,
            lag_high: 200_000,
            ..policy()
        });
        let mut check = |records: u64, seconds: f64, limit: usize| {
            throttle.downstream(Some(Backlog {
                records,
                seconds: Some(seconds),
            }));
            assert_eq!(throttle.limit(now), limit, "{records} {seconds}");
        };
        check(10_000, 10.0, 10);
        check(10_000, 20.0, 3);
        check(10_000, 60.0, 0);
        check(10_000, f64::INFINITY, 0);
        check(1_000, f64::INFINITY, 10);
        check(150_000, 1.0, 1);
    }

    #[test]
    fn growing_latency_shrinks_the_limit() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(policy());
        for step in 0..200_u32 {
            now += 50 * MS;
            throttle.attempted((10 + step) * MS, 1, 1, 100, now);
        }
        assert!(throttle.limit(now) < 10, "{}", throttle.limit(now));
    }

    #[test]
    fn latency_is_taken_per_cost() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(policy());
        for step in 0..200_u32 {
            now += 50 * MS;
            let cost = 1 + step % 20;
            throttle.attempted(cost * 10 * MS, u64::from(cost), 1, 100, now);
        }
        assert!(throttle.limit(now) > 10, "large batches are not slow");
    }

    /// A server that works on `capacity` records at once, each for `service`; what is more waits in its queue.
    fn steady_state(capacity: usize, service: Duration) -> usize {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(ThrottlePolicy {
            start: 2,
            ..policy()
        });
        for _ in 0..3_000 {
            let in_flight = throttle.limit(now).max(1);
            let queueing = (in_flight as f64 / capacity as f64).max(1.0);
            let latency = service.mul_f64(queueing);
            now += latency / u32::try_from(in_flight).unwrap();
            throttle.attempted(latency, 1, 1, in_flight, now);
        }
        throttle.limit(now)
    }

    #[test]
    fn settles_near_what_the_other_side_can_do() {
        for capacity in [4, 10, 30] {
            let limit = steady_state(capacity, 20 * MS);
            // After Little's law `capacity` is enough; up to `tolerance` times it may wait in the queue.
            assert!(
                limit * 2 >= capacity && limit <= capacity * 3,
                "capacity {capacity}: {limit}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_limit_stays_between_its_bounds(
            told in proptest::collection::vec((0_u8..6, 0_u64..5_000), 0..200),
        ) {
            let mut now = Instant::now();
            let mut throttle = Throttle::new(policy());
            for (what, value) in told {
                let time = Duration::from_millis(value);
                now += time / 10;
                match what {
                    0 => throttle.attempted(time, value, 3, 50, now),
                    5 => throttle.recovered(),
                    1 => throttle.pushed_back(Some(time), now),
                    2 => throttle.pushed_back(None, now),
                    3 => throttle.produced(time, 3, now),
                    _ => throttle.sink_failed(now),
                }
                let limit = throttle.limit(now);
                prop_assert!(limit <= 100);
                prop_assert!(limit >= 2 || throttle.held_until() > Some(now));
            }
            let released = throttle.held_until().map_or(now, |until| until.max(now));
            prop_assert!(throttle.limit(released) >= 2);
        }
    }
}
