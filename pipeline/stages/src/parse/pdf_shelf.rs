//! PDFs kept open for their next parts.

use std::sync::{Arc, Mutex, PoisonError};

use penstock_runtime::Failure;

use super::limits::Budget;
use super::pdf::Book;

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
