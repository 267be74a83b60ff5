//! The outcome of a run, for a person and for a script.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use penstock::audit::Audit;
use serde::Serialize;

use crate::account::{Fates, StepCount, StoreCount};
use crate::plan::Kind;
use crate::recovery::Stall;

/// Beyond a fault itself, seconds.
pub const RECOVERY_LIMIT: f64 = 30.0;
/// Of the records that were not dead by design, in hundredths.
pub const SUCCESS: f64 = 99.9;

/// A fault and what followed.
#[derive(Debug, Clone, Serialize)]
pub struct FaultRow {
    pub number: usize,
    pub kind: Kind,
    pub detail: String,
    /// Seconds since the run began.
    pub at: f64,
    /// How long the fault itself took, seconds.
    pub lasted: f64,
    /// Until every group moved again, seconds; none: it did not.
    pub recovered: Option<f64>,
    /// Stages and partitions that moved last.
    pub last: String,
    /// Came together with the one before.
    pub together: bool,
    pub failed: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Table {
    pub passed: bool,
    /// Why not.
    pub broken: Vec<String>,
    pub seed: u64,
    pub seconds: f64,
    pub settings: String,
    pub sent: u64,
    pub sent_again: u64,
    pub garbage: u64,
    /// Records on the data topics.
    pub records: u64,
    pub progress_records: u64,
    pub fates: Fates,
    pub steps: Vec<StepCount>,
    pub lost: u64,
    pub passed_unresolved: u64,
    pub duplicated_in_stores: u64,
    /// Dead letters by class, stage and reason.
    pub dead_by_design: BTreeMap<String, u64>,
    pub dead_unexpectedly: BTreeMap<String, u64>,
    pub stores: Vec<StoreCount>,
    pub audit: Audit,
    /// Documents of which an older version was shown after a newer one.
    pub set_back: u64,
    pub looks: usize,
    pub went_back: u64,
    pub longest_stall: Stall,
    pub longest_stall_outside_faults: Stall,
    pub kills: u64,
    pub starts: u64,
    pub ended_by_themselves: Vec<String>,
    pub ended_with_excuse: u64,
    pub faults: Vec<FaultRow>,
    pub findings: Vec<String>,
}

impl Table {
    /// Sets `passed` by all that was counted.
    pub fn judge(&mut self) {
        let mut broken = Vec::new();
        let mut none = |what: &str, count: u64| {
            if count > 0 {
                broken.push(format!("{count} {what}"));
            }
        };
        none("records lost", self.lost);
        none("commits past an unresolved record", self.passed_unresolved);
        none("duplicated in a store", self.duplicated_in_stores);
        none("versions unaccounted for", self.fates.unaccounted);
        none(
            "documents of which readers see the wrong version",
            self.fates.wrong,
        );
        none(
            "versions failed unexpectedly",
            self.fates.failed_unexpectedly,
        );
        none("older versions shown after newer ones", self.set_back);
        let ended = self.ended_by_themselves.len() as u64;
        none("processes ended by themselves", ended);
        let missing = self
            .stores
            .iter()
            .map(|it| it.missing + it.shown_wrongly)
            .sum();
        none("chunks missing or shown wrongly in a store", missing);
        if !self.audit.is_sound() {
            broken.push("the audit is not sound".to_owned());
        }
        for step in self.steps.iter().filter(|it| it.success < SUCCESS) {
            broken.push(format!(
                "{}: only {:.3} % succeeded",
                step.stage, step.success
            ));
        }
        for fault in &self.faults {
            let name = format!("fault {} ({})", fault.number, fault.kind.name());
            if let Some(failed) = &fault.failed {
                broken.push(format!("{name}: {failed}"));
            }
            match fault.recovered {
                None => broken.push(format!("{name}: not recovered")),
                Some(seconds) if seconds >= RECOVERY_LIMIT => {
                    broken.push(format!("{name}: recovered in {seconds:.1} s"));
                }
                Some(_) => {}
            }
        }
        self.broken.extend(broken);
        self.passed = self.broken.is_empty();
    }

    /// For a person.
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &dyn Display| {
            let _ = writeln!(out, "{text}");
        };
        line(&format!(
            "seed {}: {} faults in {:.0} s, {} kills, {} starts of processes",
            self.seed,
            self.faults.len(),
            self.seconds,
            self.kills,
            self.starts
        ));
        line(&self.settings);
        line(&format!(
            "{} records through the topics, and {} of progress",
            self.records, self.progress_records
        ));
        line(&"");
        let fates = &self.fates;
        line(&format!(
            "sent: {} versions of {} documents, {} older ones once more, {} records of garbage",
            fates.versions, fates.documents, self.sent_again, self.garbage
        ));
        line(&format!(
            "versions: {} visible, {} superseded, {} removed, {} failed, {} unaccounted for",
            fates.visible, fates.superseded, fates.removed, fates.failed, fates.unaccounted
        ));
        line(&"");
        line(&format!(
            "{:<7} {:<18} {:>9} {:>9} {:>8} {:>9} {:>8} {:>6} {:>5} {:>10} {:>9}",
            "stage",
            "reads",
            "records",
            "distinct",
            "repeated",
            "output",
            "filtered",
            "dead",
            "lost",
            "unresolved",
            "success"
        ));
        for step in &self.steps {
            line(&format!(
                "{:<7} {:<18} {:>9} {:>9} {:>8} {:>9} {:>8} {:>6} {:>5} {:>10} {:>7.3} %",
                step.stage,
                step.topic,
                step.records,
                step.distinct,
                step.repeated,
                step.output,
                step.filtered,
                step.dead,
                step.lost,
                step.passed_unresolved,
                step.success
            ));
        }
        line(&"");
        for store in &self.stores {
            line(&format!(
                "{:<7} {} chunks expected, {} held: {} twice, {} left over, {} missing, {} shown wrongly",
                store.store,
                store.expected,
                store.held,
                store.twice,
                store.left_over,
                store.missing,
                store.shown_wrongly
            ));
        }
        line(&self.audit.print().trim_end());
        line(&"");
        let letters = [
            ("dead by design", &self.dead_by_design),
            ("dead unexpectedly", &self.dead_unexpectedly),
        ];
        for (name, letters) in letters {
            for (letter, count) in letters {
                line(&format!("{name:<18} {count:>6}  {letter}"));
            }
        }
        line(&"");
        line(&format!(
            "lost {} · commits past an unresolved record {} (in {} looks) · duplicated in a store {}",
            self.lost, self.passed_unresolved, self.looks, self.duplicated_in_stores
        ));
        let stall = |name: &str, stall: &Stall| {
            format!(
                "{name}: {:.1} s ({} partition {}, at {:.0} s)",
                stall.seconds, stall.stage, stall.partition, stall.at
            )
        };
        line(&stall("longest stall", &self.longest_stall));
        line(&stall(
            "longest stall while no fault was on",
            &self.longest_stall_outside_faults,
        ));
        line(&format!(
            "positions seen to go back: {}; processes that ended by themselves: {}, and {} while the disk was full",
            self.went_back,
            self.ended_by_themselves.len(),
            self.ended_with_excuse
        ));
        line(&"");
        self.print_kinds(&mut line);
        line(&"");
        line(&format!(
            "{:>5} {:<11} {:>7} {:>7} {:>9}  {}",
            "fault", "kind", "at", "lasted", "recovered", "what (and what moved last)"
        ));
        for fault in &self.faults {
            let recovered = fault
                .recovered
                .map_or("never".to_owned(), |it| format!("{it:.1} s"));
            line(&format!(
                "{:>4}{} {:<11} {:>5.0} s {:>5.1} s {:>9}  {}{}",
                fault.number,
                if fault.together { "+" } else { " " },
                fault.kind.name(),
                fault.at,
                fault.lasted,
                recovered,
                fault.detail,
                match &fault.failed {
                    Some(failed) => format!(" FAILED: {failed}"),
                    None => format!(" ({})", fault.last),
                },
            ));
        }
        line(&"");
        for ended in &self.ended_by_themselves {
            line(&format!("ended by itself: {ended}"));
        }
        for finding in &self.findings {
            line(&format!("found: {finding}"));
        }
        match self.passed {
            true => line(&"passed"),
            false => self
                .broken
                .iter()
                .for_each(|it| line(&format!("BROKEN: {it}"))),
        }
        out
    }

    /// Recovery by kind of fault.
    fn print_kinds(&self, line: &mut impl FnMut(&dyn Display)) {
        let mut kinds: BTreeMap<Kind, Vec<f64>> = BTreeMap::new();
        for fault in &self.faults {
            let seconds = fault.recovered.unwrap_or(f64::INFINITY);
            kinds.entry(fault.kind).or_default().push(seconds);
        }
        line(&format!(
            "{:<11} {:>6} {:>12} {:>12}",
            "kind", "faults", "median", "longest"
        ));
        for (kind, mut seconds) in kinds {
            seconds.sort_by(f64::total_cmp);
            let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
            let longest = seconds.last().copied().unwrap_or_default();
            line(&format!(
                "{:<11} {:>6} {:>10.1} s {:>10.1} s",
                kind.name(),
                seconds.len(),
                median,
                longest
            ));
        }
    }
}
