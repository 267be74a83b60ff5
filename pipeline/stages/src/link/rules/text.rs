//! A text as the rules see it: soft line breaks are spaces, sentences are known, bytes map to characters.

use std::ops::Range;

/// A line of at least this many characters was broken by its width, not by its meaning.
const SOFT: usize = 60;
/// How far a sentence may reach from a mention, in bytes: text without full stops must not make fields meet from afar.
const REACH: usize = 240;

/// A text of the same length in bytes as the original, so that places in it are places in the original.
pub(super) struct View {
    pub text: String,
    /// Where sentences begin, ascending; the first is 0.
    sentences: Vec<usize>,
}

impl View {
    pub fn of(original: &str) -> Self {
        let text = unwrap_lines(original);
        let sentences = sentence_starts(&text);
        Self { text, sentences }
    }

    /// The sentence around `at`.
    pub fn sentence(&self, at: &Range<usize>) -> Range<usize> {
        let next = self.sentences.partition_point(|start| *start <= at.start);
        let start = next
            .checked_sub(1)
            .and_then(|before| self.sentences.get(before))
            .copied()
            .unwrap_or(0);
        let after = self.sentences.partition_point(|start| *start < at.end);
        let end = self
            .sentences
            .get(after)
            .copied()
            .unwrap_or(self.text.len());
        let start = start.max(at.start.saturating_sub(REACH));
        let end = end.max(at.end).min(at.end.saturating_add(REACH));
        self.text.ceil_char_boundary(start).min(at.start)
            ..self.text.floor_char_boundary(end).max(at.end)
    }
}

/// Turns line breaks within a paragraph into spaces. A break stays where the line is short, or where it or the next is a
/// heading, a list item, a table row or blank.
fn unwrap_lines(original: &str) -> String {
    let mut text = String::with_capacity(original.len());
    let mut lines = original.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let body = line.trim_end_matches(['\n', '\r']);
        let soft = line.ends_with('\n')
            && body.chars().nth(SOFT).is_some()
            && continues(body)
            && lines
                .peek()
                .is_some_and(|next| continues(next) && !has_key(next));
        text.push_str(body);
        for ending in line.get(body.len()..).unwrap_or_default().chars() {
            text.push(if soft || ending == '\r' { ' ' } else { ending });
        }
    }
    text
}

/// Whether a line may be the middle of a paragraph.
fn continues(line: &str) -> bool {
    let line = line.trim();
    let marks = ['|', '#', '-', '*', '•', '+', '{', '}', '[', ']', '"', '>'];
    !line.is_empty()
        && !line.starts_with(marks)
        && !line.contains(" | ")
        && !line.contains("  ")
        && !line.ends_with(':')
        && !has_close_cells(line)
}

/// Whether a line begins with a key and a colon.
fn has_key(line: &str) -> bool {
    const LONGEST_KEY: usize = 50;
    line.find(": ").is_some_and(|at| at < LONGEST_KEY)
}

/// Whether a line has cells that stand close together, as those of CSV do.
fn has_close_cells(line: &str) -> bool {
    [',', ';', '\t'].into_iter().any(|separator| {
        let cells = line.split(separator).skip(1);
        cells.filter(|cell| !cell.starts_with(' ')).count() >= 2
    })
}

fn sentence_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut before_stop = None;
    let mut word_start = 0;
    let mut previous = ' ';
    for (at, char) in text.char_indices() {
        if char == '\n' {
            starts.push(at + 1);
            before_stop = None;
        } else if char.is_whitespace() {
            let word = text.get(word_start..at).unwrap_or_default();
            if matches!(previous, '.' | '!' | '?') && ends_sentence(word) {
                before_stop = Some(at);
            }
        } else if previous.is_whitespace() {
            if before_stop.take().is_some() && (char.is_uppercase() || char.is_ascii_digit()) {
                starts.push(at);
            }
            word_start = at;
        }
        previous = char;
    }
    starts
}

/// Whether a word that ends in a stop ends a sentence: not an ordinal, an initial or an abbreviation such as "B.V." or "Nr.".
fn ends_sentence(word: &str) -> bool {
    let stem = word.trim_end_matches(['.', '!', '?']);
    let short = stem.chars().count() < 3 && word.ends_with('.');
    let ordinal = word.ends_with('.') && stem.len() < 3 && stem.chars().all(|c| c.is_ascii_digit());
    let known = [
        "bzw", "Nr", "No", "Str", "ca", "vgl", "Ltd", "Inc", "Co", "Dr", "Hr", "Fr", "approx",
    ];
    !(ordinal || short || stem.contains('.') && !stem.contains('@') || known.contains(&stem))
}

/// Character numbers of ascending byte places.
pub(super) struct Characters<'a> {
    text: &'a str,
    bytes: usize,
    characters: usize,
}

impl<'a> Characters<'a> {
    pub fn of(text: &'a str) -> Self {
        Self {
            text,
            bytes: 0,
            characters: 0,
        }
    }

    /// How many characters stand before byte `at`. Fast where calls ascend.
    pub fn before(&mut self, at: usize) -> usize {
        if at < self.bytes {
            (self.bytes, self.characters) = (0, 0);
        }
        let passed = self.text.get(self.bytes..at).unwrap_or_default();
        self.characters += passed.chars().count();
        self.bytes = at;
        self.characters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        let check = |text: &str, mention: &str, expect: &str| {
            let view = View::of(text);
            let start = view.text.find(mention).unwrap();
            let found = view.sentence(&(start..start + mention.len()));
            assert_eq!(view.text[found].trim(), expect);
        };
        check("One. Two is here. Three.", "Two", "Two is here.");
        check(
            "By Delft Botanics B.V. on 3. Mai 2025. Next.",
            "Delft",
            "By Delft Botanics B.V. on 3. Mai 2025.",
        );
        check("Status: open\nLoad LD-1", "LD-1", "Load LD-1");
        check("at night. then more", "more", "at night. then more");
        let long = format!("{} here {}", "a ".repeat(400), "b ".repeat(400));
        let view = View::of(&long);
        let start = view.text.find("here").unwrap();
        assert!(view.sentence(&(start..start + 4)).len() < 500);
    }

    #[test]
    fn only_breaks_within_a_paragraph_are_soft() {
        let long = "The particle filter was cleaned twice by the workshop of Ostrava Truck";
        let check = |text: &str, expect: &str| assert_eq!(View::of(text).text, expect);
        check(&format!("{long}\nService"), &format!("{long} Service"));
        check(&format!("{long}\r\nService"), &format!("{long}  Service"));
        check(&format!("{long}\n\nService"), &format!("{long}\n\nService"));
        check(&format!("{long}\n- Service"), &format!("{long}\n- Service"));
        let log = "Example from the log: on 7 March a case was opened for the load";
        check(
            &format!("{log}\nfrom Bremen"),
            &format!("{log} from Bremen"),
        );
        check("Short\nline\n", "Short\nline\n");
        let row = "Load number: LD-1; Pickup location: Hamburg; Status: delivered; Freight: EUR 5";
        check(&format!("{row}\n{row}"), &format!("{row}\n{row}"));
        let cells = "Load number,Pickup location,Delivery location,Status,Customer,Loading date";
        check(&format!("{cells}\n{cells}"), &format!("{cells}\n{cells}"));
        check(&format!("| {long} |\nnext"), &format!("| {long} |\nnext"));
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let mut characters = Characters::of("äö€x");
        assert_eq!([2, 4, 7, 2].map(|at| characters.before(at)), [1, 2, 3, 1]);
    }
}
