//! Which documents are to be forgotten, and how far each is.

use std::collections::BTreeMap;

use penstock_adapters::kafka::fold_entries;
use penstock_runtime::Failure;
use penstock_schemas::{Document, LedgerEntry, next_version, topics};
use penstock_stages::scope::Scope;
use uuid::Uuid;

use crate::system::Log;

/// What log and ledger say of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub group: String,
    /// The newest version anybody has told of.
    pub newest: Uuid,
    /// The newest version that is a deletion.
    pub deletion: Option<Uuid>,
    /// The deletion that was carried out last.
    pub removed: Option<Uuid>,
    /// The deletion in the log names the document's source, key or path.
    pub is_named: bool,
}

impl Known {
    /// Its newest version is a deletion.
    pub fn is_deleted(&self) -> bool {
        self.deletion == Some(self.newest)
    }

    /// Its deletion is in the log, and keeps nothing of it.
    pub fn is_sent(&self) -> bool {
        self.is_deleted() && !self.is_named
    }

    pub fn is_removed(&self) -> bool {
        self.is_sent() && self.removed >= self.deletion
    }

    fn hear(&mut self, document: &Document) {
        self.group.clone_from(&document.group);
        self.newest = self.newest.max(document.version);
        if document.deleted && self.deletion <= Some(document.version) {
            self.deletion = Some(document.version);
            let names = [&document.source, &document.key, &document.path];
            self.is_named = names.iter().any(|it| !it.is_empty());
        }
    }

    fn hear_entry(&mut self, entry: &LedgerEntry) {
        self.group.clone_from(&entry.group);
        self.newest = self.newest.max(entry.newest.unwrap_or_default());
        self.deletion = self.deletion.max(entry.deleted);
        if entry.removed_at.is_some() {
            self.removed = entry.deleted;
        }
    }

    /// The record that deletes it. It keeps nothing of the document but its name: it stays in the log for ever.
    pub fn deletion_of(&self, id: Uuid) -> Document {
        Document {
            document_guid: id,
            group: self.group.clone(),
            source: String::new(),
            key: String::new(),
            version: next_version(Some(self.newest)),
            deleted: true,
            path: String::new(),
            blob: None,
            title: None,
            author: None,
            language: None,
            created_at: None,
            attributes: BTreeMap::new(),
        }
    }
}

/// Every document of the scope. Fatal where there was never one.
pub async fn read(log: &Log, scope: &Scope) -> Result<BTreeMap<Uuid, Known>, Failure> {
    let mut all: BTreeMap<Uuid, Known> = BTreeMap::new();
    let is_meant = |group: &str, id: Uuid| match scope {
        Scope::Document(wanted) => *wanted == id,
        Scope::Group(wanted) => wanted == group,
    };
    log.fold_documents(|document| {
        if is_meant(&document.group, document.document_guid) {
            let known = all.entry(document.document_guid).or_default();
            known.hear(&document);
        }
    })
    .await?;
    fold_entries(&log.kafka, &log.codec, topics::LEDGER, |entry| {
        if let Some(entry) = entry.value
            && is_meant(&entry.group, entry.document_guid)
        {
            all.entry(entry.document_guid)
                .or_default()
                .hear_entry(&entry);
        }
    })
    .await?;
    if all.is_empty() {
        return Err(Failure::fatal(match scope {
            Scope::Document(id) => format!(
                "forget: no document {id} is known, nor ever was: query --json tells the ids of documents"
            ),
            Scope::Group(name) => format!(
                "forget: no document of a group {name:?} is known, nor ever was: groups are named by ingest --group"
            ),
        }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_document_is() {
        let id = Uuid::from_u128;
        let check = |newest: u128, deletion: Option<u128>, removed: Option<u128>, expect| {
            let known = Known {
                group: "g".to_owned(),
                newest: id(newest),
                deletion: deletion.map(id),
                removed: removed.map(id),
                is_named: false,
            };
            let pruned = Known {
                is_named: true,
                ..known.clone()
            };
            assert!(!pruned.is_sent() && !pruned.is_removed());
            assert_eq!(
                (known.is_deleted(), known.is_removed()),
                expect,
                "{known:?}"
            );
        };
        check(1, None, None, (false, false));
        check(2, Some(2), None, (true, false));
        check(2, Some(2), Some(2), (true, true));
        // Sent again, and deleted again.
        check(3, Some(2), Some(2), (false, false));
        check(4, Some(4), Some(2), (true, false));
    }
}
