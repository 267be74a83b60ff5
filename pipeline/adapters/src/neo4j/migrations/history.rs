//! What the database remembers of migrations, held against the files.

use std::collections::BTreeSet;

use penstock_runtime::Failure;
use serde::{Deserialize, Serialize};

use super::files::{Migration, label};
use super::statement::Statement;

/// A migration as its `:SchemaVersion` node tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub version: u32,
    pub name: String,
    pub checksum: String,
    /// By the server's clock, ISO 8601.
    pub applied_at: String,
    pub duration_ms: i64,
    /// Statements that this edition of Neo4j does not understand.
    pub skipped: i64,
    /// Its undoing was begun and not finished.
    pub undoing: bool,
}

/// The migrations still to be applied, in order. Refused where the past is not what the files say: one was changed, is
/// missing, or stands before one that is applied. Versions newer than every file are of a newer release, and let be.
pub(super) fn pending<'a>(
    migrations: &'a [Migration],
    applied: &[Applied],
) -> Result<Vec<&'a Migration>, Failure> {
    let newest = migrations.last().map_or(0, |it| it.version);
    let done = || applied.iter().filter(|it| !it.undoing);
    for past in applied.iter().filter(|it| it.version <= newest) {
        let found = migrations.iter().find(|it| it.version == past.version);
        let is = label(past.version, &past.name);
        match found {
            None => {
                return Err(Failure::fatal(format!(
                    "migration {is} (checksum {}) was applied at {} and its file is missing: bring the file back",
                    past.checksum, past.applied_at
                )));
            }
            Some(file) if file.checksum != past.checksum => {
                return Err(Failure::fatal(format!(
                    "migration {is} was changed after it was applied at {}: checksum {} in the database, {} of {}: \
                     bring the file back as it was, and make the change in a migration of its own",
                    past.applied_at, past.checksum, file.checksum, file.apply.file
                )));
            }
            Some(_) => {}
        }
    }
    let is_done = |version: u32| done().any(|it| it.version == version);
    let last = done().map(|it| it.version).max().unwrap_or(0);
    let pending: Vec<&Migration> = migrations
        .iter()
        .filter(|it| !is_done(it.version))
        .collect();
    match pending.first() {
        Some(first) if first.version < last => Err(Failure::fatal(format!(
            "migration {} is not applied, V{last:03} after it is: out of order; undo down to V{:03}, then apply",
            first.label(),
            first.version - 1
        ))),
        _ => Ok(pending),
    }
}

/// Those that `undo` takes back, newest first: the last one, or all above `to`.
pub(super) fn to_undo<'a>(
    migrations: &'a [Migration],
    applied: &[Applied],
    to: Option<u32>,
) -> Result<Vec<&'a Migration>, Failure> {
    let last = applied.iter().map(|it| it.version).max().unwrap_or(0);
    let to = to.unwrap_or(last.saturating_sub(1));
    let mut versions: Vec<&Applied> = applied.iter().filter(|it| it.version > to).collect();
    versions.sort_by_key(|it| std::cmp::Reverse(it.version));
    versions
        .into_iter()
        .map(|past| {
            let found = migrations.iter().find(|it| it.version == past.version);
            found.ok_or_else(|| {
                Failure::fatal(format!(
                    "migration {} is of another release: undo it with that one",
                    label(past.version, &past.name)
                ))
            })
        })
        .collect()
}

/// What applied migrations make and no later one drops: each with the file and the statement.
pub(super) fn made<'a>(
    migrations: &'a [Migration],
    applied: &[Applied],
    is_enterprise: bool,
) -> Vec<(&'a str, &'a str, &'a Statement)> {
    let mut made: Vec<(&str, &str, &Statement)> = Vec::new();
    let is_done = |version: u32| {
        applied
            .iter()
            .any(|it| it.version == version && !it.undoing)
    };
    for migration in migrations.iter().filter(|it| is_done(it.version)) {
        let script = &migration.apply;
        let understood = |it: &&Statement| is_enterprise || !it.enterprise_only;
        for statement in script.statements.iter().filter(understood) {
            if let Some(name) = statement.makes() {
                made.push((name, &script.file, statement));
            }
            if let Some(name) = statement.drops() {
                made.retain(|(other, _, _)| *other != name);
            }
        }
    }
    made
}

/// Of `made`, what the database does not have by its name.
pub(super) fn missing<'a>(
    made: Vec<(&'a str, &'a str, &'a Statement)>,
    names: &BTreeSet<String>,
) -> Vec<(&'a str, &'a str, &'a Statement)> {
    let is_gone = |(name, _, _): &(&str, &str, &Statement)| !names.contains(*name);
    made.into_iter().filter(is_gone).collect()
}
