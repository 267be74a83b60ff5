//! Parts of documents to text.

mod core_properties;
mod dates;
mod docx;
mod draft;
mod eml;
mod encoding;
mod epub;
mod extract;
mod fetch;
mod grid;
mod html;
mod html_writer;
mod json;
mod kind;
mod language;
mod limits;
#[cfg(test)]
pub mod made;
mod markdown;
mod odt;
mod package;
mod pdf;
mod pdf_lines;
mod pdf_page;
mod pdf_shelf;
mod pptx;
mod sniff;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod workers;
mod xlsx;

use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Emit, Failure, Input, Stage, Verdict};
use penstock_schemas::{Part, Section};

pub use draft::Extracted;
pub use encoding::is_wide;
pub use extract::extract;
pub use kind::Kind;
pub use limits::{Budget, Cancel, Limits};
pub use sniff::sniff;
pub use workers::Workers;

use crate::blobs::{self, Blobs, version_prefix};
use extract::Source;
use fetch::Fetched;
use pdf_shelf::Shelf;

/// Part of the recipe: raised whenever the same bytes give another text.
pub const REVISION: u32 = 1;

/// A part in, its text out.
pub struct Parse {
    blobs: Arc<dyn Blobs>,
    limits: Limits,
    workers: Arc<Workers>,
    fetched: Fetched,
    shelf: Arc<Shelf>,
}

impl Parse {
    /// `threads`: how many parts are parsed at a time.
    pub fn new(blobs: Arc<dyn Blobs>, limits: Limits, threads: usize) -> Self {
        Self {
            blobs,
            limits,
            workers: Workers::new(threads),
            fetched: Fetched::default(),
            shelf: Arc::default(),
        }
    }

    async fn extract(&self, part: &Part) -> Result<Extracted, Failure> {
        let kind: Kind = part.kind.parse().map_err(Failure::Poison)?;
        let bytes = self.fetched.load(self.blobs.as_ref(), &part.blob).await?;
        let shelf = Arc::clone(&self.shelf);
        let limits = self.limits.clone();
        let sha256 = part.blob.sha256.clone();
        let range = part.range.clone();
        let extracted = self
            .workers
            .run(self.limits.time, move |cancel| {
                let source = Source {
                    bytes: &bytes,
                    sha256,
                    kind,
                    range: range.as_ref(),
                };
                source.extract(&shelf, &Budget::new(&limits, cancel))
            })
            .await;
        if extracted.is_err() {
            self.shelf.forget(&part.blob.sha256);
        }
        extracted
    }
}

#[async_trait]
impl Stage for Parse {
    type In = Part;
    type Out = Section;

    async fn process(&self, input: &Input<Part>) -> Verdict<Section> {
        let part = &input.record;
        let extracted = self.extract(part).await?;
        if extracted.text.trim().is_empty() {
            return if part.parts > 1 {
                Ok(Emit::filtered())
            } else {
                Err(Failure::poison(format!(
                    "empty document: this {} holds no text",
                    part.kind
                )))
            };
        }
        let about = extracted.about(&part.about);
        let (lineage, bytes) = (&part.lineage, extracted.text.into());
        let prefix = version_prefix(&lineage.group, lineage.document_guid, lineage.version);
        let text = blobs::store(self.blobs.as_ref(), &prefix, bytes).await?;
        Ok(Emit::outputs(vec![Section {
            lineage: part.lineage.clone(),
            part: part.part,
            parts: part.parts,
            text,
            pages: extracted.pages,
            about,
        }]))
    }
}

/// How many pages a PDF has.
pub fn count_pages(bytes: &[u8], budget: &Budget) -> Result<usize, Failure> {
    Ok(pdf::Book::open(bytes, budget)?.pages())
}
