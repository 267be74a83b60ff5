//! `penstock status --document`: what has become of one document, and where it waits.

mod heard;
mod print;
mod stopped;
#[cfg(test)]
mod tests;
mod waits;

use std::collections::BTreeMap;

use penstock_runtime::Failure;
use penstock_schemas::{Completion, LedgerEntry, Lineage, OpenEdition, Outcome, Progress, Step};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use heard::Heard;
pub use stopped::{Stopped, StoppedDocument, stopped};
pub use waits::{Counts, Wait, wait_of};

use crate::commands::print;
use crate::config::Config;
use crate::dead_letters::{Desk, Letter, shown};
use crate::pipeline::topology;
use crate::status::{StageStatus, stage_status};

/// Scripts rely on these fields. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    pub document_guid: Uuid,
    pub group: Option<String>,
    pub source: Option<String>,
    pub key: Option<String>,
    pub path: Option<String>,
    /// The newest version that was sent.
    pub sent: Option<Sent>,
    /// The version that deleted it; nothing of it or older comes back.
    pub deleted: Option<Uuid>,
    /// When it was gone from both stores.
    pub removed_at: Option<String>,
    /// Newest first.
    pub editions: Vec<EditionLife>,
    /// Oldest first.
    pub dead_letters: Vec<Letter>,
    /// Where its newest version waits; none where nothing is left to do.
    pub waits: Option<Waiting>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub version: Uuid,
    pub at: String,
    /// True for a deletion.
    pub deleted: bool,
}

/// One processing of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditionLife {
    pub edition: Uuid,
    pub version: Uuid,
    /// visible; gathering, settled, swept, shown_vectors, shown_graph: on its way; failed, abandoned; over: readers see a
    /// newer one, or none; reported: settle has not got to it.
    pub state: String,
    /// Since when it is visible, or when it last got on.
    pub since: String,
    /// When split stamped it.
    pub stamped: String,
    pub parts: Option<i32>,
    pub parts_pending: usize,
    pub chunks: usize,
    /// Chunks in the vector store and in the graph.
    pub indexed: usize,
    pub linked: usize,
    /// What died of it and was not done after all.
    pub dead: usize,
    /// In the order records flow; empty where the log has let go of it.
    pub stages: Vec<StageTimes>,
}

/// When a stage reported of an edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    pub stage: String,
    pub first: String,
    pub last: String,
    /// Since what the stage before reported first.
    pub milliseconds: i64,
    /// Parts or chunks it has done, with repetitions.
    pub done: usize,
    pub dead: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// None: no stage will do it, somebody has to.
    pub stage: Option<String>,
    pub what: String,
    /// Records that wait for the stage, of all documents.
    pub lag_records: Option<i64>,
    /// Processes that run the stage.
    pub instances: Option<usize>,
}

/// Runs the command; the exit code.
pub async fn show(config: &Config, id: Uuid, json: bool) -> Result<u8, Failure> {
    let desk = Desk::open(config).await?;
    let outcome = read(&desk, id).await;
    desk.close().await;
    let life = outcome?;
    print(json, &life, || life.print());
    Ok(0)
}

async fn read(desk: &Desk, id: Uuid) -> Result<Life, Failure> {
    let heard = Heard::read(desk.log(), id).await?;
    if heard.is_nothing() {
        return Err(Failure::fatal(format!(
            "no document {id} is known: query --json names documents, and dead-letters list those that died"
        )));
    }
    let stages = stage_status(desk.log()).await?;
    Ok(Life::of(id, heard, &stages))
}

impl Life {
    pub fn of(id: Uuid, heard: Heard, stages: &[StageStatus]) -> Self {
        let editions = editions(&heard);
        let waits = waits(&heard).map(|wait| Waiting::of(wait, stages));
        let entry = heard.entry.as_ref();
        let sent = heard.sent.as_ref().map(|(_, document)| document);
        let seen = entry.and_then(|it| it.visible.as_ref());
        let opened = heard
            .progress
            .iter()
            .rev()
            .find_map(|it| it.opened.as_ref());
        let about = seen.map(|it| &it.opened).or(opened).map(|it| &it.about);
        Self {
            document_guid: id,
            group: sent
                .map(|it| it.group.clone())
                .or_else(|| entry.map(|it| it.group.clone())),
            source: sent
                .map(|it| it.source.clone())
                .or_else(|| about.map(|it| it.source.clone())),
            key: sent
                .map(|it| it.key.clone())
                .or_else(|| about.map(|it| it.key.clone())),
            path: sent
                .map(|it| it.path.clone())
                .or_else(|| about.map(|it| it.path.clone())),
            sent: heard.sent.as_ref().map(|(at, document)| Sent {
                version: document.version,
                at: shown(*at),
                deleted: document.deleted,
            }),
            deleted: entry.and_then(|it| it.deleted),
            removed_at: entry.and_then(|it| it.removed_at).map(shown),
            editions,
            dead_letters: heard.letters,
            waits,
        }
    }
}

impl Waiting {
    pub fn of(wait: Wait, stages: &[StageStatus]) -> Self {
        let status = stages
            .iter()
            .find(|it| Some(it.stage.as_str()) == wait.stage);
        Self {
            stage: wait.stage.map(str::to_owned),
            what: wait.what,
            lag_records: status.map(|it| it.lag_records),
            instances: status.map(|it| it.instances),
        }
    }
}

/// Where the newest version waits.
fn waits(heard: &Heard) -> Option<Wait> {
    let wait = |stage, what: &str| {
        Some(Wait {
            stage: Some(stage),
            what: what.to_owned(),
        })
    };
    let entry = heard.entry.as_ref();
    let newest = entry.and_then(|it| it.newest);
    let sent = heard.sent.as_ref().map(|(_, it)| it.version);
    let reported = heard.progress.iter().map(|it| it.lineage.version).max();
    if sent.max(reported) > newest {
        return match reported >= sent {
            true => wait("settle", "it has not heard of the newest version yet"),
            false => wait("split", "the newest version is not taken up yet"),
        };
    }
    let entry = entry?;
    if entry.deleted.is_some() && entry.removed_at.is_none() {
        return wait("settle", "it is to be removed from both stores");
    }
    let open = newest_open(entry)?;
    let progress: Vec<&Progress> = heard
        .progress
        .iter()
        .filter(|it| it.lineage.edition == open.lineage.edition)
        .collect();
    Some(wait_of(open, &progress))
}

/// The edition that may become the newest readers see.
pub fn newest_open(entry: &LedgerEntry) -> Option<&OpenEdition> {
    let order = |lineage: &Lineage| (lineage.version, lineage.stamped);
    let open = entry.open.iter().max_by_key(|it| order(&it.lineage))?;
    let seen = entry.visible.as_ref().map(|it| order(&it.lineage));
    // What is left of an older one holds nothing up.
    (seen <= Some(order(&open.lineage))).then_some(open)
}

/// Every edition that is told of anywhere, newest first.
fn editions(heard: &Heard) -> Vec<EditionLife> {
    let mut all: BTreeMap<(Uuid, i64, Uuid), EditionLife> = BTreeMap::new();
    let mut put = |lineage: &Lineage, life: EditionLife| {
        all.entry((lineage.version, lineage.stamped, lineage.edition))
            .or_insert(life);
    };
    // What tells most comes first: a later one of the same edition changes nothing.
    let entry = heard.entry.as_ref();
    for open in entry.iter().flat_map(|it| &it.open) {
        put(&open.lineage, of_open(open, heard));
    }
    if let Some(visible) = entry.and_then(|it| it.visible.as_ref()) {
        let chunks = visible.chunks.max(0) as usize;
        let life = EditionLife {
            parts: Some(visible.opened.parts),
            chunks,
            indexed: chunks,
            linked: chunks,
            ..of_lineage(&visible.lineage, "visible", visible.at, heard)
        };
        put(&visible.lineage, life);
    }
    for it in heard.completed.iter().rev() {
        if it.outcome != Completion::Removed {
            let life = EditionLife {
                parts: Some(it.parts),
                chunks: it.chunks.max(0) as usize,
                dead: it.dead.len(),
                ..of_lineage(&it.lineage, "over", it.at, heard)
            };
            put(&it.lineage, life);
        }
    }
    let newest = entry.and_then(|it| it.newest);
    for it in heard.progress.iter().rev() {
        if it.outcome != Outcome::Deleted {
            let state = match Some(it.lineage.version) > newest {
                true => "reported",
                false => "over",
            };
            put(&it.lineage, of_lineage(&it.lineage, state, it.at, heard));
        }
    }
    all.into_values().rev().collect()
}

fn of_open(open: &OpenEdition, heard: &Heard) -> EditionLife {
    let counts = Counts::of(open);
    EditionLife {
        parts: open.opened.as_ref().map(|it| it.parts),
        parts_pending: counts.parts_pending,
        chunks: counts.chunks,
        indexed: counts.indexed,
        linked: counts.linked,
        dead: open.dead.len(),
        ..of_lineage(&open.lineage, word(open.step), open.last_progress_at, heard)
    }
}

fn word(step: Step) -> &'static str {
    match step {
        Step::Gathering => "gathering",
        Step::Settled => "settled",
        Step::Swept => "swept",
        Step::ShownVectors => "shown_vectors",
        Step::ShownGraph => "shown_graph",
        Step::Failed => "failed",
        Step::Abandoned => "abandoned",
    }
}

fn of_lineage(lineage: &Lineage, state: &str, since: i64, heard: &Heard) -> EditionLife {
    EditionLife {
        edition: lineage.edition,
        version: lineage.version,
        state: state.to_owned(),
        since: shown(since),
        stamped: shown(lineage.stamped),
        parts: None,
        parts_pending: 0,
        chunks: 0,
        indexed: 0,
        linked: 0,
        dead: 0,
        stages: times(lineage, heard),
    }
}

fn times(lineage: &Lineage, heard: &Heard) -> Vec<StageTimes> {
    let by_stage = heard.by_stage(lineage.edition);
    let mut before = lineage.stamped;
    let mut all = Vec::new();
    for stage in topology() {
        let Some(reports) = by_stage.get(stage.name) else {
            continue;
        };
        let (Some(first), Some(last)) = (reports.first(), reports.last()) else {
            continue;
        };
        let dead = reports.iter().filter(|it| it.outcome == Outcome::Dead);
        let done = reports
            .iter()
            .filter(|it| it.outcome != Outcome::Dead)
            .map(|it| it.ids.len().max(1));
        all.push(StageTimes {
            stage: stage.name.to_owned(),
            first: shown(first.at),
            last: shown(last.at),
            milliseconds: (last.at - before).max(0),
            done: done.sum(),
            dead: dead.count(),
        });
        before = first.at;
    }
    all
}
