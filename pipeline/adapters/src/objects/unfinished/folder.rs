//! Files that are being written have a number behind their name, and lose it when they are whole.

use std::fs::{self, Metadata};
use std::io::{Error, ErrorKind};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use object_store::path::Path;
use penstock_runtime::Failure;

use super::super::by_kind;
use super::{Listing, MOST, Place, Unfinished, name};

pub(super) async fn list(folder: Arc<FilePath>, before: i64) -> Result<Listing, Failure> {
    let doing = format!("look for unfinished files in {}", folder.display());
    off_the_runtime(doing, move || {
        let mut found = Vec::new();
        let mut open = vec![folder.to_path_buf()];
        while let Some(dir) = open.pop() {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                // It went away meanwhile, with the last object in it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    open.push(entry.path());
                }
                let is_unfinished = kind.is_file() && staged(&entry.path()).is_some();
                if !is_unfinished || found.len() >= MOST {
                    continue;
                }
                // It may have got its name meanwhile.
                let Ok(about) = entry.metadata() else {
                    continue;
                };
                let unfinished = describe(&folder, entry.path(), &about);
                found.extend(unfinished.filter(|it| it.began <= before));
            }
        }
        Ok(Listing::Found(found))
    })
    .await
}

/// The file and the folders that are empty without it.
pub(super) async fn remove(folder: Arc<FilePath>, file: PathBuf) -> Result<(), Failure> {
    let doing = format!("remove {}", file.display());
    off_the_runtime(doing, move || {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let above = file.ancestors().skip(1);
        for dir in above.take_while(|it| *it != folder.as_ref()) {
            // One that is not empty stays, as does all above it.
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    })
    .await
}

/// What the file was to be called; none where it is no such file.
fn staged(file: &FilePath) -> Option<&str> {
    let (name, number) = file.file_name()?.to_str()?.split_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
    is_number.then_some(name)
}

/// None where it was not written by us.
fn describe(folder: &FilePath, file: PathBuf, about: &Metadata) -> Option<Unfinished> {
    let whole = file.with_file_name(staged(&file)?);
    let below = whole.strip_prefix(folder).ok()?.to_str()?;
    let path = Path::parse(below).ok()?;
    let age = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Unfinished {
        key: name::key(&path)?,
        size: Some(about.len()),
        began: i64::try_from(age.as_millis()).ok()?,
        place: Place::File(file),
    })
}

async fn off_the_runtime<T: Send + 'static>(
    doing: String,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| by_kind(&error, &doing)),
        Err(error) => Err(Failure::fatal(format!("{doing}: {error}"))),
    }
}
