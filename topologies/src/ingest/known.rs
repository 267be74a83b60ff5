//! What the log and the ledger know of documents, and what is to be done with a file.

use std::collections::HashMap;

use penstock_adapters::kafka::fold_entries;
use penstock_runtime::Failure;
use penstock_schemas::{DeadRef, Document, LedgerEntry, Step, edition_id, topics};
use uuid::Uuid;

use crate::system::Log;

/// The newest record of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    pub version: Uuid,
    pub deleted: bool,
    pub sha256: Option<String>,
    pub attributes_digest: String,
    pub source: String,
    pub key: String,
    pub path: String,
}

/// What the ledger says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    pub visible: Option<Uuid>,
    pub failed: HashMap<Uuid, Vec<DeadRef>>,
    pub open: Vec<Uuid>,
    pub newest: Option<Uuid>,
    pub removed: Option<Uuid>,
}

/// Documents of one group.
#[derive(Debug, Default)]
pub struct Known {
    newest: HashMap<Uuid, Newest>,
    standing: HashMap<Uuid, Standing>,
}

/// What is to be done with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// New, changed, or to be done by another recipe: send it as this version.
    Send {
        after: Option<Uuid>,
    },
    /// It is on its way already, as this version.
    Await(Uuid),
    Unchanged,
    /// Unchanged, and dead-lettered before.
    DeadBefore(Vec<DeadRef>),
}

impl Known {
    /// Reads both topics to their ends.
    pub async fn read(log: &Log, group: &str) -> Result<Self, Failure> {
        let mut known = Self::default();
        log.fold_documents(|document| {
            if document.group == group {
                known.hear(document);
            }
        })
        .await?;
        fold_entries(&log.kafka, &log.codec, topics::LEDGER, |entry| {
            if let Some(entry) = entry.value.filter(|it| it.group == group) {
                let id = entry.document_guid;
                known.standing.insert(id, Standing::of(&entry));
            }
        })
        .await?;
        Ok(known)
    }

    fn hear(&mut self, document: Document) {
        let newer = self
            .newest
            .get(&document.document_guid)
            .is_none_or(|it| it.version <= document.version);
        if newer {
            let id = document.document_guid;
            self.newest.insert(id, Newest::of(document));
        }
    }

    /// Compares a file as it is now (`candidate`, whose version does not count) with what is known.
    pub fn judge(&self, candidate: &Document, recipe: &str) -> Verdict {
        let id = candidate.document_guid;
        let Some(newest) = self.newest.get(&id) else {
            return Verdict::Send { after: None };
        };
        let send = Verdict::Send {
            after: Some(newest.version),
        };
        let sha256 = candidate.blob.as_ref().map(|blob| &blob.sha256);
        let same = !newest.deleted
            && newest.sha256.as_ref() == sha256
            && newest.attributes_digest == digest_of(candidate);
        if !same {
            return send;
        }
        let Some(standing) = self.standing.get(&id) else {
            return Verdict::Await(newest.version);
        };
        let edition = edition_id(id, newest.version, recipe);
        if standing.visible == Some(edition) {
            return Verdict::Unchanged;
        }
        if let Some(dead) = standing.failed.get(&edition) {
            return Verdict::DeadBefore(dead.clone());
        }
        if standing.open.contains(&edition) || standing.newest < Some(newest.version) {
            return Verdict::Await(newest.version);
        }
        send
    }

    /// Living documents of `sources` whose key is not among `found`.
    pub fn gone(
        &self,
        sources: &[String],
        found: &std::collections::HashSet<Uuid>,
    ) -> Vec<(Uuid, &Newest)> {
        let mut gone: Vec<_> = self
            .living()
            .filter(|(id, it)| sources.contains(&it.source) && !found.contains(id))
            .collect();
        gone.sort_by(|a, b| a.1.path.cmp(&b.1.path));
        gone
    }

    /// Documents whose newest version is not a deletion.
    pub fn living(&self) -> impl Iterator<Item = (Uuid, &Newest)> {
        self.newest
            .iter()
            .filter(|(_, it)| !it.deleted)
            .map(|(id, it)| (*id, it))
    }

    pub fn newest(&self, id: Uuid) -> Option<&Newest> {
        self.newest.get(&id)
    }

    /// Deletions that were sent and are not carried out yet, with their versions.
    pub fn being_removed(&self) -> impl Iterator<Item = (Uuid, Uuid)> {
        self.newest
            .iter()
            .filter(|(id, it)| {
                let removed = self.standing.get(id).and_then(|it| it.removed);
                it.deleted && removed < Some(it.version)
            })
            .map(|(id, it)| (*id, it.version))
    }
}

impl Newest {
    pub fn of(document: Document) -> Self {
        Self {
            version: document.version,
            deleted: document.deleted,
            attributes_digest: digest_of(&document),
            sha256: document.blob.map(|blob| blob.sha256),
            source: document.source,
            key: document.key,
            path: document.path,
        }
    }
}

impl Standing {
    fn of(entry: &LedgerEntry) -> Self {
        let mut standing = Self {
            visible: entry.visible.as_ref().map(|it| it.lineage.edition),
            newest: entry.newest,
            removed: entry.deleted.filter(|_| entry.removed_at.is_some()),
            ..Self::default()
        };
        for open in &entry.open {
            match open.step {
                Step::Failed | Step::Abandoned => {
                    standing
                        .failed
                        .insert(open.lineage.edition, open.dead.clone());
                }
                _ => standing.open.push(open.lineage.edition),
            }
        }
        standing
    }
}

fn digest_of(document: &Document) -> String {
    penstock_stages::split::attributes_digest(
        document.title.as_deref(),
        document.author.as_deref(),
        document.language.as_deref(),
        document.created_at,
        &document.attributes,
    )
}

/// A record that deletes a document.
pub fn deletion(id: Uuid, group: &str, newest: &Newest) -> Document {
    Document {
        document_guid: id,
        group: group.to_owned(),
        source: newest.source.clone(),
        key: newest.key.clone(),
        version: penstock_schemas::next_version(Some(newest.version)),
        deleted: true,
        path: newest.path.clone(),
        blob: None,
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: Default::default(),
    }
}
