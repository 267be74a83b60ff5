//! Rows that do not fit into memory, in files: by bucket, so that one bucket at a time does.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use penstock_runtime::Failure;
use uuid::Uuid;

/// Of every spill. Buckets of documents go by the last byte of their ids, those of chunks by the first: ids are digests or
/// random there, and chunks are read in order.
pub const BUCKETS: usize = 256;
/// Bytes of a bucket in memory before they are written.
const BUFFER: usize = 16 << 10;

/// A folder for spills, gone when dropped. It holds what the ledger holds: nobody else may read it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(parent: &Path) -> Result<Self, Failure> {
        let folder = parent.join(format!("audit-{}", Uuid::new_v4().simple()));
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|error| io_failed(&folder, &error))?;
        Ok(Self(folder))
    }

    pub fn spill(&self, name: &str) -> Spill {
        Spill {
            base: self.0.join(name),
            buffers: vec![Vec::new(); BUCKETS],
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "what the audit wrote stays");
        }
    }
}

/// Rows by bucket. Writing appends to the page cache, which is no more of a wait than a copy.
pub struct Spill {
    base: PathBuf,
    buffers: Vec<Vec<u8>>,
}

impl Spill {
    pub fn add(&mut self, bucket: u8, row: &[u8]) -> Result<(), Failure> {
        let Some(buffer) = self.buffers.get_mut(usize::from(bucket)) else {
            return Ok(());
        };
        buffer.extend_from_slice(row);
        if buffer.len() < BUFFER {
            return Ok(());
        }
        let path = path_of(&self.base, bucket);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(buffer));
        written.map_err(|error| io_failed(&path, &error))?;
        buffer.clear();
        Ok(())
    }

    /// All rows of a bucket, in the order they came.
    pub fn read(&self, bucket: u8) -> Result<Vec<u8>, Failure> {
        let path = path_of(&self.base, bucket);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut file) => file
                .read_to_end(&mut bytes)
                .map(drop)
                .map_err(|error| io_failed(&path, &error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_failed(&path, &error)),
        }
        if let Some(buffer) = self.buffers.get(usize::from(bucket)) {
            bytes.extend_from_slice(buffer);
        }
        Ok(bytes)
    }
}

fn path_of(base: &Path, bucket: u8) -> PathBuf {
    base.with_extension(format!("{bucket:02x}"))
}

fn io_failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::fatal(format!(
        "audit: {}: {error}: it needs room for what the ledger says, in the data folder",
        path.display()
    ))
}

/// Bytes read back, from the front.
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    pub fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn id(&mut self) -> Option<Uuid> {
        self.bytes::<16>().map(Uuid::from_bytes)
    }

    pub fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_order_and_nothing_stays() {
        let parent = tempfile::tempdir().unwrap();
        {
            let scratch = Scratch::new(parent.path()).unwrap();
            let mut spill = scratch.spill("rows");
            let rows = 3 * BUFFER as u32 / 4;
            for number in 0..rows {
                spill.add(7, &number.to_be_bytes()).unwrap();
            }
            spill.add(255, b"x").unwrap();
            let bytes = spill.read(7).unwrap();
            let mut fields = Fields(&bytes);
            for number in 0..rows {
                assert_eq!(fields.bytes(), Some(number.to_be_bytes()));
            }
            assert_eq!(fields.bytes::<1>(), None);
            assert_eq!(spill.read(255).unwrap(), b"x");
            assert_eq!(spill.read(8).unwrap(), b"");
        }
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
