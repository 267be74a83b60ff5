//! What became of every record of every stage.

use std::collections::{BTreeMap, HashMap};

use penstock_schemas::{Outcome, dead_letters_of, topics};
use serde::Serialize;
use uuid::Uuid;

use super::commits::{Commits, is_below};
use super::heard::{Dead, Given, Heard, Step};
use crate::documents::What;
use crate::watch::Watched;

/// One line of the table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StepCount {
    pub stage: String,
    pub topic: String,
    /// Records on the topic.
    pub records: u64,
    /// Different things among them.
    pub distinct: u64,
    /// Records more than there are things: repeated after crashes.
    pub repeated: u64,
    /// Ended as output.
    pub output: u64,
    /// Ended as nothing, on purpose: no text, or a deletion.
    pub filtered: u64,
    pub dead: u64,
    /// Of these, dead by design.
    pub dead_by_design: u64,
    pub lost: u64,
    pub passed_unresolved: u64,
    /// Of the records that were not dead by design, in hundredths.
    pub success: f64,
}

/// What is known of versions: what they were, and whether a deletion came after.
pub type Versions = HashMap<Uuid, (What, bool)>;

/// All lines, and what was wrong first, for a person.
pub struct Steps {
    pub counts: Vec<StepCount>,
    /// Dead letters by class, stage and reason.
    pub dead: BTreeMap<String, u64>,
    pub unexpected: BTreeMap<String, u64>,
    pub findings: Vec<String>,
}

const FINDINGS: usize = 20;

/// Follows each record.
pub fn count(
    heard: &Heard,
    stages: &[Watched],
    commits: &Commits<'_>,
    versions: &Versions,
) -> Steps {
    let mut steps = Steps {
        counts: Vec::new(),
        dead: BTreeMap::new(),
        unexpected: BTreeMap::new(),
        findings: Vec::new(),
    };
    for (number, (stage, step)) in stages.iter().zip(&heard.steps).enumerate() {
        let to = stages
            .get(number + 1)
            .filter(|it| !matches!(stage.stage, "link" | "settle") && it.stage != "settle")
            .map(|it| it.from);
        let follow = Follow {
            stage,
            step,
            heard,
            to,
        };
        let mut count = StepCount {
            stage: stage.stage.to_owned(),
            topic: stage.from.to_owned(),
            ..StepCount::default()
        };
        let mut ids = std::collections::HashSet::new();
        for given in &step.given {
            count.records += 1;
            if let Some(id) = given.id
                && !ids.insert(id)
            {
                count.repeated += 1;
            }
            match follow.end(given, None) {
                End::Output => count.output += 1,
                End::Filtered => count.filtered += 1,
                End::Dead(dead) => {
                    count.dead += 1;
                    let line =
                        format!("{} at {}: {}", dead.class, stage.stage, short(&dead.reason));
                    if is_by_design(given, dead, versions) {
                        count.dead_by_design += 1;
                        *steps.dead.entry(line).or_default() += 1;
                    } else {
                        *steps.unexpected.entry(line).or_default() += 1;
                    }
                }
                End::Nothing => {
                    count.lost += 1;
                    find(&mut steps.findings, "lost", stage, given);
                }
            }
            let ends = commits.passed(number, given.place);
            if ends.is_some_and(|ends| matches!(follow.end(given, Some(ends)), End::Nothing)) {
                count.passed_unresolved += 1;
                find(&mut steps.findings, "passed unresolved", stage, given);
            }
        }
        // Progress on one document shares its id; there, nothing is the same thing twice.
        if stage.stage == "settle" {
            count.repeated = 0;
        }
        count.distinct = count.records - count.repeated;
        let fair = count.records - count.dead_by_design;
        let well = count.output + count.filtered;
        count.success = 100.0 * well as f64 / fair.max(1) as f64;
        steps.counts.push(count);
    }
    steps
}

fn find(findings: &mut Vec<String>, what: &str, stage: &Watched, given: &Given) {
    if findings.len() < FINDINGS {
        let id = given.id.map(Uuid::from_u128);
        findings.push(format!(
            "{what}: {} {}/{} id {id:?} version {}",
            stage.from, given.place.partition, given.place.offset, given.version
        ));
    }
}

/// Numbers and ids in a reason make every letter its own.
fn short(reason: &str) -> String {
    let words = reason.split_whitespace().map(|word| {
        let is_plain = !word.chars().any(|it| it.is_ascii_digit());
        if is_plain { word } else { "…" }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().take(70).collect()
}

enum End<'a> {
    Output,
    Filtered,
    Dead(&'a Dead),
    Nothing,
}

struct Follow<'a> {
    stage: &'a Watched,
    step: &'a Step,
    heard: &'a Heard,
    to: Option<&'a str>,
}

impl<'a> Follow<'a> {
    /// What became of a record; with `ends`, what could be seen of it while the topics ended there.
    fn end(&self, given: &Given, ends: Option<&BTreeMap<String, Vec<i64>>>) -> End<'a> {
        let there = |topic: &str, place| ends.is_none_or(|ends| is_below(ends, topic, place));
        if let Some(dead) = self.step.dead.get(&given.place)
            && there(&dead_letters_of(self.stage.from), dead.place)
        {
            return End::Dead(dead);
        }
        let Some(id) = given.id else {
            return End::Nothing;
        };
        if self.stage.stage == "settle" {
            let entered = self.heard.entered.get(&id);
            let entered = entered.is_some_and(|it| there(topics::LEDGER.name(), *it));
            return if entered { End::Output } else { End::Nothing };
        }
        let told = self.step.told.get(&id);
        let Some(told) = told.filter(|it| there(topics::PROGRESS.name(), it.first)) else {
            return End::Nothing;
        };
        match told.outcome {
            Outcome::Filtered | Outcome::Deleted => return End::Filtered,
            Outcome::Outputs => {}
            // It was dead, but not this record of it.
            Outcome::Dead | Outcome::Reopened => return End::Nothing,
        }
        let Some(to) = self.to else {
            return End::Output;
        };
        let own = [id];
        let made = match self.stage.stage {
            "split" | "parse" | "shard" => told.made.as_slice(),
            _ => &own,
        };
        let is_made = |id: &u128| {
            let seen = self.step.made.get(id);
            seen.is_some_and(|seen| there(to, seen.first))
        };
        match made.iter().all(is_made) {
            true => End::Output,
            false => End::Nothing,
        }
    }
}

/// Whether it had to end so.
fn is_by_design(given: &Given, dead: &Dead, versions: &Versions) -> bool {
    if given.is_garbage {
        return dead.class == "undecodable";
    }
    let Some((what, is_deleted)) = versions.get(&given.version) else {
        return false;
    };
    let says = |words: &[&str]| words.iter().any(|word| dead.reason.contains(word));
    // Its bytes went with the deletion.
    if *is_deleted && dead.class == "poison" && says(&["is not in the object store"]) {
        return true;
    }
    match what {
        What::Poison(poison) => dead.class == "poison" && says(poison.reasons()),
        What::Killer(_) => dead.class == "killed",
        What::Note | What::Book | What::Deletion => false,
    }
}
