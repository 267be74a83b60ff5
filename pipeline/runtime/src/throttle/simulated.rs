//! A stage of several replicas before a slower one, in simulated time: what the lag between them does.

use std::time::Duration;

use tokio::time::Instant;

use super::{Pace, Throttle};
use crate::policy::ThrottlePolicy;

const TURN: Duration = Duration::from_millis(50);
/// How often the lag is looked up, as the pipeline does it.
const POLL: Duration = Duration::from_secs(2);
/// What a record takes in the first stage.
const SERVICE: Duration = Duration::from_millis(100);
/// Records the second stage gets for one of the first.
const FAN_OUT: f64 = 4.0;

/// Rates are records of the second stage's topic a second.
struct Chain {
    replicas: Vec<Throttle>,
    pace: Pace,
    now: Instant,
    polled_at: Option<Instant>,
    /// What the second stage can take.
    drain: f64,
    lag: f64,
    /// What the second stage has done.
    done: f64,
    highest: f64,
    /// What each replica sent in the turn before.
    sent: Vec<f64>,
}

impl Chain {
    fn new(replicas: usize, drain: f64) -> Self {
        let mut chain = Self {
            replicas: Vec::new(),
            pace: Pace::default(),
            now: Instant::now(),
            polled_at: None,
            drain,
            lag: 0.0,
            done: 0.0,
            highest: 0.0,
            sent: Vec::new(),
        };
        chain.join(replicas);
        chain
    }

    fn join(&mut self, replicas: usize) {
        for _ in 0..replicas {
            self.replicas.push(Throttle::new(ThrottlePolicy::default()));
            self.sent.push(0.0);
        }
        self.polled_at = None;
    }

    fn turn(&mut self) {
        let due = self.polled_at.is_none_or(|at| self.now >= at + POLL);
        if due {
            self.polled_at = Some(self.now);
        }
        let backlog = due.then(|| self.pace.look(self.lag as u64, self.done as u64, self.now));
        for (throttle, sent) in self.replicas.iter_mut().zip(&mut self.sent) {
            if backlog.is_some() {
                throttle.downstream(backlog);
            }
            let in_flight = throttle.limit(self.now);
            // After Little's law: so many in flight, each for so long.
            let begun = in_flight as f64 * TURN.div_duration_f64(SERVICE);
            for _ in 0..begun.round() as usize {
                throttle.attempted(SERVICE, 1, 1, in_flight, self.now);
            }
            *sent = begun * FAN_OUT;
        }
        self.lag += self.sent.iter().sum::<f64>();
        self.highest = self.highest.max(self.lag);
        let worked_off = self.lag.min(self.drain * TURN.as_secs_f64());
        self.lag -= worked_off;
        self.done += worked_off;
        self.now += TURN;
    }

    /// What was sent in each second.
    fn run(&mut self, seconds: usize) -> Vec<f64> {
        let turns = Duration::from_secs(1).div_duration_f64(TURN) as usize;
        let mut rates = Vec::with_capacity(seconds);
        for _ in 0..seconds {
            let mut sent = 0.0;
            for _ in 0..turns {
                self.turn();
                sent += self.sent.iter().sum::<f64>();
            }
            rates.push(sent);
        }
        rates
    }

    /// The mark, and beyond it what all have in flight and what they can send until the lag is looked up again.
    fn bound(&self) -> f64 {
        let policy = ThrottlePolicy::default();
        let in_flight = self.replicas.len() as f64 * policy.max as f64 * FAN_OUT;
        let between_polls = in_flight * POLL.div_duration_f64(SERVICE);
        policy.lag_high as f64 + in_flight + between_polls
    }
}

fn steady(chain: &mut Chain) {
    let mean = chain.drain;
    for rate in chain.run(120) {
        assert!(
            (rate - mean).abs() <= mean * 0.2,
            "{} replicas: {rate} a second, beside {mean}",
            chain.replicas.len()
        );
    }
}

/// The first stage could send three times what the second takes and more, then the second takes a part of that, then all
/// again.
#[test]
fn the_first_stage_follows_the_second_without_swinging() {
    const FULL: f64 = 6_000.0;
    // Not so little that a replica would have fewer than five in flight: one more or less would be a swing.
    for (replicas, part) in [(1, 10.0), (3, 4.0), (12, 2.0)] {
        let mut chain = Chain::new(replicas, FULL);
        chain.run(120);
        steady(&mut chain);
        chain.drain = FULL / part;
        chain.run(180);
        steady(&mut chain);
        chain.drain = FULL;
        // What waits keeps the second stage busy meanwhile.
        chain.run(120);
        assert!(chain.lag > 0.0);
        steady(&mut chain);
        assert!(chain.highest <= chain.bound(), "{}", chain.highest);
    }
}

/// Nobody ever read what the first writes: it fills the mark and no more.
#[test]
fn a_group_that_never_existed_stops_the_first() {
    let mut chain = Chain::new(3, 0.0);
    chain.run(600);
    assert!(chain.run(60).iter().all(|sent| *sent == 0.0));
    assert!(chain.highest <= chain.bound(), "{}", chain.highest);
    // As soon as it is back and has worked off something, the first goes on.
    chain.drain = 20_000.0;
    let after = chain.run(15);
    assert!(after.iter().sum::<f64>() > 0.0, "{after:?}");
}

/// The second stage worked, then it is away for ten minutes.
#[test]
fn a_group_that_dies_stops_the_first_until_it_is_back() {
    const FULL: f64 = 6_000.0;
    let mut chain = Chain::new(3, FULL);
    chain.run(120);
    steady(&mut chain);
    chain.drain = 0.0;
    chain.run(540);
    assert!(chain.run(60).iter().all(|sent| *sent == 0.0));
    assert!(chain.highest <= chain.bound(), "{}", chain.highest);
    chain.drain = FULL;
    chain.run(180);
    steady(&mut chain);
    assert!(chain.highest <= chain.bound(), "{}", chain.highest);
}

/// A topic that holds more than the mark before anybody looks: nothing is added to it.
#[test]
fn a_backlog_nobody_works_on_keeps_the_first_from_beginning() {
    let mut chain = Chain::new(3, 0.0);
    chain.lag = 10_000_000.0;
    assert!(chain.run(120).iter().all(|sent| *sent == 0.0));
}

#[test]
fn replicas_share_what_the_second_stage_takes() {
    let mut chain = Chain::new(2, 6_000.0);
    chain.run(120);
    chain.join(2);
    chain.run(120);
    let fair = chain.sent.iter().sum::<f64>() / 4.0;
    for sent in &chain.sent {
        assert!((sent - fair).abs() <= fair * 0.2, "{:?}", chain.sent);
    }
}
