use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use penstock_runtime::{Failure, Record, lineage};
use penstock_schemas::{Codec, LedgerEntry, now_ms};
use uuid::Uuid;

/// The compacted ledger, as settle reads it back.
///
/// Whoever lost a partition may still write to it: what was on its way at the time, or what a process that was stopped for
/// long does before it hears of it. So each entry carries its owner's term, a greater one counts for more than a later
/// offset, and an entry that such a one has overtaken is written again, before compaction forgets it.
#[async_trait]
pub trait LedgerLog: Send + Sync {
    /// Takes a partition over, up to the end of the log as it is at the call.
    async fn claim(&self, partition: i32) -> Result<Claim, Failure>;

    /// Documents of claimed partitions, with the partition, whose last entry is of a lesser term than the claim's or one
    /// before it. Each is told of once.
    async fn overtaken(&self) -> Result<Vec<(i32, Uuid)>, Failure>;
}

/// A partition of the ledger, as its new owner finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The new owner's: greater than that of every entry.
    pub term: i64,
    /// The entry that counts, of every document.
    pub entries: Vec<LedgerEntry>,
    /// Documents whose last entry is not the one that counts.
    pub overtaken: Vec<Uuid>,
}

/// The header of an entry that tells its owner's term.
pub const TERM: &str = "settle.term";

/// The term of an entry's record. One that tells none counts for least.
pub fn term_of(record: &Record) -> i64 {
    lineage::parsed(&record.headers, TERM).unwrap_or_default()
}

/// The document an entry's record is of.
pub fn document_of(record: &Record) -> Option<Uuid> {
    Uuid::try_parse_ascii(record.key.as_deref()?).ok()
}

/// Finds the entries that count among all of a partition.
#[derive(Default)]
pub struct Newest {
    documents: HashMap<Uuid, Known>,
    term: i64,
}

struct Known {
    term: i64,
    value: Option<Bytes>,
    overtaken: bool,
}

impl Newest {
    /// Takes records in the order of the log.
    pub fn hear(&mut self, record: &Record) {
        let Some(document) = document_of(record) else {
            return;
        };
        let term = term_of(record);
        self.term = self.term.max(term);
        match self.documents.get_mut(&document) {
            Some(known) if known.term > term => known.overtaken = true,
            _ => {
                let known = Known {
                    term,
                    value: record.value.clone(),
                    overtaken: false,
                };
                self.documents.insert(document, known);
            }
        }
    }

    pub fn claim(self, codec: &Codec) -> Result<Claim, Failure> {
        // The clock for owners who have not written anything yet; one behind it comes after them all the same.
        let mut claim = Claim {
            term: now_ms().max(self.term.saturating_add(1)),
            entries: Vec::with_capacity(self.documents.len()),
            overtaken: Vec::new(),
        };
        for (document, known) in self.documents {
            let Some(value) = known.value else {
                continue;
            };
            let entry = codec.decode(&value).map_err(|error| {
                Failure::fatal(format!("the ledger's entry of {document}: {error}"))
            })?;
            claim.entries.push(entry);
            if known.overtaken {
                claim.overtaken.push(document);
            }
        }
        Ok(claim)
    }
}
