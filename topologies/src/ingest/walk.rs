//! Which files are documents, under which key, with which attributes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

/// A file to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub file: PathBuf,
    /// The source it belongs to: the given name, or the folder's absolute path.
    pub source: String,
    /// Path below the source's folder, with `/`.
    pub key: String,
    /// The folder's name and the key: what a person is shown.
    pub path: String,
}

/// What a walk found, and what it could not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walked {
    pub files: Vec<Found>,
    /// Sources that were walked in full, by name: only these may be pruned.
    pub sources: Vec<String>,
    /// Folders and files that could not be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Ends of file names that describe a document instead of being one.
const SIDECAR: &str = ".meta.yaml";

/// Finds documents below `paths`, sorted. Honours `.gitignore` and `.ignore`, skips hidden files, follows no link.
pub fn walk(paths: &[PathBuf], source: Option<&str>) -> Result<Walked, String> {
    let mut walked = Walked::default();
    for path in paths {
        let root = path
            .canonicalize()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        if root.is_dir() {
            walk_folder(&root, source, &mut walked);
        } else {
            let folder = root.parent().unwrap_or(&root);
            walked.files.extend(found(folder, &root, source));
        }
    }
    walked.files.sort_by(|a, b| a.file.cmp(&b.file));
    walked.files.dedup();
    if !walked.unreadable.is_empty() {
        // A file that could not be read is not a file that is gone.
        walked.sources.clear();
    }
    Ok(walked)
}

fn walk_folder(root: &Path, source: Option<&str>, walked: &mut Walked) {
    let entries = WalkBuilder::new(root)
        .follow_links(false)
        .require_git(false)
        .filter_entry(|entry| !is_data_folder(entry.path()))
        .build();
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                let is_sidecar = entry.file_name().to_string_lossy().ends_with(SIDECAR);
                if !is_sidecar {
                    walked.files.extend(found(root, entry.path(), source));
                }
            }
            Ok(_) => {}
            Err(error) => walked
                .unreadable
                .push((path_of(&error, root), reason_of(&error))),
        }
    }
    walked.sources.push(source_name(root, source));
}

/// A data folder of ours among the documents is not a document.
fn is_data_folder(path: &Path) -> bool {
    path.is_dir() && path.join(crate::system::OWNER_LOCK).exists()
}

fn found(folder: &Path, file: &Path, source: Option<&str>) -> Option<Found> {
    let below = file.strip_prefix(folder).ok()?;
    let names: Vec<String> = below
        .components()
        .map(|name| name.as_os_str().to_string_lossy().into_owned())
        .collect();
    let key = names.join("/");
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Some(Found {
        file: file.to_owned(),
        source: source_name(folder, source),
        path: format!("{name}/{key}"),
        key,
    })
}

fn source_name(folder: &Path, source: Option<&str>) -> String {
    source.map_or_else(|| folder.display().to_string(), str::to_owned)
}

fn path_of(error: &ignore::Error, root: &Path) -> PathBuf {
    match error {
        ignore::Error::WithPath { path, .. } => path.clone(),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err, root)
        }
        _ => root.to_owned(),
    }
}

fn reason_of(error: &ignore::Error) -> String {
    error
        .io_error()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// What the source says of a document beside the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sidecar {
    pub title: Option<String>,
    pub author: Option<String>,
    pub language: Option<String>,
    /// Milliseconds since the epoch.
    pub created_at: Option<i64>,
    pub attributes: BTreeMap<String, String>,
}

/// Reads `FILE.meta.yaml` beside the file, where there is one: flat `key: value` pairs.
pub fn sidecar_of(file: &Path) -> Result<Sidecar, String> {
    const MAX_BYTES: u64 = 1 << 20;
    let mut name = file.as_os_str().to_owned();
    name.push(SIDECAR);
    let path = PathBuf::from(name);
    let size = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Sidecar::default()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    if size > MAX_BYTES {
        return Err(format!(
            "{}: {size} bytes, a sidecar has at most {MAX_BYTES}",
            path.display()
        ));
    }
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse_sidecar(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse_sidecar(text: &str) -> Result<Sidecar, String> {
    let pairs: BTreeMap<String, serde_yaml_ng::Value> =
        serde_yaml_ng::from_str(text).map_err(|error| format!("not key: value pairs: {error}"))?;
    let mut sidecar = Sidecar::default();
    for (key, value) in pairs {
        let text = match value {
            serde_yaml_ng::Value::Null => continue,
            serde_yaml_ng::Value::Bool(it) => it.to_string(),
            serde_yaml_ng::Value::Number(it) => it.to_string(),
            serde_yaml_ng::Value::String(it) => it,
            _ => {
                return Err(format!(
                    "{key}: expected a single value, found a list or a map"
                ));
            }
        };
        match key.as_str() {
            "title" => sidecar.title = Some(text),
            "author" => sidecar.author = Some(text),
            "language" => sidecar.language = Some(text),
            "created_at" => sidecar.created_at = Some(millis_of(&text)?),
            _ => {
                sidecar.attributes.insert(key, text);
            }
        }
    }
    Ok(sidecar)
}

fn millis_of(text: &str) -> Result<i64, String> {
    let date = text.parse::<chrono::DateTime<chrono::Utc>>().ok();
    let day = || {
        let day = text.parse::<chrono::NaiveDate>().ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc())
    };
    date.or_else(day)
        .map(|time| time.timestamp_millis())
        .ok_or_else(|| {
            format!("created_at: {text:?} is no date such as 2025-03-14 or 2025-03-14T08:00:00Z")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_honour_ignore_files_and_follow_no_link() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.txt"), "x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("docs");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        for name in [
            "a/b/one.txt",
            "two.md",
            "two.md.meta.yaml",
            "skip.log",
            ".hidden",
        ] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        std::fs::write(root.join(".ignore"), "*.log\n").unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), root.join("s.txt")).unwrap();
        let walked = walk(std::slice::from_ref(&root), Some("src")).unwrap();
        let keys: Vec<&str> = walked.files.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["a/b/one.txt", "two.md"]);
        assert_eq!(walked.files[0].path, "docs/a/b/one.txt");
        assert_eq!(walked.sources, ["src"]);
        assert_eq!(
            walk(&[root.join("nowhere")], None)
                .unwrap_err()
                .matches("nowhere")
                .count(),
            1
        );
    }

    #[test]
    fn sidecars_are_flat() {
        let sidecar =
            parse_sidecar("title: A\nimpact_score: 0.7\ncreated_at: 2025-03-14\nurgent: true\n")
                .unwrap();
        assert_eq!(sidecar.title.as_deref(), Some("A"));
        assert_eq!(sidecar.created_at, Some(1_741_910_400_000));
        assert_eq!(sidecar.attributes["impact_score"], "0.7");
        assert_eq!(sidecar.attributes["urgent"], "true");
        for wrong in ["a: [1, 2]", "- x", "created_at: tomorrow"] {
            assert!(parse_sidecar(wrong).is_err(), "{wrong}");
        }
    }
}
