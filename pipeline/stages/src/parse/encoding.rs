//! Bytes to characters: by mark, then strictly as UTF-8, then by guess.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How much of a text the guess is made from, bytes.
const GUESS_FROM: usize = 1 << 20;

/// `bytes` as text, line ends as `\n`, without a byte order mark.
pub fn decode(bytes: &[u8]) -> String {
    decode_as(of(bytes), bytes)
}

/// A part of the document `whole`, whose mark holds for all parts.
pub fn decode_part(part: &[u8], whole: &[u8]) -> String {
    let wide = marked(whole).or_else(|| wide_without_mark(whole));
    decode_as(wide.unwrap_or_else(|| of(part)), part)
}

/// `bytes` in `encoding`, likewise. Bytes that do not belong become U+FFFD.
pub fn decode_as(encoding: &'static Encoding, bytes: &[u8]) -> String {
    let (text, _) = encoding.decode_with_bom_removal(bytes);
    if text.contains('\r') {
        return text.replace("\r\n", "\n").replace('\r', "\n");
    }
    Cow::into_owned(text)
}

/// The encoding of `bytes`.
pub fn of(bytes: &[u8]) -> &'static Encoding {
    if let Some(marked) = marked(bytes) {
        return marked;
    }
    if let Some(wide) = wide_without_mark(bytes) {
        return wide;
    }
    if is_mostly_utf8(bytes) {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes.get(..GUESS_FROM).unwrap_or(bytes), true);
    detector.guess(None, Utf8Detection::Deny)
}

/// The encoding that a byte order mark names.
pub fn marked(bytes: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_bom(bytes).map(|(encoding, _)| encoding)
}

/// Two bytes per unit: the document may be cut only between units.
pub fn is_wide(bytes: &[u8]) -> Option<&'static Encoding> {
    marked(bytes)
        .or_else(|| wide_without_mark(bytes))
        .filter(|found| *found == UTF_16LE || *found == UTF_16BE)
}

/// UTF-16 without a mark: text in Latin letters has a zero in nearly every other byte.
fn wide_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = bytes.get(..4096).unwrap_or(bytes);
    let pairs = sample.len() / 2;
    if pairs < 8 {
        return None;
    }
    let zeros = |first: usize| {
        sample
            .iter()
            .skip(first)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    if odd * 10 > pairs * 9 && even == 0 {
        return Some(UTF_16LE);
    }
    if even * 10 > pairs * 9 && odd == 0 {
        return Some(UTF_16BE);
    }
    None
}

/// Valid UTF-8, or UTF-8 with a few wrong bytes: multi-byte characters come about by accident in no Western
/// encoding, and in an Asian one far too rarely beside what is wrong.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += chunk.invalid().len();
    }
    bad == 0 || good * 4 >= bad && good > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        fn check(bytes: &[u8], expect: &str) {
            assert_eq!(decode(bytes), expect);
        }
        let german = "Größe der Straße über München, für Züge und Öfen geprüft.";
        let (latin1, _, _) = encoding_rs::WINDOWS_1252.encode(german);
        let utf16 = |mark: bool, big: bool| -> Vec<u8> {
            let units = mark.then_some(0xFEFF).into_iter();
            units
                .chain(german.encode_utf16())
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect()
        };
        check(german.as_bytes(), german);
        check(&latin1, german);
        check(&utf16(true, false), german);
        check(&utf16(true, true), german);
        check("\u{feff}a\r\nb\rc".as_bytes(), "a\nb\nc");
        check(b"", "");
        check(
            b"# Caf\xc3\xa9 \xc3\xbc\nThe caf\xe9 opens",
            "# Café ü\nThe caf\u{fffd} opens",
        );
        let plain: Vec<u8> = "plain words only, twice"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        check(&plain, "plain words only, twice");
    }
}
