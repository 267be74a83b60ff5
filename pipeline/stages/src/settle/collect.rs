//! Blobs that nothing names any more.

use std::collections::HashSet;

use penstock_runtime::Failure;
use penstock_schemas::{LedgerEntry, Step};
use uuid::Uuid;

use super::manifest::{is_manifest, manifest_key};
use crate::blobs::{Blobs, Stored, document_prefix, version_of};

/// Removes blobs of the document that nobody will read any more and that were there `before` already (milliseconds since
/// the epoch, by the store's clock); returns their keys. The ledger names the source of each visible and open edition and
/// the manifest of the visible one. What else can be read (parsed text, sources that were superseded) is named by records
/// that are kept for a while, so `before` must lie further back than any of those.
pub async fn collect_blobs(
    blobs: &dyn Blobs,
    entry: &LedgerEntry,
    before: i64,
) -> Result<Vec<String>, Failure> {
    let prefix = document_prefix(&entry.group, entry.document_guid);
    let found = blobs.list(&prefix).await?;
    let removed: Vec<String> = superfluous(entry, &found, before)
        .map(|stored| stored.key.clone())
        .collect();
    for key in &removed {
        blobs.delete(key).await?;
    }
    Ok(removed)
}

/// Those of `found`, which is all there is of the document, that may go.
pub(super) fn superfluous<'a>(
    entry: &'a LedgerEntry,
    found: &'a [Stored],
    before: i64,
) -> impl Iterator<Item = &'a Stored> {
    let known = Known::of(entry, found);
    found
        .iter()
        .filter(move |stored| stored.written <= before && !known.needs(stored, before))
}

/// What the ledger tells of a document's bytes.
struct Known<'a> {
    entry: &'a LedgerEntry,
    named: HashSet<String>,
    /// Versions of which the source is known.
    opened: HashSet<Uuid>,
    /// Versions with an edition that may go on: letters of it may be put back again and again.
    at_work: HashSet<Uuid>,
    /// When an edition was shown, by version: that is when older ones were superseded.
    shown: Vec<(Uuid, i64)>,
}

impl<'a> Known<'a> {
    fn of(entry: &'a LedgerEntry, found: &[Stored]) -> Self {
        let mut known = Self {
            entry,
            named: HashSet::new(),
            opened: HashSet::new(),
            at_work: HashSet::new(),
            shown: Vec::new(),
        };
        let visible = entry
            .visible
            .iter()
            .map(|it| (&it.lineage, Some(&it.opened)));
        let open = entry
            .open
            .iter()
            .map(|it| (&it.lineage, it.opened.as_ref()));
        for (lineage, opened) in visible.chain(open) {
            known.named.insert(manifest_key(lineage));
            if let Some(opened) = opened {
                known.opened.insert(lineage.version);
                let key = opened.blob.as_ref().map(|blob| blob.key.clone());
                known.named.extend(key);
            }
        }
        for open in entry.open.iter().filter(|it| it.step != Step::Abandoned) {
            known.at_work.insert(open.lineage.version);
        }
        let manifests = found.iter().filter(|it| is_manifest(&it.key));
        known.shown = manifests
            .filter_map(|it| Some((version_of(&it.key)?, it.written)))
            .collect();
        known
    }

    fn needs(&self, stored: &Stored, before: i64) -> bool {
        if self.named.contains(&stored.key) {
            return true;
        }
        let Some(version) = version_of(&stored.key) else {
            return false;
        };
        if self.is_deleted(version) {
            return false;
        }
        self.at_work.contains(&version)
            || self.is_unheard_of(version)
            || self.superseded(version) > Some(before)
    }

    /// Whether there is a record the ledger has not been told of in full: one that waits for split, or died there. Which
    /// bytes it names is not known here; those of the newest version may lie among those of an older one.
    fn is_unheard_of(&self, version: Uuid) -> bool {
        let newest = self.entry.newest.unwrap_or_default();
        let is_open = |it: Uuid| !self.opened.contains(&it) && !self.is_deleted(it);
        version > newest || is_open(newest)
    }

    /// When readers began to see a newer version, by the store's clock; none where they do not.
    fn superseded(&self, version: Uuid) -> Option<i64> {
        let newer = self.shown.iter().filter(|(it, _)| *it > version);
        newer.map(|(_, written)| *written).min()
    }

    fn is_deleted(&self, version: Uuid) -> bool {
        self.entry.deleted >= Some(version)
    }
}
