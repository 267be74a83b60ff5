//! What writers left behind that died while they wrote: files that never got their name, uploads in parts that were never
//! put together. No listing of objects shows them, and they take space.

mod folder;
mod s3;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::path::Path;
use penstock_runtime::Failure;

pub(super) use self::s3::{Bucket, Connecting};
use super::{Objects, name};

/// Most that one listing names. What is beyond comes up once these are gone.
const MOST: usize = 10_000;

/// Bytes of an object that never came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Of the object they were to become.
    pub key: String,
    /// Bytes, where the store tells.
    pub size: Option<u64>,
    /// When it was begun, or last written to, by the store's clock, milliseconds since the epoch.
    pub began: i64,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Upload { path: Path, id: String },
}

/// What a store tells of such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    Found(Vec<Unfinished>),
    /// It does not list them, why.
    Untold(String),
}

/// Where a store keeps what is not finished.
#[derive(Debug, Clone)]
pub(super) enum Uploads {
    /// As files beside those they were to become.
    Files(Arc<FilePath>),
    Bucket(Bucket),
    /// The store has ways of its own to be rid of them.
    Theirs(&'static str),
}

impl Objects {
    /// What was begun `before` (milliseconds since the epoch, by the store's clock) and is not finished.
    pub async fn unfinished(&self, before: i64) -> Result<Listing, Failure> {
        match &self.uploads {
            Uploads::Files(folder) => folder::list(folder.clone(), before).await,
            Uploads::Bucket(bucket) => bucket.list(before, &self.place).await,
            Uploads::Theirs(how) => Ok(Listing::Untold((*how).to_owned())),
        }
    }

    /// Lets go of its bytes; it is no error where they are gone already.
    pub async fn give_up(&self, unfinished: &Unfinished) -> Result<(), Failure> {
        match (&self.uploads, &unfinished.place) {
            (Uploads::Files(folder), Place::File(file)) => {
                folder::remove(folder.clone(), file.clone()).await
            }
            (Uploads::Bucket(bucket), Place::Upload { path, id }) => bucket
                .abort(path, id)
                .await
                .map_err(|error| self.failed("give up the upload of", &unfinished.key, &error)),
            _ => Err(Failure::fatal(format!(
                "{}: an upload of another store cannot be given up here",
                self.place
            ))),
        }
    }
}
