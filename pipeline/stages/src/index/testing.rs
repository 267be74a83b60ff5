//! Points for tests.

use std::collections::BTreeMap;

use penstock_schemas::{About, Chunk, Lineage, chunk_guid, content_hash};
use uuid::Uuid;

use super::{Point, bm25};

/// A point of document, edition, part and ordinal, with a text that names them.
pub fn point(document: u128, edition: u128, part: i32, ordinal: i32) -> Point {
    let text = format!("chunk {ordinal} of part {part}");
    let hash = content_hash(text.as_bytes());
    let (document_guid, edition) = (Uuid::from_u128(document), Uuid::from_u128(edition));
    Point {
        chunk: Chunk {
            lineage: Lineage {
                group: "freight".into(),
                document_guid,
                version: Uuid::from_u128(7),
                edition,
                stamped: 0,
            },
            part,
            chunk_guid: chunk_guid(document_guid, edition, part, ordinal, &hash),
            ordinal,
            start_char: 0,
            end_char: text.chars().count() as i64,
            page_first: None,
            page_last: None,
            heading_path: Vec::new(),
            content_hash: hash,
            tokens: 6,
            about: About {
                source: "files".into(),
                key: document.to_string(),
                path: format!("docs/{document}.md"),
                title: None,
                author: None,
                language: None,
                created_at: None,
                attributes: BTreeMap::new(),
            },
            text: text.clone(),
        },
        model: "tiny@000000000000".into(),
        dense: vec![1.0, 0.0],
        bm25: bm25::encode_document(&text),
        entity_types: Vec::new(),
    }
}
