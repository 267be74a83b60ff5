//! PDF, page by page.

use std::collections::{HashMap, HashSet};

use pdf_oxide::PdfDocument;
use pdf_oxide::error::Error;
use pdf_oxide::object::{Object, ObjectRef};
use penstock_runtime::Failure;

use super::dates;
use super::draft::{Draft, Extracted};
use super::limits::Budget;
use super::package::damaged;
use super::pdf_page::{self, Block};

/// Entries of the table of contents that are looked at.
const MOST_OUTLINE_ENTRIES: usize = 20_000;

/// A PDF that was opened, with what holds for all its pages.
pub struct Book {
    document: PdfDocument,
    pages: usize,
    /// The largest heading of the first page, for a file that does not name its title.
    heading: Option<String>,
    /// Level of each heading of the table of contents, by its bare letters and digits.
    outline: HashMap<String, usize>,
}

impl Book {
    pub fn open(bytes: &[u8], budget: &Budget) -> Result<Self, Failure> {
        budget.check()?;
        let mut document = PdfDocument::from_bytes(bytes.to_vec()).map_err(refusal)?;
        // A second copy of the file, which only editing needs.
        document.source_bytes = Vec::new();
        if document.is_encrypted() && !document.is_authenticated() {
            return Err(encrypted());
        }
        let pages = document.page_count().map_err(refusal)?;
        if pages == 0 {
            return Err(damaged("PDF", "no page can be found"));
        }
        budget.limits.page_count(pages)?;
        let outline = outline(&document);
        let mut book = Self {
            document,
            pages,
            heading: None,
            outline,
        };
        // A first page that cannot be read is for the part that holds it to report.
        let first = book.page(1).unwrap_or_default();
        book.heading = first
            .iter()
            .filter_map(|block| match block {
                Block::Heading(level, text) if *level <= 2 => Some((*level, text)),
                _ => None,
            })
            .min_by_key(|(level, _)| *level)
            .map(|(_, text)| text.clone());
        Ok(book)
    }

    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Text of pages `first` to `last`, counted from 1.
    pub fn extract(
        &self,
        first: usize,
        last: usize,
        budget: &Budget,
    ) -> Result<Extracted, Failure> {
        let mut draft = Draft::new(budget);
        self.describe(&mut draft);
        for number in first.max(1)..=last.min(self.pages) {
            draft.page(number)?;
            for block in self.page(number)? {
                self.write(&block, &mut draft)?;
            }
        }
        Ok(draft.finish())
    }

    /// Whether any page from `first` on holds text.
    pub fn has_text_from(&self, first: usize, budget: &Budget) -> Result<bool, Failure> {
        for number in first.max(1)..=self.pages {
            budget.check()?;
            if !self.page(number)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn page(&self, number: usize) -> Result<Vec<Block>, Failure> {
        let unreadable = |error| match error {
            Error::EncryptedPdf => encrypted(),
            error => damaged("PDF", format!("page {number} cannot be read: {error}")),
        };
        let index = number.saturating_sub(1);
        let spans = self.document.extract_spans(index).map_err(unreadable)?;
        if pdf_page::is_plain(&spans) {
            return Ok(pdf_page::blocks(&spans));
        }
        // Turned, vertical and right-to-left text: the library knows more of these.
        let text = self.document.extract_text(index).map_err(unreadable)?;
        let paragraphs = text.split("\n\n").filter(|text| !text.trim().is_empty());
        Ok(paragraphs
            .map(|text| Block::Paragraph(text.to_owned()))
            .collect())
    }

    /// What stands in the table of contents is a heading, and of the level it has there.
    fn write(&self, block: &Block, draft: &mut Draft<'_>) -> Result<(), Failure> {
        match block {
            Block::Heading(level, text) => {
                let level = self.outline.get(&bare(text)).unwrap_or(level);
                draft.heading(*level, text)
            }
            Block::Paragraph(text) => match self.outline.get(&bare(text)) {
                Some(level) => draft.heading(*level, text),
                None => draft.block(text),
            },
        }
    }

    fn describe(&self, draft: &mut Draft<'_>) {
        let info = self.entry(self.document.trailer(), "Info");
        let info = info.unwrap_or(Object::Null);
        let field = |name: &str| {
            let value = self.entry(&info, name)?;
            value.as_string().map(text_string)
        };
        if let Some(title) = field("Title").filter(|title| is_title(title)) {
            draft.set_title(&title);
        }
        draft.set_title(self.heading.as_deref().unwrap_or(""));
        if let Some(author) = field("Author") {
            draft.set_author(&author);
        }
        draft.set_created_at(field("CreationDate").and_then(|date| dates::parse_pdf(&date)));
    }

    fn entry(&self, dictionary: &Object, name: &str) -> Option<Object> {
        entry(&self.document, dictionary, name)
    }
}

/// The value under `name`, wherever in the file it stands.
fn entry(document: &PdfDocument, dictionary: &Object, name: &str) -> Option<Object> {
    let value = dictionary.as_dict()?.get(name)?;
    document.resolve_object(value).ok()
}

fn text_string(bytes: &[u8]) -> String {
    pdf_oxide::optional_content::decode_pdf_text_string(bytes)
}

/// Programs write their own names, file names and the like where a title should stand.
fn is_title(title: &str) -> bool {
    let lower = title.trim().to_lowercase();
    let is_file = [".doc", ".docx", ".dvi", ".tex", ".indd", ".pdf", ".ps"]
        .iter()
        .any(|extension| lower.ends_with(extension));
    !lower.is_empty() && lower != "untitled" && !lower.starts_with("microsoft word") && !is_file
}

/// Headings of the table of contents and their levels. Its entries are linked lists, which in a damaged file may go
/// in circles, so the walk keeps count itself.
fn outline(document: &PdfDocument) -> HashMap<String, usize> {
    let mut headings = HashMap::new();
    let root = document
        .catalog()
        .ok()
        .and_then(|catalog| entry(document, &catalog, "Outlines"));
    let first = root.and_then(|root| reference(&root, "First"));
    let mut waiting: Vec<(ObjectRef, usize)> = first.map(|first| (first, 1)).into_iter().collect();
    let mut seen = HashSet::new();
    while let Some((item, level)) = waiting.pop() {
        if seen.len() >= MOST_OUTLINE_ENTRIES || !seen.insert(item) {
            continue;
        }
        let Ok(object) = document.load_object(item) else {
            continue;
        };
        waiting.extend(reference(&object, "Next").map(|next| (next, level)));
        waiting.extend(reference(&object, "First").map(|child| (child, level + 1)));
        let title = entry(document, &object, "Title");
        let title = title.and_then(|title| title.as_string().map(text_string));
        let title = bare(&title.unwrap_or_default());
        if !title.is_empty() {
            headings.entry(title).or_insert(level);
        }
    }
    headings
}

fn reference(object: &Object, name: &str) -> Option<ObjectRef> {
    object.as_dict()?.get(name)?.as_reference()
}

/// A heading without what the page and the table of contents write differently: its number, case, spaces.
fn bare(heading: &str) -> String {
    let heading = heading.trim();
    if heading.len() > 300 || heading.contains('\n') {
        return String::new();
    }
    let lower = heading.to_lowercase();
    let rest = ["chapter ", "appendix ", "kapitel ", "anhang "]
        .iter()
        .find_map(|word| lower.strip_prefix(word))
        .unwrap_or(&lower);
    let numbered = rest.trim_start_matches(|c: char| c.is_ascii_digit() || ". ".contains(c));
    let letters: String = numbered.chars().filter(|c| c.is_alphanumeric()).collect();
    // A number alone, or one letter, is no heading to be told from other lines.
    if letters.chars().count() < 3 {
        return String::new();
    }
    letters
}

/// Whether the file ends as a PDF does. A reader can often do without, but a file cut off has no such end.
pub fn has_end(bytes: &[u8]) -> bool {
    let tail = bytes
        .get(bytes.len().saturating_sub(2048)..)
        .unwrap_or(bytes);
    tail.windows(9).any(|window| window == b"startxref")
}

fn encrypted() -> Failure {
    Failure::poison("encrypted: the PDF needs a password; save it without one")
}

fn refusal(error: Error) -> Failure {
    match error {
        Error::EncryptedPdf => encrypted(),
        error => damaged("PDF", error),
    }
}
