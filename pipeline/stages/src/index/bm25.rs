//! BM25 as sparse vectors. A document's values are its saturated term frequencies, a query's are 1; the engine multiplies
//! by the inverse document frequency. Shared by `index` and `query`, and the same for every adapter.

use std::collections::BTreeMap;

use super::Sparse;
use super::words::words;

/// How soon a term's repetitions stop counting.
const K1: f32 = 1.2;
/// How much a long text is held against it.
const B: f32 = 0.75;
/// Words of a usual chunk, stop words left out. Fixed, so that a text's vector never depends on other texts.
const USUAL_LENGTH: f32 = 120.0;

/// The terms of a chunk: value = tf · (k1 + 1) / (tf + k1 · (1 − b + b · words / usual)).
pub fn encode_document(text: &str) -> Sparse {
    let words = words(text);
    let length = words.len() as f32;
    let mut frequencies: BTreeMap<u32, f32> = BTreeMap::new();
    for term in words.iter().flatten() {
        *frequencies.entry(index(term)).or_default() += 1.0;
    }
    let norm = K1 * (1.0 - B + B * length / USUAL_LENGTH);
    let (indices, values) = frequencies
        .into_iter()
        .map(|(index, frequency)| (index, frequency * (K1 + 1.0) / (frequency + norm)))
        .unzip();
    Sparse { indices, values }
}

/// The terms of a question, each worth 1 however often it stands there.
pub fn encode_query(text: &str) -> Sparse {
    let terms: BTreeMap<u32, f32> = words(text)
        .iter()
        .flatten()
        .map(|term| (index(term), 1.0))
        .collect();
    let (indices, values) = terms.into_iter().unzip();
    Sparse { indices, values }
}

/// FNV-1a over 64 bits, mixed down to 32. Two of a million terms share an index now and then; what they share is a rank,
/// not an answer.
fn index(term: &str) -> u32 {
    let hash = term.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rank's score without the inverse document frequency.
    fn score(document: &str, query: &str) -> f32 {
        let document = encode_document(document);
        let query = encode_query(query);
        document
            .indices
            .iter()
            .zip(&document.values)
            .filter(|(index, _)| query.indices.contains(index))
            .map(|(_, value)| value)
            .sum()
    }

    #[test]
    fn indices_are_stable() {
        // Kept in every store: a change here makes all that was indexed before unfindable.
        assert_eq!(
            encode_query("truck"),
            Sparse {
                indices: vec![1_965_984_502],
                values: vec![1.0]
            }
        );
        assert_eq!(index("inv202500317"), 3_858_492_787);
    }

    #[test]
    fn inflected_words_are_found_in_both_languages() {
        for (document, query) in [
            ("the trucks are loaded", "truck"),
            ("loading a truck", "loaded trucks"),
            ("Die Fahrer prüfen die Bremsen", "Bremse prüfen"),
            ("Rechnungen", "rechnung"),
        ] {
            assert!(score(document, query) > 0.0, "{document} / {query}");
        }
        assert_eq!(score("the trucks are loaded", "invoice"), 0.0);
    }

    #[test]
    fn the_exact_identifier_outranks_its_neighbours() {
        let query = "invoice INV-2025-00317";
        let exact = score("invoice INV-2025-00317 of march", query);
        let other = score("invoice INV-2025-00318 of march", query);
        assert!(exact > other, "{exact} {other}");
    }

    #[test]
    fn repetition_saturates_and_length_counts_against() {
        let once = score("brake", "brake");
        let thrice = score("brake brake brake", "brake");
        let often = score(&"brake ".repeat(300), "brake");
        assert!(thrice > once);
        assert!(often < once * (K1 + 1.0));
        let padded = format!("brake {}", "axle wheel tyre ".repeat(100));
        assert!(score(&padded, "brake") < once);
    }

    #[test]
    fn a_text_without_words_has_no_terms() {
        assert_eq!(encode_document(" \u{0} … "), Sparse::default());
        assert_eq!(encode_query("the of"), Sparse::default());
    }

    proptest! {
        #[test]
        fn any_text_gives_ascending_finite_positive_values(text in "\\PC{0,400}") {
            let document = encode_document(&text);
            let query = encode_query(&text);
            prop_assert_eq!(&document.indices, &query.indices);
            prop_assert!(document.indices.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(document.indices.len(), document.values.len());
            prop_assert!(document.values.iter().all(|value| value.is_finite() && *value > 0.0 && *value < K1 + 1.0));
            prop_assert!(query.values.iter().all(|value| *value == 1.0));
        }

        #[test]
        fn case_does_not_matter(text in "[a-zA-Z0-9äöüÄÖÜß .-]{0,80}") {
            prop_assert_eq!(encode_query(&text), encode_query(&text.to_uppercase()));
        }
    }
}
