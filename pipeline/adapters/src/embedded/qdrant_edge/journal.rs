//! What was written since the engine's last flush, one operation a line. A flush syncs some thirty files; a line costs one
//! write. It survives the end of the process, not of the machine: the log in the same data folder promises no more.
//!
//! Doing all of it again, in order, leads to where it led before, whatever part of it the files already hold: points are
//! only inserted, shown and deleted, and ids never mean something else.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Result, Write};
use std::path::{Path, PathBuf};

use qdrant_edge::UpdateOperation;

const NAME: &str = "journal.jsonl";

pub struct Journal {
    file: File,
    /// Bytes of whole lines.
    length: u64,
}

impl Journal {
    /// Made if missing. What is in it counts as written.
    pub fn open(dir: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path(dir))?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// Adds whole lines.
    pub fn append(&mut self, lines: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // Half a line must not stand before the next one.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Everything is in the engine's files.
    pub fn clear(&mut self) -> Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// The operations of a journal in order, up to a line that was cut off or damaged.
pub fn operations(dir: &Path) -> Result<impl Iterator<Item = Result<UpdateOperation>>> {
    let path = path(dir);
    let mut lines = match File::open(&path) {
        Ok(file) => Some(BufReader::new(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(std::iter::from_fn(move || {
        let reader = lines.as_mut()?;
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => {
                lines = None;
                return Some(Err(error));
            }
        }
        if line.last() != Some(&b'\n') {
            // Nobody was told that this one was written.
            return None;
        }
        match serde_json::from_slice(&line) {
            Ok(operation) => Some(Ok(operation)),
            Err(error) => {
                tracing::warn!(
                    path = %path.display(), %error,
                    "vector store: the journal is damaged, what follows is lost: run audit"
                );
                lines = None;
                None
            }
        }
    }))
}

/// An operation as a line.
pub fn line(operation: &UpdateOperation) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(operation)?;
    line.push(b'\n');
    Ok(line)
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::fields::{delete, filter, has_id, insert, one_of, show, visible};
    use super::super::tests::point;
    use super::*;

    fn every_kind() -> Vec<UpdateOperation> {
        let mut all_but = filter([one_of("document_guid", [Uuid::nil()])]);
        all_but.must_not = Some(vec![has_id(&[Uuid::max(), Uuid::nil()])]);
        let mut none_of = filter([one_of("document_guid", [Uuid::nil()])]);
        none_of.must_not = Some(vec![one_of("edition", [Uuid::nil(), Uuid::max()])]);
        vec![
            insert(vec![
                point(1, 1, 0, "brüchig\n\"brake\""),
                point(1, 1, 1, ""),
            ])
            .unwrap(),
            show(filter([one_of("edition", [Uuid::nil()]), visible(false)])),
            delete(all_but),
            delete(none_of),
            delete(filter([one_of("document_guid", [Uuid::nil()])])),
        ]
    }

    fn read(dir: &Path) -> Vec<UpdateOperation> {
        operations(dir).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn what_is_written_is_read_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).is_empty());
        let mut journal = Journal::open(dir.path()).unwrap();
        for operation in every_kind() {
            let written = line(&operation).unwrap();
            let read: UpdateOperation = serde_json::from_slice(&written)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&written)));
            assert_eq!(read, operation);
            journal.append(&written).unwrap();
        }
        assert_eq!(read(dir.path()), every_kind());

        // Opened again it goes on where it was.
        let mut journal = Journal::open(dir.path()).unwrap();
        journal.append(&line(&every_kind()[0]).unwrap()).unwrap();
        assert_eq!(read(dir.path()).len(), every_kind().len() + 1);
        journal.clear().unwrap();
        assert_eq!(journal.length(), 0);
        assert!(read(dir.path()).is_empty());
    }

    #[test]
    fn a_line_cut_off_or_damaged_ends_it() {
        let lines: Vec<u8> = every_kind()
            .iter()
            .flat_map(|operation| line(operation).unwrap())
            .collect();
        let first = line(&every_kind()[0]).unwrap().len();
        let dir = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8], expect: usize| {
            std::fs::write(path(dir.path()), bytes).unwrap();
            assert_eq!(read(dir.path()), every_kind()[..expect]);
        };
        check(&lines, 5);
        check(&lines[..lines.len() - 1], 4);
        check(&lines[..first + 10], 1);
        check(&lines[..first - 1], 0);
        let mut damaged = lines.clone();
        damaged[first + 5..first + 9].fill(0);
        check(&damaged, 1);
        check(&[0; 64], 0);
        check(b"\n", 0);
    }
}
