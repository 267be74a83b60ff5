//! The ledger, in buckets of documents: the entry that counts of each, a bucket at a time.

use std::collections::BTreeMap;
use std::path::Path;

use penstock_adapters::kafka::fold_readable;
use penstock_runtime::{Failure, Record};
use penstock_schemas::{Codec, LedgerEntry, topics};
use penstock_stages::settle::{document_of, term_of};
use uuid::Uuid;

use super::spill::{Fields, Scratch, Spill};
use crate::system::Log;

/// What all ledger records say, as they came.
pub struct Book {
    codec: Codec,
    entries: Spill,
    pub(super) scratch: Scratch,
}

/// The bucket of a document.
pub fn bucket_of(document: Uuid) -> u8 {
    let [.., last] = *document.as_bytes();
    last
}

impl Book {
    /// Empty; its files lie below `folder` for as long as it lives.
    pub fn new(folder: &Path, codec: &Codec) -> Result<Self, Failure> {
        let scratch = Scratch::new(folder)?;
        Ok(Self {
            codec: codec.clone(),
            entries: scratch.spill("ledger"),
            scratch,
        })
    }

    /// The ledger up to its end as it is now.
    pub async fn read(log: &Log, folder: &Path) -> Result<Self, Failure> {
        let mut book = Self::new(folder, &log.codec)?;
        let ledger = topics::LEDGER.name();
        fold_readable(&log.kafka, &log.codec, ledger, None, |record| {
            book.hear(&record)
        })
        .await?;
        Ok(book)
    }

    /// Takes records of a partition in the order of the log.
    pub fn hear(&mut self, record: &Record) -> Result<(), Failure> {
        let Some(document) = document_of(record) else {
            return Ok(());
        };
        let value = record.value.as_deref().unwrap_or_default();
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let mut row = Vec::with_capacity(28 + value.len());
        row.extend_from_slice(document.as_bytes());
        row.extend_from_slice(&term_of(record).to_be_bytes());
        row.extend_from_slice(&length.to_be_bytes());
        row.extend_from_slice(value);
        self.entries.add(bucket_of(document), &row)
    }

    /// The entry that counts of every document of a bucket: of the greatest term the last.
    pub fn bucket(&self, number: u8) -> Result<BTreeMap<Uuid, LedgerEntry>, Failure> {
        let bytes = self.entries.read(number)?;
        let mut fields = Fields(&bytes);
        let mut newest: BTreeMap<Uuid, (i64, Vec<u8>)> = BTreeMap::new();
        while let Some(document) = fields.id() {
            let term = fields.bytes().map(i64::from_be_bytes);
            let length = fields.bytes().map(u32::from_be_bytes);
            let (Some(term), Some(length)) = (term, length) else {
                break;
            };
            let value = fields.take(length as usize).unwrap_or_default();
            let known = newest.entry(document).or_insert((term, Vec::new()));
            if known.0 <= term {
                *known = (term, value.to_vec());
            }
        }
        let filled = newest.into_iter().filter(|(_, (_, it))| !it.is_empty());
        filled
            .map(|(document, (_, value))| {
                let entry = self.codec.decode(&value).map_err(|error| {
                    Failure::fatal(format!("the ledger's entry of {document}: {error}"))
                })?;
                Ok((document, entry))
            })
            .collect()
    }
}
