//! `penstock dead-letters list`.

use std::collections::BTreeMap;

use penstock_runtime::Failure;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::history::History;
use super::letter::Letter;
use super::{Desk, letters, time};
use crate::cli::{GroupBy, ListArgs};
use crate::commands::print;

/// Scripts rely on `dead_letters`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    pub dead_letters: Vec<Letter>,
    /// Of them.
    pub count: usize,
    /// Letters that pass and were put back; among `dead_letters` with --all only.
    pub put_back: usize,
}

/// Letters that have something in common.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What they have in common.
    pub value: String,
    pub count: usize,
    /// When the first of them died, RFC 3339.
    pub first: String,
    pub last: String,
}

#[derive(Debug, Serialize)]
struct Grouped {
    by: GroupBy,
    groups: Vec<Group>,
    count: usize,
    put_back: usize,
}

pub(super) async fn list(desk: &Desk, args: &ListArgs, json: bool) -> Result<u8, Failure> {
    let filter = Filter::new(&args.filter, None)?;
    let history = History::read(desk.log()).await?;
    let mut found = letters(desk.log(), &filter, &history).await?;
    let put_back = found.iter().filter(|it| it.put_back.is_some()).count();
    if !args.all {
        found.retain(|it| it.put_back.is_none());
    }
    let count = found.len();
    let hidden = if args.all { 0 } else { put_back };
    match args.by {
        Some(by) => {
            let grouped = Grouped {
                by,
                groups: groups(&found, by),
                count,
                put_back,
            };
            print(json, &grouped, || {
                let lines: String = grouped.groups.iter().map(group_line).collect();
                format!("{lines}{}", summary(count, hidden))
            });
        }
        None => {
            let listed = Listed {
                dead_letters: found,
                count,
                put_back,
            };
            print(json, &listed, || {
                let lines: String = listed.dead_letters.iter().map(line).collect();
                format!("{lines}{}", summary(count, hidden))
            });
        }
    }
    Ok(0)
}

/// Most letters first.
fn groups(letters: &[Letter], by: GroupBy) -> Vec<Group> {
    let mut all: BTreeMap<String, (usize, i64, i64)> = BTreeMap::new();
    for letter in letters {
        let value = match by {
            GroupBy::Reason => letter.reason.clone(),
            GroupBy::Stage => letter.stage.clone(),
            GroupBy::Class => letter.class.clone(),
            GroupBy::Document => letter
                .document_guid
                .map_or("unknown".to_owned(), |it| it.to_string()),
        };
        let at = letter.died_at;
        let (count, first, last) = all.entry(value).or_insert((0, at, at));
        *count += 1;
        *first = at.min(*first);
        *last = at.max(*last);
    }
    let mut groups: Vec<Group> = all
        .into_iter()
        .map(|(value, (count, first, last))| Group {
            value,
            count,
            first: time::shown(first),
            last: time::shown(last),
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

/// Begins with the place, as `show`, `redrive` and `skip` take it.
pub(crate) fn line(letter: &Letter) -> String {
    let document = letter
        .document_guid
        .map_or("unknown document".to_owned(), |it| it.to_string());
    let redrives = match letter.redrives {
        0 => String::new(),
        count => format!(" (put back {count} times before)"),
    };
    let put_back = letter
        .put_back
        .as_ref()
        .map_or(String::new(), |at| format!(" (put back {at})"));
    format!(
        "{}  {}  {} {}  {document}  {}{redrives}{put_back}\n",
        letter.place, letter.time, letter.stage, letter.class, letter.reason
    )
}

fn group_line(group: &Group) -> String {
    format!(
        "{:>8}  {} to {}  {}\n",
        group.count, group.first, group.last, group.value
    )
}

fn summary(count: usize, hidden: usize) -> String {
    let hidden = match hidden {
        0 => String::new(),
        hidden => format!("; {hidden} more were put back, --all shows them"),
    };
    format!("{count} dead letters{hidden}\n")
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::record;
    use super::*;

    #[test]
    fn groups_count_and_know_first_and_last() {
        let letter = |reason: &str, time: &str| {
            Letter::of(&record(
                "rag.parts.v1.dlq",
                0,
                &[("dlq.reason", reason), ("dlq.time", time)],
            ))
        };
        let letters = [
            letter("torn", "3000"),
            letter("locked", "9000"),
            letter("torn", "1000"),
            letter("torn", "2000"),
        ];
        let group = |value: &str, count, first: &str, last: &str| Group {
            value: value.to_owned(),
            count,
            first: format!("1970-01-01T00:00:0{first}.000Z"),
            last: format!("1970-01-01T00:00:0{last}.000Z"),
        };
        assert_eq!(
            groups(&letters, GroupBy::Reason),
            [group("torn", 3, "1", "3"), group("locked", 1, "9", "9")]
        );
        assert_eq!(
            groups(&letters, GroupBy::Stage),
            [group("parse", 4, "1", "9")]
        );
    }
}
