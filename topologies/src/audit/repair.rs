//! What an audit found, made right: what is too much is removed by name, what is missing is done again, and nothing else.
//!
//! A document is done again under the edition that the ledger names, from what the ledger says of it: settle hears
//! `reopened`, counts it anew, and flips it again. `rag.documents.v1` is not written to: a newer version may be on its way
//! there, and compaction must not keep an older one behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use penstock_adapters::kafka::Tail;
use penstock_runtime::{Emit, Failure, Input, Note, Route, Stage, learn};
use penstock_schemas::{
    Completed, Completion, Document, LedgerEntry, Lineage, Opened, Outcome as What, Part, Progress,
    now_ms, topics,
};
use penstock_stages::split::Split;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::compare::Compared;
use super::rows::{Kind, Store};
use super::{Audit, Case, Manner, Sighting, audit_log};
use crate::dead_letters::{actor, audited};
use crate::pipeline::Parts;
use crate::serve::Examination;
use crate::system::Log;

/// What the audit topic calls it.
pub const REPAIR: &str = "audit repair";
/// As which stage the ledger hears of it.
const STAGE: &str = "audit";
/// Chunks removed together.
const BATCH: usize = 500;

/// What came of it. The fields of the audit afterwards stand beside it. Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repaired {
    #[serde(flatten)]
    pub after: Audit,
    /// What was found at first.
    pub before: Audit,
    pub repaired: Outcome,
    pub seconds: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Editions that were done again.
    pub done_again: u64,
    /// Of these, finished within the deadline.
    pub finished: u64,
    pub points_removed: u64,
    pub nodes_removed: u64,
    /// What could not be done again, and why.
    pub left: Vec<String>,
}

/// Repairs what is wrong, and audits again. Gives up waiting after `deadline` without an edition finished.
pub async fn repair(parts: &Parts, log: &Log, how: Examination) -> Result<Repaired, Failure> {
    let Examination {
        manner, deadline, ..
    } = how;
    let start = Instant::now();
    let (stores, folder) = (&parts.stores, &parts.config.data);
    // Whatever is in the stores has to be known before anything is called too much.
    let patient = Manner {
        patience: deadline,
        ..manner
    };
    let mut sighting = Sighting::take(log, stores, folder, patient).await?;
    if !how.even_if_most {
        belong_together(&sighting.examined.compared)?;
    }
    let mut repairing = Repairing {
        tail: Tail::start(&log.kafka, topics::COMPLETED.name()).await?,
        drive: Drive::new(parts)?,
        parts,
        actor: actor(),
        outcome: Outcome::default(),
        waiting: HashMap::new(),
    };
    for number in 0..=u8::MAX {
        for case in sighting.cases(number)? {
            repairing.mend(&case).await?;
        }
    }
    let before = sighting.examined.compared.audit.clone();
    if before.dangling > 0 {
        let detail = [("dangling", before.dangling.to_string())];
        repairing.write_down(detail.into()).await?;
        stores.graph.remove_dangling().await?;
    }
    drop(sighting);
    repairing.wait(log, deadline).await?;
    let after = match before.is_sound() {
        true => before.clone(),
        false => audit_log(log, stores, folder, patient).await?,
    };
    Ok(Repaired {
        after,
        before,
        repaired: repairing.outcome,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// What is removed is gone: of stores that belong to another log this ledger would name nothing.
fn belong_together(compared: &Compared) -> Result<(), Failure> {
    /// Strays in stores that were just lost are no sign of anything.
    const FEW: u64 = 100;
    let (named, unnamed) = (compared.named, compared.unnamed);
    if unnamed <= named.max(FEW) {
        return Ok(());
    }
    Err(Failure::fatal(format!(
        "audit --repair: the ledger names {named} of the points and nodes, and {unnamed} it does not: do the log and the \
         stores belong together? Look with plain audit; --even-if-most removes them"
    )))
}

struct Repairing<'a> {
    tail: Tail,
    drive: Drive<'a>,
    parts: &'a Parts,
    actor: String,
    outcome: Outcome,
    /// Documents that are done again, with the version.
    waiting: HashMap<Uuid, Uuid>,
}

impl Repairing<'_> {
    async fn mend(&mut self, case: &Case) -> Result<(), Failure> {
        let removed = |store: Store| -> Vec<Uuid> {
            let goes =
                |kind: Kind| !matches!(kind, Kind::Missing | Kind::Hidden | Kind::NoManifest);
            let of_store = case.faults.iter().filter(|it| it.store == store);
            of_store
                .filter(|it| goes(it.kind))
                .map(|it| it.chunk)
                .collect()
        };
        let (points, nodes) = (removed(Store::Vectors), removed(Store::Graph));
        let again: BTreeSet<Uuid> = case
            .faults
            .iter()
            .filter(|it| !matches!(it.kind, Kind::Orphaned | Kind::Stale | Kind::Unnamed))
            .map(|it| it.edition)
            .collect();
        // Written down before it is done: afterwards nobody could tell.
        self.write_down(detail_of(case, &points, &nodes)).await?;
        let stores = &self.parts.stores;
        for chunks in points.chunks(BATCH) {
            stores.vectors.remove_chunks(chunks).await?;
        }
        for chunks in nodes.chunks(BATCH) {
            stores.graph.remove_chunks(chunks).await?;
        }
        self.outcome.points_removed += points.len() as u64;
        self.outcome.nodes_removed += nodes.len() as u64;
        let Some(entry) = &case.entry else {
            return Ok(());
        };
        if case.faults.iter().any(|it| it.kind == Kind::Vector) {
            // What was kept of them may be as wrong.
            let (group, document) = (&entry.group, entry.document_guid);
            stores.cache.forget(group, document).await?;
        }
        for edition in again {
            match self.drive.again(entry, edition).await {
                Ok(version) => {
                    self.outcome.done_again += 1;
                    self.waiting.insert(entry.document_guid, version);
                }
                Err(Failure::Poison(reason)) => {
                    self.outcome.left.push(format!("{}: {reason}", case.name()));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn write_down(&self, detail: BTreeMap<&'static str, String>) -> Result<(), Failure> {
        let codec = self.parts.streams.codec();
        let record = audited(codec, &self.actor, REPAIR, detail)?;
        self.parts.sink.produce(vec![record]).await
    }

    /// Until settle has told of every edition that was done again.
    async fn wait(&mut self, log: &Log, deadline: Duration) -> Result<(), Failure> {
        let all = self.waiting.len();
        let mut until = tokio::time::Instant::now() + deadline;
        while !self.waiting.is_empty() {
            let Ok(record) = tokio::time::timeout_at(until, self.tail.next()).await else {
                break;
            };
            let record = record?;
            learn(&log.codec, &record).await?;
            let value = record.value.as_deref().unwrap_or_default();
            let Ok(completed) = log.codec.decode::<Completed>(value) else {
                continue;
            };
            let id = completed.lineage.document_guid;
            if self
                .waiting
                .get(&id)
                .is_some_and(|it| ends(&completed, *it))
            {
                self.waiting.remove(&id);
                until = tokio::time::Instant::now() + deadline;
            }
        }
        self.outcome.finished = (all - self.waiting.len()) as u64;
        if !self.waiting.is_empty() {
            self.outcome.left.push(format!(
                "{} documents were not finished within {} s: are all stages running?",
                self.waiting.len(),
                deadline.as_secs()
            ));
        }
        Ok(())
    }
}

fn detail_of(case: &Case, points: &[Uuid], nodes: &[Uuid]) -> BTreeMap<&'static str, String> {
    let count = |kinds: &[Kind]| {
        let of_it = case.faults.iter().filter(|it| kinds.contains(&it.kind));
        of_it.count().to_string()
    };
    let group = case.entry.as_ref().map(|it| it.group.clone());
    BTreeMap::from([
        ("document", case.document.to_string()),
        ("group", group.unwrap_or_default()),
        (
            "missing",
            count(&[Kind::Missing, Kind::Hidden, Kind::NoManifest]),
        ),
        ("orphaned", count(&[Kind::Orphaned])),
        ("stale", count(&[Kind::Stale, Kind::Unnamed])),
        ("wrong", count(&[Kind::Wrong, Kind::Early])),
        ("wrong_dimension", count(&[Kind::Vector])),
        ("points_removed", points.len().to_string()),
        ("nodes_removed", nodes.len().to_string()),
    ])
}

/// Lets the stages do a document again that the ledger knows.
pub struct Drive<'a> {
    parts: &'a Parts,
    split: Split,
}

impl<'a> Drive<'a> {
    pub fn new(parts: &'a Parts) -> Result<Self, Failure> {
        let recipe = parts.craft.recipe.clone();
        let blobs = parts.stores.blobs.clone();
        Ok(Self {
            parts,
            split: Split::new(recipe, blobs, parts.limits()),
        })
    }

    /// Reopens an edition and sends its parts; the version. Poison where its bytes are gone, or cannot be cut any more.
    pub async fn again(&self, entry: &LedgerEntry, edition: Uuid) -> Result<Uuid, Failure> {
        let (lineage, opened) = known(entry, edition)?;
        let emit = self.cut(&lineage, &opened).await?;
        self.reopen(&lineage).await?;
        let Note::Outputs {
            opened: Some(opened),
            lineage: Some(stamped),
            ..
        } = emit.note
        else {
            return Err(Failure::fatal("split did not say what it opened"));
        };
        let progress = Progress {
            opened: Some(*opened),
            ..progress(*stamped, "split", What::Outputs)
        };
        self.tell(&progress).await?;
        let codec = self.parts.streams.codec();
        let records = emit.outputs.iter().map(|part| {
            let record = Route::encode(&topics::PARTS, codec, part);
            record.map_err(|error| Failure::fatal(format!("a part cannot be encoded: {error}")))
        });
        let records = records.collect::<Result<Vec<_>, _>>()?;
        self.parts.sink.produce(records).await?;
        Ok(lineage.version)
    }

    /// Lets settle count what is in the stores of this edition anew.
    pub async fn reopen(&self, lineage: &Lineage) -> Result<(), Failure> {
        self.tell(&progress(lineage.clone(), STAGE, What::Reopened))
            .await
    }

    async fn cut(&self, lineage: &Lineage, opened: &Opened) -> Result<Emit<Part>, Failure> {
        let input = Input {
            record: document_of(lineage, opened),
            headers: Vec::new(),
            partition: 0,
            offset: 0,
        };
        self.split.process(&input).await
    }

    async fn tell(&self, progress: &Progress) -> Result<(), Failure> {
        let record = topics::PROGRESS
            .encode(self.parts.streams.codec(), progress)
            .map_err(|error| Failure::fatal(format!("progress cannot be encoded: {error}")))?;
        self.parts.sink.produce(vec![record]).await
    }
}

/// Whether this is what became of a version that is done again. A newer one that fails leaves it where it is.
pub fn ends(completed: &Completed, version: Uuid) -> bool {
    let told = completed.lineage.version;
    told == version || told > version && completed.outcome != Completion::Failed
}

fn progress(lineage: Lineage, stage: &str, outcome: What) -> Progress {
    Progress {
        lineage,
        stage: stage.to_owned(),
        part: None,
        run: None,
        outcome,
        ids: Vec::new(),
        opened: None,
        dead: None,
        at: now_ms(),
    }
}

/// What the ledger says of an edition.
fn known(entry: &LedgerEntry, edition: Uuid) -> Result<(Lineage, Opened), Failure> {
    let visible = entry
        .visible
        .iter()
        .map(|it| (&it.lineage, Some(&it.opened)));
    let open = entry
        .open
        .iter()
        .map(|it| (&it.lineage, it.opened.as_ref()));
    let mut all = visible.chain(open);
    match all.find(|(lineage, _)| lineage.edition == edition) {
        Some((lineage, Some(opened))) => Ok((lineage.clone(), opened.clone())),
        _ => Err(Failure::poison(format!(
            "the ledger does not say what edition {edition} is made of: ingest the document again"
        ))),
    }
}

/// The record that the edition was made from.
fn document_of(lineage: &Lineage, opened: &Opened) -> Document {
    let about = opened.about.clone();
    Document {
        document_guid: lineage.document_guid,
        group: lineage.group.clone(),
        source: about.source,
        key: about.key,
        version: lineage.version,
        deleted: false,
        path: about.path,
        blob: opened.blob.clone(),
        title: about.title,
        author: about.author,
        language: about.language,
        created_at: about.created_at,
        attributes: about.attributes,
    }
}

impl Repaired {
    /// For a person.
    pub fn print(&self) -> String {
        let mut out = self.before.print();
        let it = &self.repaired;
        out.push_str(&format!(
            "repaired: {} editions done again ({} finished), {} points and {} nodes removed, in {:.1} s\n",
            it.done_again, it.finished, it.points_removed, it.nodes_removed, self.seconds
        ));
        for reason in &it.left {
            out.push_str(&format!("  left: {reason}\n"));
        }
        out.push_str(&self.after.print());
        out
    }
}
