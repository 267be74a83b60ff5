//! Documents that stand still though every stage has done all there is.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_adapters::kafka::fold_readable;
use penstock_runtime::Failure;
use penstock_schemas::{LedgerEntry, Step, now_ms, topics};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::waits::wait_of;
use crate::dead_letters::shown;
use crate::status::StageStatus;
use crate::system::Log;

/// Scripts rely on these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub count: usize,
    /// The first of them, at most 20, longest first.
    pub documents: Vec<StoppedDocument>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoppedDocument {
    /// When it last got on, RFC 3339.
    pub since: String,
    pub document_guid: Uuid,
    pub path: String,
    /// The stage it waits for, and what for.
    pub waits: String,
}

const MOST: usize = 20;

/// Documents without progress for `after`. While a stage has something to do, they may be what it has to do: then none is
/// told of. A document that failed waits for people, and its letters tell of it.
pub async fn stopped(
    log: &Log,
    stages: &[StageStatus],
    after: Duration,
) -> Result<Stopped, Failure> {
    if stages.iter().any(|stage| stage.lag_records > 0) {
        return Ok(Stopped::default());
    }
    let limit = now_ms() - i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
    let mut found = BTreeMap::new();
    let (kafka, codec) = (&log.kafka, &log.codec);
    fold_readable(kafka, codec, topics::LEDGER.name(), None, |record| {
        let Some(value) = &record.value else {
            return Ok(());
        };
        let entry: LedgerEntry = codec.decode(value).map_err(|error| {
            Failure::fatal(format!(
                "decode {} partition {} offset {}: {error}",
                record.partition.topic, record.partition.number, record.offset
            ))
        })?;
        // A later entry of a document takes the place of the one before.
        match stands_still(&entry, record.timestamp, limit) {
            Some(document) => found.insert(entry.document_guid, document),
            None => found.remove(&entry.document_guid),
        };
        Ok(())
    })
    .await?;
    let mut documents: Vec<StoppedDocument> = found.into_values().collect();
    documents.sort();
    let count = documents.len();
    documents.truncate(MOST);
    Ok(Stopped { count, documents })
}

/// `written`: when the entry was, and `limit`, milliseconds since the epoch.
fn stands_still(entry: &LedgerEntry, written: i64, limit: i64) -> Option<StoppedDocument> {
    let document = |since, path: &str, waits| StoppedDocument {
        since: shown(since),
        document_guid: entry.document_guid,
        path: path.to_owned(),
        waits,
    };
    if entry.deleted.is_some() && entry.removed_at.is_none() && written < limit {
        let waits = "settle: it is to be removed from both stores".to_owned();
        return Some(document(written, "", waits));
    }
    let goes_on = |step: Step| !matches!(step, Step::Failed | Step::Abandoned);
    let open = entry
        .open
        .iter()
        .filter(|it| goes_on(it.step) && it.last_progress_at < limit)
        .max_by_key(|it| (it.lineage.version, it.lineage.stamped))?;
    let path = open.opened.as_ref().map_or("", |it| &it.about.path);
    let wait = wait_of(open, &[]);
    let stage = wait.stage.unwrap_or("nobody");
    Some(document(
        open.last_progress_at,
        path,
        format!("{stage}: {}", wait.what),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entry, open};
    use super::*;

    #[test]
    fn only_what_goes_on_by_itself_and_does_not_is_told_of() {
        let check = |entry: &LedgerEntry, expect: Option<&str>| {
            let found = stands_still(entry, 50, 100).map(|it| it.waits);
            match (found, expect) {
                (None, None) => {}
                (Some(waits), Some(word)) => assert!(waits.contains(word), "{waits}"),
                (found, expect) => panic!("{found:?}, expected {expect:?}"),
            }
        };
        let at = |step, at| entry(vec![open(step, at)]);
        check(&at(Step::Gathering, 99), Some("parse: 1 of 2 parts"));
        check(&at(Step::Gathering, 100), None);
        check(
            &at(Step::ShownVectors, 99),
            Some("settle: it is to be shown in the graph"),
        );
        check(&at(Step::Failed, 1), None);
        check(&at(Step::Abandoned, 1), None);
        check(&entry(Vec::new()), None);
        let mut deleted = entry(Vec::new());
        deleted.deleted = Some(Uuid::from_u128(2));
        check(&deleted, Some("removed from both stores"));
        deleted.removed_at = Some(60);
        check(&deleted, None);
    }
}
