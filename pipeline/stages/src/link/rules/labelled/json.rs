//! JSON as text, whole or a piece of it: what can be read is read.

use super::{Record, key, labelled};

/// Deeper than this, members have no record of their own.
const DEEPEST: usize = 64;

/// A container that is open.
struct Open {
    /// The key it stands under, which for an array is that of its items.
    under: Option<String>,
    array: bool,
    record: usize,
}

/// One record per object.
pub(super) fn records(text: &str, found: &mut Vec<Record>) {
    if !text.contains("\":") && !text.contains("\" :") {
        return;
    }
    let outermost = found.len();
    found.push(Record::new());
    let mut open: Vec<Open> = Vec::new();
    let mut name: Option<String> = None;
    let mut at = 0;
    while let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match char {
            '{' | '[' if open.len() < DEEPEST => {
                let last = open.last();
                let under = name.take().or_else(|| last.and_then(|it| it.under.clone()));
                let record = if char == '{' {
                    found.push(Record::new());
                    found.len() - 1
                } else {
                    last.map_or(outermost, |it| it.record)
                };
                open.push(Open {
                    under,
                    array: char == '[',
                    record,
                });
                at += 1;
            }
            '}' | ']' => {
                open.pop();
                name = None;
                at += 1;
            }
            '"' => {
                let end = string_end(text, at + 1);
                let after = text.get(end + 1..).unwrap_or_default().trim_start();
                if after.starts_with(':') {
                    name = text.get(at + 1..end).map(key);
                    at = text.len() - after.len() + 1;
                    continue;
                }
                member(found, &open, outermost, &mut name, at + 1..end);
                at = end + 1;
            }
            ',' | ':' => {
                name = None;
                at += 1;
            }
            _ if char.is_whitespace() => at += char.len_utf8(),
            _ => {
                let rest = text.get(at..).unwrap_or_default();
                let length = rest.find([',', '}', ']', '\n', '"']).unwrap_or(rest.len());
                let length = length.max(char.len_utf8());
                member(found, &open, outermost, &mut name, at..at + length);
                at += length;
            }
        }
    }
}

fn member(
    found: &mut [Record],
    open: &[Open],
    outermost: usize,
    name: &mut Option<String>,
    value: std::ops::Range<usize>,
) {
    let last = open.last();
    let items = last.filter(|it| it.array).and_then(|it| it.under.clone());
    let Some(name) = name.take().or(items) else {
        return;
    };
    // What encloses the object the member stands in.
    let parent = last
        .filter(|it| !it.array)
        .and_then(|it| it.under.as_deref());
    let record = last.map_or(outermost, |it| it.record);
    if let Some(record) = found.get_mut(record) {
        record.push(labelled(name, parent, value));
    }
}

/// Where the string that begins at `from` ends: its closing quote, or the end of its line.
fn string_end(text: &str, from: usize) -> usize {
    let mut escaped = false;
    for (at, char) in text.get(from..).unwrap_or_default().char_indices() {
        match char {
            '"' if !escaped => return from + at,
            '\n' => return from + at,
            _ => escaped = char == '\\' && !escaped,
        }
    }
    text.len()
}
