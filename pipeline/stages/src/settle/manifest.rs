//! One JSON manifest per visible edition: what it consists of, for people and for proofs.

use std::collections::BTreeMap;

use penstock_runtime::Failure;
use penstock_schemas::{DeadRef, Lineage, now_ms};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::edition::Edition;
use crate::blobs::{Blobs, version_prefix};

/// The manifest's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub document_guid: Uuid,
    pub group: String,
    pub version: Uuid,
    pub edition: Uuid,
    pub recipe: String,
    pub source: String,
    pub key: String,
    pub path: String,
    /// SHA-256 of the source bytes.
    pub sha256: Option<String>,
    pub size: Option<i64>,
    pub attributes: BTreeMap<String, String>,
    /// What readers see of each.
    pub parts: Vec<ManifestPart>,
    pub chunks: usize,
    /// What is missing, where `settle.partial` shows a document without it.
    #[serde(default)]
    pub gaps: Vec<DeadRef>,
    /// When split stamped the edition and when it was found finished, milliseconds since the epoch.
    pub stamped: i64,
    pub settled: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPart {
    pub part: i32,
    pub chunks: Vec<Uuid>,
}

/// Where the manifest of an edition lies.
pub fn manifest_key(lineage: &Lineage) -> String {
    let prefix = version_prefix(&lineage.group, lineage.document_guid, lineage.version);
    format!("{prefix}manifest-{}.json", lineage.edition)
}

/// Whether a manifest lies under `key`.
pub fn is_manifest(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    let edition = name
        .strip_prefix("manifest-")
        .and_then(|it| it.strip_suffix(".json"));
    edition.is_some_and(|it| Uuid::try_parse(it).is_ok())
}

pub(super) async fn write(edition: &Edition, blobs: &dyn Blobs) -> Result<(), Failure> {
    let Some(opened) = &edition.opened else {
        return Ok(());
    };
    let lineage = &edition.lineage;
    let manifest = Manifest {
        document_guid: lineage.document_guid,
        group: lineage.group.clone(),
        version: lineage.version,
        edition: lineage.edition,
        recipe: opened.recipe.clone(),
        source: opened.about.source.clone(),
        key: opened.about.key.clone(),
        path: opened.about.path.clone(),
        sha256: opened.blob.as_ref().map(|blob| blob.sha256.clone()),
        size: opened.blob.as_ref().map(|blob| blob.size),
        attributes: opened.about.attributes.clone(),
        parts: edition
            .finished_by_part()
            .map(|(part, chunks)| ManifestPart { part, chunks })
            .collect(),
        chunks: edition.finished_chunks().len(),
        gaps: edition.dead().to_vec(),
        stamped: lineage.stamped,
        settled: now_ms(),
    };
    let json = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Failure::fatal(format!("manifest cannot be written as JSON: {error}")))?;
    blobs.write(&manifest_key(lineage), json.into()).await
}
