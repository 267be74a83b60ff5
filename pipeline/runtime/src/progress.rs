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

/// What settle has to hear of a record that was given up by hand; none where it belongs to no document.
pub fn death(cause: &Cause, stage: &str, origin: &Origin, at: i64) -> Option<Progress> {
    let fact = Fact::of_death(cause, stage, origin)?;
    aggregate(vec![fact], stage, at).pop()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(document: u128) -> Lineage {
        Lineage {
            group: "g".to_owned(),
            document_guid: Uuid::from_u128(document),
            version: Uuid::from_u128(2),
            edition: Uuid::from_u128(3),
            stamped: 4,
        }
    }

    fn origin(document: u128, part: i32, chunk: Option<u128>) -> Origin {
        Origin {
            lineage: Some(lineage(document)),
            part: Some(part),
            ordinal: None,
            chunk: chunk.map(Uuid::from_u128),
        }
    }

    fn outputs(ids: &[u128], run: Option<u128>) -> Note {
        Note::Outputs {
            ids: ids.iter().copied().map(Uuid::from_u128).collect(),
            run: run.map(Uuid::from_u128),
            opened: None,
            lineage: None,
        }
    }

    fn note(note: Note, document: u128, part: i32, chunk: Option<u128>) -> Option<Fact> {
        Fact::of_note(note, &origin(document, part, chunk))
    }

    fn death(part: i32, chunk: u128) -> Option<Fact> {
        let cause = Cause {
            class: "poison",
            reason: "r".to_owned(),
        };
        Fact::of_death(&cause, "embed", &origin(1, part, Some(chunk)))
    }

    /// Per record: document, part, outcome, ids.
    type Told = (u128, Option<i32>, Outcome, Vec<u128>);

    fn check(facts: &[Option<Fact>], expect: &[Told]) {
        let facts = facts.iter().flatten().cloned().collect();
        let told: Vec<Told> = aggregate(facts, "embed", 9)
            .into_iter()
            .map(|progress| {
                let ids = progress.ids.iter().map(|id| id.as_u128()).collect();
                let document = progress.lineage.document_guid.as_u128();
                assert_eq!((progress.stage.as_str(), progress.at), ("embed", 9));
                assert_eq!(progress.dead.is_some(), progress.outcome == Outcome::Dead);
                (document, progress.part, progress.outcome, ids)
            })
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn alike_facts_become_one() {
        use Outcome::{Dead, Filtered, Outputs};
        check(&[], &[]);
        check(
            &[
                note(outputs(&[10], None), 1, 0, Some(10)),
                note(outputs(&[], None), 1, 0, Some(11)),
                note(outputs(&[12], None), 1, 1, None),
                note(Note::Filtered, 1, 0, Some(13)),
                note(outputs(&[14], None), 2, 0, None),
                note(outputs(&[15, 16], None), 1, 0, None),
            ],
            &[
                (1, Some(0), Outputs, vec![10, 11, 15, 16]),
                (1, Some(1), Outputs, vec![12]),
                (1, Some(0), Filtered, vec![13]),
                (2, Some(0), Outputs, vec![14]),
            ],
        );
        // Each death has its own reason, and each run its own list.
        check(
            &[
                death(0, 1),
                death(0, 2),
                note(outputs(&[10], Some(1)), 1, 0, None),
                note(outputs(&[11], Some(2)), 1, 0, None),
                note(outputs(&[], Some(3)), 1, 0, Some(99)),
            ],
            &[
                (1, Some(0), Dead, vec![]),
                (1, Some(0), Dead, vec![]),
                (1, Some(0), Outputs, vec![10]),
                (1, Some(0), Outputs, vec![11]),
                (1, Some(0), Outputs, vec![]),
            ],
        );
    }

    #[test]
    fn nobody_is_told_of_what_belongs_to_no_document() {
        let nobody = Origin::default();
        assert_eq!(Fact::of_note(outputs(&[1], None), &nobody), None);
        assert_eq!(Fact::of_note(Note::Filtered, &nobody), None);
        assert_eq!(note(Note::Silent, 1, 0, None), None);
        // But a stage may know whose it is.
        let told = Note::Outputs {
            ids: Vec::new(),
            run: None,
            opened: None,
            lineage: Some(Box::new(lineage(5))),
        };
        let fact = Fact::of_note(told, &nobody).unwrap();
        assert_eq!(fact.lineage, lineage(5));
    }
}
