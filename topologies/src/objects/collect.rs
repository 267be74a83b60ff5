//! Finding orphans, and removing them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use penstock_adapters::objects::{Listing, Objects, Unfinished};
use penstock_runtime::{Failure, Outgoing, Sink};
use penstock_schemas::Codec;
use penstock_stages::blobs::{Blobs, Stored};
use serde::{Deserialize, Serialize};

use super::named::Named;
use super::whose::whose;
use super::why::Why;
use crate::dead_letters::audited;

/// What the audit topic calls it.
pub const COLLECT: &str = "objects collect";
/// Objects looked at once more and removed together.
const BATCH: usize = 500;
/// Requests on their way to the store at once.
const AT_ONCE: usize = 16;
/// Keys told in one audit record; of more only the number is.
const MOST_KEYS: usize = 100;

/// An object nobody will read. Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    pub key: String,
    /// Bytes; none where the store does not tell.
    pub size: Option<u64>,
    /// Since it was written, by the store's clock.
    pub age_seconds: i64,
    pub why: Why,
}

/// What was found. Scripts rely on these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub count: u64,
    /// Of the orphans, as far as the store tells.
    pub bytes: u64,
    /// Of the orphans: those of documents the log knows nothing of.
    pub of_unknown_documents: u64,
    pub kept: Kept,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Objects that somebody may read.
    pub named: u64,
    /// Objects nobody names that are not old enough, or were written again while we looked.
    pub young: u64,
    /// Objects that are not laid out as ours.
    pub foreign: u64,
}

/// Who removes, and where it is written down.
pub struct Removal<'a> {
    pub sink: &'a dyn Sink,
    pub codec: &'a Codec,
    pub actor: &'a str,
}

/// One pass over a store.
pub struct Collector<'a> {
    pub named: &'a Named,
    /// What time it is for the store, and what was written later than which stays: milliseconds since the epoch.
    pub now: i64,
    pub before: i64,
    /// None: a dry run.
    pub removal: Option<Removal<'a>>,
}

impl Collector<'_> {
    /// Tells every orphan, and removes it unless this is a dry run. Holds no more than a few hundred keys at once.
    pub async fn collect(
        &self,
        blobs: &dyn Blobs,
        mut tell: impl FnMut(&Orphan),
    ) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        let mut batch = Vec::new();
        let mut walk = blobs.walk("");
        while let Some(stored) = walk.try_next().await? {
            if whose(&stored.key).is_none() {
                tally.kept.foreign += 1;
                continue;
            }
            match self.named.why_not(&stored.key) {
                None => tally.kept.named += 1,
                Some(_) if stored.written > self.before => tally.kept.young += 1,
                Some(why) => batch.push((stored, why)),
            }
            if batch.len() >= BATCH {
                let orphans = std::mem::take(&mut batch);
                self.remove(blobs, orphans, &mut tally, &mut tell).await?;
            }
        }
        self.remove(blobs, batch, &mut tally, &mut tell).await?;
        Ok(tally)
    }

    /// The same with what was never written to its end. Some stores do not tell of it: then the text says why.
    pub async fn collect_unfinished(
        &self,
        objects: &Objects,
        tally: &mut Tally,
        mut tell: impl FnMut(&Orphan),
    ) -> Result<Option<String>, Failure> {
        let mut found = match objects.unfinished(self.before).await? {
            Listing::Found(found) => found,
            Listing::Untold(why) => return Ok(Some(why)),
        };
        let all = found.len();
        found.retain(|it| whose(&it.key).is_some());
        tally.kept.foreign += (all - found.len()) as u64;
        let orphan = |it: &Unfinished| Orphan {
            key: it.key.clone(),
            size: it.size,
            age_seconds: self.age(it.began),
            why: Why::UnfinishedUpload,
        };
        let orphans: Vec<Orphan> = found.iter().map(orphan).collect();
        self.write_down(&orphans).await?;
        if self.removal.is_some() {
            let given_up = found.iter().map(|it| objects.give_up(it));
            stream::iter(given_up)
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
        for orphan in &orphans {
            tally.add(orphan);
            tell(orphan);
        }
        Ok(None)
    }

    async fn remove(
        &self,
        blobs: &dyn Blobs,
        mut batch: Vec<(Stored, Why)>,
        tally: &mut Tally,
        tell: &mut impl FnMut(&Orphan),
    ) -> Result<(), Failure> {
        if self.removal.is_some() {
            // Somebody may be doing an old document again, and have written them anew since they were listed.
            let still = written(blobs, &batch).await?;
            let all = batch.len();
            batch.retain(|(it, _)| still.get(&it.key) == Some(&it.written));
            tally.kept.young += (all - batch.len()) as u64;
        }
        let orphans: Vec<Orphan> = batch
            .iter()
            .map(|(it, why)| Orphan {
                key: it.key.clone(),
                size: Some(it.size),
                age_seconds: self.age(it.written),
                why: *why,
            })
            .collect();
        self.write_down(&orphans).await?;
        if self.removal.is_some() {
            let deleted = orphans.iter().map(|it| blobs.delete(&it.key));
            stream::iter(deleted)
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
        for orphan in &orphans {
            tally.add(orphan);
            tell(orphan);
        }
        Ok(())
    }

    /// An audit record for each document, before its objects go: afterwards nobody could tell what they were.
    async fn write_down(&self, orphans: &[Orphan]) -> Result<(), Failure> {
        let Some(removal) = &self.removal else {
            return Ok(());
        };
        let mut by_document: BTreeMap<String, Vec<&Orphan>> = BTreeMap::new();
        for orphan in orphans {
            let document =
                whose(&orphan.key).map_or_else(String::new, |it| it.document.to_string());
            by_document.entry(document).or_default().push(orphan);
        }
        if by_document.is_empty() {
            return Ok(());
        }
        let records = by_document
            .into_iter()
            .map(|(document, orphans)| removal.audit(document, &orphans));
        removal
            .sink
            .produce(records.collect::<Result<_, _>>()?)
            .await
    }

    fn age(&self, written: i64) -> i64 {
        (self.now - written) / 1000
    }
}

impl Removal<'_> {
    fn audit(&self, document: String, orphans: &[&Orphan]) -> Result<Outgoing, Failure> {
        let mut keys: Vec<&str> = orphans.iter().map(|it| it.key.as_str()).collect();
        keys.truncate(MOST_KEYS);
        let bytes: u64 = orphans.iter().filter_map(|it| it.size).sum();
        let why: BTreeSet<&str> = orphans.iter().map(|it| it.why.says()).collect();
        let why: Vec<&str> = why.into_iter().collect();
        let detail = [
            ("document", document),
            ("objects", orphans.len().to_string()),
            ("bytes", bytes.to_string()),
            ("why", why.join("; ")),
            ("keys", keys.join("\n")),
        ];
        audited(self.codec, self.actor, COLLECT, detail)
    }
}

impl Tally {
    fn add(&mut self, orphan: &Orphan) {
        self.count += 1;
        self.bytes += orphan.size.unwrap_or_default();
        self.of_unknown_documents += u64::from(orphan.why == Why::UnknownDocument);
    }
}

/// When the objects of a batch were last written, as of now.
async fn written(
    blobs: &dyn Blobs,
    batch: &[(Stored, Why)],
) -> Result<HashMap<String, i64>, Failure> {
    let folders: BTreeSet<&str> = batch
        .iter()
        .filter_map(|(it, _)| it.key.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    let lists = folders.into_iter().map(|folder| blobs.list(folder));
    let found: Vec<Vec<Stored>> = stream::iter(lists)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let found = found.into_iter().flatten();
    Ok(found.map(|it| (it.key, it.written)).collect())
}
