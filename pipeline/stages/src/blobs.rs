//! The object store: bytes travel by reference.

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use penstock_runtime::Failure;
use penstock_schemas::{Blob, content_hash};
use uuid::Uuid;

/// An object, as the store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was last written, by the store's clock, milliseconds since the epoch.
    pub written: i64,
}

/// Bytes under `group/document/version/sha256`.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Writes under `key`, atomically and durably: a reader sees all of it or nothing. The same bytes may be left as they
    /// are where they are hardly an hour old; older ones are written anew, so that an object that is named again is young.
    async fn write(&self, key: &str, bytes: Bytes) -> Result<(), Failure>;
    /// Reads all of `key`; none where there is no such object.
    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure>;
    /// What is below `prefix`, a page at a time. Objects of one folder come one after another.
    fn walk(&self, prefix: &str) -> BoxStream<'_, Result<Stored, Failure>>;
    /// The same at once, for prefixes that hold little.
    async fn list(&self, prefix: &str) -> Result<Vec<Stored>, Failure> {
        self.walk(prefix).try_collect().await
    }
    /// Removes `key`; it is no error where it is gone already.
    async fn delete(&self, key: &str) -> Result<(), Failure>;
    /// What time it is for the store, milliseconds since the epoch. Ages are told by its clock alone: ours may be off.
    async fn clock(&self) -> Result<i64, Failure>;
}

/// Where all bytes of a document lie.
pub fn document_prefix(group: &str, document: Uuid) -> String {
    format!("{group}/{document}/")
}

/// Where the bytes of one version of a document lie. No version shares them with another: a deletion takes those of the
/// versions it is meant for, though the same text was sent again meanwhile.
pub fn version_prefix(group: &str, document: Uuid, version: Uuid) -> String {
    format!("{}{version}/", document_prefix(group, document))
}

/// The version whose bytes lie under `key`.
pub fn version_of(key: &str) -> Option<Uuid> {
    key.rsplit('/').nth(1)?.parse().ok()
}

/// Stores `bytes` below `prefix` (of one version) and names them. Writing the same bytes again changes nothing.
pub async fn store(blobs: &dyn Blobs, prefix: &str, bytes: Bytes) -> Result<Blob, Failure> {
    let sha256 = content_hash(&bytes);
    let key = format!("{prefix}{sha256}");
    let size = bytes.len() as i64;
    blobs.write(&key, bytes).await?;
    Ok(Blob { key, sha256, size })
}

/// Reads what `blob` names and verifies it. Missing or other bytes are Poison: no retry brings them back. Bytes that were
/// damaged on their way are read once more.
pub async fn load(blobs: &dyn Blobs, blob: &Blob) -> Result<Bytes, Failure> {
    match read_whole(blobs, blob).await {
        Err(Failure::Poison(_)) => read_whole(blobs, blob).await,
        other => other,
    }
}

async fn read_whole(blobs: &dyn Blobs, blob: &Blob) -> Result<Bytes, Failure> {
    let Some(bytes) = blobs.read(&blob.key).await? else {
        return Err(Failure::poison(format!(
            "object {} is not in the object store",
            blob.key
        )));
    };
    if bytes.len() as i64 != blob.size {
        return Err(Failure::poison(format!(
            "object {} has {} bytes, expected {}",
            blob.key,
            bytes.len(),
            blob.size
        )));
    }
    let sha256 = content_hash(&bytes);
    if sha256 != blob.sha256 {
        return Err(Failure::poison(format!(
            "object {} has digest {sha256}, expected {}",
            blob.key, blob.sha256
        )));
    }
    Ok(bytes)
}
