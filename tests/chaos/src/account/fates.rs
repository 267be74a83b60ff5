//! What became of every document that was sent, by the ledger.

use std::collections::HashMap;

use penstock_schemas::{LedgerEntry, Step};
use serde::Serialize;
use uuid::Uuid;

use super::steps::Versions;
use crate::documents::{Documents, Sent, Version, What};

/// Versions by what became of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fates {
    pub documents: u64,
    pub versions: u64,
    pub visible: u64,
    pub superseded: u64,
    pub removed: u64,
    pub failed: u64,
    /// Of these, those that should not have.
    pub failed_unexpectedly: u64,
    pub unaccounted: u64,
    /// Documents of which readers see another version than they should.
    pub wrong: u64,
    #[serde(skip)]
    pub findings: Vec<String>,
}

/// What readers should see of a document in the end: its newest good version, unless a deletion came after it.
fn expected(sent: &Sent, failed: &impl Fn(Uuid) -> bool) -> Option<Uuid> {
    for version in sent.versions.iter().rev() {
        if version.what == What::Deletion {
            return None;
        }
        if version.what.is_good() && !failed(version.id) {
            return Some(version.id);
        }
    }
    None
}

pub fn versions_of(documents: &Documents) -> Versions {
    let mut versions = HashMap::new();
    for sent in &documents.all {
        let mut is_deleted = false;
        for version in sent.versions.iter().rev() {
            versions.insert(version.id, (version.what, is_deleted));
            is_deleted |= version.what == What::Deletion;
        }
    }
    versions
}

/// Follows every version. `failed`: (document, version) told to have failed.
pub fn count(
    documents: &Documents,
    ledger: &HashMap<Uuid, LedgerEntry>,
    failed: &HashMap<(Uuid, Uuid), ()>,
) -> Fates {
    let mut fates = Fates {
        documents: documents.all.len() as u64,
        ..Fates::default()
    };
    for sent in &documents.all {
        let entry = ledger.get(&sent.id);
        let visible = entry.and_then(|it| it.visible.as_ref());
        let visible = visible.map(|it| it.lineage.version);
        let deleted = entry.and_then(|it| it.deleted);
        let is_failed = |id: Uuid| {
            let open = entry.iter().flat_map(|it| &it.open);
            let mut of_it = open.filter(|it| it.lineage.version == id);
            failed.contains_key(&(sent.id, id)) || of_it.any(|it| it.step == Step::Failed)
        };
        for version in &sent.versions {
            fates.versions += 1;
            let fate = fate_of(version, visible, deleted, &is_failed);
            match fate {
                Fate::Visible => fates.visible += 1,
                Fate::Superseded => fates.superseded += 1,
                Fate::Removed => fates.removed += 1,
                Fate::Failed => {
                    fates.failed += 1;
                    if version.what.is_good() {
                        fates.failed_unexpectedly += 1;
                        fates.find(format!("failed: {} version {}", sent.id, version.id));
                    }
                }
                Fate::Unknown => {
                    fates.unaccounted += 1;
                    let (id, what) = (version.id, version.what);
                    fates.find(format!("unaccounted: {} version {id} {what:?}", sent.id));
                }
            }
        }
        let expected = expected(sent, &is_failed);
        if visible != expected {
            fates.wrong += 1;
            fates.find(format!(
                "{}: readers see {visible:?}, should see {expected:?}",
                sent.id
            ));
        }
    }
    fates
}

enum Fate {
    Visible,
    Superseded,
    Removed,
    Failed,
    Unknown,
}

fn fate_of(
    version: &Version,
    visible: Option<Uuid>,
    deleted: Option<Uuid>,
    is_failed: &impl Fn(Uuid) -> bool,
) -> Fate {
    if version.what == What::Deletion {
        return match deleted >= Some(version.id) {
            true => Fate::Removed,
            false => Fate::Unknown,
        };
    }
    if visible == Some(version.id) {
        return Fate::Visible;
    }
    if is_failed(version.id) {
        return Fate::Failed;
    }
    if visible > Some(version.id) || deleted > Some(version.id) {
        return Fate::Superseded;
    }
    Fate::Unknown
}

impl Fates {
    fn find(&mut self, text: String) {
        if self.findings.len() < 20 {
            self.findings.push(text);
        }
    }

    /// Whether every version has come to an end.
    pub fn are_all(&self) -> bool {
        self.unaccounted == 0 && self.wrong == 0
    }
}
