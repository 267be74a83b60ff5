use std::time::Duration;

use tokio::time::Instant;

use crate::policy::BreakerPolicy;

/// Opens after attempts that failed in a row, and then lets one probe through at a time.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, cool_down: Duration },
    Probing { cool_down: Duration },
}

/// May an attempt start?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    All,
    /// One, and the rest waits for its result. Say `probing` when it starts.
    Probe,
    None,
}

impl Breaker {
    pub fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: State::Closed { failures: 0 },
        }
    }

    pub fn admit(&self, now: Instant) -> Admit {
        match self.state {
            State::Closed { .. } => Admit::All,
            State::Open { until, .. } if until <= now => Admit::Probe,
            State::Open { .. } | State::Probing { .. } => Admit::None,
        }
    }

    /// A probe was started.
    pub fn probing(&mut self) {
        if let State::Open { cool_down, .. } = self.state {
            self.state = State::Probing { cool_down };
        }
    }

    /// An attempt reached the other side and came back.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// An attempt failed for a transient reason.
    pub fn failed(&mut self, retry_after: Option<Duration>, now: Instant) {
        let asked = retry_after.unwrap_or_default();
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.policy.failures => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } => State::Open {
                until: now + self.policy.cool_down.max(asked),
                cool_down: self.policy.cool_down,
            },
            State::Probing { cool_down } => {
                let cool_down = (cool_down * 2).min(self.policy.max_cool_down);
                State::Open {
                    until: now + cool_down.max(asked),
                    cool_down,
                }
            }
            // An attempt begun before it opened: it says nothing new.
            open @ State::Open { .. } => open,
        };
    }

    /// A probe ended without telling anything of the other side (its records were at fault, or are no longer ours).
    pub fn inconclusive(&mut self, now: Instant) {
        if let State::Probing { cool_down } = self.state {
            self.state = State::Open {
                until: now,
                cool_down,
            };
        }
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// When a probe is due, where one is to come.
    pub fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } => Some(until),
            State::Closed { .. } | State::Probing { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn open(now: Instant, retry_after: Option<Duration>) -> Breaker {
        let mut breaker = Breaker::new(BreakerPolicy {
            failures: 3,
            cool_down: SECOND,
            max_cool_down: 3 * SECOND,
        });
        for _ in 0..3 {
            assert_eq!(breaker.admit(now), Admit::All);
            breaker.failed(retry_after, now);
        }
        assert!(!breaker.is_closed());
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        for _ in 0..100 {
            breaker.failed(None, now);
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(now), Admit::All);
    }

    #[test]
    fn lets_one_probe_through_and_waits_for_it() {
        let mut now = Instant::now();
        let mut breaker = open(now, None);
        for cool_down in [1, 2, 3, 3] {
            let cool_down = cool_down * SECOND;
            assert_eq!(breaker.admit(now), Admit::None);
            assert_eq!(breaker.probe_at(), Some(now + cool_down), "doubles");
            now += cool_down;
            assert_eq!(breaker.admit(now), Admit::Probe);
            breaker.probing();
            assert_eq!(breaker.admit(now), Admit::None, "one at a time");
            breaker.failed(None, now);
        }
        breaker.succeeded();
        assert_eq!(breaker.admit(now), Admit::All);
    }

    #[test]
    fn waits_as_long_as_it_is_asked_to() {
        let now = Instant::now();
        let breaker = open(now, Some(60 * SECOND));
        assert_eq!(breaker.probe_at(), Some(now + 60 * SECOND));
    }

    #[test]
    fn a_probe_that_tells_nothing_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = open(now, None);
        let later = now + SECOND;
        breaker.probing();
        breaker.inconclusive(later);
        assert_eq!(breaker.admit(later), Admit::Probe);
        assert!(!breaker.is_closed());
    }

    #[test]
    fn failures_begun_before_it_opened_change_nothing() {
        let now = Instant::now();
        let mut breaker = open(now, None);
        breaker.failed(None, now + SECOND / 2);
        assert_eq!(breaker.probe_at(), Some(now + SECOND));
    }
}
