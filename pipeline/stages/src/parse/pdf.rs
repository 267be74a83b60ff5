//! PDF, page by page.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use pdf_oxide::PdfDocument;
use pdf_oxide::error::Error;
use pdf_oxide::object::{Object, ObjectRef};
use penstock_runtime::Failure;

use super::dates;
use super::draft::{Draft, Extracted};
use super::limits::Budget;
use super::package::damaged;

/// Entries of the table of contents that are looked at.
const MOST_OUTLINE_ENTRIES: usize = 20_000;

/// A PDF that was opened, with what holds for all its pages.
pub struct Book {
    document: PdfDocument,
    pages: usize,
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
        Ok(Self {
            document,
            pages,
            outline,
        })
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
            let text = self.page_text(number)?;
            for line in text.lines() {
                self.write_line(line, &mut draft)?;
            }
        }
        Ok(draft.finish())
    }

    /// Whether any page from `first` on holds text.
    pub fn has_text_from(&self, first: usize, budget: &Budget) -> Result<bool, Failure> {
        for number in first.max(1)..=self.pages {
            budget.check()?;
            if !self.page_text(number)?.trim().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn page_text(&self, number: usize) -> Result<String, Failure> {
        self.document
            .extract_text(number.saturating_sub(1))
            .map_err(|error| match error {
                Error::EncryptedPdf => encrypted(),
                error => damaged("PDF", format!("page {number} cannot be read: {error}")),
            })
    }

    /// Lines that stand in the table of contents become headings, empty ones end a paragraph.
    fn write_line(&self, line: &str, draft: &mut Draft<'_>) -> Result<(), Failure> {
        if line.trim().is_empty() {
            return draft.new_block();
        }
        match self.outline.get(&bare(line)) {
            Some(level) => draft.heading(*level, line),
            None => draft.line(line),
        }
    }

    fn describe(&self, draft: &mut Draft<'_>) {
        let Some(info) = self.entry(self.document.trailer(), "Info") else {
            return;
        };
        let field = |name: &str| {
            let value = self.entry(&info, name)?;
            value.as_string().map(text_string)
        };
        if let Some(title) = field("Title").filter(|title| is_title(title)) {
            draft.set_title(&title);
        }
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
    if heading.len() > 300 {
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

fn encrypted() -> Failure {
    Failure::poison("encrypted: the PDF needs a password; save it without one")
}

fn refusal(error: Error) -> Failure {
    match error {
        Error::EncryptedPdf => encrypted(),
        error => damaged("PDF", error),
    }
}

/// Most that open books may take together, bytes of their files.
const MOST_OPEN_BYTES: u64 = 128 << 20;
const MOST_OPEN_BOOKS: usize = 4;

/// PDFs kept open, so that the parts of one book open it once. Newest last.
#[derive(Default)]
pub struct Shelf(Mutex<Vec<Shelved>>);

struct Shelved {
    sha256: String,
    bytes: u64,
    book: Arc<Book>,
}

impl Shelf {
    /// The book with this digest; opened from `bytes` if it is not there.
    pub fn book(&self, sha256: &str, bytes: &[u8], budget: &Budget) -> Result<Arc<Book>, Failure> {
        if let Some(book) = self.find(sha256) {
            return Ok(book);
        }
        let book = Arc::new(Book::open(bytes, budget)?);
        self.keep(sha256, bytes.len() as u64, Arc::clone(&book));
        Ok(book)
    }

    /// Lets go of a book whose parse went wrong: it may hold what made it so.
    pub fn forget(&self, sha256: &str) {
        self.shelved().retain(|shelved| shelved.sha256 != sha256);
    }

    fn find(&self, sha256: &str) -> Option<Arc<Book>> {
        let mut shelved = self.shelved();
        let at = shelved.iter().position(|book| book.sha256 == sha256)?;
        let found = shelved.remove(at);
        let book = Arc::clone(&found.book);
        shelved.push(found);
        Some(book)
    }

    fn keep(&self, sha256: &str, bytes: u64, book: Arc<Book>) {
        let mut shelved = self.shelved();
        shelved.retain(|other| other.sha256 != sha256);
        shelved.push(Shelved {
            sha256: sha256.to_owned(),
            bytes,
            book,
        });
        let total = |shelved: &[Shelved]| shelved.iter().map(|book| book.bytes).sum::<u64>();
        while shelved.len() > MOST_OPEN_BOOKS
            || shelved.len() > 1 && total(&shelved) > MOST_OPEN_BYTES
        {
            shelved.remove(0);
        }
    }

    fn shelved(&self) -> std::sync::MutexGuard<'_, Vec<Shelved>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
