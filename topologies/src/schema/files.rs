//! The declarations: of this build, or of a folder.

use std::path::Path;

use penstock_adapters::neo4j::migrations::{self, Migration};
use penstock_runtime::Failure;
use penstock_stages::index::CollectionSpec;

use crate::cli::SchemaFiles;

/// Bytes of a file.
const MOST: u64 = 1024 * 1024;

pub(super) struct Declared {
    pub(super) collection: CollectionSpec,
    pub(super) migrations: Vec<Migration>,
}

impl Declared {
    /// All of it is read and checked before a store is asked anything.
    pub(super) fn read(files: &SchemaFiles) -> Result<Self, Failure> {
        let Some(folder) = &files.schemas else {
            return Ok(Self {
                collection: CollectionSpec::declared()?,
                migrations: migrations::declared()?,
            });
        };
        Ok(Self {
            collection: collection(&folder.join("qdrant/chunks.yaml"))?,
            migrations: migrations::read(&folder.join("neo4j"))?,
        })
    }
}

fn collection(path: &Path) -> Result<CollectionSpec, Failure> {
    let file = path.display().to_string();
    let unreadable = |error: &dyn std::fmt::Display| Failure::fatal(format!("{file}: {error}"));
    let size = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if size.len() > MOST {
        return Err(unreadable(&format!("is larger than {MOST} bytes")));
    }
    let yaml = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    CollectionSpec::parse(&file, &yaml)
}
