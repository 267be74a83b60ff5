//! What is compared, as rows of fixed length.

use std::hash::{DefaultHasher, Hash, Hasher};

use uuid::Uuid;

use super::spill::Fields;

/// One of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    Vectors,
    Graph,
}

impl Store {
    pub fn name(self) -> &'static str {
        match self {
            Self::Vectors => "vector store",
            Self::Graph => "graph",
        }
    }
}

/// A chunk that the ledger says is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub chunk: Uuid,
    pub document: Uuid,
    pub edition: Uuid,
    pub version: Uuid,
    /// Digest of the group's name.
    pub group: u64,
    pub point: bool,
    pub node: bool,
    /// Readers are to see it.
    pub visible: bool,
}

impl Wanted {
    pub fn row(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(73);
        for id in [self.chunk, self.document, self.edition, self.version] {
            row.extend_from_slice(id.as_bytes());
        }
        row.extend_from_slice(&self.group.to_be_bytes());
        row.push(u8::from(self.point) | u8::from(self.node) << 1 | u8::from(self.visible) << 2);
        row
    }

    fn of(fields: &mut Fields<'_>) -> Option<Self> {
        let (chunk, document) = (fields.id()?, fields.id()?);
        let (edition, version) = (fields.id()?, fields.id()?);
        let group = fields.bytes().map(u64::from_be_bytes)?;
        let [flags] = fields.bytes()?;
        Some(Self {
            chunk,
            document,
            edition,
            version,
            group,
            point: flags & 1 != 0,
            node: flags & 2 != 0,
            visible: flags & 4 != 0,
        })
    }

    /// Those of a bucket in the order of chunks, each once.
    pub fn all(bytes: &[u8]) -> Vec<Self> {
        let mut fields = Fields(bytes);
        let mut all: Vec<Self> = std::iter::from_fn(|| Self::of(&mut fields)).collect();
        all.sort_by_key(|it| (it.chunk, !it.visible));
        all.dedup_by_key(|it| it.chunk);
        all
    }
}

/// What is wrong with a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Not in the store.
    Missing,
    /// There, and readers do not see it.
    Hidden,
    /// Readers see it, and its edition is not the one to be seen.
    Early,
    /// Its fields contradict its id or the ledger.
    Wrong,
    /// No vector of unit length and the model's dimension, or another model's.
    Vector,
    /// The manifest of its edition is gone.
    NoManifest,
    /// The ledger does not say that it is there.
    Unnamed,
    Orphaned,
    Stale,
}

const KINDS: [Kind; 9] = [
    Kind::Missing,
    Kind::Hidden,
    Kind::Early,
    Kind::Wrong,
    Kind::Vector,
    Kind::NoManifest,
    Kind::Unnamed,
    Kind::Orphaned,
    Kind::Stale,
];

/// A fault, named by the document that the ledger gives the chunk to, or else the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub store: Store,
    pub visible: bool,
    pub chunk: Uuid,
    pub document: Uuid,
    pub edition: Uuid,
    pub version: Uuid,
}

impl Fault {
    pub fn row(&self) -> Vec<u8> {
        let kind = KINDS.iter().position(|it| *it == self.kind);
        let mut row = Vec::with_capacity(67);
        row.push(kind.and_then(|it| u8::try_from(it).ok()).unwrap_or(0));
        row.push(u8::from(self.store == Store::Graph));
        row.push(u8::from(self.visible));
        for id in [self.chunk, self.document, self.edition, self.version] {
            row.extend_from_slice(id.as_bytes());
        }
        row
    }

    fn of(fields: &mut Fields<'_>) -> Option<Self> {
        let [kind, store, visible] = fields.bytes()?;
        Some(Self {
            kind: *KINDS.get(usize::from(kind))?,
            store: match store {
                0 => Store::Vectors,
                _ => Store::Graph,
            },
            visible: visible == 1,
            chunk: fields.id()?,
            document: fields.id()?,
            edition: fields.id()?,
            version: fields.id()?,
        })
    }

    /// Those of a bucket in the order of documents.
    pub fn all(bytes: &[u8]) -> Vec<Self> {
        let mut fields = Fields(bytes);
        let mut all: Vec<Self> = std::iter::from_fn(|| Self::of(&mut fields)).collect();
        all.sort_by_key(|it| (it.document, it.store, it.kind, it.chunk));
        all
    }
}

/// A group's name in eight bytes, good for this process.
pub fn digest(group: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    group.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let id = Uuid::from_u128;
        let mut bytes = Vec::new();
        let faults: Vec<Fault> = KINDS
            .iter()
            .enumerate()
            .map(|(number, kind)| Fault {
                kind: *kind,
                store: Store::Graph,
                visible: number % 2 == 0,
                chunk: id(number as u128),
                document: id(7),
                edition: id(8),
                version: id(9),
            })
            .collect();
        faults.iter().for_each(|it| bytes.extend(it.row()));
        assert_eq!(Fault::all(&bytes), faults);
        let wanted = Wanted {
            chunk: id(1),
            document: id(2),
            edition: id(3),
            version: id(4),
            group: digest("g"),
            point: true,
            node: false,
            visible: false,
        };
        let shown = Wanted {
            visible: true,
            node: true,
            ..wanted.clone()
        };
        // Told twice, what readers are to see counts.
        assert_eq!(Wanted::all(&[wanted.row(), shown.row()].concat()), [shown]);
        assert_eq!(Wanted::all(&wanted.row()), [wanted]);
    }
}
