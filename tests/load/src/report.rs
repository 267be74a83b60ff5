//! What a run came to: one JSON document, and tables in Markdown.

use std::fmt::Write;

use serde::Serialize;

use crate::load::Loaded;
use crate::outage::Outage;
use crate::slow_store::SlowStore;
use crate::success::Success;

/// Everything that was run; the rest is none.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub machine: String,
    pub model: String,
    /// Documents a second that the fleet can do; none where a rate was given.
    pub capacity: Option<f64>,
    pub loads: Vec<Loaded>,
    pub success: Vec<Success>,
    pub slow_store: Option<SlowStore>,
    pub outage: Option<Outage>,
}

/// Of the records that are not poison.
const LEAST_SHARE: f64 = 0.999;

impl Report {
    /// Every document is accounted for, and what backpressure promises is kept.
    pub fn holds(&self) -> bool {
        self.loads.iter().all(|it| it.unaccounted == 0)
            && self.success.iter().all(|it| it.share >= LEAST_SHARE)
            && self.slow_store.as_ref().is_none_or(SlowStore::holds)
            && self.outage.as_ref().is_none_or(Outage::holds)
    }

    pub fn markdown(&self) -> String {
        let mut out = format!(
            "On {}, three brokers beside; {}.\n",
            self.machine, self.model
        );
        if let Some(capacity) = self.capacity {
            let _ = writeln!(out, "The fleet can do {capacity:.1} documents a second.");
        }
        if !self.loads.is_empty() {
            out.push_str(&self.loads());
        }
        if !self.success.is_empty() {
            out.push_str("\nOver all of these:\n\n");
            out.push_str(&successes(&self.success));
        }
        if let Some(it) = &self.slow_store {
            out.push_str(&slow_store(it));
        }
        if let Some(it) = &self.outage {
            out.push_str(&outage(it));
        }
        out
    }

    fn loads(&self) -> String {
        let mut out = String::from(
            "\n## From arrival to visible, seconds\n\n\
             | arrivals | a second | documents | p50 | p95 | p99 | longest |\n|---|---|---|---|---|---|---|\n",
        );
        for load in &self.loads {
            for (whose, latency) in &load.latencies {
                let _ = writeln!(
                    out,
                    "| {}: {whose} | {:.1} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
                    load.shape,
                    load.rate,
                    latency.documents,
                    latency.p50,
                    latency.p95,
                    latency.p99,
                    latency.longest
                );
            }
        }
        for load in &self.loads {
            let _ = writeln!(
                out,
                "\n{}: {} documents, {} of them dead letters, {} never accounted for.",
                load.shape, load.documents, load.failed, load.unaccounted
            );
        }
        out
    }
}

fn successes(all: &[Success]) -> String {
    let mut out = String::from(
        "| stage | records | poison | other letters | success |\n|---|---|---|---|---|\n",
    );
    for it in all {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {:.3} % |",
            it.stage,
            it.records,
            it.poison(),
            it.others(),
            it.share * 100.0
        );
    }
    out
}

/// Dead letters that are not the records' own fault.
fn others(all: &[Success]) -> u64 {
    all.iter().map(Success::others).sum()
}

fn seconds(time: Option<f64>) -> String {
    time.map_or("never".to_owned(), |time| format!("{time:.0} s"))
}

fn slow_store(it: &SlowStore) -> String {
    let mut out = format!(
        "\n## A slow store\n\nMarks of {} and {} records. The store is slow for a minute: its process gets a 25th of the time.\n\n\
         | from | to | over the low mark after | in flight | one poll | bound | highest lag |\n|---|---|---|---|---|---|---|\n",
        it.lag_low, it.lag_high
    );
    for link in it.links.iter().rev() {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} | {} | {:.0} | {}{} |",
            link.from,
            link.to,
            seconds(link.held_back_after),
            link.in_flight,
            link.poll,
            link.bound,
            link.highest,
            if link.holds() { "" } else { " (over)" }
        );
    }
    out.push_str("\n| documents a second | before | slow | after |\n|---|---|---|---|\n");
    for (name, rates) in [("sent", it.sent), ("visible", it.visible)] {
        let [before, slow, after] = rates;
        let _ = writeln!(out, "| {name} | {before:.1} | {slow:.1} | {after:.1} |");
    }
    let _ = writeln!(
        out,
        "\nNothing lagged {} after the last document was sent; {} dead letters beside poison.",
        seconds(it.drained_after),
        others(&it.success)
    );
    out
}

fn outage(it: &Outage) -> String {
    let mut out = String::from(
        "\n## The object store away for a minute, under full load\n\n\
         | a second | before | 15 s after its return | full again after | most in flight | permitted |\n|---|---|---|---|---|---|\n",
    );
    for rate in &it.rates {
        let in_flight = it.in_flight.get(rate.of);
        let cell = |value: Option<i64>| value.map_or("–".to_owned(), |it| it.to_string());
        let _ = writeln!(
            out,
            "| {} | {:.1} | {:.1} | {} | {} | {} |",
            rate.of,
            rate.before,
            rate.after,
            seconds(rate.back_after),
            cell(in_flight.map(|it| it.0)),
            cell(in_flight.map(|it| it.1))
        );
    }
    let members = match it.members_stayed {
        true => "No consumer left its group",
        false => "A CONSUMER LEFT ITS GROUP",
    };
    let letters = others(&it.success);
    let _ = writeln!(out, "\n{members}; {letters} dead letters beside poison.");
    out
}
