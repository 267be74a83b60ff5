//! Where an edition waits: what is missing, and whose it is to do.

use std::collections::HashSet;

use penstock_schemas::{OpenEdition, Outcome, PartOutcome, Progress, Step};
use uuid::Uuid;

/// Chunks of an edition, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Parts whose chunks are not known yet.
    pub parts_pending: usize,
    pub chunks: usize,
    pub indexed: usize,
    pub linked: usize,
}

impl Counts {
    pub fn of(open: &OpenEdition) -> Self {
        let parts = open
            .opened
            .as_ref()
            .map_or(0, |it| it.parts.max(0) as usize);
        let mut counts = Self::default();
        let mut known = 0;
        for part in &open.parts {
            if part.outcome != PartOutcome::Pending {
                known += 1;
            }
            counts.chunks += part.chunks.len() / 16;
            counts.indexed += ones(&part.indexed);
            counts.linked += ones(&part.linked);
        }
        counts.parts_pending = parts.saturating_sub(known);
        counts
    }
}

fn ones(bits: &[u8]) -> usize {
    bits.iter().map(|byte| byte.count_ones() as usize).sum()
}

/// The stage an edition waits for, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// None where no stage will do it: somebody has to.
    pub stage: Option<&'static str>,
    pub what: String,
}

impl Wait {
    fn of(stage: &'static str, what: impl Into<String>) -> Self {
        Self {
            stage: Some(stage),
            what: what.into(),
        }
    }

    fn nobody(what: impl Into<String>) -> Self {
        Self {
            stage: None,
            what: what.into(),
        }
    }
}

/// Where this edition waits. `progress`: what is known of it, none where the topic has let go of it; it tells parse from
/// shard, and embed from index.
pub fn wait_of(open: &OpenEdition, progress: &[&Progress]) -> Wait {
    match open.step {
        Step::Gathering => gathering(open, progress),
        Step::Settled => Wait::of("settle", "what the last runs do not name is to be swept"),
        Step::Swept => Wait::of("settle", "it is to be shown in the vector store"),
        Step::ShownVectors => Wait::of("settle", "it is to be shown in the graph"),
        Step::ShownGraph => Wait::of("settle", "older editions are to be swept"),
        Step::Failed => Wait::nobody(format!(
            "{} dead: mend the cause, then penstock dead-letters redrive --document {}",
            open.dead.len(),
            open.lineage.document_guid
        )),
        Step::Abandoned => Wait::nobody("it was given up: ingest the document again"),
    }
}

fn gathering(open: &OpenEdition, progress: &[&Progress]) -> Wait {
    let Some(opened) = &open.opened else {
        return Wait::of("split", "how many parts it has is not known");
    };
    let counts = Counts::of(open);
    if counts.parts_pending > 0 {
        let (pending, all) = (counts.parts_pending, opened.parts);
        let parsed = parts_done_by("parse", progress);
        let listed: HashSet<i32> = known_parts(open).collect();
        let unparsed = (0..all).any(|part| !listed.contains(&part) && !parsed.contains(&part));
        return match unparsed {
            true => Wait::of("parse", format!("{pending} of {all} parts are not read")),
            false => Wait::of(
                "shard",
                format!("{pending} of {all} parts are not cut into chunks"),
            ),
        };
    }
    // Where a chunk is dead, what waits is another.
    let dead: HashSet<Uuid> = open.dead.iter().filter_map(|it| it.chunk).collect();
    let missing = |done: fn(&penstock_schemas::PartState) -> &[u8]| -> Vec<Uuid> {
        open.parts
            .iter()
            .flat_map(|part| {
                let bits = done(part);
                let is_done =
                    |at: usize| bits.get(at / 8).is_some_and(|it| it >> (at % 8) & 1 == 1);
                ids(&part.chunks)
                    .enumerate()
                    .filter(move |(at, _)| !is_done(*at))
                    .map(|(_, id)| id)
            })
            .filter(|id| !dead.contains(id))
            .collect()
    };
    let unindexed = missing(|part| &part.indexed);
    if !unindexed.is_empty() {
        let embedded: HashSet<Uuid> = done_by("embed", progress)
            .flat_map(|it| it.ids.iter().copied())
            .collect();
        let unembedded = unindexed.iter().filter(|id| !embedded.contains(id)).count();
        return match unembedded {
            0 => Wait::of(
                "index",
                format!(
                    "{} of {} chunks are not in the vector store",
                    unindexed.len(),
                    counts.chunks
                ),
            ),
            some => Wait::of(
                "embed",
                format!("{some} of {} chunks have no vector", counts.chunks),
            ),
        };
    }
    let unlinked = missing(|part| &part.linked);
    Wait::of(
        "link",
        format!(
            "{} of {} chunks are not in the graph",
            unlinked.len(),
            counts.chunks
        ),
    )
}

fn known_parts(open: &OpenEdition) -> impl Iterator<Item = i32> {
    let known = open.parts.iter();
    known
        .filter(|it| it.outcome != PartOutcome::Pending)
        .map(|it| it.part)
}

fn done_by<'a>(
    stage: &'a str,
    progress: &'a [&Progress],
) -> impl Iterator<Item = &'a &'a Progress> {
    progress
        .iter()
        .filter(move |it| it.stage == stage && it.outcome == Outcome::Outputs)
}

fn parts_done_by(stage: &str, progress: &[&Progress]) -> HashSet<i32> {
    done_by(stage, progress).filter_map(|it| it.part).collect()
}

/// 16 bytes each.
fn ids(packed: &[u8]) -> impl Iterator<Item = Uuid> {
    packed
        .chunks_exact(16)
        .filter_map(|bytes| Uuid::from_slice(bytes).ok())
}
