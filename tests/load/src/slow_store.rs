//! A slow store slows embed, then shard, then parse, then split, then `ingest`, and nobody calls anybody.

use std::time::Duration;

use penstock::config::Config;
use penstock::pipeline::{LAG_POLL, topology};
use penstock::policies::Policies;
use penstock_schemas::Completion;
use penstock_tests::Starved;
use serde::Serialize;

use crate::Told;
use crate::arrivals::Shape;
use crate::documents::CHUNKS;
use crate::fleet::{Fleet, REPLICAS, Site, told};
use crate::load::lags;
use crate::picture::{Band, Line, Mark, Panel, Picture};
use crate::send::{prepare, send_as_ingest};
use crate::success::{Success, successes};
use crate::watch::{LOOK, Moment, Seen, Watch};

/// Marks that are reached in half a minute: the low one is what goes by in so many seconds, which is more than ever lags
/// where nothing is slow, and the high one three times that.
const LOW_SECONDS: f64 = 3.0;
const HIGH_TIMES: u64 = 3;
/// Before the store becomes slow, while it is, and after it until no more is sent.
const BEFORE: Duration = Duration::from_secs(15);
const SLOW: Duration = Duration::from_secs(60);
const AFTER: Duration = Duration::from_secs(25);
/// The process with the stores runs for so long, and then stands for so long.
const RUNS: Duration = Duration::from_millis(20);
const STANDS: Duration = Duration::from_millis(480);

/// What was seen of it.
#[derive(Debug, Serialize)]
pub struct SlowStore {
    pub lag_low: u64,
    pub lag_high: u64,
    pub links: Vec<Link>,
    /// Documents that were sent, and that became visible: a second, before, while the store is slow (its last third), and
    /// in the last ten seconds of sending.
    pub sent: [f64; 3],
    pub visible: [f64; 3],
    /// From the end of sending until nothing lagged, seconds; none: that did not happen.
    pub drained_after: Option<f64>,
    pub success: Vec<Success>,
    #[serde(skip)]
    seen: Seen,
    #[serde(skip)]
    slow: (f64, f64),
}

/// Two that follow each other, and the topic between them.
#[derive(Debug, Serialize)]
pub struct Link {
    pub from: &'static str,
    pub to: &'static str,
    /// Seconds from when the store became slow until `to` lagged by more than the low mark.
    pub held_back_after: Option<f64>,
    /// Records that `from` may have in flight, in those of the topic.
    pub in_flight: f64,
    /// The most that was written between two looks at the lag.
    pub poll: u64,
    /// The mark and both of these.
    pub bound: f64,
    pub highest: u64,
}

impl Link {
    pub fn holds(&self) -> bool {
        self.highest as f64 <= self.bound
    }
}

impl SlowStore {
    pub fn holds(&self) -> bool {
        // Behind the slow one nothing lags.
        let before = self.links.iter().filter(|it| it.to != "link");
        let held: Vec<Option<f64>> = before.map(|it| it.held_back_after).collect();
        // From the store upwards.
        let in_order = held.iter().all(Option::is_some) && held.is_sorted_by(|a, b| a >= b);
        let [before, slow, after] = self.sent;
        in_order
            && self.links.iter().all(Link::holds)
            && slow < before / 2.0
            && after >= before
            && self.drained_after.is_some()
            && self.success.iter().all(|it| it.share == 1.0)
    }
}

/// `rate`: documents a second.
pub fn slow_store(site: &Site, rate: f64) -> Told<SlowStore> {
    let lag_low = (rate * LOW_SECONDS * CHUNKS).ceil() as u64;
    let lag_high = lag_low * HIGH_TIMES;
    let marks = format!("[throttle]\nlag_low = {lag_low}\nlag_high = {lag_high}\n");
    let fleet = Fleet::start(site, None, &marks)?;
    let plan = Shape::Constant.plan(rate, BEFORE + SLOW + AFTER);
    let prepared = site
        .runtime
        .block_on(prepare(&fleet, &plan, 0))
        .map_err(told)?;
    let watch = site
        .runtime
        .block_on(Watch::start(&fleet.log))
        .map_err(told)?;
    let marks = fleet.config.throttle.policy();
    let sending = send_as_ingest(fleet.log.clone(), marks, prepared, watch.begun);
    let sending = site.runtime.spawn(sending);
    site.pass(BEFORE);
    let slow_from = watch.elapsed();
    let starved = Starved::begin(&fleet.owner, RUNS, STANDS);
    site.pass(SLOW);
    drop(starved);
    let slow_to = watch.elapsed();
    site.pass(AFTER);
    // What is still to be sent stays unsent.
    sending.abort();
    if let Ok(Err(failure)) = site.runtime.block_on(sending) {
        return Err(told(failure));
    }
    let end = watch.elapsed();
    let idle = |seen: &Seen| {
        let last = seen.moments.last().filter(|it| it.at > end);
        last.is_some_and(|it| it.places.iter().all(|place| place.lag == 0))
    };
    let drained = site
        .runtime
        .block_on(watch.until(Duration::from_secs(120), idle));
    let drained_after = drained.then(|| watch.elapsed() - end);
    let begun = watch.begun;
    let seen = watch.finish();
    let success = site.runtime.block_on(successes(&fleet.log)).map_err(told)?;
    let links = links(&fleet.config, &seen, slow_from, lag_low, lag_high);
    fleet.stop()?;

    let thirds = [
        (slow_from - 10.0, slow_from),
        (slow_to - (slow_to - slow_from) / 3.0, slow_to),
        (end - 10.0, end),
    ];
    let visible = |(from, to): (f64, f64)| {
        let within = |at: &f64| (from..to).contains(at);
        let times = seen.completed.values();
        let visible = times.filter(|it| it.1 == Completion::Visible);
        let times = visible.map(|it| it.0.saturating_duration_since(begun).as_secs_f64());
        times.filter(within).count() as f64 / (to - from)
    };
    Ok(SlowStore {
        lag_low,
        lag_high,
        links,
        sent: thirds.map(|(from, to)| growth(&seen.moments, "split", from, to)),
        visible: thirds.map(visible),
        drained_after,
        success,
        slow: (slow_from, slow_to),
        seen,
    })
}

fn written(seen: &Seen, stage: &str) -> u64 {
    let last = seen.moments.last();
    last.and_then(|it| it.place(stage))
        .map_or(0, |it| it.written)
}

/// Records written to the topic of `stage`, a second.
fn growth(moments: &[Moment], stage: &str, from: f64, to: f64) -> f64 {
    let within = moments.iter().filter(|it| (from..=to).contains(&it.at));
    let points: Vec<(f64, u64)> = within
        .filter_map(|it| Some((it.at, it.place(stage)?.written)))
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    (last.1 - first.1) as f64 / (last.0 - first.0).max(0.001)
}

/// Every stage and what feeds it.
fn links(config: &Config, seen: &Seen, slow_from: f64, lag_low: u64, lag_high: u64) -> Vec<Link> {
    let policies = Policies::of(config);
    let topology = topology();
    let mut links = Vec::new();
    for to in topology.iter().filter(|it| it.name != "settle") {
        let feeder = topology.iter().find(|it| it.to.contains(&to.from));
        let (from, permitted) = match feeder {
            None => ("ingest", 1),
            Some(stage) => {
                let replicas = match stage.name {
                    "index" => 1,
                    _ => REPLICAS,
                };
                (stage.name, replicas * most_in_flight(&policies, stage.name))
            }
        };
        let fed = written(seen, to.name) as f64;
        let done = feeder.map_or(fed, |it| written(seen, it.name) as f64);
        let in_flight = permitted as f64 * (fed / done.max(1.0)).max(1.0);
        let poll = most_between_polls(&seen.moments, to.name);
        let lag = |it: &Moment| it.place(to.name).map_or(0, |place| place.lag);
        let over = |it: &&Moment| it.at >= slow_from && lag(it) > lag_low;
        links.push(Link {
            from,
            to: to.name,
            held_back_after: seen.moments.iter().find(over).map(|it| it.at - slow_from),
            in_flight,
            poll,
            bound: lag_high as f64 + in_flight + poll as f64,
            highest: seen.moments.iter().map(lag).max().unwrap_or_default(),
        });
    }
    links
}

/// Records that a process may have in flight in a stage.
pub fn most_in_flight(policies: &Policies, stage: &str) -> usize {
    let policy = match stage {
        "split" => &policies.split,
        "parse" => &policies.parse,
        "shard" => &policies.shard,
        "embed" => &policies.embed,
        "index" => &policies.index,
        "link" => &policies.link,
        _ => &policies.settle,
    };
    policy.throttle.max
}

/// A poll of ours sees what the stage's own sees up to a look later.
fn most_between_polls(moments: &[Moment], stage: &str) -> u64 {
    let span = (LAG_POLL + LOOK).as_secs_f64();
    let points: Vec<(f64, u64)> = moments
        .iter()
        .filter_map(|it| Some((it.at, it.place(stage)?.written)))
        .collect();
    let mut most = 0;
    for (place, (at, written)) in points.iter().enumerate() {
        let later = points.iter().skip(place);
        let within = later.take_while(|it| it.0 <= at + span);
        most = most.max(within.last().map_or(0, |it| it.1 - written));
    }
    most
}

impl SlowStore {
    pub fn picture(&self) -> Picture {
        let band = || Band {
            name: "the store is slow".to_owned(),
            from: self.slow.0,
            to: self.slow.1,
        };
        let mark = |name: &str, height: u64| Mark {
            name: format!("{name} mark"),
            height: height as f64,
        };
        let stages = ["split", "parse", "shard", "embed"];
        Picture {
            title: "A slow store, and what those before it do".to_owned(),
            panels: vec![
                Panel {
                    title: "lag, records".to_owned(),
                    lines: lags(&self.seen.moments),
                    marks: vec![mark("low", self.lag_low), mark("high", self.lag_high)],
                    bands: vec![band()],
                },
                Panel {
                    title: "permitted in flight, % of the most".to_owned(),
                    lines: stages.iter().map(|stage| self.permitted(stage)).collect(),
                    marks: Vec::new(),
                    bands: vec![band()],
                },
                Panel {
                    title: "documents a second".to_owned(),
                    lines: vec![self.sending()],
                    marks: Vec::new(),
                    bands: vec![band()],
                },
            ],
        }
    }

    fn permitted(&self, stage: &str) -> Line {
        let limits = self.seen.beats.iter().filter_map(|it| {
            let status = it.stage(stage)?;
            Some((it.at, status.in_flight_limit as f64))
        });
        let points: Vec<(f64, f64)> = limits.collect();
        let most = points.iter().map(|it| it.1).fold(1.0, f64::max);
        Line {
            name: stage.to_owned(),
            points: points
                .into_iter()
                .map(|(at, limit)| (at, 100.0 * limit / most))
                .collect(),
        }
    }

    /// What is sent, over five seconds each.
    fn sending(&self) -> Line {
        const OVER: f64 = 5.0;
        let moments = &self.seen.moments;
        let last = moments.last().map_or(0.0, |it| it.at);
        let steps = (last / OVER) as usize;
        let point = |step: usize| {
            let to = (step + 1) as f64 * OVER;
            (to, growth(moments, "split", to - OVER, to))
        };
        Line {
            name: "sent".to_owned(),
            points: (0..steps).map(point).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Place;

    fn moments(written: &[u64]) -> Vec<Moment> {
        let moment = |(second, written): (usize, &u64)| Moment {
            at: second as f64,
            places: vec![Place {
                stage: "parse",
                lag: 0,
                written: *written,
            }],
        };
        written.iter().enumerate().map(moment).collect()
    }

    #[test]
    fn between_polls_is_the_worst_there_was() {
        let moments = moments(&[0, 10, 20, 30, 130, 230, 330, 330]);
        assert_eq!(most_between_polls(&moments, "parse"), 300);
        assert_eq!(most_between_polls(&moments, "shard"), 0);
        assert_eq!(growth(&moments, "parse", 0.0, 3.0), 10.0);
        assert_eq!(growth(&moments, "parse", 3.5, 6.5), 100.0);
        assert_eq!(growth(&moments, "parse", 50.0, 60.0), 0.0);
    }
}
