//! Ids are derived, so that doing a thing again finds what the first time made.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Namespace of every id Penstock derives: UUID v5 of "penstock" under the nil UUID's URL namespace.
fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, b"https://penstock.invalid/v1")
}

/// UUID v5 over length-prefixed fields, so that ("ab", "c") and ("a", "bc") differ.
fn derive(kind: &str, fields: &[&[u8]]) -> Uuid {
    let mut name = Vec::new();
    for field in std::iter::once(&kind.as_bytes()).chain(fields) {
        name.extend_from_slice(&(field.len() as u64).to_be_bytes());
        name.extend_from_slice(field);
    }
    Uuid::new_v5(&namespace(), &name)
}

/// A source's id in the graph: UUID v5 of (group, name).
pub fn source_guid(group: &str, name: &str) -> Uuid {
    derive("source", &[group.as_bytes(), name.as_bytes()])
}

/// The document's id in every store: UUID v5 of (group, source, the source's own key).
pub fn document_guid(group: &str, source: &str, key: &str) -> Uuid {
    derive(
        "document",
        &[group.as_bytes(), source.as_bytes(), key.as_bytes()],
    )
}

/// One processing of one version: UUID v5 of (document, version, recipe).
pub fn edition_id(document: Uuid, version: Uuid, recipe: &str) -> Uuid {
    derive(
        "edition",
        &[document.as_bytes(), version.as_bytes(), recipe.as_bytes()],
    )
}

/// A chunk's id in every store: UUID v5 of (document, edition, part, ordinal, text hash).
pub fn chunk_guid(
    document: Uuid,
    edition: Uuid,
    part: i32,
    ordinal: i32,
    content_hash: &str,
) -> Uuid {
    derive(
        "chunk",
        &[
            document.as_bytes(),
            edition.as_bytes(),
            &part.to_be_bytes(),
            &ordinal.to_be_bytes(),
            content_hash.as_bytes(),
        ],
    )
}

/// An entity's id: UUID v5 of (group, label, normal form).
pub fn entity_guid(group: &str, label: &str, normal_form: &str) -> Uuid {
    derive(
        "entity",
        &[group.as_bytes(), label.as_bytes(), normal_form.as_bytes()],
    )
}

/// SHA-256, 64 lower-case hex digits.
pub fn content_hash(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Milliseconds since the epoch, by the wall clock.
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A UUID v7 greater than `last`, even where the clock was set back: max(now, last + 1).
pub fn next_version(last: Option<Uuid>) -> Uuid {
    let now = Uuid::now_v7();
    match last {
        Some(last) if last >= now => {
            // Adding one may carry through the fixed version and variant bits; put them back.
            let bumped = last.as_u128().wrapping_add(1);
            let bumped = Uuid::from_u128(bumped);
            if bumped.get_version_num() == 7 && bumped > last {
                bumped
            } else {
                let ms = (last.as_u128() >> 80) as u64 + 1;
                uuid::Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid()
            }
        }
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_only_grow() {
        let far_ahead =
            uuid::Builder::from_unix_timestamp_millis(9_999_999_999_999, &[255; 10]).into_uuid();
        let mut last = far_ahead;
        for _ in 0..1000 {
            let next = next_version(Some(last));
            assert!(next > last, "{next} does not follow {last}");
            assert_eq!(next.get_version_num(), 7);
            last = next;
        }
        assert!(next_version(None) < far_ahead);
    }

    #[test]
    fn field_borders_count() {
        assert_ne!(document_guid("ab", "c", "d"), document_guid("a", "bc", "d"));
        assert_eq!(document_guid("a", "b", "c"), document_guid("a", "b", "c"));
    }
}
