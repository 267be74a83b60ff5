//! The object store: a folder, or one on the network.

mod cache;
mod name;
mod remote;
mod unfinished;

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, WriteMultipart};
use penstock_runtime::Failure;
use penstock_stages::blobs::{Blobs, Stored};
use url::Url;

pub use self::cache::BlobVectorCache;
use self::unfinished::Uploads;
pub use self::unfinished::{Listing, Unfinished};

/// Bytes from which an object is sent in parts, and of a part: what fails is sent again by the part.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// The same bytes are left where they are for so long. Then they are written anew: who collects what nothing names goes
/// by the time something was written, and whoever writes is about to name it.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// Written to learn what time it is for the store.
const CLOCK: &str = "penstock-clock";

/// Blobs in an object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    transfer: Transfer,
    uploads: Uploads,
    /// Where it is, for messages.
    place: Arc<str>,
}

impl Objects {
    /// Objects where `url` says: `file:///PATH`, a folder that all processes see, or `s3://BUCKET/PREFIX`, `gs://…`,
    /// `az://…`. `properties` are settings of such a store by `object_store`'s names; they may hold secrets.
    pub fn at(url: &str, properties: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let unfit = || {
            Failure::fatal(format!(
                "objects.url is {url}, expected file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
            ))
        };
        let parsed = Url::parse(url).map_err(|_| unfit())?;
        if parsed.scheme() == "file" {
            let folder = parsed.to_file_path().map_err(|()| unfit())?;
            if let Some(name) = properties.keys().next() {
                return Err(Failure::fatal(format!(
                    "objects.properties: {name} is set, but a folder has no settings"
                )));
            }
            return Self::in_folder(&folder);
        }
        let remote = remote::open(&parsed, properties)?.ok_or_else(unfit)?;
        Ok(Self {
            store: remote.store,
            transfer: Transfer::InParts,
            uploads: remote.uploads,
            place: url.into(),
        })
    }

    /// Asks the store for something, so that a wrong bucket or login is heard of before the first record.
    pub async fn check(&self) -> Result<(), Failure> {
        let doing = format!("look into {}", self.place);
        let nothing = Path::from("penstock-looks-whether-it-may");
        match self.store.list(Some(&nothing)).try_next().await {
            Ok(_) => Ok(()),
            Err(error) => Err(classify(&error, &doing)),
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
        Ok(Self {
            store: Arc::new(store),
            transfer: Transfer::Whole,
            uploads: Uploads::Files(dir.into()),
            place: dir.display().to_string().into(),
        })
    }

    async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        if self.transfer == Transfer::Whole || bytes.len() <= PART {
            return self.store.put(path, bytes.into()).await.map(drop);
        }
        let upload = self.store.put_multipart(path).await?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Err(error) = parts.wait_for_capacity(PARTS_AT_ONCE).await {
                parts.abort().await?;
                return Err(error);
            }
            parts.put(rest.split_to(rest.len().min(PART)));
        }
        // Gives the upload up itself where that fails.
        parts.finish().await.map(drop)
    }

    fn failed(&self, doing: &str, key: &str, error: &Error) -> Failure {
        classify(error, &format!("{doing} object {key} in {}", self.place))
    }
}

/// How large objects are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Whole,
    InParts,
}

#[async_trait]
impl Blobs for Objects {
    async fn write(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        let path = name::path(key)?;
        // Under its own digest an object cannot change, so one of this size is this one.
        if name::is_content_addressed(key) {
            match self.store.head(&path).await {
                Ok(found) if found.size == bytes.len() as u64 && is_fresh(found.last_modified) => {
                    return Ok(());
                }
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("look for", key, &error)),
            }
        }
        match self.put(&path, bytes).await {
            Ok(()) => Ok(()),
            // An object that is not there is no reason: its bucket is not.
            Err(error @ Error::NotFound { .. }) => Err(Failure::fatal(format!(
                "write object {key} in {}: {error}",
                self.place
            ))),
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

    fn walk(&self, prefix: &str) -> BoxStream<'_, Result<Stored, Failure>> {
        let below = match prefix.trim_end_matches('/') {
            "" => Ok(None),
            prefix => name::path(prefix).map(Some),
        };
        let below: Option<Path> = match below {
            Ok(below) => below,
            Err(failure) => return futures::stream::iter([Err(failure)]).boxed(),
        };
        let prefix = prefix.to_owned();
        self.store
            .list(below.as_ref())
            .map_err(move |error| self.failed("list", &prefix, &error))
            // What does not decode was not written by us.
            .try_filter_map(async |found| Ok(stored(found)))
            .boxed()
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        match self.store.delete(&name::path(key)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", key, &error)),
        }
    }

    async fn clock(&self) -> Result<i64, Failure> {
        let path = Path::from(CLOCK);
        let asked = async {
            self.store.put(&path, Bytes::new().into()).await?;
            self.store.head(&path).await
        };
        match asked.await {
            Ok(found) => Ok(found.last_modified.timestamp_millis()),
            Err(error) => Err(self.failed("write", CLOCK, &error)),
        }
    }
}

fn stored(found: ObjectMeta) -> Option<Stored> {
    Some(Stored {
        key: name::key(&found.location)?,
        size: found.size,
        written: found.last_modified.timestamp_millis(),
    })
}

fn is_fresh(written: DateTime<Utc>) -> bool {
    Utc::now().signed_duration_since(written) < FRESH
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
        // Of an object these are errors of their own, of a listing they are not.
        Error::Generic { source, .. } => {
            let text = source.to_string();
            let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
            if says(&["404 Not Found"]) {
                return Failure::fatal(format!("{doing}: there is no such bucket ({error})"));
            }
            if says(&["401 Unauthorized", "403 Forbidden"]) {
                return Failure::fatal(format!("{doing}: {error}; check who may read there"));
            }
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
