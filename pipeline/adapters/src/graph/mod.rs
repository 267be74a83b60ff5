//! What every graph store says in the same words: ids, names of neighbours, which mention states a field best, and the
//! lines of a dump.

mod lines;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use penstock_stages::link::Neighbour;
use uuid::Uuid;

pub(crate) use lines::{ChunkKey, ChunkNode, Lines};

/// How much of a chunk's text stands for it as a name, in characters.
const EXCERPT: usize = 80;

/// Derived from the edition's id, which no two documents share. `heading_path` is a JSON list.
pub(crate) fn section_guid(edition: Uuid, heading_path: &str) -> Uuid {
    Uuid::new_v5(&edition, heading_path.as_bytes())
}

/// A neighbour that is no entity.
pub(crate) fn plain(relation: &str, label: &str, name: String) -> Neighbour {
    Neighbour {
        relation: relation.into(),
        label: label.into(),
        name,
        fields: BTreeMap::new(),
    }
}

/// The beginning of a text on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.chars().count() > EXCERPT {
            return line.chars().take(EXCERPT).chain(['…']).collect();
        }
    }
    line
}

/// Orders what mentions state of a field, best first: the newest version of a document, then the place in it (part,
/// ordinal, start). Chunk ids are no part of it: they differ from run to run, and the same documents must give the same
/// graph.
pub(crate) fn rank(version: Uuid, document: Uuid, place: [i64; 3]) -> Vec<u8> {
    let mut rank = (!version.as_u128()).to_be_bytes().to_vec();
    rank.extend_from_slice(document.as_bytes());
    for number in place {
        rank.extend_from_slice(&number.to_be_bytes());
    }
    rank
}
