//! What putting a letter back comes to, given what is known of its document.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use penstock_adapters::kafka::fold_readable;
use penstock_runtime::{Failure, Outgoing, Record, Route, put_back};
use penstock_schemas::{Codec, Document, LedgerEntry, Step, next_version, topics};
use uuid::Uuid;

use super::edit::Edit;
use super::letter::{Letter, original_of};
use super::records::RecordType;
use crate::system::Log;

/// What becomes of a letter.
#[derive(Debug)]
pub enum Fate {
    /// The record goes back to its topic.
    PutBack(Outgoing),
    /// Its edition is given up: its document is produced again, as this version.
    Again { record: Outgoing, version: Uuid },
    /// Its document was produced again for another of its letters, as this version.
    Covered { version: Uuid },
    /// Nothing; why.
    Left(String),
}

/// What ledger and log know of the documents of some letters.
#[derive(Debug, Default)]
pub struct Knowledge {
    ledger: HashMap<Uuid, LedgerEntry>,
    /// The newest record of each.
    documents: HashMap<Uuid, Document>,
}

impl Knowledge {
    pub async fn read(log: &Log, of: &HashSet<Uuid>) -> Result<Self, Failure> {
        let mut known = Self::default();
        if of.is_empty() {
            return Ok(known);
        }
        known.ledger = read_entries(log, of).await?;
        log.fold_documents(|document| {
            if of.contains(&document.document_guid) {
                known.hear(document);
            }
        })
        .await?;
        Ok(known)
    }

    fn hear(&mut self, document: Document) {
        let id = document.document_guid;
        let known = self.documents.get(&id);
        if known.is_none_or(|known| known.version <= document.version) {
            self.documents.insert(id, document);
        }
    }

    fn newest(&self, id: Uuid) -> Option<Uuid> {
        let told = self.ledger.get(&id).and_then(|entry| entry.newest);
        told.max(self.documents.get(&id).map(|it| it.version))
    }
}

/// The newest ledger entries of these documents.
pub async fn read_entries(
    log: &Log,
    of: &HashSet<Uuid>,
) -> Result<HashMap<Uuid, LedgerEntry>, Failure> {
    let keys: HashSet<Bytes> = of.iter().map(|id| Bytes::from(id.to_string())).collect();
    let mut entries = HashMap::new();
    let (kafka, codec) = (&log.kafka, &log.codec);
    fold_readable(kafka, codec, topics::LEDGER.name(), None, |record| {
        if record.key.is_some_and(|key| keys.contains(&key)) {
            let value = record.value.as_deref().unwrap_or_default();
            let entry: LedgerEntry = codec.decode(value).map_err(|error| {
                Failure::fatal(format!(
                    "decode {} partition {} offset {}: {error}",
                    record.partition.topic, record.partition.number, record.offset
                ))
            })?;
            entries.insert(entry.document_guid, entry);
        }
        Ok(())
    })
    .await?;
    Ok(entries)
}

/// Decides on one letter after another.
pub struct Judge<'a> {
    pub codec: &'a Codec,
    pub known: Knowledge,
    pub edit: Option<&'a Edit>,
    /// Letters that were put back so often are left.
    pub max_redrives: u32,
    /// Documents produced again so far, with their new versions.
    again: HashMap<Uuid, Uuid>,
}

impl<'a> Judge<'a> {
    pub fn new(
        codec: &'a Codec,
        known: Knowledge,
        edit: Option<&'a Edit>,
        max_redrives: u32,
    ) -> Self {
        Self {
            codec,
            known,
            edit,
            max_redrives,
            again: HashMap::new(),
        }
    }

    pub fn judge(&mut self, letter: &Letter, record: &Record) -> Fate {
        self.decide(letter, record).unwrap_or_else(Fate::Left)
    }

    fn decide(&mut self, letter: &Letter, record: &Record) -> Result<Fate, String> {
        if letter.redrives >= self.max_redrives {
            return Err(format!(
                "it was put back {} times and died again: mend its cause, then raise --max-redrives",
                letter.redrives
            ));
        }
        let topic = original_of(&letter.place.topic);
        let mut back = put_back(record, topic);
        if let Some(edit) = self.edit {
            back.value = Some(self.mended(edit, topic, record)?);
        }
        if topic == topics::DOCUMENTS.name() {
            return self.decide_document(letter, back);
        }
        let Some(lineage) = &letter.lineage else {
            return Ok(Fate::PutBack(back));
        };
        let entry = self.known.ledger.get(&lineage.document_guid);
        let standing = entry.map_or(Standing::Open, |entry| {
            standing(entry, lineage.version, Some(lineage.edition))
        });
        match standing {
            Standing::Open => Ok(Fate::PutBack(back)),
            Standing::Visible => {
                Err("its edition is visible: nothing of it is missing".to_owned())
            }
            Standing::Superseded => Err("a newer version of its document is visible, or the document was deleted".to_owned()),
            Standing::Abandoned if self.edit.is_some() => Err(
                "its edition is given up, so its document is to be produced again, which --edit does not mend"
                    .to_owned(),
            ),
            Standing::Abandoned => {
                let id = lineage.document_guid;
                let Some(document) = self.known.documents.get(&id).cloned() else {
                    return Err(format!(
                        "its edition is given up, and {} no longer has its document: ingest it again",
                        topics::DOCUMENTS.name()
                    ));
                };
                self.produce_again(document)
            }
        }
    }

    /// A letter of `rag.documents.v1`: an older version must never lie behind a newer one, or compaction would keep
    /// the older.
    fn decide_document(&mut self, letter: &Letter, back: Outgoing) -> Result<Fate, String> {
        let value = back.value.as_deref().unwrap_or_default();
        let Ok(document) = self.codec.decode::<Document>(value) else {
            return match letter.document_guid.and_then(|id| self.known.newest(id)) {
                None => Ok(Fate::PutBack(back)),
                Some(newest) => Err(format!(
                    "it cannot be decoded, so its version cannot be held against {newest}, the newest known"
                )),
            };
        };
        let id = document.document_guid;
        if let Some(newest) = self.known.newest(id)
            && newest > document.version
        {
            return Err(format!(
                "a newer version of its document is known: {newest}"
            ));
        }
        let entry = self.known.ledger.get(&id);
        match entry.map(|entry| standing(entry, document.version, None)) {
            None | Some(Standing::Open) => Ok(Fate::PutBack(back)),
            Some(Standing::Visible) => Err("this version of its document is visible".to_owned()),
            Some(Standing::Superseded) => Err("its document was deleted".to_owned()),
            Some(Standing::Abandoned) => self.produce_again(document),
        }
    }

    /// As last version + 1, once for all letters of the document.
    fn produce_again(&mut self, mut document: Document) -> Result<Fate, String> {
        let id = document.document_guid;
        if let Some(version) = self.again.get(&id) {
            return Ok(Fate::Covered { version: *version });
        }
        if document.deleted {
            return Err("its document was deleted".to_owned());
        }
        let newest = self.known.newest(id).max(Some(document.version));
        document.version = next_version(newest);
        let record = topics::DOCUMENTS
            .encode(self.codec, &document)
            .map_err(|error| error.to_string())?;
        let version = document.version;
        self.again.insert(id, version);
        Ok(Fate::Again { record, version })
    }

    fn mended(&self, edit: &Edit, topic: &str, record: &Record) -> Result<Bytes, String> {
        let kind = RecordType::of_topic(topic).ok_or("its topic is read by no stage")?;
        let value = record.value.clone().ok_or("it has no value to edit")?;
        let before = kind
            .decode(self.codec, &value)
            .map_err(|error| format!("it cannot be decoded, so it cannot be edited: {error}"))?;
        let edited = edit.apply(&before)?;
        if edited == before {
            return Ok(value);
        }
        kind.mend(self.codec, &value, &edited)
    }
}

/// Where an edition stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It can still become visible.
    Open,
    Abandoned,
    /// Readers see it, and it has no gaps.
    Visible,
    /// Readers see something newer, or it was deleted: whatever is done for it is swept.
    Superseded,
}

/// `edition`: none for any of the version.
fn standing(entry: &LedgerEntry, version: Uuid, edition: Option<Uuid>) -> Standing {
    if entry.deleted >= Some(version) {
        return Standing::Superseded;
    }
    let is_it = |lineage: &penstock_schemas::Lineage| {
        lineage.version == version && edition.is_none_or(|edition| lineage.edition == edition)
    };
    let open: Vec<_> = entry.open.iter().filter(|it| is_it(&it.lineage)).collect();
    if let Some(visible) = &entry.visible {
        if visible.lineage.version > version {
            return Standing::Superseded;
        }
        if is_it(&visible.lineage) && open.is_empty() {
            return Standing::Visible;
        }
    }
    if !open.is_empty() && open.iter().all(|it| it.step == Step::Abandoned) {
        return Standing::Abandoned;
    }
    Standing::Open
}

#[cfg(test)]
mod tests;
