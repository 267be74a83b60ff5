//! Where a document is cut.

use penstock_schemas::{Range, Unit};

use crate::parse::{Kind, is_wide};

/// Pages of a part of a PDF.
const PAGES: usize = 25;
/// Bytes of a part of a text.
const BYTES: usize = 8 << 20;

/// Page ranges, counted from 1; none where the document is one part.
pub fn pages(count: usize) -> Vec<Range> {
    if count <= PAGES {
        return Vec::new();
    }
    (0..count)
        .step_by(PAGES)
        .map(|before| Range {
            unit: Unit::Pages,
            first: before as i64 + 1,
            last: (before + PAGES).min(count) as i64,
        })
        .collect()
}

/// Byte ranges that end with a line, counted from 0; none where the document is one part.
pub fn lines(bytes: &[u8], kind: Kind) -> Vec<Range> {
    cut_lines(bytes, kind, BYTES)
}

fn cut_lines(bytes: &[u8], kind: Kind, most: usize) -> Vec<Range> {
    if bytes.len() <= most {
        return Vec::new();
    }
    let cut = match (is_wide(bytes), kind) {
        (Some(encoding), _) => Cut::Wide {
            little: encoding == encoding_rs::UTF_16LE,
        },
        (None, Kind::Csv) => Cut::Rows,
        (None, _) => Cut::Lines,
    };
    let mut ranges = Vec::new();
    let mut first = 0;
    while first < bytes.len() {
        let rest = bytes.get(first..).unwrap_or(&[]);
        let length = if rest.len() <= most {
            rest.len()
        } else {
            cut.length(rest.get(..most).unwrap_or(rest))
        };
        ranges.push(Range {
            unit: Unit::Bytes,
            first: first as i64,
            last: (first + length) as i64 - 1,
        });
        first += length;
    }
    ranges
}

enum Cut {
    Lines,
    /// Line ends inside quotes end no row.
    Rows,
    /// Two bytes per unit.
    Wide {
        little: bool,
    },
}

impl Cut {
    /// How much of `window` the part takes: at least one byte, up to the last line end if there is one.
    fn length(&self, window: &[u8]) -> usize {
        let at_line = match self {
            Self::Lines => after_last_line_end(window),
            Self::Rows => after_last_row(window).or_else(|| after_last_line_end(window)),
            Self::Wide { little } => after_last_wide_line_end(window, *little),
        };
        let at = at_line.unwrap_or_else(|| match self {
            Self::Wide { .. } => window.len() & !1,
            _ => between_characters(window),
        });
        at.max(1)
    }
}

fn after_last_line_end(window: &[u8]) -> Option<usize> {
    window
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map(|at| at + 1)
}

fn after_last_row(window: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    let mut last = None;
    for (at, byte) in window.iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => last = Some(at + 1),
            _ => {}
        }
    }
    last
}

fn after_last_wide_line_end(window: &[u8], little: bool) -> Option<usize> {
    let line_end: [u8; 2] = if little { *b"\n\0" } else { *b"\0\n" };
    let (units, _) = window.as_chunks::<2>();
    units
        .iter()
        .rposition(|unit| *unit == line_end)
        .map(|at| (at + 1) * 2)
}

/// One endless line: after its last space, or at least not inside a UTF-8 character.
fn between_characters(window: &[u8]) -> usize {
    let near = window.len().saturating_sub(64 << 10);
    let tail = window.get(near..).unwrap_or(window);
    if let Some(at) = tail.iter().rposition(|byte| *byte == b' ') {
        return near + at + 1;
    }
    match std::str::from_utf8(window) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => window.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_cut_by_25() {
        fn check(count: usize, expect: &[(i64, i64)]) {
            let ranges: Vec<(i64, i64)> = pages(count).iter().map(|r| (r.first, r.last)).collect();
            assert_eq!(ranges, expect);
        }
        check(0, &[]);
        check(25, &[]);
        check(26, &[(1, 25), (26, 26)]);
        check(75, &[(1, 25), (26, 50), (51, 75)]);
    }

    #[test]
    fn texts_are_cut_at_line_ends() {
        fn check(bytes: &[u8], kind: Kind, most: usize, expect: &[&[u8]]) {
            let ranges = cut_lines(bytes, kind, most);
            let parts: Vec<&[u8]> = ranges
                .iter()
                .map(|r| &bytes[r.first as usize..=r.last as usize])
                .collect();
            assert_eq!(parts, expect);
        }
        check(b"ab\ncd\n", Kind::Text, 6, &[]);
        check(b"ab\ncd\ne", Kind::Text, 6, &[b"ab\ncd\n", b"e"]);
        check(b"ab\ncd\ne", Kind::Text, 4, &[b"ab\n", b"cd\ne"]);
        check(b"abcdefgh", Kind::Text, 3, &[b"abc", b"def", b"gh"]);
        check(b"ab cdefgh", Kind::Text, 5, &[b"ab ", b"cdefg", b"h"]);
        check(
            "ääää".as_bytes(),
            Kind::Text,
            5,
            &["ää".as_bytes(), "ää".as_bytes()],
        );
        check(
            b"a,b\n\"x\ny\",z\n1,2\n",
            Kind::Csv,
            8,
            &[b"a,b\n", b"\"x\ny\",z\n", b"1,2\n"],
        );
        check(
            b"\xff\xfea\0\n\0b\0",
            Kind::Text,
            7,
            &[b"\xff\xfea\0\n\0", b"b\0"],
        );
        check(b"\xfe\xff\0a\0b", Kind::Text, 5, &[b"\xfe\xff\0a", b"\0b"]);
    }

    #[test]
    fn parts_are_the_whole() {
        let text: Vec<u8> = (0..5_000_u32)
            .flat_map(|n| format!("{n}ä\n").into_bytes())
            .collect();
        for most in [64, 65, 1000, 4096] {
            let ranges = cut_lines(&text, Kind::Text, most);
            let whole: Vec<u8> = ranges
                .iter()
                .flat_map(|r| text[r.first as usize..=r.last as usize].to_vec())
                .collect();
            assert!(whole == text);
            assert!(ranges.iter().all(|r| r.last - r.first < most as i64));
        }
    }
}
