//! Blobs that nothing names any more.

use std::collections::HashSet;
use std::time::Duration;

use penstock_runtime::Failure;
use penstock_schemas::{LedgerEntry, now_ms};

use super::manifest::manifest_key;
use crate::blobs::{Blobs, document_prefix};

/// Removes blobs of the document that its entry does not name and that are at least as old as `grace`; returns their
/// keys. The ledger names the source of each visible and open edition and the manifest of the visible one. Everything
/// else (parsed text, superseded sources) is named only by records in flight, so `grace` must be longer than those are
/// kept.
pub async fn collect_blobs(
    blobs: &dyn Blobs,
    entry: &LedgerEntry,
    grace: Duration,
) -> Result<Vec<String>, Failure> {
    let limit = now_ms() - grace.as_millis() as i64;
    let mut removed = Vec::new();
    let named = named_by(entry);
    let prefix = document_prefix(&entry.group, entry.document_guid);
    for (key, written) in blobs.list(&prefix).await? {
        if written <= limit && !named.contains(&key) {
            blobs.delete(&key).await?;
            removed.push(key);
        }
    }
    Ok(removed)
}

fn named_by(entry: &LedgerEntry) -> HashSet<String> {
    let visible = entry.visible.iter();
    let sources = visible
        .clone()
        .filter_map(|it| it.opened.blob.as_ref())
        .chain(
            entry
                .open
                .iter()
                .filter_map(|it| it.opened.as_ref()?.blob.as_ref()),
        )
        .map(|blob| blob.key.clone());
    let manifests = visible
        .map(|it| manifest_key(&it.lineage))
        .chain(entry.open.iter().map(|it| manifest_key(&it.lineage)));
    sources.chain(manifests).collect()
}
