//! What settle keeps of documents nothing is going on with. There may be millions of them, so bytes count.

use std::sync::OnceLock;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use penstock_runtime::Failure;
use penstock_schemas::{Codec, CodecError, LedgerEntry, Message};

/// A document at rest: some 250 bytes, where the ledger's entry has 900.
pub(super) struct AtRest(Box<[u8]>);

/// Puts documents to rest and wakes them.
#[derive(Default)]
pub(super) struct Rest {
    codec: Codec,
    /// The first entry put to rest. The others are compressed against it: source, recipe, folders and the layout are
    /// mostly the same.
    pattern: OnceLock<Box<[u8]>>,
}

impl Rest {
    pub fn put(&self, entry: &LedgerEntry) -> Result<AtRest, Failure> {
        let encoded = self.codec.encode(entry).map_err(own_bug)?;
        let pattern = self.pattern.get_or_init(|| Box::from(encoded.as_ref()));
        let bytes = compress_prepend_size_with_dict(&encoded, pattern);
        Ok(AtRest(bytes.into_boxed_slice()))
    }

    /// The entry as the ledger has it.
    pub fn wake(&self, resting: &AtRest) -> Result<LedgerEntry, Failure> {
        let pattern = self.pattern.get().map_or(&[][..], |it| it);
        let encoded = decompress_size_prepended_with_dict(&resting.0, pattern)
            .map_err(|error| Failure::fatal(format!("a document at rest is lost: {error}")))?;
        self.codec.decode(&encoded).map_err(own_bug)
    }
}

fn own_bug(error: CodecError) -> Failure {
    Failure::fatal(format!("{} cannot be encoded: {error}", LedgerEntry::NAME))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use penstock_schemas::{About, Blob, Lineage, Opened, Visible, content_hash};
    use uuid::Uuid;

    use super::*;
    use crate::blobs::version_prefix;
    use crate::settle::manifest_key;

    fn entry(number: usize) -> LedgerEntry {
        let lineage = Lineage {
            group: "freight".to_owned(),
            document_guid: Uuid::new_v4(),
            version: Uuid::now_v7(),
            edition: Uuid::new_v4(),
            stamped: 1_795_273_766_376 + number as i64,
        };
        let prefix = version_prefix(&lineage.group, lineage.document_guid, lineage.version);
        let sha256 = content_hash(&number.to_be_bytes());
        LedgerEntry {
            document_guid: lineage.document_guid,
            group: lineage.group.clone(),
            visible: Some(Visible {
                manifest: Some(manifest_key(&lineage)),
                opened: Opened {
                    about: About {
                        source: "/srv/documents/freight".to_owned(),
                        key: format!("reports/2026/report-{number:05}.pdf"),
                        path: format!("freight/reports/2026/report-{number:05}.pdf"),
                        title: Some(format!("Report {number}")),
                        author: None,
                        language: Some("en".to_owned()),
                        created_at: None,
                        attributes: BTreeMap::new(),
                    },
                    blob: Some(Blob {
                        key: format!("{prefix}{sha256}"),
                        sha256,
                        size: 4096,
                    }),
                    attributes_digest: content_hash(b""),
                    recipe: content_hash(b"recipe"),
                    parts: 3,
                },
                chunks: 60,
                at: lineage.stamped + 500,
                lineage: lineage.clone(),
            }),
            open: Vec::new(),
            deleted: None,
            removed_at: None,
            newest: Some(lineage.version),
            fields_version: 1,
        }
    }

    #[test]
    fn a_document_at_rest_is_small_and_wakes_as_it_was() {
        let rest = Rest::default();
        let mut bytes = 0;
        for number in 0..100 {
            let entry = entry(number);
            let resting = rest.put(&entry).unwrap();
            assert_eq!(rest.wake(&resting).unwrap(), entry);
            bytes += resting.0.len();
        }
        assert!(bytes / 100 < 300, "{} bytes each", bytes / 100);
    }
}
