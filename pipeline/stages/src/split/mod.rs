//! Documents to parts: what a document is, and how it is cut so that several workers can share it.

mod cut;
mod digest;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Emit, Failure, Input, Note, Stage, Verdict};
use penstock_schemas::{About, Document, Lineage, Opened, Part, Range, edition_id, now_ms};

pub use digest::attributes_digest;

use crate::blobs::{self, Blobs, document_prefix};
use crate::parse::{self, Budget, Kind, Limits, Workers};

/// A document in, its parts out; of a deletion, the news.
pub struct Split {
    /// Digest of all that shapes a result: extractor, chunking, model, rules.
    recipe: String,
    blobs: Arc<dyn Blobs>,
    limits: Limits,
    workers: Arc<Workers>,
}

impl Split {
    pub fn new(recipe: String, blobs: Arc<dyn Blobs>, limits: Limits) -> Self {
        Self {
            recipe,
            blobs,
            limits,
            // Looking at a document costs little beside parsing it, but opening a hostile one may not end.
            workers: Workers::new(1),
        }
    }

    /// What the document is, and where it is cut; one part, all of it, where it is not.
    async fn look(&self, document: &Document) -> Result<(Kind, Vec<Option<Range>>), Failure> {
        let Some(blob) = &document.blob else {
            return Err(Failure::poison(
                "the record names no blob: a document that is not deleted must have one",
            ));
        };
        // A producer of one group must not read another's bytes by naming them.
        let own = document_prefix(&document.group, document.document_guid);
        if !blob.key.starts_with(&own) {
            return Err(Failure::poison(format!(
                "object {} belongs to another document: the bytes of this one lie under {own}VERSION/SHA256",
                blob.key
            )));
        }
        self.limits.source(u64::try_from(blob.size).unwrap_or(0))?;
        let bytes = blobs::load(self.blobs.as_ref(), blob).await?;
        let path = document.path.clone();
        let limits = self.limits.clone();
        self.workers
            .run(self.limits.time, move |cancel| {
                let kind = parse::sniff(&bytes, &path)?;
                let budget = Budget::new(&limits, cancel);
                let ranges = match kind {
                    Kind::Pdf => {
                        limits.whole(bytes.len() as u64)?;
                        cut::pages(parse::count_pages(&bytes, &budget)?)
                    }
                    kind if kind.can_be_cut_at_lines() => cut::lines(&bytes, kind),
                    _ => {
                        limits.whole(bytes.len() as u64)?;
                        Vec::new()
                    }
                };
                let ranges = ranges.into_iter().map(Some).collect::<Vec<_>>();
                Ok((
                    kind,
                    if ranges.is_empty() {
                        vec![None]
                    } else {
                        ranges
                    },
                ))
            })
            .await
    }
}

#[async_trait]
impl Stage for Split {
    type In = Document;
    type Out = Part;

    /// A document that dies here is reported under the edition it would have had.
    fn lineage(&self, document: &Document) -> Option<Lineage> {
        Some(opened_of(document, &self.recipe, 0).0)
    }

    async fn process(&self, input: &Input<Document>) -> Verdict<Part> {
        let document = &input.record;
        if document.deleted {
            let (lineage, mut opened) = opened_of(document, &self.recipe, 0);
            opened.blob = None;
            return Ok(Emit {
                outputs: Vec::new(),
                note: Note::Deleted {
                    opened: Box::new(opened),
                    lineage: Box::new(lineage),
                },
            });
        }
        let (kind, ranges) = self.look(document).await?;
        let parts = i32::try_from(ranges.len())
            .map_err(|_| Failure::poison(format!("{} parts are too many", ranges.len())))?;
        let (lineage, opened) = opened_of(document, &self.recipe, parts);
        let outputs = document
            .blob
            .iter()
            .flat_map(|blob| {
                (0..parts)
                    .zip(&ranges)
                    .map(move |(part, range)| (blob, part, range))
            })
            .map(|(blob, part, range)| Part {
                lineage: lineage.clone(),
                part,
                parts,
                kind: kind.as_str().to_owned(),
                blob: blob.clone(),
                range: range.clone(),
                about: opened.about.clone(),
            })
            .collect();
        Ok(Emit {
            outputs,
            note: Note::Outputs {
                ids: Vec::new(),
                run: None,
                opened: Some(Box::new(opened)),
                lineage: Some(Box::new(lineage)),
            },
        })
    }
}

/// The edition that processing `document` by `recipe` now makes, and what its ledger entry starts with. Also for a
/// document that could not be cut (`parts` 0): settle must hear of its death under the same name.
pub fn opened_of(document: &Document, recipe: &str, parts: i32) -> (Lineage, Opened) {
    let lineage = Lineage {
        group: document.group.clone(),
        document_guid: document.document_guid,
        version: document.version,
        edition: edition_id(document.document_guid, document.version, recipe),
        stamped: now_ms(),
    };
    let about = About {
        source: document.source.clone(),
        key: document.key.clone(),
        path: document.path.clone(),
        title: document.title.clone(),
        author: document.author.clone(),
        language: document.language.clone(),
        created_at: document.created_at,
        attributes: document.attributes.clone(),
    };
    let opened = Opened {
        attributes_digest: attributes_digest(
            about.title.as_deref(),
            about.author.as_deref(),
            about.language.as_deref(),
            about.created_at,
            &about.attributes,
        ),
        about,
        blob: document.blob.clone(),
        recipe: recipe.to_owned(),
        parts,
    };
    (lineage, opened)
}
