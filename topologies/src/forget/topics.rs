//! Which topics still have records of documents, until when, and which of them can go now.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use penstock_adapters::kafka::{Admin, Keeping, fold_topic, groups, lags};
use penstock_runtime::{Failure, Record};
use penstock_schemas::{Audit, TopicSpec, original_of, topics};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dead_letters::{History, Place, document_of, shown};
use crate::pipeline::{group_of, topology};
use crate::replay::groups_done;
use crate::system::Log;

/// A topic with records of what was forgotten. Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub topic: String,
    pub records: u64,
    /// They hold passages of text; else names, attributes and references only.
    pub text: bool,
    /// When the last of them is gone at the latest, RFC 3339; none where no time is set.
    pub until: Option<String>,
    pub why: String,
}

/// Records that `--purge` dropped: all before this offset. Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    pub topic: String,
    pub partition: i32,
    pub before: i64,
}

/// Records of some documents in one partition.
#[derive(Debug, Default)]
struct Found {
    records: u64,
    /// The last one's offset.
    last: i64,
    /// Milliseconds since the epoch.
    newest: i64,
    /// The first letter of another document that still waits.
    waiting: Option<i64>,
}

/// Looks for records of these documents.
pub struct Search<'a> {
    log: &'a Log,
    documents: &'a BTreeSet<Uuid>,
    keeping: BTreeMap<String, Keeping>,
    history: History,
    /// Groups of replays that nobody goes on with.
    done: HashSet<String>,
}

impl<'a> Search<'a> {
    pub async fn new(log: &'a Log, documents: &'a BTreeSet<Uuid>) -> Result<Self, Failure> {
        Ok(Self {
            log,
            documents,
            keeping: Admin::new(&log.kafka)?.keeping(&topics::all()).await?,
            history: History::read(log).await?,
            done: groups_done(log).await?,
        })
    }

    /// Every topic that has some. Reads them all, from end to end.
    pub async fn held(&self) -> Result<Vec<Held>, Failure> {
        let mut all = Vec::new();
        for spec in searched() {
            let found = self.search(&spec.name).await?;
            let records: u64 = found.values().map(|it| it.records).sum();
            if records == 0 {
                continue;
            }
            let newest = found.values().map(|it| it.newest).max().unwrap_or_default();
            let (until, why) = self.until(&spec, newest);
            all.push(Held {
                text: has_text(&spec.name),
                records,
                until,
                why,
                topic: spec.name,
            });
        }
        Ok(all)
    }

    /// Drops what can go without a loss to anybody: of topics of work in progress what every group is done with, of dead
    /// letters what stands before the first that still waits. Never further than the last record of these documents.
    pub async fn purge(&self) -> Result<Vec<Purged>, Failure> {
        let admin = Admin::new(&self.log.kafka)?;
        let mut purged = Vec::new();
        for spec in searched() {
            let is_letters = original_of(&spec.name).is_some();
            if !is_letters && !spec.intermediate {
                continue;
            }
            let found = self.search(&spec.name).await?;
            let done = match is_letters || found.is_empty() {
                true => BTreeMap::new(),
                false => self.done_with(&spec.name).await?,
            };
            let before: BTreeMap<i32, i64> = found
                .iter()
                .filter(|(_, it)| it.records > 0)
                .filter_map(|(number, it)| {
                    let limit = match is_letters {
                        true => it.waiting.unwrap_or(i64::MAX),
                        false => *done.get(number)?,
                    };
                    Some((*number, limit.min(it.last + 1)))
                })
                .filter(|(_, before)| *before > 0)
                .collect();
            admin.delete_records(&spec.name, &before).await?;
            purged.extend(before.into_iter().map(|(partition, before)| Purged {
                topic: spec.name.clone(),
                partition,
                before,
            }));
        }
        Ok(purged)
    }

    /// By partition: where the group stands that is the furthest behind. A replay that was interrupted is among them.
    async fn done_with(&self, topic: &str) -> Result<BTreeMap<i32, i64>, Failure> {
        let kafka = &self.log.kafka;
        let Some(reader) = topology().into_iter().find(|it| it.from == topic) else {
            return Ok(BTreeMap::new());
        };
        let own = lags(kafka, &group_of(reader.name), topic).await?;
        let mut done: BTreeMap<i32, i64> = own
            .iter()
            .filter_map(|it| Some((it.partition, it.committed?)))
            .collect();
        let mut all = groups(kafka).await?;
        all.retain(|it| !self.done.contains(it));
        for group in all {
            for it in lags(kafka, &group, topic).await? {
                if let (Some(done), Some(committed)) = (done.get_mut(&it.partition), it.committed) {
                    *done = committed.min(*done);
                }
            }
        }
        Ok(done)
    }

    async fn search(&self, topic: &str) -> Result<BTreeMap<i32, Found>, Failure> {
        let is_letters = original_of(topic).is_some();
        let compacted = self.keeping.get(topic).is_some_and(|it| it.compacted);
        let mut found: BTreeMap<i32, Found> = BTreeMap::new();
        // Of a compacted topic the last record of a document stays: what was forgotten has nothing in it.
        let mut seen = BTreeSet::new();
        fold_topic(&self.log.kafka, topic, None, |record| {
            let of_it = found.entry(record.partition.number).or_default();
            match self.document_in(topic, &record) {
                Some(document) => {
                    if !compacted || !seen.insert(document) {
                        of_it.records += 1;
                    }
                    of_it.last = record.offset;
                    of_it.newest = of_it.newest.max(record.timestamp);
                }
                None if is_letters && self.history.put_back(&Place::of(&record)).is_none() => {
                    of_it.waiting.get_or_insert(record.offset);
                }
                None => {}
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// The document a record is of, where it is one of these.
    fn document_in(&self, topic: &str, record: &Record) -> Option<Uuid> {
        let document = match topic == topics::AUDIT.name() {
            true => {
                let audit: Audit = self.log.codec.decode(record.value.as_deref()?).ok()?;
                audit.detail.get("document")?.parse().ok()
            }
            false => document_of(&record.headers, record.key.as_deref()),
        };
        document.filter(|it| self.documents.contains(it))
    }

    fn until(&self, spec: &TopicSpec, newest: i64) -> (Option<String>, String) {
        let Some(keeping) = self.keeping.get(&spec.name) else {
            return (
                None,
                "the log does not tell how long it keeps them".to_owned(),
            );
        };
        if keeping.compacted {
            let why = "until compaction comes to them: the last record of each document, which stays, has nothing of it";
            return (None, why.to_owned());
        }
        let why = if original_of(&spec.name).is_some() {
            "--purge drops them where no letter of others waits before them"
        } else if spec.intermediate {
            "--purge drops them once every group is done with them"
        } else if spec.name == topics::COMPLETED.name() {
            "paths only; other programs may read it, so it is not purged"
        } else {
            "what was done by hand, kept on purpose"
        };
        let end = keeping
            .retention
            .map(|it| newest.saturating_add(it).saturating_add(keeping.segment));
        (end.map(shown), why.to_owned())
    }
}

/// Topics whose records are of documents.
fn searched() -> impl Iterator<Item = TopicSpec> {
    let is_of_documents =
        |it: &TopicSpec| it.name != topics::HEARTBEATS.name() && !it.name.ends_with(".attempts");
    topics::all().into_iter().filter(is_of_documents)
}

fn has_text(topic: &str) -> bool {
    let topic = original_of(topic).unwrap_or(topic);
    [
        topics::CHUNKS.name(),
        topics::EMBEDDINGS.name(),
        topics::INDEXED.name(),
    ]
    .contains(&topic)
}
