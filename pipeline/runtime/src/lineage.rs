//! Lineage and trace context as headers, so that even a record nobody can decode is accounted for.

use std::borrow::Cow;

use bytes::Bytes;
use penstock_schemas::{Lineage, Message};
use uuid::Uuid;

use crate::Headers;

pub const GROUP: &str = "penstock.group";
pub const DOCUMENT: &str = "penstock.document";
pub const VERSION: &str = "penstock.version";
pub const EDITION: &str = "penstock.edition";
/// When the edition was stamped, milliseconds since the epoch.
pub const STAMPED: &str = "penstock.stamped";
pub const PART: &str = "penstock.part";
pub const ORDINAL: &str = "penstock.ordinal";
pub const CHUNK: &str = "penstock.chunk";
pub const CORRELATION: &str = "correlation-id";
/// Carried from every input to all that comes of it: W3C trace context, and our correlation id.
pub const CARRIED: [&str; 4] = ["traceparent", "tracestate", "baggage", CORRELATION];

/// A header's name. One of ours costs nothing to keep.
pub fn interned(name: &str) -> Cow<'static, str> {
    const OURS: [&str; 8] = [
        GROUP, DOCUMENT, VERSION, EDITION, STAMPED, PART, ORDINAL, CHUNK,
    ];
    let known = OURS.iter().chain(&CARRIED).find(|it| **it == name);
    known.map_or_else(|| name.to_owned().into(), |it| (*it).into())
}

/// Whose record it is, and which piece of the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub lineage: Option<Lineage>,
    pub part: Option<i32>,
    pub ordinal: Option<i32>,
    pub chunk: Option<Uuid>,
}

impl Origin {
    pub fn of<T: Message>(record: &T) -> Self {
        Self {
            lineage: record.lineage(),
            part: record.part(),
            ordinal: record.ordinal(),
            chunk: record.chunk(),
        }
    }

    /// What the headers tell. A lineage that is not whole is none.
    pub fn from_headers(headers: &Headers) -> Self {
        Self {
            lineage: lineage_from(headers),
            part: parsed(headers, PART),
            ordinal: parsed(headers, ORDINAL),
            chunk: parsed(headers, CHUNK),
        }
    }

    pub fn headers(&self) -> Headers {
        let mut headers = Headers::new();
        let mut put = |name: &'static str, value: Option<String>| {
            if let Some(value) = value {
                headers.push((name.into(), Bytes::from(value)));
            }
        };
        if let Some(lineage) = &self.lineage {
            put(GROUP, Some(lineage.group.clone()));
            put(DOCUMENT, Some(lineage.document_guid.to_string()));
            put(VERSION, Some(lineage.version.to_string()));
            put(EDITION, Some(lineage.edition.to_string()));
            put(STAMPED, Some(lineage.stamped.to_string()));
        }
        put(PART, self.part.map(|part| part.to_string()));
        put(ORDINAL, self.ordinal.map(|ordinal| ordinal.to_string()));
        put(CHUNK, self.chunk.map(|chunk| chunk.to_string()));
        headers
    }
}

/// The headers an output carries over from its input. One without a correlation id gets its place in the log for one.
pub fn carried(input: &Headers, topic: &str, partition: i32, offset: i64) -> Headers {
    let mut headers: Headers = input
        .iter()
        .filter(|(name, _)| CARRIED.contains(&&**name))
        .cloned()
        .collect();
    if text(&headers, CORRELATION).is_none() {
        let place = format!("{topic}/{partition}/{offset}");
        headers.push((CORRELATION.into(), Bytes::from(place)));
    }
    headers
}

/// A header's value as text; none where it is missing or not UTF-8.
pub fn text<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(found, _)| found == name)?;
    std::str::from_utf8(value).ok()
}

/// A header's value, parsed; none where it is missing or something else.
pub fn parsed<T: std::str::FromStr>(headers: &Headers, name: &str) -> Option<T> {
    text(headers, name)?.parse().ok()
}

fn lineage_from(headers: &Headers) -> Option<Lineage> {
    Some(Lineage {
        group: text(headers, GROUP)?.to_owned(),
        document_guid: parsed(headers, DOCUMENT)?,
        version: parsed(headers, VERSION)?,
        edition: parsed(headers, EDITION)?,
        stamped: parsed(headers, STAMPED)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            lineage: Some(Lineage {
                group: "freight".to_owned(),
                document_guid: Uuid::from_u128(1),
                version: Uuid::from_u128(2),
                edition: Uuid::from_u128(3),
                stamped: -4,
            }),
            part: Some(5),
            ordinal: Some(6),
            chunk: Some(Uuid::from_u128(7)),
        }
    }

    #[test]
    fn headers_carry_it_there_and_back() {
        assert_eq!(Origin::from_headers(&origin().headers()), origin());
        let nothing = Origin::default();
        assert_eq!(Origin::from_headers(&nothing.headers()), nothing);
    }

    #[test]
    fn half_a_lineage_is_none() {
        for missing in [GROUP, DOCUMENT, VERSION, EDITION, STAMPED] {
            let mut headers = origin().headers();
            headers.retain(|(name, _)| name != missing);
            assert_eq!(Origin::from_headers(&headers).lineage, None, "{missing}");
            headers.push((missing.into(), Bytes::from_static(b"\xFF\xFE")));
            assert_eq!(Origin::from_headers(&headers).lineage, None, "{missing}");
            assert_eq!(Origin::from_headers(&headers).part, Some(5));
        }
    }

    #[test]
    fn trace_context_is_carried_and_nothing_else() {
        type Pairs = [(&'static str, &'static str)];
        let check = |input: &Pairs, expect: &Pairs| {
            let headers = |pairs: &[(&'static str, &'static str)]| -> Headers {
                let pair = |(name, value): &(&'static str, &'static str)| {
                    ((*name).into(), Bytes::from(*value))
                };
                pairs.iter().map(pair).collect()
            };
            assert_eq!(carried(&headers(input), "t", 1, 2), headers(expect));
        };
        check(&[], &[("correlation-id", "t/1/2")]);
        check(
            &[
                ("traceparent", "00-a-b-01"),
                ("penstock.part", "3"),
                ("correlation-id", "c"),
            ],
            &[("traceparent", "00-a-b-01"), ("correlation-id", "c")],
        );
    }
}
