//! Writes since the engine's last flush, as they were asked for: the engine keeps no promise about them before. They
//! survive the end of the process, as the log of a server does.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Result, Write};
use std::path::Path;

use prost::Message;
use qdrant_client::qdrant::{DeletePoints, SetPayloadPoints, UpsertPoints};

const NAME: &str = "writes";

/// A write, as the client asked for it.
pub(super) enum Entry {
    Upsert(UpsertPoints),
    Delete(DeletePoints),
    SetPayload(SetPayloadPoints),
}

impl Entry {
    /// A kind, a length and the request.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, bytes) = match self {
            Self::Upsert(request) => (b'u', request.encode_to_vec()),
            Self::Delete(request) => (b'd', request.encode_to_vec()),
            Self::SetPayload(request) => (b'p', request.encode_to_vec()),
        };
        let mut frame = Vec::with_capacity(bytes.len() + 9);
        frame.push(kind);
        frame.extend((bytes.len() as u64).to_le_bytes());
        frame.extend(bytes);
        frame
    }

    fn decode(kind: u8, bytes: &[u8]) -> Option<Self> {
        match kind {
            b'u' => UpsertPoints::decode(bytes).ok().map(Self::Upsert),
            b'd' => DeletePoints::decode(bytes).ok().map(Self::Delete),
            b'p' => SetPayloadPoints::decode(bytes).ok().map(Self::SetPayload),
            _ => None,
        }
    }
}

pub(super) struct Journal {
    file: File,
    /// Bytes of whole entries.
    length: u64,
}

impl Journal {
    pub fn open(folder: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(folder.join(NAME))?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// Adds an encoded entry.
    pub fn append(&mut self, frame: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(frame) {
            // Half an entry must not stand before the next one.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Everything is in the engine's files.
    pub fn clear(&mut self) -> Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    pub fn length(&self) -> u64 {
        self.length
    }
}

/// The entries in order, up to one that was cut off: nobody was told of that.
pub(super) fn entries(folder: &Path) -> Result<impl Iterator<Item = Entry>> {
    let path = folder.join(NAME);
    let mut file = match path.exists() {
        true => Some(BufReader::new(File::open(path)?)),
        false => None,
    };
    Ok(std::iter::from_fn(move || {
        let file = file.as_mut()?;
        let mut head = [0; 9];
        file.read_exact(&mut head).ok()?;
        let [kind, length @ ..] = head;
        let length = u64::from_le_bytes(length);
        let mut bytes = Vec::new();
        let read = file.take(length).read_to_end(&mut bytes).ok()?;
        (read as u64 == length)
            .then(|| Entry::decode(kind, &bytes))
            .flatten()
    }))
}
