//! What settle hears: one record per lineage, part and outcome of a batch, with the ids merged.

use penstock_schemas::{DeadRef, Lineage, Opened, Outcome, Progress};
use uuid::Uuid;

use crate::Note;
use crate::dead_letters::Cause;
use crate::lineage::Origin;

/// What became of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    lineage: Lineage,
    part: Option<i32>,
    outcome: Outcome,
    ids: Vec<Uuid>,
    run: Option<Uuid>,
    opened: Option<Opened>,
    dead: Option<DeadRef>,
}

impl Fact {
    /// What a stage's note says of an input. None where there is nothing to say, or nobody to say it of.
    pub fn of_note(note: Note, origin: &Origin) -> Option<Self> {
        let own = || origin.lineage.clone();
        // A stage that names no ids has finished the chunk it was given.
        let ids_or_own = |ids: Vec<Uuid>| {
            if ids.is_empty() {
                origin.chunk.into_iter().collect()
            } else {
                ids
            }
        };
        let (lineage, outcome, ids, run, opened) = match note {
            Note::Outputs {
                ids,
                run,
                opened,
                lineage,
            } => {
                let lineage = lineage.map(|boxed| *boxed).or_else(own)?;
                let opened = opened.map(|boxed| *boxed);
                // A run's list is the truth even where it is empty.
                let ids = if run.is_some() { ids } else { ids_or_own(ids) };
                (lineage, Outcome::Outputs, ids, run, opened)
            }
            Note::Filtered => (
                own()?,
                Outcome::Filtered,
                ids_or_own(Vec::new()),
                None,
                None,
            ),
            Note::Deleted { opened, lineage } => {
                (*lineage, Outcome::Deleted, Vec::new(), None, Some(*opened))
            }
            Note::Silent => return None,
        };
        Some(Self {
            lineage,
            part: origin.part,
            outcome,
            ids,
            run,
            opened,
            dead: None,
        })
    }

    pub fn of_death(cause: &Cause, stage: &str, origin: &Origin) -> Option<Self> {
        Some(Self {
            lineage: origin.lineage.clone()?,
            part: origin.part,
            outcome: Outcome::Dead,
            ids: Vec::new(),
            run: None,
            opened: None,
            dead: Some(DeadRef {
                stage: stage.to_owned(),
                part: origin.part,
                chunk: origin.chunk,
                class: cause.class.to_owned(),
                reason: cause.reason.clone(),
            }),
        })
    }

    fn merges_with(&self, other: &Self) -> bool {
        let plain =
            |fact: &Self| fact.run.is_none() && fact.opened.is_none() && fact.dead.is_none();
        plain(self)
            && plain(other)
            && self.outcome == other.outcome
            && self.part == other.part
            && self.lineage == other.lineage
    }
}

/// The facts of a batch as records, those alike made one. `at` is in milliseconds since the epoch.
pub fn aggregate(facts: Vec<Fact>, stage: &str, at: i64) -> Vec<Progress> {
    let mut merged: Vec<Fact> = Vec::new();
    for fact in facts {
        // Batches are small and mostly of few documents: a scan beats a map keyed by clones.
        match merged.iter_mut().find(|known| known.merges_with(&fact)) {
            Some(known) => known.ids.extend(fact.ids),
            None => merged.push(fact),
        }
    }
    merged
        .into_iter()
        .map(|fact| Progress {
            lineage: fact.lineage,
            stage: stage.to_owned(),
            part: fact.part,
            run: fact.run,
            outcome: fact.outcome,
            ids: fact.ids,
            opened: fact.opened,
            dead: fact.dead,
            at,
        })
        .collect()
}
