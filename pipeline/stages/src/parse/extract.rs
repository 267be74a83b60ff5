//! Bytes of a known kind to text.

use std::panic::{AssertUnwindSafe, catch_unwind};

use penstock_runtime::Failure;
use penstock_schemas::{Range, Unit, content_hash};

use super::draft::Extracted;
use super::kind::Kind;
use super::limits::{Budget, Cancel, Limits};
use super::pdf_shelf::Shelf;
use super::{docx, eml, epub, html, json, markdown, odt, package, pdf, pptx, table, text, xlsx};

/// Text and metadata of `bytes`, or of the `range` of them, on the caller's thread. For whole documents outside of the
/// pipeline; a panic in a library is Poison.
pub fn extract(
    bytes: &[u8],
    kind: Kind,
    range: Option<&Range>,
    limits: &Limits,
) -> Result<Extracted, Failure> {
    let shelf = Shelf::default();
    let source = Source {
        bytes,
        sha256: content_hash(bytes),
        kind,
        range,
    };
    catch_unwind(AssertUnwindSafe(|| {
        let budget = Budget::new(limits, Cancel::default());
        source.extract(&shelf, &budget)
    }))
    .unwrap_or_else(|_| Err(Failure::poison("the parser panicked")))
}

/// One part of a document.
pub struct Source<'a> {
    /// The whole document.
    pub bytes: &'a [u8],
    pub sha256: String,
    pub kind: Kind,
    pub range: Option<&'a Range>,
}

impl Source<'_> {
    pub fn extract(&self, shelf: &Shelf, budget: &Budget) -> Result<Extracted, Failure> {
        budget.limits.source(self.bytes.len() as u64)?;
        if !self.kind.can_be_cut_at_lines() {
            budget.limits.whole(self.bytes.len() as u64)?;
        }
        let bytes = self.bytes;
        match self.kind {
            Kind::Pdf => self.pages(shelf, budget),
            Kind::Docx => docx::extract(bytes, budget),
            Kind::Pptx => pptx::extract(bytes, budget),
            Kind::Xlsx => xlsx::extract(bytes, budget),
            Kind::Odt => odt::extract(bytes, budget),
            Kind::Epub => epub::extract(bytes, budget),
            Kind::Html => html::extract(bytes, budget),
            Kind::Json => json::extract(bytes, budget),
            Kind::Eml => eml::extract(bytes, budget),
            Kind::Markdown => markdown::extract(self.lines()?, bytes, budget),
            Kind::Text => text::extract(self.lines()?, bytes, budget),
            Kind::Csv => table::extract_csv(self.lines()?, bytes, budget),
            Kind::JsonLines => json::extract_lines(self.lines()?, budget),
        }
    }

    fn pages(&self, shelf: &Shelf, budget: &Budget) -> Result<Extracted, Failure> {
        let book = shelf.book(&self.sha256, self.bytes, budget)?;
        let (first, last) = match self.range {
            None => (1, book.pages()),
            Some(range) if range.unit == Unit::Pages => {
                let page = |number: i64| usize::try_from(number).unwrap_or(0);
                (page(range.first), page(range.last))
            }
            Some(_) => return Err(Failure::poison("a PDF is cut by pages, not by bytes")),
        };
        let out = book.extract(first, last, budget)?;
        // A scan has no text on any page. Where a book was cut, its first part finds that out for all, so that the
        // book is not taken for read.
        let nothing = out.text.is_empty() && first == 1;
        if nothing && !book.has_text_from(last + 1, budget)? {
            if !pdf::has_end(self.bytes) {
                return Err(package::damaged("PDF", "it is cut off before its end"));
            }
            return Err(Failure::poison(
                "no text: the pages are images or empty; OCR is not part of this pipeline",
            ));
        }
        Ok(out)
    }

    /// The bytes of the part, where it is one of lines.
    fn lines(&self) -> Result<&[u8], Failure> {
        let Some(range) = self.range else {
            return Ok(self.bytes);
        };
        let ends = usize::try_from(range.first).ok().zip(
            usize::try_from(range.last)
                .ok()
                .and_then(|last| last.checked_add(1)),
        );
        ends.filter(|_| range.unit == Unit::Bytes)
            .and_then(|(first, end)| self.bytes.get(first..end))
            .ok_or_else(|| {
                Failure::poison(format!(
                    "the part's range {}..={} is not inside the document of {} bytes",
                    range.first,
                    range.last,
                    self.bytes.len()
                ))
            })
    }
}
