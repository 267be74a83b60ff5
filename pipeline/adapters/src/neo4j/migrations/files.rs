//! The migrations: those of this build, or of a folder.

use std::collections::BTreeMap;
use std::path::Path;

use penstock_runtime::Failure;
use penstock_schemas::content_hash;

use super::statement::{Statement, split};

/// Where the files of this build are kept.
const FOLDER: &str = "schemas/neo4j";
/// Bytes of a file.
const MOST: u64 = 1024 * 1024;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../../schemas/neo4j/", $name)))),*]
    };
}

/// Name and text of each file of this build.
const DECLARED: &[(&str, &str)] = files!(
    "V001__initial_schema.cypher",
    "U001__initial_schema.cypher",
    "V002__entity_indexes.cypher",
    "U002__entity_indexes.cypher",
    "V003__document_indexes.cypher",
    "U003__document_indexes.cypher",
);

/// A step of the schema, and the step back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: u32,
    pub name: String,
    /// SHA-256 of the file that applies it, in hex; line ends of either kind count as the same.
    pub checksum: String,
    pub apply: Script,
    pub undo: Script,
}

/// The statements of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For messages.
    pub file: String,
    pub statements: Vec<Statement>,
}

impl Migration {
    /// As its file is called: `V001__initial_schema`.
    pub fn label(&self) -> String {
        label(self.version, &self.name)
    }
}

pub(super) fn label(version: u32, name: &str) -> String {
    format!("V{version:03}__{name}")
}

/// Those of this build.
pub fn declared() -> Result<Vec<Migration>, Failure> {
    let files = DECLARED.iter().map(|(name, text)| File {
        folder: FOLDER.to_owned(),
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    });
    pair(files.collect())
}

/// Those of a folder: every `*.cypher` in it.
pub fn read(folder: &Path) -> Result<Vec<Migration>, Failure> {
    let shown = folder.display().to_string();
    let unreadable =
        |what: &str, error: &dyn std::fmt::Display| Failure::fatal(format!("{what}: {error}"));
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(&shown, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&shown, &error))?.path();
        if path.extension().is_none_or(|it| it != "cypher") {
            continue;
        }
        let place = path.display().to_string();
        let size = std::fs::metadata(&path).map_err(|error| unreadable(&place, &error))?;
        if size.len() > MOST {
            return Err(unreadable(&place, &format!("is larger than {MOST} bytes")));
        }
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&place, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = &error.as_bytes()[..valid];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Failure::fatal(format!("{place} line {line}: is not UTF-8"))
        })?;
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
        files.push(File {
            folder: shown.clone(),
            name: name.unwrap_or_default(),
            text,
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if files.is_empty() {
        return Err(unreadable(
            &shown,
            &"holds no migration (V001__name.cypher)",
        ));
    }
    pair(files)
}

/// A file as it was read.
pub(super) struct File {
    pub(super) folder: String,
    pub(super) name: String,
    pub(super) text: String,
}

impl File {
    fn path(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    fn refused(&self, reason: &str) -> Failure {
        Failure::fatal(format!("{} line 1: {reason}", self.path()))
    }

    fn script(&self) -> Result<Script, Failure> {
        let file = self.path();
        let statements = split(&file, &self.text)?;
        Ok(Script { file, statements })
    }
}

/// `V001__initial_schema.cypher`: letter, version, name.
fn parts(file: &str) -> Option<(char, u32, &str)> {
    let stem = file.strip_suffix(".cypher")?;
    let letter = stem.chars().next().filter(|it| ['V', 'U'].contains(it))?;
    let (digits, name) = stem[1..].split_once("__")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_named = !name.is_empty() && name.len() <= 100 && name.chars().all(plain);
    let is_numbered = digits.len() >= 3 && digits.chars().all(|it| it.is_ascii_digit());
    let version = digits.parse().ok().filter(|it| *it > 0)?;
    (is_named && is_numbered).then_some((letter, version, name))
}

/// Each V with its U, in order.
pub(super) fn pair(files: Vec<File>) -> Result<Vec<Migration>, Failure> {
    let (mut ups, mut downs) = (BTreeMap::new(), BTreeMap::new());
    for file in &files {
        let Some((letter, version, name)) = parts(&file.name) else {
            return Err(file.refused(
                "its name is none of a migration: V001__name.cypher or U001__name.cypher, of a-z, 0-9 and _",
            ));
        };
        let side = if letter == 'V' { &mut ups } else { &mut downs };
        if let Some((other, _)) = side.insert(version, (file, name)) {
            return Err(file.refused(&format!("has the version of {}", other.name)));
        }
    }
    if let Some((_, (file, _))) = downs.iter().find(|(version, _)| !ups.contains_key(version)) {
        return Err(file.refused("undoes a migration that is not there: its V file is missing"));
    }
    let mut migrations = Vec::new();
    for ((version, (file, name)), expected) in ups.into_iter().zip(1u32..) {
        if version != expected {
            return Err(file.refused(&format!(
                "V{expected:03} is missing before it: versions follow one another"
            )));
        }
        let Some((undo, undo_name)) = downs.get(&version) else {
            return Err(file.refused(&format!(
                "cannot be undone: U{version:03}__{name}.cypher is missing"
            )));
        };
        if *undo_name != name {
            return Err(undo.refused(&format!("undoes {}, and must be named like it", file.name)));
        }
        migrations.push(Migration {
            version,
            name: name.to_owned(),
            checksum: content_hash(file.text.replace("\r\n", "\n").as_bytes()),
            apply: file.script()?,
            undo: undo.script()?,
        });
    }
    Ok(migrations)
}
