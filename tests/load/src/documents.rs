//! Made-up documents.

use std::collections::BTreeMap;

use bytes::Bytes;
use penstock_schemas::{Document, document_guid, next_version};

const SOURCE: &str = "load";

/// Every so many-th is no document at all.
pub const POISON_EVERY: usize = 100;

/// Of a document.
pub const CHUNKS: f64 = 2.0;

/// A document of two chunks, or every hundredth time bytes that nobody can read. Where its bytes lie is not said
/// yet.
pub fn document(number: usize, group: &str) -> (Document, Bytes) {
    let key = format!("{number}.md");
    let bytes = match (number + 1).is_multiple_of(POISON_EVERY) {
        true => Bytes::from(vec![0xfe, 0, 0xff, 1, 0x80, 0, number as u8, 0]),
        false => Bytes::from(text(number)),
    };
    let document = Document {
        document_guid: document_guid(group, SOURCE, &key),
        group: group.to_owned(),
        source: SOURCE.to_owned(),
        version: next_version(None),
        deleted: false,
        path: key.clone(),
        key,
        blob: None,
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: BTreeMap::new(),
    };
    (document, bytes)
}

/// Two sections of some 120 words, no two alike, with what the entity rules look for.
fn text(number: usize) -> String {
    const WORDS: [&str; 24] = [
        "crane", "harbour", "reefer", "pallet", "driver", "invoice", "gate", "terminal", "steel",
        "paper", "salt", "dawn", "berth", "truck", "axle", "curtain", "seal", "ledger", "ramp",
        "depot", "cargo", "scale", "manifest", "winch",
    ];
    // Numbers by a fixed rule, so that every run has the same texts.
    let mut state = number as u64 + 1;
    let mut word = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = (state >> 33) as usize;
        WORDS.get(place % WORDS.len()).copied().unwrap_or_default()
    };
    let mut text = format!("# Delivery {number}\n\n");
    for section in ["Loading", "Unloading"] {
        text += &format!(
            "## {section} of delivery {number}\n\nLoad LD-{:05} is billed by invoice INV-2025-{:05}.\n\n",
            number % 100_000,
            number % 100_000
        );
        for _ in 0..8 {
            let words: Vec<&str> = (0..14).map(|_| word()).collect();
            text += &format!("The {} in turn. ", words.join(" "));
        }
        text += "\n\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_always_the_same_and_no_two_are_alike() {
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        let (_, poison) = document(POISON_EVERY - 1, "g");
        assert!(std::str::from_utf8(&poison).is_err());
        let (document, bytes) = document(7, "g");
        assert_eq!(bytes, text(7).as_bytes());
        assert_eq!(document.group, "g");
    }
}
