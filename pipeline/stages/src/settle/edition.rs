//! One edition on its way: progress folded as sets, so that hearing a thing twice changes nothing.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use penstock_schemas::{
    DeadRef, Lineage, OpenEdition, Opened, Outcome, PartOutcome, PartState, Progress, Step,
};
use uuid::Uuid;

/// Chunks of a document at most: its entry in the ledger has to fit into a record, with 16 bytes and two bits for each.
const MOST_CHUNKS: usize = 900_000;

/// As whose dead letter settle tells of what it gives up itself.
const SETTLE: &str = "settle";

/// What became of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartWork {
    run: Uuid,
    outcome: PartOutcome,
    chunks: Vec<Uuid>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edition {
    pub lineage: Lineage,
    pub opened: Option<Opened>,
    pub step: Step,
    parts: BTreeMap<i32, PartWork>,
    indexed: HashSet<Uuid>,
    linked: HashSet<Uuid>,
    dead: Vec<DeadRef>,
    pub last_progress_at: i64,
}

/// Where an edition stands once progress was folded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Something is still on its way.
    Waiting,
    /// All is in both stores.
    Whole,
    /// All is accounted for, and something is dead.
    Failed,
}

impl Edition {
    pub fn new(lineage: Lineage, at: i64) -> Self {
        Self {
            lineage,
            opened: None,
            step: Step::Gathering,
            parts: BTreeMap::new(),
            indexed: HashSet::new(),
            linked: HashSet::new(),
            dead: Vec::new(),
            last_progress_at: at,
        }
    }

    /// Editions of a document are ordered by (version, time of stamping).
    pub fn order(&self) -> (Uuid, i64) {
        order_of(&self.lineage)
    }

    pub fn fold(&mut self, progress: &Progress) {
        self.last_progress_at = self.last_progress_at.max(progress.at);
        if let Some(opened) = &progress.opened {
            self.opened = Some(opened.clone());
        }
        if self.is_too_large() {
            return;
        }
        match (progress.stage.as_str(), progress.outcome) {
            (_, Outcome::Dead) => self.fold_dead(progress),
            ("split", Outcome::Outputs) => self.dead.retain(|dead| dead.stage != "split"),
            ("shard", Outcome::Outputs) => self.fold_list(progress),
            ("parse" | "shard", Outcome::Filtered) => {
                if let Some(part) = progress.part {
                    self.resolve_part(part, PartOutcome::Filtered);
                }
            }
            ("index", Outcome::Outputs) => self.indexed.extend(&progress.ids),
            ("link", Outcome::Outputs) => self.linked.extend(&progress.ids),
            _ => {}
        }
        let listed: usize = self.parts.values().map(|part| part.chunks.len()).sum();
        let unlisted = |ids: &HashSet<Uuid>| ids.len().saturating_sub(listed);
        if listed + unlisted(&self.indexed) + unlisted(&self.linked) > MOST_CHUNKS {
            self.give_up_as_too_large();
        }
    }

    /// Counts the stores anew: what is in them is to be written again.
    pub fn reopen(&mut self) {
        self.indexed.clear();
        self.linked.clear();
        self.step = Step::Gathering;
    }

    /// Lets go of everything but the memory that it failed: its points and nodes were swept.
    pub fn abandon(&mut self) {
        self.parts.clear();
        self.indexed.clear();
        self.linked.clear();
        self.step = Step::Abandoned;
    }

    pub fn standing(&self) -> Standing {
        if self.is_too_large() || self.dead.iter().any(|dead| dead.stage == "split") {
            return Standing::Failed;
        }
        let Some(opened) = &self.opened else {
            return Standing::Waiting;
        };
        let mut failed = false;
        let dead_chunks: HashSet<Uuid> = self.dead.iter().filter_map(|dead| dead.chunk).collect();
        for number in 0..opened.parts {
            let Some(part) = self.parts.get(&number) else {
                return Standing::Waiting;
            };
            match part.outcome {
                PartOutcome::Pending => return Standing::Waiting,
                PartOutcome::Filtered => {}
                PartOutcome::Dead => failed = true,
                PartOutcome::Listed => {
                    for chunk in &part.chunks {
                        if self.is_finished(chunk) {
                            continue;
                        }
                        if !dead_chunks.contains(chunk) {
                            return Standing::Waiting;
                        }
                        failed = true;
                    }
                }
            }
        }
        if failed {
            Standing::Failed
        } else {
            Standing::Whole
        }
    }

    /// What the last runs name, in order of part and ordinal.
    pub fn chunks(&self) -> Vec<Uuid> {
        self.listed()
            .flat_map(|part| part.chunks.iter().copied())
            .collect()
    }

    /// What is in both stores, in order of part and ordinal.
    pub fn finished_chunks(&self) -> Vec<Uuid> {
        let mut chunks = self.chunks();
        chunks.retain(|chunk| self.is_finished(chunk));
        chunks
    }

    /// What is in both stores by part, in order.
    pub fn finished_by_part(&self) -> impl Iterator<Item = (i32, Vec<Uuid>)> {
        self.parts.iter().map(|(number, part)| {
            let chunks = part.chunks.iter().copied();
            (*number, chunks.filter(|it| self.is_finished(it)).collect())
        })
    }

    /// Given up by settle itself.
    fn is_too_large(&self) -> bool {
        self.dead.iter().any(|dead| dead.stage == SETTLE)
    }

    fn give_up_as_too_large(&mut self) {
        self.parts.clear();
        self.indexed.clear();
        self.linked.clear();
        self.dead = vec![DeadRef {
            stage: SETTLE.to_owned(),
            part: None,
            chunk: None,
            class: "poison".to_owned(),
            reason: format!(
                "more than {MOST_CHUNKS} chunks: cut the document into several, or choose larger chunks"
            ),
        }];
    }

    fn is_finished(&self, chunk: &Uuid) -> bool {
        self.indexed.contains(chunk) && self.linked.contains(chunk)
    }

    /// What died and was not done after all.
    pub fn dead(&self) -> &[DeadRef] {
        &self.dead
    }

    fn listed(&self) -> impl Iterator<Item = &PartWork> {
        self.parts
            .values()
            .filter(|part| part.outcome == PartOutcome::Listed)
    }

    fn fold_list(&mut self, progress: &Progress) {
        let Some(number) = progress.part else {
            return;
        };
        let run = progress.run.unwrap_or_default();
        let part = self.parts.entry(number).or_insert_with(PartWork::pending);
        if part.outcome != PartOutcome::Listed || run >= part.run {
            part.run = run;
            part.chunks.clone_from(&progress.ids);
        }
        self.resolve_part(number, PartOutcome::Listed);
    }

    /// A part that is done is no longer dead.
    fn resolve_part(&mut self, number: i32, outcome: PartOutcome) {
        let part = self.parts.entry(number).or_insert_with(PartWork::pending);
        if part.outcome != PartOutcome::Listed {
            part.outcome = outcome;
        }
        self.dead
            .retain(|dead| dead.part != Some(number) || dead.chunk.is_some());
    }

    fn fold_dead(&mut self, progress: &Progress) {
        let Some(dead) = &progress.dead else {
            return;
        };
        match (dead.chunk, dead.part) {
            (None, Some(number)) => {
                let part = self.parts.entry(number).or_insert_with(PartWork::pending);
                if matches!(part.outcome, PartOutcome::Listed | PartOutcome::Filtered) {
                    return;
                }
                part.outcome = PartOutcome::Dead;
            }
            (Some(chunk), _) if self.is_finished(&chunk) => return,
            (None, None) if dead.stage == "split" && self.parts.values().any(PartWork::is_done) => {
                return;
            }
            _ => {}
        }
        if !self.dead.contains(dead) {
            self.dead.push(dead.clone());
        }
    }

    /// Drops dead letters of chunks that were done after all, or that the last run no longer names.
    pub fn forgive(&mut self) {
        let listed: HashSet<Uuid> = self.chunks().into_iter().collect();
        let (indexed, linked) = (&self.indexed, &self.linked);
        self.dead.retain(|dead| {
            dead.chunk.is_none_or(|chunk| {
                let done = indexed.contains(&chunk) && linked.contains(&chunk);
                listed.contains(&chunk) && !done
            })
        });
    }
}

impl PartWork {
    fn pending() -> Self {
        Self {
            run: Uuid::nil(),
            outcome: PartOutcome::Pending,
            chunks: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.outcome, PartOutcome::Listed | PartOutcome::Filtered)
    }
}

pub(super) fn order_of(lineage: &Lineage) -> (Uuid, i64) {
    (lineage.version, lineage.stamped)
}

impl From<&Edition> for OpenEdition {
    fn from(edition: &Edition) -> Self {
        let listed: HashSet<Uuid> = edition.chunks().into_iter().collect();
        let unlisted = |ids: &HashSet<Uuid>| {
            let mut ids: Vec<Uuid> = ids.difference(&listed).copied().collect();
            ids.sort_unstable();
            pack(&ids)
        };
        let part = |(number, part): (&i32, &PartWork)| PartState {
            part: *number,
            run: part.run,
            outcome: part.outcome,
            chunks: pack(&part.chunks),
            indexed: mark(&part.chunks, &edition.indexed),
            linked: mark(&part.chunks, &edition.linked),
        };
        Self {
            lineage: edition.lineage.clone(),
            opened: edition.opened.clone(),
            step: edition.step,
            parts: edition.parts.iter().map(part).collect(),
            indexed: unlisted(&edition.indexed),
            linked: unlisted(&edition.linked),
            dead: edition.dead.clone(),
            last_progress_at: edition.last_progress_at,
        }
    }
}

impl From<OpenEdition> for Edition {
    fn from(open: OpenEdition) -> Self {
        let mut edition = Self {
            lineage: open.lineage,
            opened: open.opened,
            step: open.step,
            parts: BTreeMap::new(),
            indexed: unpack(&open.indexed).into_iter().collect(),
            linked: unpack(&open.linked).into_iter().collect(),
            dead: open.dead,
            last_progress_at: open.last_progress_at,
        };
        for state in open.parts {
            let chunks = unpack(&state.chunks);
            edition.indexed.extend(marked(&chunks, &state.indexed));
            edition.linked.extend(marked(&chunks, &state.linked));
            let work = PartWork {
                run: state.run,
                outcome: state.outcome,
                chunks,
            };
            edition.parts.insert(state.part, work);
        }
        edition
    }
}

/// What an open edition has in the vector store and in the graph, as far as the ledger knows.
pub fn stored_of(open: OpenEdition) -> (HashSet<Uuid>, HashSet<Uuid>) {
    let edition = Edition::from(open);
    (edition.indexed, edition.linked)
}

/// Ids as 16 bytes each.
fn pack(ids: &[Uuid]) -> Bytes {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> Vec<Uuid> {
    bytes
        .chunks_exact(16)
        .filter_map(|id| Uuid::from_slice(id).ok())
        .collect()
}

/// Which of `ids` are among `these`: a bit each, the lowest of a byte first.
fn mark(ids: &[Uuid], these: &HashSet<Uuid>) -> Bytes {
    ids.chunks(8)
        .map(|ids| {
            let bits = ids.iter().enumerate();
            bits.fold(0, |byte, (bit, id)| {
                byte | u8::from(these.contains(id)) << bit
            })
        })
        .collect()
}

fn marked<'a>(ids: &'a [Uuid], bits: &'a [u8]) -> impl Iterator<Item = Uuid> + 'a {
    ids.chunks(8).zip(bits).flat_map(|(ids, byte)| {
        let bits = ids.iter().enumerate();
        bits.filter(move |(bit, _)| byte >> bit & 1 == 1)
            .map(|(_, id)| *id)
    })
}
