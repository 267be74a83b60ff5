use tokio::time::Instant;

use crate::policy::ThrottlePolicy;

/// What waits for a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    pub records: u64,
    /// How long the group will take for them, seconds, if it goes on as it does; none: not known yet.
    pub seconds: Option<f64>,
}

impl Backlog {
    /// Of a group whose pace nobody knows.
    pub fn of(records: u64) -> Self {
        Self {
            records,
            seconds: None,
        }
    }

    /// What is left of the permitted in-flight of those that feed the group, 0 to 1: by the records that wait, or by the
    /// time they will take, whichever says less.
    pub fn share(&self, policy: &ThrottlePolicy) -> f64 {
        let (low, high) = (policy.lag_low as f64, policy.lag_high as f64);
        let by_records = share(self.records as f64, low, high);
        match self.seconds {
            // A handful may take long, and is worth having there.
            Some(seconds) if self.records > policy.lag_least => {
                let (low, high) = (policy.lag_time_low, policy.lag_time_high);
                by_records.min(share(seconds, low.as_secs_f64(), high.as_secs_f64()))
            }
            _ => by_records,
        }
    }
}

/// 1 up to `low`, 0 from `high`; in between down to a thousandth, by the same part for each step. So the pull towards the
/// balance depends on what is downstream, not on how many replicas send or how much they could: a straight line swings
/// where there are many.
fn share(lag: f64, low: f64, high: f64) -> f64 {
    const LEAST: f64 = 0.001;
    if lag <= low {
        return 1.0;
    }
    if lag >= high {
        return 0.0;
    }
    LEAST.powf((lag - low) / (high - low))
}

/// How fast a group works, told from where it stands at each look.
#[derive(Debug, Default)]
pub struct Pace {
    /// When it was looked at last, where it stood, and whether anything waited.
    last: Option<(Instant, u64, bool)>,
    /// Records a second.
    rate: Option<f64>,
}

impl Pace {
    /// `waiting` records, after `done` since the beginning of the topic.
    pub fn look(&mut self, waiting: u64, done: u64, now: Instant) -> Backlog {
        /// Of the newest look, against all before.
        const WEIGHT: f64 = 0.5;
        let busy = waiting > 0;
        // A group that had nothing to do tells nothing of what it can do.
        if let Some((at, before, true)) = self.last {
            let elapsed = now.saturating_duration_since(at).as_secs_f64();
            if elapsed > 0.0 {
                let rate = done.saturating_sub(before) as f64 / elapsed;
                self.rate = Some(self.rate.map_or(rate, |old| old + (rate - old) * WEIGHT));
            }
        }
        self.last = Some((now, done, busy));
        Backlog {
            records: waiting,
            seconds: self.rate.map(|rate| match busy {
                true => waiting as f64 / rate,
                false => 0.0,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pace_is_that_of_busy_times() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut check = |waiting: u64, done: u64, seconds: Option<f64>| {
            now += Duration::from_secs(2);
            let backlog = pace.look(waiting, done, now);
            assert_eq!((backlog.records, backlog.seconds), (waiting, seconds));
        };
        check(0, 0, None);
        check(100, 0, None);
        check(100, 200, Some(1.0));
        check(0, 400, Some(0.0));
        // An hour of nothing would look like a standstill.
        check(0, 400, Some(0.0));
        check(50, 400, Some(0.5));
        // It stands, and nobody knows for how long.
        check(50, 400, Some(1.0));
        check(50, 400, Some(2.0));
    }

    #[test]
    fn a_group_that_never_moved_takes_for_ever() {
        let mut pace = Pace::default();
        let now = Instant::now();
        pace.look(7, 0, now);
        let later = pace.look(7, 0, now + Duration::from_secs(2));
        assert_eq!(later.seconds, Some(f64::INFINITY));
    }
}
