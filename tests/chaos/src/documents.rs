//! What is sent, in order, from the seed; and what has to become of it.

use bytes::Bytes;
use penstock_schemas::{Blob, Document, content_hash, document_guid, next_version};
use penstock_stages::blobs::version_prefix;
use serde::Serialize;
use uuid::Uuid;

use crate::dice::Dice;
use crate::words;

pub const GROUP: &str = "default";
pub const SOURCE: &str = "chaos";
/// Documents of which at least so many are there before any is changed.
const FIRST: usize = 20;
/// Shares of what is sent, in hundredths; the rest are notes.
const POISON: f64 = 1.0;
const BOOKS: f64 = 1.5;
const DELETIONS: f64 = 2.0;
const STALE: f64 = 2.0;
/// Of the rest, how many are newer versions of documents that are there.
const UPDATES: f64 = 75.0;
/// Paragraphs of a note, each of which becomes a chunk.
const PARAGRAPHS: (u64, u64) = (24, 48);

/// Bytes that nobody can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Poison {
    Empty,
    Binary,
    CutPdf,
    Blank,
    /// The object is not there.
    Missing,
    /// The object is another one.
    Damaged,
}

const POISONS: [Poison; 6] = [
    Poison::Empty,
    Poison::Binary,
    Poison::CutPdf,
    Poison::Blank,
    Poison::Missing,
    Poison::Damaged,
];

impl Poison {
    /// Words that one of which the reason of the dead letter has.
    pub fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Empty => &["empty"],
            Self::Binary => &["unknown type"],
            Self::CutPdf => &["damaged"],
            Self::Blank => &["empty document"],
            Self::Missing => &["is not in the object store"],
            Self::Damaged => &["expected"],
        }
    }
}

/// Where a record kills its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Killing {
    /// By the document's own bytes.
    Split,
    /// By the parsed text.
    Shard,
}

/// What a version of a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Note,
    Book,
    Deletion,
    Poison(Poison),
    Killer(Killing),
}

impl What {
    /// Readers will see it, unless something newer comes.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Note | Self::Book)
    }
}

/// A version of a document, as sent.
#[derive(Debug, Clone)]
pub struct Version {
    pub id: Uuid,
    pub what: What,
    record: Document,
}

/// A document and all versions of it, oldest first.
#[derive(Debug, Clone)]
pub struct Sent {
    pub id: Uuid,
    pub versions: Vec<Version>,
}

/// What goes out next.
pub struct Sending {
    pub record: Document,
    /// The object to put into the store before.
    pub object: Option<(String, Bytes)>,
}

/// Everything sent so far.
pub struct Documents {
    seed: u64,
    dice: Dice,
    /// Sendings, those of older versions again among them.
    pub count: u64,
    pub stale: u64,
    pub all: Vec<Sent>,
}

impl Documents {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            dice: Dice::of(seed, 1),
            count: 0,
            stale: 0,
            all: Vec::new(),
        }
    }

    /// The next document, or a newer version of one, or an older version once more.
    pub fn next(&mut self) -> Sending {
        let there = self.all.len() >= FIRST;
        if there && self.dice.chance(STALE) {
            return self.again();
        }
        if there && self.dice.chance(DELETIONS) {
            let place = self.dice.below(self.all.len());
            return self.send(place, What::Deletion);
        }
        let what = if self.dice.chance(POISON) {
            What::Poison(self.dice.pick(&POISONS, Poison::Empty))
        } else if self.dice.chance(BOOKS) {
            What::Book
        } else {
            What::Note
        };
        let place = match there && self.dice.chance(UPDATES) {
            true => self.dice.below(self.all.len()),
            false => self.all.len(),
        };
        self.send(place, what)
    }

    /// A document that kills who reads it.
    pub fn killer(&mut self, killing: Killing) -> Sending {
        self.send(self.all.len(), What::Killer(killing))
    }

    /// A version that is not the newest, as a producer does that tries again late.
    fn again(&mut self) -> Sending {
        let place = self.dice.below(self.all.len());
        let versions = self.all.get(place).map_or(&[][..], |it| &it.versions);
        let older = versions.len().saturating_sub(1);
        let Some(version) = versions.get(self.dice.below(older)) else {
            return self.send(place, What::Note);
        };
        self.count += 1;
        self.stale += 1;
        Sending {
            record: version.record.clone(),
            object: None,
        }
    }

    fn send(&mut self, place: usize, what: What) -> Sending {
        self.count += 1;
        if place == self.all.len() {
            let name = format!("report-{place}.md");
            self.all.push(Sent {
                id: document_guid(GROUP, SOURCE, &name),
                versions: Vec::new(),
            });
        }
        let mut dice = Dice::of(self.seed, self.count.wrapping_add(1 << 32));
        let bytes = bytes_of(what, self.count, &mut dice);
        let document = self.all.get_mut(place).map(|sent| {
            let id = next_version(sent.versions.last().map(|it| it.id));
            let record = record_of(place, sent.id, id, what, bytes.as_deref());
            sent.versions.push(Version {
                id,
                what,
                record: record.clone(),
            });
            record
        });
        let record =
            document.unwrap_or_else(|| record_of(place, Uuid::nil(), Uuid::nil(), what, None));
        let stored = match what {
            What::Poison(Poison::Missing) => None,
            What::Poison(Poison::Damaged) => bytes.map(|it| it.iter().map(|byte| !byte).collect()),
            _ => bytes,
        };
        let key = record.blob.as_ref().map(|it| it.key.clone());
        Sending {
            object: key.zip(stored.map(Bytes::from)),
            record,
        }
    }
}

fn bytes_of(what: What, number: u64, dice: &mut Dice) -> Option<Vec<u8>> {
    let note = |dice: &mut Dice| {
        let paragraphs = dice.between(PARAGRAPHS.0, PARAGRAPHS.1);
        words::note(number, paragraphs, dice)
    };
    match what {
        What::Deletion => None,
        What::Note | What::Killer(_) => Some(note(dice)),
        What::Book => Some(words::book(number, dice)),
        What::Poison(Poison::Empty) => Some(Vec::new()),
        What::Poison(Poison::Binary) => {
            let noise = std::iter::repeat_with(|| (dice.next() % 32) as u8);
            Some(noise.take(2000).collect())
        }
        What::Poison(Poison::CutPdf) => {
            let mut bytes = words::book(number, dice);
            bytes.truncate(200);
            Some(bytes)
        }
        What::Poison(Poison::Blank) => Some(b" \n\t\n  \n".to_vec()),
        What::Poison(Poison::Missing | Poison::Damaged) => Some(note(dice)),
    }
}

fn record_of(place: usize, id: Uuid, version: Uuid, what: What, bytes: Option<&[u8]>) -> Document {
    let extension = match what {
        What::Book | What::Poison(Poison::CutPdf) => "pdf",
        _ => "md",
    };
    let name = format!("report-{place}.{extension}");
    let blob = bytes.map(|bytes| {
        let sha256 = content_hash(bytes);
        Blob {
            key: format!("{}{sha256}", version_prefix(GROUP, id, version)),
            sha256,
            size: bytes.len() as i64,
        }
    });
    Document {
        document_guid: id,
        group: GROUP.to_owned(),
        source: SOURCE.to_owned(),
        key: name.clone(),
        version,
        deleted: what == What::Deletion,
        path: name,
        blob,
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(seed: u64, count: usize) -> Vec<(Uuid, bool, Option<String>)> {
        let mut documents = Documents::new(seed);
        let sendings = std::iter::repeat_with(|| documents.next()).take(count);
        sendings
            .map(|it| {
                let digest = it.record.blob.map(|blob| blob.sha256);
                (it.record.document_guid, it.record.deleted, digest)
            })
            .collect()
    }

    #[test]
    fn a_seed_sends_the_same_again() {
        assert_eq!(shapes(5, 300), shapes(5, 300));
        assert_ne!(shapes(5, 300), shapes(6, 300));
    }

    #[test]
    fn all_kinds_are_among_many() {
        let mut documents = Documents::new(1);
        for _ in 0..5000 {
            documents.next();
        }
        assert_eq!(documents.count, 5000);
        let of = |wanted: &dyn Fn(What) -> bool| {
            let versions = documents.all.iter().flat_map(|it| &it.versions);
            versions.filter(|it| wanted(it.what)).count()
        };
        let poison = of(&|what| matches!(what, What::Poison(_)));
        assert!((25..100).contains(&poison), "{poison}");
        assert!(of(&|what| what == What::Book) > 30);
        assert!(of(&|what| what == What::Deletion) > 50);
        assert!(documents.stale > 50);
        let newer = |sent: &Sent| sent.versions.is_sorted_by(|a, b| a.id < b.id);
        assert!(documents.all.iter().all(newer));
    }
}
