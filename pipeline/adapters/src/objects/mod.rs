//! The object store. One type over `object_store`, whose kinds of stores are alike to it.

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

/// Objects in a store.
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// What to call it in errors.
    name: String,
}

impl Objects {
    /// Objects as files below `folder`, which is made if there is none. A write is on disk when it returns.
    pub fn in_folder(folder: &FilePath) -> Result<Self, Failure> {
        let name = format!("object folder {}", folder.display());
        std::fs::create_dir_all(folder).map_err(|error| classify_io(&error, &name))?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| classify(&error, &name))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            store: Arc::new(store),
            name,
        })
    }

    fn path(&self, key: &str) -> Result<Path, Failure> {
        Path::parse(key).map_err(|error| {
            Failure::poison(format!("{}: {key:?} is no object key: {error}", self.name))
        })
    }

    fn failure(&self, error: &Error) -> Failure {
        classify(error, &self.name)
    }
}

#[async_trait]
impl Blobs for Objects {
    async fn write(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        let path = self.path(key)?;
        let written = self.store.put(&path, bytes.into()).await;
        written.map(drop).map_err(|error| self.failure(&error))
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let path = self.path(key)?;
        match self.store.get(&path).await {
            Ok(found) => found
                .bytes()
                .await
                .map(Some)
                .map_err(|error| self.failure(&error)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure(&error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, i64)>, Failure> {
        let path = self.path(prefix)?;
        self.store
            .list(Some(&path))
            .map_ok(|it| (it.location.to_string(), it.last_modified.timestamp_millis()))
            .try_collect()
            .await
            .map_err(|error| self.failure(&error))
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        let path = self.path(key)?;
        match self.store.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failure(&error)),
        }
    }
}

/// Whose fault an error of the store is.
fn classify(error: &Error, store: &str) -> Failure {
    if let Some(io) = io_below(error) {
        return classify_io(io, store);
    }
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Failure::fatal(format!("{store}: access is refused: {error}"))
        }
        Error::InvalidPath { .. } => Failure::poison(format!("{store}: {error}")),
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            Failure::fatal(format!("{store}: {error}"))
        }
        _ => Failure::transient(format!("{store}: {error}")),
    }
}

fn io_below<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

fn classify_io(error: &std::io::Error, store: &str) -> Failure {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::transient(format!(
            "{store}: no space is left: free some, it goes on by itself"
        )),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
            Failure::fatal(format!("{store}: {error}: make it writable"))
        }
        _ => Failure::transient(format!("{store}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use penstock_stages::blobs::{load, store};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn objects_are_written_read_listed_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(&folder.path().join("objects")).unwrap();
        let document = Uuid::from_u128(7);
        let blob = store(&objects, "g", document, "text".into()).await.unwrap();
        assert_eq!(
            store(&objects, "g", document, "text".into()).await.unwrap(),
            blob
        );
        assert_eq!(load(&objects, &blob).await.unwrap(), "text");
        let listed = objects.list(&format!("g/{document}/")).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].0, blob.key);
        assert!(listed[0].1 > 1_700_000_000_000);
        objects.delete(&blob.key).await.unwrap();
        objects.delete(&blob.key).await.unwrap();
        assert_eq!(objects.read(&blob.key).await.unwrap(), None);
        assert!(
            load(&objects, &blob)
                .await
                .unwrap_err()
                .reason()
                .contains(&blob.key)
        );
        assert!(
            !folder.path().join("objects/g").exists(),
            "empty folders stay"
        );
    }

    #[tokio::test]
    async fn damaged_bytes_and_foreign_keys_are_poison() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path()).unwrap();
        let blob = store(&objects, "g", Uuid::from_u128(7), "text".into())
            .await
            .unwrap();
        std::fs::write(folder.path().join(&blob.key), "tex").unwrap();
        assert_eq!(load(&objects, &blob).await.unwrap_err().class(), "poison");
        std::fs::write(folder.path().join(&blob.key), "texx").unwrap();
        assert_eq!(load(&objects, &blob).await.unwrap_err().class(), "poison");
        for key in ["../up", "a//b", "a/../../b"] {
            assert_eq!(
                objects.read(key).await.unwrap_err().class(),
                "poison",
                "{key}"
            );
        }
    }
}
