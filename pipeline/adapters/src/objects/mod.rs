//! The object store: a folder today; the same code over any store that `object_store` speaks to.

mod cache;
mod name;

use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use penstock_runtime::Failure;
use penstock_stages::blobs::Blobs;

pub use self::cache::BlobVectorCache;

/// Blobs in an object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Where it is, for messages.
    place: Arc<str>,
}

impl Objects {
    /// Objects where `url` says: `file:///PATH`, a folder that all processes see.
    pub fn at(url: &str) -> Result<Self, Failure> {
        let folder = url::Url::parse(url)
            .ok()
            .filter(|it| it.scheme() == "file")
            .and_then(|it| it.to_file_path().ok());
        match folder {
            Some(folder) => Self::in_folder(&folder),
            None => Err(Failure::fatal(format!(
                "objects.url is {url}, expected file:///PATH, a folder that all processes share"
            ))),
        }
    }

    /// Objects as files under `dir`, which is made if missing. What was written outlives the process and the machine:
    /// files and their folders are synced before a write returns.
    pub fn in_folder(dir: &FilePath) -> Result<Self, Failure> {
        let fatal = |error: &dyn std::fmt::Display| {
            Failure::fatal(format!("open the object store {}: {error}", dir.display()))
        };
        std::fs::create_dir_all(dir).map_err(|error| fatal(&error))?;
        let store = LocalFileSystem::new_with_prefix(dir)
            .map_err(|error| fatal(&error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self::over(Arc::new(store), &dir.display().to_string()))
    }

    /// Objects in any store; `place` names it in messages.
    pub fn over(store: Arc<dyn ObjectStore>, place: &str) -> Self {
        Self {
            store,
            place: place.into(),
        }
    }

    fn failed(&self, doing: &str, key: &str, error: &Error) -> Failure {
        classify(error, &format!("{doing} object {key} in {}", self.place))
    }
}

#[async_trait]
impl Blobs for Objects {
    async fn write(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        let path = name::path(key)?;
        // Under its own digest an object cannot change, so one of this size is this one.
        if name::is_content_addressed(key) {
            match self.store.head(&path).await {
                Ok(found) if found.size == bytes.len() as u64 => return Ok(()),
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("look for", key, &error)),
            }
        }
        match self.store.put(&path, bytes.into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed("write", key, &error)),
        }
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let found = match self.store.get(&name::path(key)?).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match found {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", key, &error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, i64)>, Failure> {
        let below: Option<Path> = match prefix.trim_end_matches('/') {
            "" => None,
            prefix => Some(name::path(prefix)?),
        };
        let found = self
            .store
            .list(below.as_ref())
            .try_collect::<Vec<_>>()
            .await
            .map_err(|error| self.failed("list", prefix, &error))?;
        // What does not decode was not written by us.
        Ok(found
            .into_iter()
            .filter_map(|it| {
                Some((
                    name::key(&it.location)?,
                    it.last_modified.timestamp_millis(),
                ))
            })
            .collect())
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        match self.store.delete(&name::path(key)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", key, &error)),
        }
    }
}

/// Whose fault an error of the store is.
fn classify(error: &Error, doing: &str) -> Failure {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            return Failure::fatal(format!("{doing}: {error}; check who may write there"));
        }
        Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::UnknownConfigurationKey { .. } => {
            return Failure::fatal(format!("{doing}: {error}"));
        }
        _ => {}
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return by_kind(io, doing);
        }
        cause = error.source();
    }
    // A remote store that does not answer, or answers with an error of its own.
    Failure::transient(format!("{doing}: {error}"))
}

fn by_kind(error: &std::io::Error, doing: &str) -> Failure {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => {
            Failure::transient(format!("{doing}: the disk is full ({error}); make room"))
        }
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            Failure::fatal(format!("{doing}: {error}; check who may write there"))
        }
        Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename | Kind::InvalidInput => {
            Failure::fatal(format!("{doing}: {error}"))
        }
        _ => Failure::transient(format!("{doing}: {error}")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
