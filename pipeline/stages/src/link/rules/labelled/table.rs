//! Tables: Markdown, comma-separated, or columns two spaces apart.

use std::collections::BTreeSet;
use std::ops::Range;

use super::{Line, Record, key, labelled, trimmed};

/// The records of the table that `lines` begin with; returns how many lines it has, 0 where there is none.
pub(super) fn records(
    text: &str,
    lines: &[Line],
    known: &BTreeSet<String>,
    found: &mut Vec<Record>,
) -> usize {
    let Some(first) = lines.first() else {
        return 0;
    };
    if first.text(text).trim_start().starts_with('|') {
        return markdown(text, lines, known, found);
    }
    [Some(','), Some(';'), Some('\t'), None]
        .into_iter()
        .map(|separator| columns(text, lines, separator, known, found))
        .find(|used| *used > 0)
        .unwrap_or(0)
}

fn markdown(
    text: &str,
    lines: &[Line],
    known: &BTreeSet<String>,
    found: &mut Vec<Record>,
) -> usize {
    let rows: Vec<Vec<Range<usize>>> = lines
        .iter()
        .take_while(|line| line.text(text).trim_start().starts_with('|'))
        .map(|line| piped(text, line))
        .collect();
    let used = rows.len();
    let ruled = rows.get(1).is_some_and(|row| is_rule(text, row));
    let rows: Vec<_> = rows.into_iter().filter(|row| !is_rule(text, row)).collect();
    let is_known = |cell: &Range<usize>| known.contains(&name(text, cell));
    let headed = ruled || rows.first().is_some_and(|row| row.iter().any(is_known));
    let pairs = rows.iter().all(|row| row.len() == 2);
    let named = rows.iter().filter(|row| row.first().is_some_and(is_known));
    // Two columns with keys down the first are facts about one thing; the header is one of them.
    if pairs && named.count() * 2 >= rows.len().max(2) {
        let facts = rows.iter().filter_map(|row| match row.as_slice() {
            [name_cell, value] => Some(labelled(name(text, name_cell), None, value.clone())),
            _ => None,
        });
        found.push(facts.collect());
    } else if headed && let Some((header, rows)) = rows.split_first() {
        under(text, header, rows, found);
    }
    used
}

/// Cells between bars.
fn piped(text: &str, line: &Line) -> Vec<Range<usize>> {
    let written = line.text(text);
    let mut cells = Vec::new();
    let mut start = None;
    let mut escaped = false;
    for (at, char) in written.char_indices() {
        if char == '|' && !escaped {
            if let Some(start) = start {
                cells.push(trimmed(text, line.0.start + start..line.0.start + at));
            }
            start = Some(at + 1);
        }
        escaped = char == '\\' && !escaped;
    }
    if let Some(start) = start {
        let rest = trimmed(text, line.0.start + start..line.0.end);
        if !rest.is_empty() {
            cells.push(rest);
        }
    }
    cells
}

fn is_rule(text: &str, row: &[Range<usize>]) -> bool {
    let cell_is_rule = |cell: &Range<usize>| {
        let cell = text.get(cell.clone()).unwrap_or_default();
        cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':' | ' '))
    };
    !row.is_empty() && row.iter().all(cell_is_rule)
}

/// Lines with one separator, or with two spaces or more between columns. The first is a header where it has a known key,
/// is made of short cells, and the next line has as many.
fn columns(
    text: &str,
    lines: &[Line],
    separator: Option<char>,
    known: &BTreeSet<String>,
    found: &mut Vec<Record>,
) -> usize {
    const LONGEST_NAME: usize = 40;
    let Some(first) = lines.first() else {
        return 0;
    };
    let header = cells(text, first, separator);
    let named = header.iter().any(|cell| known.contains(&name(text, cell)));
    if header.len() < 2
        || !named
        || header
            .iter()
            .any(|cell| cell.is_empty() || cell.len() > LONGEST_NAME)
    {
        return 0;
    }
    let rows: Vec<_> = lines
        .iter()
        .skip(1)
        .map(|line| cells(text, line, separator))
        .take_while(|row| row.len() == header.len())
        .collect();
    if rows.is_empty() {
        return 0;
    }
    under(text, &header, &rows, found);
    1 + rows.len()
}

fn cells(text: &str, line: &Line, separator: Option<char>) -> Vec<Range<usize>> {
    let written = line.text(text);
    let mut found = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    let mut previous = '\0';
    let mut gap = false;
    for (at, char) in written.char_indices() {
        match separator {
            Some(separator) if char == separator && !quoted => {
                found.push(trimmed(text, line.0.start + start..line.0.start + at));
                start = at + char.len_utf8();
            }
            Some(_) => quoted ^= char == '"',
            None => {
                if char == ' ' && previous == ' ' {
                    gap = true;
                } else if gap && char != ' ' {
                    found.push(trimmed(text, line.0.start + start..line.0.start + at));
                    start = at;
                    gap = false;
                }
            }
        }
        previous = char;
    }
    found.push(trimmed(text, line.0.start + start..line.0.end));
    found
}

fn under(text: &str, header: &[Range<usize>], rows: &[Vec<Range<usize>>], found: &mut Vec<Record>) {
    let names: Vec<String> = header.iter().map(|cell| name(text, cell)).collect();
    for row in rows {
        let pairs = names.iter().zip(row);
        found.push(
            pairs
                .map(|(name, cell)| labelled(name.clone(), None, cell.clone()))
                .collect(),
        );
    }
}

fn name(text: &str, cell: &Range<usize>) -> String {
    key(text.get(cell.clone()).unwrap_or_default())
}
