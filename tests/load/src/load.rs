//! Documents at a set rate, and how long each takes to be visible.

use std::time::{Duration, Instant};

use penstock_runtime::Failure;
use penstock_schemas::Completion;
use serde::Serialize;

use crate::Told;
use crate::arrivals::{Arrival, FLOODING, QUIET, Shape};
use crate::fleet::{Fleet, Site, told};
use crate::latency::Latency;
use crate::picture::{Line, Panel};
use crate::send::{Prepared, burst, prepare, send};
use crate::watch::{Moment, Seen, Watch};

/// What one shape of arrivals came to.
#[derive(Debug, Serialize)]
pub struct Loaded {
    pub shape: &'static str,
    /// Mean of the arrivals, documents a second.
    pub rate: f64,
    pub documents: usize,
    /// From arrival to visible.
    pub latencies: Vec<(&'static str, Latency)>,
    /// Documents that ended as dead letters.
    pub failed: usize,
    /// Documents nobody heard of again.
    pub unaccounted: usize,
    #[serde(skip)]
    moments: Vec<Moment>,
}

/// Documents that went through a fleet, so that no number comes twice.
#[derive(Debug, Default)]
pub struct Counter(usize);

impl Counter {
    fn take(&mut self, count: usize) -> usize {
        let first = self.0;
        self.0 += count;
        first
    }
}

/// How many documents a second the fleet can do: of a burst, all but the last tenth, from its beginning on. What comes
/// later has the machine for itself.
pub fn calibrate(site: &Site, fleet: &Fleet, counter: &mut Counter) -> Told<f64> {
    const BURST: usize = 600;
    let plan = burst(BURST, QUIET);
    let first = counter.take(BURST);
    let (sent, begun, seen) = site
        .runtime
        .block_on(run(fleet, &plan, first))
        .map_err(told)?;
    let mut done: Vec<Instant> = sent
        .iter()
        .filter_map(|it| Some(seen.completed.get(&it.id)?.0))
        .collect();
    done.sort_unstable();
    const COUNTED: usize = BURST * 9 / 10;
    let Some(last) = done.get(COUNTED - 1) else {
        let missing = BURST - done.len();
        return Err(format!(
            "{missing} of the first {BURST} documents were never accounted for"
        ));
    };
    let seconds = last.saturating_duration_since(begun).as_secs_f64();
    Ok(COUNTED as f64 / seconds.max(0.001))
}

/// Lets documents arrive for `length`, and waits for the last of them.
pub fn load(
    site: &Site,
    fleet: &Fleet,
    shape: Shape,
    rate: f64,
    length: Duration,
    counter: &mut Counter,
) -> Told<Loaded> {
    let plan = shape.plan(rate, length);
    let first = counter.take(plan.len());
    let (sent, begun, seen) = site
        .runtime
        .block_on(run(fleet, &plan, first))
        .map_err(told)?;
    let visible = |of: &dyn Fn(&Arrival) -> bool| {
        let times = sent.iter().filter(|it| of(&it.arrival)).filter_map(|it| {
            let (at, outcome) = seen.completed.get(&it.id)?;
            let due = begun + it.arrival.at;
            (*outcome == Completion::Visible).then(|| at.saturating_duration_since(due))
        });
        Latency::of(times)
    };
    let latencies = match shape {
        Shape::Constant | Shape::Spikes => vec![("all", visible(&|_| true))],
        Shape::Flood => {
            let flood = length / 4..length / 2;
            let quiet = |it: &Arrival| it.group == QUIET;
            vec![
                (
                    "quiet, before",
                    visible(&|it| quiet(it) && it.at < flood.start),
                ),
                (
                    "quiet, beside the flood",
                    visible(&|it| quiet(it) && flood.contains(&it.at)),
                ),
                ("flooding", visible(&|it| it.group == FLOODING)),
                (
                    "quiet, after",
                    visible(&|it| quiet(it) && it.at >= flood.end),
                ),
            ]
        }
    };
    let outcome = |it: &&Prepared| seen.completed.get(&it.id).map(|(_, outcome)| *outcome);
    let failed = |it: &&Prepared| outcome(it) == Some(Completion::Failed);
    Ok(Loaded {
        shape: shape.name(),
        rate: plan.len() as f64 / length.as_secs_f64(),
        documents: plan.len(),
        latencies,
        failed: sent.iter().filter(failed).count(),
        unaccounted: sent.iter().filter(|it| outcome(it).is_none()).count(),
        moments: seen.moments,
    })
}

/// Sends by plan and waits until all is accounted for, or hardly will be.
async fn run(
    fleet: &Fleet,
    plan: &[Arrival],
    first: usize,
) -> Result<(Vec<Prepared>, Instant, Seen), Failure> {
    /// After the last document was sent. For a broken pipeline only.
    const LIMIT: Duration = Duration::from_secs(180);
    let prepared = prepare(fleet, plan, first).await?;
    let watch = Watch::start(&fleet.log).await?;
    send(fleet, &prepared, watch.begun).await?;
    let accounted = |seen: &Seen| {
        prepared
            .iter()
            .all(|it| seen.completed.contains_key(&it.id))
    };
    watch.until(LIMIT, accounted).await;
    let begun = watch.begun;
    Ok((prepared, begun, watch.finish()))
}

impl Loaded {
    pub fn panel(&self) -> Panel {
        Panel {
            title: format!("{}: lag, records", self.shape),
            lines: lags(&self.moments),
            marks: Vec::new(),
            bands: Vec::new(),
        }
    }
}

/// The lag of every stage over time.
pub fn lags(moments: &[Moment]) -> Vec<Line> {
    let Some(first) = moments.first() else {
        return Vec::new();
    };
    let line = |stage: &'static str| Line {
        name: stage.to_owned(),
        points: moments
            .iter()
            .filter_map(|it| Some((it.at, it.place(stage)?.lag as f64)))
            .collect(),
    };
    first.places.iter().map(|it| line(it.stage)).collect()
}
