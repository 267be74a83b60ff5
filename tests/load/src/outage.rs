//! The object store is away for a minute under full load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock::pipeline::topology;
use penstock::policies::Policies;
use penstock_schemas::Completion;
use penstock_servers::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use serde::Serialize;

use crate::Told;
use crate::arrivals::QUIET;
use crate::fleet::{Fleet, REPLICAS, Site, told};
use crate::load::lags;
use crate::picture::{Band, Line, Panel, Picture};
use crate::send::{burst, prepare, send};
use crate::slow_store::most_in_flight;
use crate::success::{Success, successes};
use crate::watch::{Moment, Seen, Watch};

/// The last part of it is what the rate after is held against.
const BEFORE: Duration = Duration::from_secs(30);
const OUTAGE: Duration = Duration::from_secs(60);
const AFTER: Duration = Duration::from_secs(35);
/// A rate is taken over this long: seconds.
const OVER: f64 = 10.0;
/// The full rate is to be back by then: seconds.
const BACK_WITHIN: f64 = 15.0;
/// Noise of the machine.
const FULL: f64 = 0.95;

/// What was seen of it.
#[derive(Debug, Serialize)]
pub struct Outage {
    /// Of every stage, and of documents that become visible.
    pub rates: Vec<Rate>,
    pub success: Vec<Success>,
    /// The most a stage had in flight, beside the most it may have.
    pub in_flight: BTreeMap<&'static str, (i64, i64)>,
    /// The same members in every group, by the broker's names of them.
    pub members_stayed: bool,
    #[serde(skip)]
    seen: Seen,
    #[serde(skip)]
    begun: Instant,
    #[serde(skip)]
    away: (f64, f64),
}

#[derive(Debug, Serialize)]
pub struct Rate {
    pub of: &'static str,
    /// Records a second in the ten seconds before the store went away.
    pub before: f64,
    /// From the fifteenth second of its return to the twenty-fifth.
    pub after: f64,
    /// Seconds from its return until the rate was full over ten seconds; none: never.
    pub back_after: Option<f64>,
}

impl Outage {
    pub fn holds(&self) -> bool {
        let back = |it: &Rate| it.back_after.is_some_and(|after| after <= BACK_WITHIN);
        self.members_stayed
            && self.success.iter().all(|it| it.share == 1.0)
            && self.in_flight.values().all(|(most, may)| most <= may)
            && self.rates.iter().all(back)
    }
}

/// `capacity`: documents a second that the fleet can do.
pub fn outage(site: &Site, capacity: f64) -> Told<Outage> {
    let s3 = site
        .runtime
        .block_on(S3::start())
        .map_err(|error| format!("the object store: {error}"))?;
    let objects = format!(
        "url = \"s3://{BUCKET}/load\"\n[objects.properties]\nendpoint = {:?}\nregion = \"eu-central-1\"\n\
         access_key_id = {ACCESS_KEY:?}\nsecret_access_key = {SECRET_KEY:?}\nallow_http = true\n",
        s3.endpoint()
    );
    let fleet = Fleet::start(site, Some(&objects), "")?;
    let members = || site.runtime.block_on(fleet.members()).map_err(told);
    // More than can be done in the time there is.
    let count = (capacity * 2.0 * (BEFORE + AFTER).as_secs_f64()) as usize;
    let plan = burst(count, QUIET);
    let prepared = site
        .runtime
        .block_on(prepare(&fleet, &plan, 0))
        .map_err(told)?;
    let watch = site
        .runtime
        .block_on(Watch::start(&fleet.log))
        .map_err(told)?;
    site.runtime
        .block_on(send(&fleet, &prepared, watch.begun))
        .map_err(told)?;
    site.pass(BEFORE);
    let before = members()?;
    let from = watch.elapsed();
    s3.take_down();
    site.pass(OUTAGE);
    s3.mend();
    let to = watch.elapsed();
    site.pass(AFTER);
    let members_stayed = members()? == before;
    let waits = watch
        .seen()
        .moments
        .last()
        .and_then(|it| Some(it.place("split")?.lag));
    if waits == Some(0) {
        return Err("the load ended before the measurement did".to_owned());
    }
    let begun = watch.begun;
    let seen = watch.finish();
    let success = site.runtime.block_on(successes(&fleet.log)).map_err(told)?;
    let in_flight = in_flight(&Policies::of(&fleet.config), &seen);
    fleet.stop()?;

    let mut rates: Vec<Rate> = topology()
        .iter()
        .map(|it| Rate::of(it.name, from, to, &|at| done(&seen.moments, it.name, at)))
        .collect();
    rates.push(Rate::of("visible", from, to, &|at| {
        visible(&seen, begun, at)
    }));
    Ok(Outage {
        rates,
        success,
        in_flight,
        members_stayed,
        seen,
        begun,
        away: (from, to),
    })
}

impl Rate {
    /// `done` tells how many there were at a time.
    fn of(name: &'static str, from: f64, to: f64, done: &dyn Fn(f64) -> f64) -> Self {
        let over = |begin: f64| (done(begin + OVER) - done(begin)) / OVER;
        let before = over(from - OVER);
        let seconds = (AFTER.as_secs_f64() - OVER) as u32;
        let mut waits = (0..=seconds).map(f64::from);
        Self {
            of: name,
            before,
            after: over(to + BACK_WITHIN),
            back_after: waits.find(|wait| over(to + wait) >= before * FULL),
        }
    }
}

/// Records a stage had done at a time, between two looks in proportion.
fn done(moments: &[Moment], stage: &str, at: f64) -> f64 {
    let points = moments
        .iter()
        .filter_map(|it| Some((it.at, it.place(stage)?.done() as f64)));
    let points: Vec<(f64, f64)> = points.collect();
    let later = points.partition_point(|it| it.0 < at);
    match (
        later.checked_sub(1).and_then(|it| points.get(it)),
        points.get(later),
    ) {
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (at - a.0) / (b.0 - a.0),
        (Some(one), None) | (None, Some(one)) => one.1,
        (None, None) => 0.0,
    }
}

fn visible(seen: &Seen, begun: Instant, at: f64) -> f64 {
    let by = |it: &&(Instant, Completion)| {
        it.1 == Completion::Visible && it.0.saturating_duration_since(begun).as_secs_f64() <= at
    };
    seen.completed.values().filter(by).count() as f64
}

fn in_flight(policies: &Policies, seen: &Seen) -> BTreeMap<&'static str, (i64, i64)> {
    let of = |stage: &'static str| {
        let statuses = seen.beats.iter().filter_map(|it| it.stage(stage));
        let most = statuses.map(|it| it.in_flight).max().unwrap_or_default();
        let replicas = match stage {
            "index" | "link" | "settle" => 1,
            _ => REPLICAS,
        };
        let may = replicas * most_in_flight(policies, stage);
        (stage, (most, i64::try_from(may).unwrap_or(i64::MAX)))
    };
    topology().iter().map(|it| of(it.name)).collect()
}

impl Outage {
    pub fn picture(&self) -> Picture {
        let band = || Band {
            name: "the object store is away".to_owned(),
            from: self.away.0,
            to: self.away.1,
        };
        let moments = &self.seen.moments;
        let last = moments.last().map_or(0.0, |it| it.at);
        let each = |name: &str, done: &dyn Fn(f64) -> f64| Line {
            name: name.to_owned(),
            points: (2..=last as u32)
                .map(f64::from)
                .map(|at| (at, (done(at) - done(at - 2.0)) / 2.0))
                .collect(),
        };
        let stages = ["split", "parse", "shard"];
        let mut lines: Vec<Line> = stages
            .iter()
            .map(|stage| each(stage, &|at| done(moments, stage, at)))
            .collect();
        lines.push(each("visible", &|at| visible(&self.seen, self.begun, at)));
        Picture {
            title: "The object store away for a minute under full load".to_owned(),
            panels: vec![
                Panel {
                    title: "documents a second".to_owned(),
                    lines,
                    marks: Vec::new(),
                    bands: vec![band()],
                },
                Panel {
                    title: "lag, records".to_owned(),
                    lines: lags(moments),
                    marks: Vec::new(),
                    bands: vec![band()],
                },
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_back_when_it_is_full_for_a_while() {
        // Ten a second, but for a minute from 30 on and half of that in the five seconds after.
        let done = |at: f64| {
            let stood = (at - 30.0).clamp(0.0, 60.0);
            let slow = (at - 90.0).clamp(0.0, 5.0) / 2.0;
            10.0 * (at - stood - slow)
        };
        let rate = Rate::of("parse", 30.0, 90.0, &done);
        assert_eq!((rate.before, rate.after), (10.0, 10.0));
        assert_eq!(rate.back_after, Some(4.0));
        let never = Rate::of("parse", 30.0, 90.0, &|at: f64| at.min(30.0));
        assert_eq!(never.back_after, None);
    }
}
