//! Rows: `header: value; …`, one line each, so that a row is understood alone.

use csv::{ReaderBuilder, StringRecord, Trim};
use penstock_runtime::Failure;

use super::draft::{Draft, Extracted, one_line};
use super::encoding;
use super::limits::Budget;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Where the row that names the columns must end, bytes.
const LONGEST_HEAD: usize = 1 << 20;
/// Rows that are looked at to tell a table from prose.
const ROWS_LOOKED_AT: usize = 50;
/// Columns beyond this are left unread.
const MOST_COLUMNS: usize = 1_000;

/// `bytes` is a part of the document `head`, whose first row names the columns.
pub fn extract_csv(bytes: &[u8], head: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let is_first = head.starts_with(bytes);
    let text = encoding::decode_part(bytes, head);
    let head = encoding::decode(head.get(..LONGEST_HEAD).unwrap_or(head));
    let delimiter = delimiter(&head, true).unwrap_or(b',');
    let mut names = Vec::new();
    if let Some(first) = reader(&head, delimiter).records().next() {
        let first = first.map_err(damaged)?;
        names = first.iter().map(str::to_owned).collect();
    }
    let mut rows = Rows::default();
    let is_header = looks_like_header(&names);
    if is_header {
        rows.name(names);
    }
    let mut draft = Draft::new(budget);
    for (number, record) in reader(&text, delimiter).records().enumerate() {
        if number % 1024 == 0 {
            budget.check()?;
        }
        if number == 0 && is_first && is_header {
            continue;
        }
        let record = record.map_err(damaged)?;
        let cells: Vec<&str> = record.iter().take(MOST_COLUMNS).collect();
        rows.write(&cells, &mut draft)?;
    }
    Ok(draft.finish())
}

fn damaged(error: csv::Error) -> Failure {
    Failure::poison(format!("damaged CSV: {error}"))
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter)
        .from_reader(text.as_bytes())
}

/// Writes rows under the names of their columns.
#[derive(Default)]
pub struct Rows {
    names: Vec<String>,
}

impl Rows {
    pub fn name(&mut self, names: Vec<String>) {
        self.names = names.iter().map(|name| one_line(name)).collect();
    }

    pub fn are_named(&self) -> bool {
        !self.names.is_empty()
    }

    /// One line; nothing for a row without text.
    pub fn write<S: AsRef<str>>(&self, cells: &[S], draft: &mut Draft<'_>) -> Result<(), Failure> {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let cell = one_line(cell.as_ref());
            if cell.is_empty() {
                continue;
            }
            if !line.is_empty() {
                line.push_str("; ");
            }
            match self.names.get(column) {
                Some(name) if !name.is_empty() => {
                    line.push_str(name);
                    line.push_str(": ");
                }
                _ => {}
            }
            line.push_str(&cell);
        }
        draft.line(&line)
    }
}

/// Names of columns are short, none is a number, and no two are equal.
pub fn looks_like_header<S: AsRef<str>>(cells: &[S]) -> bool {
    let named: Vec<&str> = cells
        .iter()
        .map(|cell| cell.as_ref().trim())
        .filter(|cell| !cell.is_empty())
        .collect();
    let plain = named
        .iter()
        .all(|cell| cell.chars().count() <= 80 && cell.chars().any(char::is_alphabetic));
    let mut distinct = named.clone();
    distinct.sort_unstable();
    distinct.dedup();
    !named.is_empty() && plain && distinct.len() == named.len() && named.len() * 2 > cells.len()
}

/// The delimiter that cuts the first rows of `text` into most columns; none if all rows are single cells. The last
/// row is left out where `more` follows.
pub fn delimiter(text: &str, more: bool) -> Option<u8> {
    DELIMITERS
        .iter()
        .map(|delimiter| (first_rows(text, *delimiter, more), *delimiter))
        .filter(|(rows, _)| rows.iter().any(|columns| *columns > 1))
        .max_by_key(|(rows, _)| {
            let common = most_common(rows);
            let regular = rows.iter().filter(|columns| **columns == common).count();
            (common > 1, regular * 100 / rows.len().max(1), common)
        })
        .map(|(_, delimiter)| delimiter)
}

/// Every one of the first rows has the same number of columns, two or more, and there are two rows or more.
pub fn is_regular(text: &str, more: bool) -> bool {
    let Some(delimiter) = delimiter(text, more) else {
        return false;
    };
    let rows = first_rows(text, delimiter, more);
    let columns = rows.first().copied().unwrap_or(0);
    // Prose has commas too, but hardly the same number in each of three lines.
    rows.len() >= 2
        && columns >= 2
        && (rows.len() >= 3 || columns >= 3)
        && rows.iter().all(|row| *row == columns)
}

fn first_rows(text: &str, delimiter: u8, more: bool) -> Vec<usize> {
    let mut reader = reader(text, delimiter);
    let records = reader.records().take(ROWS_LOOKED_AT + 1);
    let mut rows: Vec<usize> = records
        .filter_map(Result::ok)
        .map(|record: StringRecord| record.len())
        .collect();
    if more || rows.len() > ROWS_LOOKED_AT {
        rows.pop();
    }
    rows
}

fn most_common(rows: &[usize]) -> usize {
    rows.iter()
        .max_by_key(|columns| rows.iter().filter(|other| other == columns).count())
        .copied()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Cancel, Limits};
    use super::*;

    fn extracted(part: &str, head: &str) -> String {
        let budget = Budget::new(&Limits::default(), Cancel::default());
        extract_csv(part.as_bytes(), head.as_bytes(), &budget)
            .unwrap()
            .text
    }

    #[test]
    fn a_row_is_understood_alone() {
        fn check(text: &str, expect: &str) {
            assert_eq!(extracted(text, text), expect);
        }
        check(
            "Load,From,To\nLD-1,Köln,\"Bern, Süd\"\nLD-2,,Rom\n",
            "Load: LD-1; From: Köln; To: Bern, Süd\nLoad: LD-2; To: Rom",
        );
        check("a;b\n1;\"x\ny\"\n", "a: 1; b: x y");
        check("1,2\n3,4\n", "1; 2\n3; 4");
        check("only\nvalues\n", "only: values");
        check("", "");
    }

    #[test]
    fn later_parts_know_the_header() {
        let whole = "Load,To\nLD-1,Bern\nLD-2,Rom\n";
        assert_eq!(extracted("LD-2,Rom\n", whole), "Load: LD-2; To: Rom");
    }

    #[test]
    fn tells_tables_from_prose() {
        fn check(text: &str, expect: bool) {
            assert_eq!(is_regular(text, false), expect, "{text}");
        }
        check("a,b\n1,2\n3,4\n", true);
        check("a;b;c\n1;2,5;3\n", true);
        check(
            "Dear Sir, hello.\nI write, since it rains, and so on.\nYours, X",
            false,
        );
        check("one line, with a comma", false);
        check("words\nmore words\nand more\n", false);
    }
}
