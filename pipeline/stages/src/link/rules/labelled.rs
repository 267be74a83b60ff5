//! Values with a label beside or above them: `Key: value` lines, table rows below a header, JSON members.

mod json;
mod table;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A value and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labelled {
    /// The key in the form of `key`, and the same with that of what encloses it: `name` and `customer.name`.
    pub names: Vec<String>,
    /// Bytes of the text.
    pub value: Range<usize>,
}

/// Values that belong together: a row, a block of lines, an object.
pub(super) type Record = Vec<Labelled>;

/// The normal form of a key: lower case, words apart, no marks around it.
pub(super) fn key(written: &str) -> String {
    let apart = written.replace('_', " ").to_lowercase();
    let folded = apart.split_whitespace().collect::<Vec<_>>().join(" ");
    folded
        .trim_matches([' ', '*', '"', '`', ':', '.', '#'])
        .to_owned()
}

/// Every record of `text`. `known` are the keys that rules ask for: they tell a header from a row.
pub(super) fn records(text: &str, known: &BTreeSet<String>) -> Vec<Record> {
    let mut found = Vec::new();
    json::records(text, &mut found);
    let lines = lines(text);
    let mut rest = lines.as_slice();
    while let Some((first, others)) = rest.split_first() {
        let mut used = 0;
        if !first.text(text).trim().is_empty() {
            used = table::records(text, rest, known, &mut found);
            if used == 0 {
                used = pairs(text, rest, &mut found);
            }
            if used == 0 {
                used = bare(text, rest, known, &mut found);
            }
        }
        rest = others.get(used.max(1) - 1..).unwrap_or_default();
    }
    found.retain(|record| !record.is_empty());
    found
}

/// A line without its end.
#[derive(Debug, Clone)]
pub(super) struct Line(Range<usize>);

impl Line {
    fn text<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.0.clone()).unwrap_or_default()
    }
}

fn lines(text: &str) -> Vec<Line> {
    let mut at = 0;
    text.split('\n')
        .map(|line| {
            let start = at;
            at += line.len() + 1;
            Line(start..start + line.len())
        })
        .collect()
}

/// The part of `text` at `range` without white space, quotes and emphasis around it.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let marks = |c: char| c.is_whitespace() || matches!(c, '"' | '*' | '`');
    let value = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (value.len() - value.trim_start_matches(marks).len());
    let end = range.start + value.trim_end_matches(marks).len();
    start..end.max(start)
}

/// `Key: value`, perhaps as a list item, perhaps in bold. A key is a few words.
static PAIR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?P<indent>[ \t]*(?:(?:[-*•+]|\d{1,3}[.)])[ \t]+)?)(?:\*\*|__)?(?P<key>\p{L}[\p{L}\p{N} ._/&()\[\]'-]{0,48}?)(?:\*\*|__)?[ \t]*:(?:\*\*|__)?(?:[ \t]+(?P<value>.*))?$",
    )
    .ok()
});

/// A block of `Key: value` lines; returns how many lines it has. A key without value encloses the deeper lines below it.
/// A key that comes again begins another record.
fn pairs(text: &str, lines: &[Line], found: &mut Vec<Record>) -> usize {
    let Some(pattern) = PAIR.as_ref() else {
        return 0;
    };
    // Keys without value, each with its depth.
    let mut open: Vec<(usize, String)> = Vec::new();
    // What encloses the record under construction, and how deep it is.
    let mut inside: Option<(usize, Option<String>)> = None;
    let mut used = 0;
    for line in lines {
        if let Some(row) = row(text, line, pattern) {
            found.push(row);
            inside = None;
            used += 1;
            continue;
        }
        let Some(pair) = pattern.captures(line.text(text)) else {
            break;
        };
        let (Some(indent), Some(name)) = (pair.name("indent"), pair.name("key")) else {
            break;
        };
        used += 1;
        let depth = indent.as_str().chars().count();
        open.retain(|(enclosing, _)| *enclosing < depth);
        let (path, name) = flattened(name.as_str());
        let parent = path.or_else(|| open.last().map(|(_, parent)| parent.clone()));
        let value = pair
            .name("value")
            .filter(|value| !value.as_str().trim().is_empty());
        let Some(value) = value else {
            open.push((depth, name));
            inside = None;
            continue;
        };
        let start = line.0.start + value.start();
        let value = trimmed(text, start..line.0.start + value.end());
        let place = Some((depth, parent.clone()));
        let again = found
            .last()
            .is_some_and(|record| record.iter().any(|it| it.names.first() == Some(&name)));
        if inside != place || again {
            found.push(Record::new());
            inside = place;
        }
        if let Some(record) = found.last_mut() {
            record.push(labelled(name, parent.as_deref(), value));
        }
    }
    used
}

/// A line of several pairs, `Key: value; Key: value`: a row that names its columns.
fn row(text: &str, line: &Line, pattern: &Regex) -> Option<Record> {
    let mut record = Record::new();
    let mut start = line.0.start;
    for cell in line.text(text).split("; ") {
        let end = start + cell.len();
        if let Some((name, value)) = pattern
            .captures(cell)
            .and_then(|pair| Some((pair.name("key")?, pair.name("value")?)))
        {
            let value = trimmed(text, start + value.start()..start + value.end());
            record.push(labelled(key(name.as_str()), None, value));
        } else if let Some(last) = record.last_mut() {
            // A value with a semicolon of its own.
            last.value.end = trimmed(text, start..end).end;
        }
        start = end + 2;
    }
    (record.len() > 1).then_some(record)
}

/// `customer.name` or `drivers[0].name` as what encloses, and the key.
fn flattened(written: &str) -> (Option<String>, String) {
    match written.rsplit_once('.') {
        Some((path, last)) if !last.is_empty() && !path.contains(' ') => {
            let parent = path.rsplit('.').find(|part| part.parse::<u32>().is_err());
            let parent = parent.map(|part| part.split('[').next().unwrap_or_default());
            (parent.map(key), key(last))
        }
        _ => (None, key(written)),
    }
}

fn labelled(name: String, parent: Option<&str>, value: Range<usize>) -> Labelled {
    let mut names = vec![name];
    if let (Some(parent), Some(name)) = (parent, names.first()) {
        names.push(format!("{parent}.{name}"));
    }
    Labelled { names, value }
}

/// Known keys without a colon, as tables of PDFs come out: `Status open` in two lines running or more, or key and value on
/// lines of their own. Returns how many lines were used.
fn bare(text: &str, lines: &[Line], known: &BTreeSet<String>, found: &mut Vec<Record>) -> usize {
    let mut record = Record::new();
    let mut used = 0;
    // Where keys and values stand on lines of their own, blank lines may stand between them.
    let mut spaced = false;
    while let Some(line) = lines.get(used) {
        if line.text(text).trim().is_empty() && spaced {
            used += 1;
            continue;
        }
        if let Some(pair) = beside(text, line, known) {
            record.push(pair);
            used += 1;
            spaced = false;
        } else if let Some((pair, lines_used)) =
            below(text, lines.get(used..).unwrap_or_default(), known)
        {
            record.push(pair);
            used += lines_used;
            spaced = true;
        } else {
            break;
        }
    }
    if record.len() < 2 {
        return 0;
    }
    found.push(record);
    used
}

fn beside(text: &str, line: &Line, known: &BTreeSet<String>) -> Option<Labelled> {
    const LONGEST: usize = 80;
    let written = line.text(text);
    let sentence = written.ends_with('.') && written.len() > LONGEST / 2;
    if written.len() > LONGEST || sentence || known.contains(&key(written)) {
        return None;
    }
    // The longest known key that the line starts with.
    let mut ends = written.match_indices(' ').map(|(at, _)| at);
    let end = ends.rfind(|&at| known.contains(&key(written.get(..at).unwrap_or_default())))?;
    let value = trimmed(text, line.0.start + end..line.0.end);
    if value.is_empty() {
        return None;
    }
    let name = key(written.get(..end).unwrap_or_default());
    Some(labelled(name, None, value))
}

fn below(text: &str, lines: &[Line], known: &BTreeSet<String>) -> Option<(Labelled, usize)> {
    let name = key(lines.first()?.text(text));
    if !known.contains(&name) {
        return None;
    }
    let blank = lines
        .iter()
        .skip(1)
        .take_while(|line| line.text(text).trim().is_empty())
        .count();
    let line = lines.get(1 + blank).filter(|_| blank < 2)?;
    let written = line.text(text);
    if known.contains(&key(written)) || written.len() > 80 {
        return None;
    }
    let value = trimmed(text, line.0.clone());
    Some((labelled(name, None, value), 2 + blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as `name=value` joined by `; `, one per line.
    fn check(text: &str, expect: &[&str]) {
        let known = [
            "status",
            "customer",
            "driver",
            "invoice number",
            "load number",
        ];
        let known = known.map(String::from).into();
        let found: Vec<String> = records(text, &known)
            .iter()
            .map(|record| {
                let values = record
                    .iter()
                    .map(|it| format!("{}={}", it.names.last().unwrap(), &text[it.value.clone()]));
                values.collect::<Vec<_>>().join("; ")
            })
            .collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn lines_of_key_and_value() {
        check(
            "Driver: Ann Lee\nStatus: on leave\n\nA sentence.\nStatus: open",
            &["driver=Ann Lee; status=on leave", "status=open"],
        );
        check(
            "- **Customer:** Acme Ltd\n- **Credit limit:** EUR 5",
            &["customer=Acme Ltd; credit limit=EUR 5"],
        );
        check(
            "customer:\n  name: Acme\n  status: open\nload: LD-1",
            &["customer.name=Acme; customer.status=open", "load=LD-1"],
        );
        check(
            "customer.name: Acme\ndrivers[0].name: Ann Lee",
            &["customer.name=Acme", "drivers.name=Ann Lee"],
        );
        check(
            "He said: the truck that came in the night and never left was: gone",
            &["he said=the truck that came in the night and never left was: gone"],
        );
    }

    #[test]
    fn keys_without_a_colon_come_in_blocks() {
        check(
            "Invoice number INV-1\nStatus open\n\nText",
            &["invoice number=INV-1; status=open"],
        );
        check(
            "Invoice number\n\nINV-1\n\nStatus\n\nopen\n",
            &["invoice number=INV-1; status=open"],
        );
        check("Status messages go to control.", &[]);
        check(
            "Customer service is open\n\nInvoice number INV-1\nStatus open",
            &["invoice number=INV-1; status=open"],
        );
    }

    #[test]
    fn rows_that_name_their_columns() {
        check(
            "Driver: Ann; Status: on; x\nDriver: Bob; Status: off",
            &["driver=Ann; status=on; x", "driver=Bob; status=off"],
        );
        check("Result: seen; valid", &["result=seen; valid"]);
    }

    #[test]
    fn tables_below_a_header() {
        check(
            "| Driver | Status |\n| --- | --- |\n| Ann | on |\n| Bob | |",
            &["driver=Ann; status=on", "driver=Bob; status="],
        );
        check(
            "| Load number | LD-1 |\n| --- | --- |\n| Status | open |",
            &["load number=LD-1; status=open"],
        );
        check(
            "Driver,Note\nAnn,\"seen, valid\"\nBob,x",
            &["driver=Ann; note=seen, valid", "driver=Bob; note=x"],
        );
        check("Driver;Note\nAnn;x\n\nBob;y", &["driver=Ann; note=x"]);
        check("Driver  Status\nAnn     on\n", &["driver=Ann; status=on"]);
        check("Driver, then the truck\nand more", &[]);
    }

    #[test]
    fn members_of_objects() {
        check(
            "{\n \"customer\": {\"name\": \"Acme \\\"x\\\" Ltd\", \"limit\": 5},\n \"loads\": [{\"id\": \"LD-1\"}, {\"id\": \"LD-2\"}],\n \"notes\": [\"a\", \"b\"]\n}",
            &[
                "notes=a; notes=b",
                "customer.name=Acme \\\"x\\\" Ltd; customer.limit=5",
                "loads.id=LD-1",
                "loads.id=LD-2",
            ],
        );
        check("\"status\": \"open\",\n\"x\": {", &["status=open"]);
    }
}
