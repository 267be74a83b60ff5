//! Which objects the log names: what may still be read.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use penstock_adapters::kafka::fold_topic;
use penstock_runtime::{Failure, Record};
use penstock_schemas::{
    Codec, Completed, Document, LedgerEntry, Message, Part, Progress, Section, Step,
    dead_letters_of, original_of, topics,
};
use penstock_stages::settle::{manifest_key, term_of};
use uuid::Uuid;

use super::whose::{Whose, whose};
use super::why::Why;
use crate::dead_letters::document_of;
use crate::system::Log;

/// What all records together name. A key is kept as eight bytes of its digest, for there may be millions; two keys that
/// share one only keep each other.
#[derive(Debug, Default)]
pub struct Named {
    keys: HashSet<u64>,
    documents: HashMap<Uuid, Known>,
    /// Documents of which a record cannot be read: one of another release may name anything of theirs.
    unread: HashSet<Uuid>,
    /// Records that cannot be read and do not tell whose they are.
    pub nameless: u64,
}

/// What is known of a document.
#[derive(Debug, Default)]
struct Known {
    /// The newest version anybody has told of.
    newest: Uuid,
    /// Nothing of this version or an older one comes back; nil: of none.
    deleted: Uuid,
    /// Versions with an edition that is not given up.
    at_work: Box<[Uuid]>,
}

impl Named {
    /// Reads every topic that may name an object, in the order records flow: one that moves on meanwhile is met at least
    /// once.
    pub async fn read(log: &Log) -> Result<Self, Failure> {
        let mut heard = Heard::default();
        for topic in naming() {
            fold_topic(&log.kafka, &topic, None, |record| {
                heard.hear(&log.codec, &record)
            })
            .await?;
        }
        Ok(heard.named())
    }

    /// Why nobody will read the object at `key`; none where somebody may, or where it is not one of ours.
    pub fn why_not(&self, key: &str) -> Option<Why> {
        if self.keys.contains(&digest(key)) {
            return None;
        }
        let Whose { document, version } = whose(key)?;
        if self.unread.contains(&document) {
            return None;
        }
        let Some(known) = self.documents.get(&document) else {
            return Some(Why::UnknownDocument);
        };
        if version > Some(known.newest) {
            return Some(Why::NeverSent);
        }
        if version.is_some_and(|it| known.at_work.contains(&it)) {
            return None;
        }
        if known.is_deleted() {
            return Some(Why::DeletedDocument);
        }
        // A cache serves every version.
        let version = version?;
        Some(match version < known.newest {
            true => Why::Superseded,
            false => Why::Unnamed,
        })
    }
}

impl Known {
    fn is_deleted(&self) -> bool {
        !self.deleted.is_nil() && self.newest <= self.deleted
    }
}

/// Every topic whose records name objects, and the dead letters of those that are read.
pub fn naming() -> Vec<String> {
    let read = [
        topics::DOCUMENTS.name(),
        topics::PARTS.name(),
        topics::SECTIONS.name(),
        topics::PROGRESS.name(),
    ];
    let with_letters = read
        .into_iter()
        .flat_map(|it| [it.to_owned(), dead_letters_of(it)]);
    let others = [topics::LEDGER.name(), topics::COMPLETED.name()].map(str::to_owned);
    with_letters.chain(others).collect()
}

/// Puts together what records name, one by one.
#[derive(Debug, Default)]
pub struct Heard {
    keys: HashSet<u64>,
    unread: HashSet<Uuid>,
    nameless: u64,
    latest: HashMap<Uuid, Latest>,
}

/// Of compacted topics only some records count.
#[derive(Debug, Default)]
struct Latest {
    newest: Uuid,
    deleted: Uuid,
    /// The newest version in `rag.documents.v1`, and its bytes.
    sent: (Uuid, Option<u64>),
    /// The bytes of the last record there: the one that compaction keeps.
    sent_last: Option<u64>,
    /// The ledger's entry of the greatest term: the one that counts.
    counts: Told,
    /// The last one: the one that compaction keeps until the owner writes his again.
    last: Told,
}

#[derive(Debug, Default, Clone)]
struct Told {
    term: i64,
    names: Box<[u64]>,
    at_work: Box<[Uuid]>,
}

impl Heard {
    /// Takes records of a partition in the order of the log. Only a ledger that cannot be read is an error.
    pub fn hear(&mut self, codec: &Codec, record: &Record) -> Result<(), Failure> {
        let Some(value) = record.value.as_deref() else {
            return Ok(());
        };
        let topic = record.partition.topic.as_ref();
        if topic == topics::DOCUMENTS.name() {
            match codec.decode::<Document>(value) {
                Ok(document) => self.hear_document(&document),
                Err(_) => self.note_unread(record),
            }
            return Ok(());
        }
        if topic == topics::LEDGER.name() {
            let entry = codec.decode::<LedgerEntry>(value).map_err(|error| {
                Failure::fatal(format!(
                    "decode {topic} partition {} offset {}: {error}; without the ledger nothing is collected",
                    record.partition.number, record.offset
                ))
            })?;
            self.hear_entry(&entry, term_of(record));
            return Ok(());
        }
        match key_in(topic, codec, value) {
            Ok(Some(key)) => {
                self.keys.insert(digest(&key));
            }
            Ok(None) => {}
            Err(Unreadable) => self.note_unread(record),
        }
        Ok(())
    }

    pub fn named(self) -> Named {
        let mut named = Named {
            keys: self.keys,
            documents: HashMap::with_capacity(self.latest.len()),
            unread: self.unread,
            nameless: self.nameless,
        };
        for (id, it) in self.latest {
            let sent = [it.sent.1, it.sent_last];
            named.keys.extend(sent.into_iter().flatten());
            named.keys.extend(&it.counts.names);
            named.keys.extend(&it.last.names);
            let at_work = [it.counts.at_work, it.last.at_work].concat();
            let known = Known {
                newest: it.newest,
                deleted: it.deleted,
                at_work: at_work.into(),
            };
            named.documents.insert(id, known);
        }
        named
    }

    fn hear_document(&mut self, document: &Document) {
        let known = self.latest.entry(document.document_guid).or_default();
        let source = document.blob.as_ref().map(|blob| digest(&blob.key));
        known.newest = known.newest.max(document.version);
        if document.deleted {
            known.deleted = known.deleted.max(document.version);
        }
        if document.version >= known.sent.0 {
            known.sent = (document.version, source);
        }
        known.sent_last = source;
    }

    fn hear_entry(&mut self, entry: &LedgerEntry, term: i64) {
        let known = self.latest.entry(entry.document_guid).or_default();
        known.newest = known.newest.max(entry.newest.unwrap_or_default());
        known.deleted = known.deleted.max(entry.deleted.unwrap_or_default());
        known.last = told(entry, term);
        if term >= known.counts.term {
            known.counts = known.last.clone();
        }
    }

    fn note_unread(&mut self, record: &Record) {
        match document_of(&record.headers, record.key.as_deref()) {
            Some(document) => drop(self.unread.insert(document)),
            None => self.nameless += 1,
        }
    }
}

/// A record of another release, or no record at all.
struct Unreadable;

/// What a record of an uncompacted topic, or a dead letter, names.
fn key_in(topic: &str, codec: &Codec, value: &[u8]) -> Result<Option<String>, Unreadable> {
    fn read<T: Message>(codec: &Codec, value: &[u8]) -> Result<T, Unreadable> {
        codec.decode(value).map_err(|_| Unreadable)
    }
    let name = original_of(topic).unwrap_or(topic);
    Ok(if name == topics::DOCUMENTS.name() {
        read::<Document>(codec, value)?.blob.map(|blob| blob.key)
    } else if name == topics::PARTS.name() {
        Some(read::<Part>(codec, value)?.blob.key)
    } else if name == topics::SECTIONS.name() {
        Some(read::<Section>(codec, value)?.text.key)
    } else if name == topics::PROGRESS.name() {
        let opened = read::<Progress>(codec, value)?.opened;
        opened.and_then(|it| it.blob).map(|blob| blob.key)
    } else if name == topics::COMPLETED.name() {
        read::<Completed>(codec, value)?.manifest
    } else {
        None
    })
}

fn told(entry: &LedgerEntry, term: i64) -> Told {
    let visible = entry
        .visible
        .iter()
        .map(|it| (&it.lineage, Some(&it.opened)));
    let open = entry
        .open
        .iter()
        .map(|it| (&it.lineage, it.opened.as_ref()));
    let mut names = Vec::new();
    for (lineage, opened) in visible.chain(open) {
        names.push(digest(&manifest_key(lineage)));
        let source = opened.and_then(|it| it.blob.as_ref());
        names.extend(source.map(|blob| digest(&blob.key)));
    }
    let at_work = entry.open.iter().filter(|it| it.step != Step::Abandoned);
    Told {
        term,
        names: names.into(),
        at_work: at_work.map(|it| it.lineage.version).collect(),
    }
}

fn digest(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
