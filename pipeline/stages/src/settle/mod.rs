//! Knows when a document is finished in both stores, and makes it visible.
//!
//! Progress is folded into one ledger entry per document, in memory, and written to the compacted ledger before the
//! position closes. What follows from it (the flip, sweeping, removal) is done by the tick, one recorded step at a
//! time; every step is idempotent, so a crash resumes it.

mod collect;
mod document;
mod edition;
mod manifest;
mod port;
mod rest;
mod settled;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use penstock_runtime::{Batch, BatchStage, Emit, Failure, Note, Verdict};
use penstock_schemas::{Completed, LedgerEntry, Progress, now_ms};
use tokio::sync::Mutex;
use uuid::Uuid;

pub use collect::collect_blobs;
pub use edition::stored_of;
pub use manifest::{Manifest, is_manifest, manifest_key};
pub use port::{Claim, LedgerLog, Newest, TERM, document_of, term_of};
pub use settled::{Settled, SettledRoute};

use crate::blobs::Blobs;
use crate::embed::VectorCache;
use crate::index::VectorStore;
use crate::link::GraphStore;
use document::{Document, Work};
use rest::{AtRest, Rest};

/// Whether a document with dead letters is shown with its gaps named, or its older edition stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Partial {
    #[default]
    Hide,
    Show,
}

#[derive(Debug, Clone)]
pub struct SettleConfig {
    /// Editions without progress for so long are swept.
    pub abandon_after: Duration,
    pub partial: Partial,
    /// Blobs that nothing in the ledger names are removed once they are this old: a week longer than any record that
    /// names them is kept. That is a week in its topic, then a month among the dead letters, and both times up to a week
    /// more, for Kafka drops records by the segment.
    pub blob_grace: Duration,
}

impl Default for SettleConfig {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            abandon_after: 7 * DAY,
            partial: Partial::Hide,
            blob_grace: (7 + 7 + 30 + 7 + 7) * DAY,
        }
    }
}

/// The stores a document must be finished in, and what goes with it.
#[derive(Clone)]
pub struct Stores {
    pub vectors: Arc<dyn VectorStore>,
    pub graph: Arc<dyn GraphStore>,
    pub blobs: Arc<dyn Blobs>,
    pub cache: Arc<dyn VectorCache>,
}

/// The stage.
pub struct Settle {
    stores: Stores,
    ledger: Arc<dyn LedgerLog>,
    config: SettleConfig,
    rest: Rest,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    partitions: HashMap<i32, Held>,
    /// Documents with a step to do.
    pending: BTreeSet<(i32, Uuid)>,
    /// The one whose step failed last: the others come first next time.
    failed: Option<(i32, Uuid)>,
    /// When documents were last looked through for abandoned editions, milliseconds since the epoch.
    looked_at: i64,
    /// Documents whose blobs are still to be looked through, and when that last began.
    uncollected: Vec<(i32, Uuid)>,
    collected_at: i64,
    /// What was written later stays, by the clock of the blobs' store.
    collect_before: i64,
}

/// A partition this process owns.
struct Held {
    term: i64,
    slots: HashMap<Uuid, Slot>,
}

enum Slot {
    AtRest(AtRest),
    Active(Box<Document>),
}

impl Settle {
    pub fn new(stores: Stores, ledger: Arc<dyn LedgerLog>, config: SettleConfig) -> Self {
        Self {
            stores,
            ledger,
            config,
            rest: Rest::default(),
            state: Mutex::default(),
        }
    }

    fn wake<'a>(
        &self,
        slots: &'a mut HashMap<Uuid, Slot>,
        progress: &Progress,
    ) -> Result<&'a mut Document, Failure> {
        let id = progress.lineage.document_guid;
        let slot = slots
            .entry(id)
            .or_insert_with(|| Slot::Active(Box::new(Document::new(id, &progress.lineage.group))));
        if let Slot::AtRest(resting) = slot {
            *slot = Slot::Active(Box::new(self.rest.wake(resting)?.into()));
        }
        match slot {
            Slot::Active(document) => Ok(document),
            Slot::AtRest(_) => Err(Failure::fatal("a document at rest was not woken")),
        }
    }

    fn slot_of(&self, document: Document) -> Result<Slot, Failure> {
        if document.is_at_rest() {
            return Ok(Slot::AtRest(self.rest.put(&document.entry())?));
        }
        Ok(Slot::Active(Box::new(document)))
    }

    /// One step for every document that has one to do, up to the first that fails. What was done until then is told in
    /// any case: it is done.
    async fn advance(
        &self,
        state: &mut State,
        emits: &mut Vec<Emit<Settled>>,
    ) -> Result<(), Failure> {
        let mut pending: Vec<(i32, Uuid)> = state.pending.iter().copied().collect();
        let after = pending.partition_point(|it| Some(*it) <= state.failed);
        pending.rotate_left(after);
        for (partition, id) in pending {
            let held = state.partitions.get_mut(&partition);
            let Some((term, Slot::Active(document))) =
                held.and_then(|held| Some((held.term, held.slots.get_mut(&id)?)))
            else {
                state.pending.remove(&(partition, id));
                continue;
            };
            let completed = match document.step(&self.stores).await {
                Ok(completed) => completed,
                Err(failure) => {
                    state.failed = Some((partition, id));
                    return Err(failure);
                }
            };
            let mut outputs = vec![Settled::Entry(Box::new(document.entry()), term)];
            outputs.extend(completed.map(|it| Settled::Completed(Box::new(it))));
            emits.push(Emit {
                outputs,
                note: Note::Silent,
            });
            if document.work() == Work::None {
                state.pending.remove(&(partition, id));
                self.put_to_rest(state, partition, id)?;
            }
        }
        state.failed = None;
        Ok(())
    }

    fn put_to_rest(&self, state: &mut State, partition: i32, id: Uuid) -> Result<(), Failure> {
        let Some(held) = state.partitions.get_mut(&partition) else {
            return Ok(());
        };
        if let Some(Slot::Active(document)) = held.slots.remove(&id) {
            held.slots.insert(id, self.slot_of(*document)?);
        }
        Ok(())
    }

    fn entry_of(&self, slot: &Slot) -> Result<LedgerEntry, Failure> {
        match slot {
            Slot::AtRest(resting) => self.rest.wake(resting),
            Slot::Active(document) => Ok(document.entry()),
        }
    }

    /// Entries that a former owner has overtaken, once more.
    async fn rewrite(&self, state: &State) -> Result<Vec<Emit<Settled>>, Failure> {
        let mut emits = Vec::new();
        for (partition, id) in self.ledger.overtaken().await? {
            let held = state.partitions.get(&partition);
            let Some((term, slot)) = held.and_then(|held| Some((held.term, held.slots.get(&id)?)))
            else {
                continue;
            };
            tracing::info!(document = %id, partition, "a former owner wrote to the ledger; writing the entry again");
            emits.push(Emit {
                outputs: vec![Settled::Entry(Box::new(self.entry_of(slot)?), term)],
                note: Note::Silent,
            });
        }
        Ok(emits)
    }

    /// Removes blobs nobody needs: one document at a time while nothing is more urgent, all of them once a day.
    async fn collect(&self, state: &mut State) -> Result<(), Failure> {
        const EVERY_MS: i64 = 24 * 60 * 60 * 1000;
        if !state.pending.is_empty() {
            return Ok(());
        }
        if state.uncollected.is_empty() && now_ms() - state.collected_at >= EVERY_MS {
            let grace = self.config.blob_grace.as_millis() as i64;
            state.collect_before = self.stores.blobs.clock().await? - grace;
            state.collected_at = now_ms();
            state.uncollected = state
                .partitions
                .iter()
                .flat_map(|(number, held)| held.slots.keys().map(|id| (*number, *id)))
                .collect();
        }
        let Some((partition, id)) = state.uncollected.last().copied() else {
            return Ok(());
        };
        let slot = state
            .partitions
            .get(&partition)
            .and_then(|held| held.slots.get(&id));
        if let Some(slot) = slot {
            let entry = self.entry_of(slot)?;
            let blobs = self.stores.blobs.as_ref();
            collect_blobs(blobs, &entry, state.collect_before).await?;
        }
        state.uncollected.pop();
        Ok(())
    }

    /// Finds editions nobody works on any more; looks once a minute.
    fn find_abandoned(&self, state: &mut State) -> Vec<Emit<Settled>> {
        const EVERY_MS: i64 = 60_000;
        let now = now_ms();
        if now - state.looked_at < EVERY_MS {
            return Vec::new();
        }
        state.looked_at = now;
        let limit = self.config.abandon_after.as_millis() as i64;
        let mut emits = Vec::new();
        for (partition, held) in &mut state.partitions {
            for (id, slot) in &mut held.slots {
                let Slot::Active(document) = slot else {
                    continue;
                };
                if let Some(completed) = document.abandon_older_than(now - limit) {
                    state.pending.insert((*partition, *id));
                    emits.push(Emit {
                        outputs: vec![
                            Settled::Entry(Box::new(document.entry()), held.term),
                            Settled::Completed(Box::new(completed)),
                        ],
                        note: Note::Silent,
                    });
                }
            }
        }
        emits
    }
}

#[async_trait]
impl BatchStage for Settle {
    type In = Progress;
    type Out = Settled;

    async fn process(&self, batch: &Batch<Progress>) -> Result<Vec<Verdict<Settled>>, Failure> {
        let mut state = self.state.lock().await;
        let mut verdicts = Vec::with_capacity(batch.len());
        // The entry is written once per document, with the last of its inputs: the batch closes as one.
        let last: HashMap<Uuid, usize> = batch
            .iter()
            .enumerate()
            .map(|(index, input)| (input.record.lineage.document_guid, index))
            .collect();
        let mut completions: HashMap<Uuid, Completed> = HashMap::new();
        for (index, input) in batch.iter().enumerate() {
            let id = input.record.lineage.document_guid;
            let Some(held) = state.partitions.get_mut(&input.partition) else {
                // What is known of the document went with it: its next owner does this.
                verdicts.push(Err(Failure::transient(
                    "the partition was let go meanwhile",
                )));
                continue;
            };
            let term = held.term;
            let document = self.wake(&mut held.slots, &input.record)?;
            document.fold(&input.record, self.config.partial);
            let mut outputs = Vec::new();
            if let Some(completed) = document.take_failure() {
                completions.insert(id, completed);
            }
            if last.get(&id) == Some(&index) {
                outputs.push(Settled::Entry(Box::new(document.entry()), term));
                outputs.extend(
                    completions
                        .remove(&id)
                        .map(|it| Settled::Completed(Box::new(it))),
                );
                if document.work() == Work::None {
                    self.put_to_rest(&mut state, input.partition, id)?;
                } else {
                    state.pending.insert((input.partition, id));
                }
            }
            verdicts.push(Ok(Emit {
                outputs,
                note: Note::Silent,
            }));
        }
        Ok(verdicts)
    }

    async fn assigned(&self, partitions: &[i32]) -> Result<(), Failure> {
        let mut state = self.state.lock().await;
        let kept: HashSet<i32> = partitions.iter().copied().collect();
        state.partitions.retain(|number, _| kept.contains(number));
        state.pending.retain(|(number, _)| kept.contains(number));
        for number in partitions {
            if state.partitions.contains_key(number) {
                continue;
            }
            let claim = self.ledger.claim(*number).await?;
            let mut slots = HashMap::new();
            for entry in claim.entries {
                let id = entry.document_guid;
                let document = Document::from(entry);
                if document.work() != Work::None {
                    state.pending.insert((*number, id));
                }
                slots.insert(id, self.slot_of(document)?);
            }
            let term = claim.term;
            state.partitions.insert(*number, Held { term, slots });
        }
        Ok(())
    }

    async fn tick(&self) -> Result<Vec<Emit<Settled>>, Failure> {
        let mut state = self.state.lock().await;
        let mut emits = self.rewrite(&state).await?;
        emits.extend(self.find_abandoned(&mut state));
        match self.advance(&mut state, &mut emits).await {
            // The loop would drop what comes with an error, and the ledger would never hear of it. The step is taken
            // again at the next tick.
            Err(Failure::Transient { .. }) if !emits.is_empty() => Ok(emits),
            Err(failure) => Err(failure),
            Ok(()) => {
                if emits.is_empty() {
                    self.collect(&mut state).await?;
                }
                Ok(emits)
            }
        }
    }
}
