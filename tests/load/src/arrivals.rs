//! When documents arrive, and whose they are.

use std::time::Duration;

use clap::ValueEnum;

/// How documents arrive over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Evenly.
    Constant,
    /// Five times as fast for five seconds of every twenty, with the same mean.
    Spikes,
    /// A few tenants send little; in the second quarter of the time one more sends far more than can be done.
    Flood,
}

/// One document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// After the beginning.
    pub at: Duration,
    /// Tenant.
    pub group: &'static str,
}

/// The tenant of all that is not the flood's.
pub const QUIET: &str = "quiet";
pub const FLOODING: &str = "flooding";

/// Of the mean rate. The mean is meant to be 60 % of what can be done: then this is one and a half times that.
const FLOOD: f64 = 2.5;
/// Of the mean rate.
const LITTLE: f64 = 0.1;

const SPIKE: f64 = 5.0;
const SPIKE_EVERY: f64 = 20.0;
const SPIKE_LENGTH: f64 = 5.0;

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Spikes => "spikes",
            Self::Flood => "flood",
        }
    }

    /// Every arrival, in order. `rate`: documents a second; `length`: of the whole.
    pub fn plan(self, rate: f64, length: Duration) -> Vec<Arrival> {
        let end = length.as_secs_f64();
        let mut plan = match self {
            Self::Constant => evenly(0.0, end, rate, QUIET),
            Self::Spikes => spikes(end, rate),
            Self::Flood => {
                let mut plan = evenly(0.0, end, rate * LITTLE, QUIET);
                plan.extend(evenly(end / 4.0, end / 2.0, rate * FLOOD, FLOODING));
                plan
            }
        };
        plan.sort_by_key(|it| it.at);
        plan
    }
}

fn evenly(from: f64, to: f64, rate: f64, group: &'static str) -> Vec<Arrival> {
    let count = ((to - from) * rate).round() as usize;
    let arrival = |number: usize| Arrival {
        at: Duration::from_secs_f64(from + number as f64 / rate),
        group,
    };
    (0..count).map(arrival).collect()
}

/// Each period ends with its spike.
fn spikes(end: f64, rate: f64) -> Vec<Arrival> {
    let calm = SPIKE_EVERY - SPIKE_LENGTH;
    let base = rate * SPIKE_EVERY / (calm + SPIKE * SPIKE_LENGTH);
    let mut plan = Vec::new();
    let mut from = 0.0;
    while from < end {
        let spike = (from + calm).min(end);
        let next = (from + SPIKE_EVERY).min(end);
        plan.extend(evenly(from, spike, base, QUIET));
        plan.extend(evenly(spike, next, base * SPIKE, QUIET));
        from = next;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(plan: &[Arrival], from: u64, to: u64) -> usize {
        let within = |it: &&Arrival| (from..to).contains(&it.at.as_secs());
        plan.iter().filter(within).count()
    }

    #[test]
    fn every_shape_has_its_mean() {
        let minute = Duration::from_secs(60);
        for shape in [Shape::Constant, Shape::Spikes] {
            let plan = shape.plan(10.0, minute);
            assert_eq!(plan.len(), 600, "{shape:?}");
            assert!(plan.is_sorted_by_key(|it| it.at));
        }
        let spikes = Shape::Spikes.plan(10.0, minute);
        assert_eq!(count(&spikes, 0, 15), 75);
        assert_eq!(count(&spikes, 15, 20), 125, "five times as fast");
        let flood = Shape::Flood.plan(10.0, minute);
        let (quiet, flooding): (Vec<Arrival>, Vec<Arrival>) =
            flood.iter().partition(|it| it.group == QUIET);
        assert_eq!((quiet.len(), flooding.len()), (60, 375));
        assert_eq!(count(&flooding, 15, 30), 375);
    }
}
