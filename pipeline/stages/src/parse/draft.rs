//! What a parse yields, and how it is put together.

use std::collections::BTreeMap;

use penstock_runtime::Failure;
use penstock_schemas::{About, PageStart};

use super::limits::Budget;

/// The text of a part, and what the document says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Markdown.
    pub text: String,
    /// Where pages, slides, sheets or chapters begin, in characters of `text`; ascending.
    pub pages: Vec<PageStart>,
    pub title: Option<String>,
    pub author: Option<String>,
    /// Milliseconds since the epoch.
    pub created_at: Option<i64>,
    /// ISO 639-1.
    pub language: Option<String>,
    pub attributes: BTreeMap<String, String>,
}

impl Extracted {
    /// What is known of the document now. What its record says outranks what the file says.
    pub fn about(&self, given: &About) -> About {
        let mut attributes = self.attributes.clone();
        attributes.extend(given.attributes.clone());
        About {
            source: given.source.clone(),
            key: given.key.clone(),
            path: given.path.clone(),
            title: given.title.clone().or_else(|| self.title.clone()),
            author: given.author.clone().or_else(|| self.author.clone()),
            language: given.language.clone().or_else(|| self.language.clone()),
            created_at: given.created_at.or(self.created_at),
            attributes,
        }
    }
}

/// Longest title or author taken from a file, characters: what is longer is a mistake or an attack.
const LONGEST_FIELD: usize = 500;

/// Text under construction: counts characters, keeps Markdown blocks apart, and drops what is no text.
pub struct Draft<'b> {
    pub out: Extracted,
    pub budget: &'b Budget,
    chars: usize,
}

impl<'b> Draft<'b> {
    pub fn new(budget: &'b Budget) -> Self {
        Self {
            out: Extracted::default(),
            budget,
            chars: 0,
        }
    }

    /// Appends `text` as it is, but for control characters.
    pub fn push(&mut self, text: &str) -> Result<(), Failure> {
        let added = if text.chars().any(is_noise) {
            let before = self.out.text.len();
            self.out.text.extend(text.chars().filter(|c| !is_noise(*c)));
            self.out.text.get(before..).unwrap_or("").chars().count()
        } else {
            self.out.text.push_str(text);
            text.chars().count()
        };
        self.chars += added;
        self.budget.limits.chars(self.chars)
    }

    /// Begins a new line, unless at one.
    pub fn new_line(&mut self) -> Result<(), Failure> {
        if self.out.text.is_empty() || self.out.text.ends_with('\n') {
            return Ok(());
        }
        self.push("\n")
    }

    /// Begins a new block, unless at one.
    pub fn new_block(&mut self) -> Result<(), Failure> {
        self.new_line()?;
        if self.out.text.is_empty() || self.out.text.ends_with("\n\n") {
            return Ok(());
        }
        self.push("\n")
    }

    /// A block of its own, blank lines around it.
    pub fn block(&mut self, text: &str) -> Result<(), Failure> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        self.new_block()?;
        self.push(text)?;
        self.new_block()
    }

    /// A line of its own.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            return Ok(());
        }
        self.new_line()?;
        self.push(text)?;
        self.push("\n")
    }

    /// A Markdown heading of `level` 1 to 6.
    pub fn heading(&mut self, level: usize, text: &str) -> Result<(), Failure> {
        let text = one_line(text);
        if text.is_empty() {
            return Ok(());
        }
        self.block(&format!("{} {text}", "#".repeat(level.clamp(1, 6))))
    }

    /// From here on it is page (slide, sheet, chapter) `number`.
    pub fn page(&mut self, number: usize) -> Result<(), Failure> {
        self.budget.check()?;
        self.new_block()?;
        self.out.pages.push(PageStart {
            page: i32::try_from(number).unwrap_or(i32::MAX),
            start_char: self.chars as i64,
        });
        Ok(())
    }

    pub fn set_title(&mut self, title: &str) {
        set(&mut self.out.title, title);
    }

    pub fn set_author(&mut self, author: &str) {
        set(&mut self.out.author, author);
    }

    /// A language tag: `de`, `de-AT`, `en_GB`.
    pub fn set_language(&mut self, tag: &str) {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or("");
        let is_code = primary.len() == 2 && primary.chars().all(|c| c.is_ascii_alphabetic());
        if self.out.language.is_none() && is_code {
            self.out.language = Some(primary.to_ascii_lowercase());
        }
    }

    pub fn set_created_at(&mut self, at: Option<i64>) {
        if self.out.created_at.is_none() {
            self.out.created_at = at;
        }
    }

    /// Drops what was written since `chars()` was `chars`.
    pub fn take_back(&mut self, chars: usize) {
        let at = self.out.text.char_indices().nth(chars);
        if let Some((byte, _)) = at {
            self.out.text.truncate(byte);
            self.chars = chars;
        }
    }

    /// Characters so far.
    pub fn chars(&self) -> usize {
        self.chars
    }

    /// The finished text. Its language is found from the text itself: what files claim is the default of the program
    /// that wrote them too often.
    pub fn finish(mut self) -> Extracted {
        let kept = self.out.text.trim_end().len();
        self.out.text.truncate(kept);
        if let Some(found) = super::language::of(&self.out.text) {
            self.out.language = Some(found.to_owned());
        }
        self.out
    }
}

fn set(field: &mut Option<String>, value: &str) {
    let value: String = one_line(value).chars().take(LONGEST_FIELD).collect();
    if field.is_none() && !value.is_empty() {
        *field = Some(value);
    }
}

/// Control characters, byte order marks and soft hyphens: nothing a reader sees.
fn is_noise(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{feff}')
}

/// `text` on one line, runs of white space as one space.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Cancel, Limits};
    use super::*;

    #[test]
    fn pages_count_characters_not_bytes() {
        let budget = Budget::new(&Limits::default(), Cancel::default());
        let mut draft = Draft::new(&budget);
        draft.page(7).unwrap();
        draft.heading(2, "Grüße\naus  Köln").unwrap();
        draft.page(8).unwrap();
        draft.block("zwei\u{0}\u{ad}te").unwrap();
        let out = draft.finish();
        assert_eq!(out.text, "## Grüße aus Köln\n\nzweite");
        let starts: Vec<(i32, i64)> = out.pages.iter().map(|p| (p.page, p.start_char)).collect();
        assert_eq!(starts, [(7, 0), (8, 19)]);
        let second: String = out.text.chars().skip(19).collect();
        assert_eq!(second, "zweite");
    }

    #[test]
    fn text_has_a_limit() {
        let limits = Limits {
            text_chars: 5,
            ..Limits::default()
        };
        let budget = Budget::new(&limits, Cancel::default());
        let mut draft = Draft::new(&budget);
        draft.push("ääääa").unwrap();
        let refusal = draft.push("b").unwrap_err();
        assert_eq!(
            refusal.reason(),
            "text of one part: 6 characters, above the limit of 5 characters"
        );
    }

    #[test]
    fn the_record_outranks_the_file() {
        let file = Extracted {
            title: Some("from file".into()),
            author: Some("writer".into()),
            attributes: [("region", "west"), ("tier", "low")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            ..Extracted::default()
        };
        let given = About {
            source: "s".into(),
            key: "k".into(),
            path: "p".into(),
            title: Some("from record".into()),
            author: None,
            language: None,
            created_at: Some(5),
            attributes: [("tier".to_owned(), "high".to_owned())].into(),
        };
        let about = file.about(&given);
        assert_eq!(about.title.as_deref(), Some("from record"));
        assert_eq!(about.author.as_deref(), Some("writer"));
        assert_eq!(about.created_at, Some(5));
        assert_eq!(about.attributes["tier"], "high");
        assert_eq!(about.attributes["region"], "west");
    }
}
