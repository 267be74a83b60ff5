use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Headers, Outgoing, Partition, Record, lineage};

/// Headers that redrive strips, all but the count of redrives.
const PREFIX: &str = "dlq.";
/// How often a record was put back; it survives redriving.
pub const REDRIVES: &str = "dlq.redrives";

/// Why a record is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// undecodable, poison, panic, exhausted, killed or skipped.
    pub class: &'static str,
    pub reason: String,
}

/// What a dead letter keeps of its original.
#[derive(Debug, Clone)]
pub struct Original<'a> {
    pub partition: &'a Partition,
    pub offset: i64,
    pub key: &'a Option<Bytes>,
    pub value: &'a Option<Bytes>,
    pub headers: &'a Headers,
}

/// Makes dead letters: original key, value and headers untouched, plus where it came from and why it is dead.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    stage: Arc<str>,
    topic: Cow<'static, str>,
}

impl DeadLetters {
    /// `topic` takes the letters of `stage`.
    pub fn new(stage: &str, topic: &str) -> Self {
        Self {
            stage: stage.into(),
            topic: topic.to_owned().into(),
        }
    }

    /// `at` is in milliseconds since the epoch.
    pub fn letter(
        &self,
        original: &Original<'_>,
        cause: &Cause,
        attempts: u32,
        at: i64,
    ) -> Outgoing {
        let redrives = redrives_of(original.headers);
        // A name of ours on the original can only be left from a redrive: it would stand twice.
        let mut headers = stripped(original.headers);
        let provenance = [
            ("dlq.stage", self.stage.to_string()),
            ("dlq.class", cause.class.to_owned()),
            ("dlq.reason", cause.reason.clone()),
            ("dlq.topic", original.partition.topic.to_string()),
            ("dlq.partition", original.partition.number.to_string()),
            ("dlq.offset", original.offset.to_string()),
            ("dlq.attempts", attempts.to_string()),
            ("dlq.time", at.to_string()),
            ("dlq.version", env!("CARGO_PKG_VERSION").to_owned()),
            (REDRIVES, redrives.to_string()),
        ];
        headers.extend(
            provenance
                .into_iter()
                .map(|(name, value)| (name.into(), Bytes::from(value))),
        );
        Outgoing {
            topic: self.topic.clone(),
            key: original.key.clone(),
            value: original.value.clone(),
            headers,
        }
    }
}

/// Where a letter came from and why it is dead, as its headers tell. What they do not tell is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    pub stage: Option<String>,
    pub class: Option<String>,
    pub reason: Option<String>,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub attempts: Option<u32>,
    /// When it died, milliseconds since the epoch.
    pub time: Option<i64>,
    /// The release that gave it up.
    pub version: Option<String>,
    pub redrives: u32,
}

impl Provenance {
    pub fn of(headers: &Headers) -> Self {
        let text = |name: &str| lineage::text(headers, name).map(str::to_owned);
        Self {
            stage: text("dlq.stage"),
            class: text("dlq.class"),
            reason: text("dlq.reason"),
            topic: text("dlq.topic"),
            partition: lineage::parsed(headers, "dlq.partition"),
            offset: lineage::parsed(headers, "dlq.offset"),
            attempts: lineage::parsed(headers, "dlq.attempts"),
            time: lineage::parsed(headers, "dlq.time"),
            version: text("dlq.version"),
            redrives: redrives_of(headers),
        }
    }
}

/// The letter's record on its way back to `topic`: as it was, but for the count of redrives, which is one more.
pub fn put_back(letter: &Record, topic: &str) -> Outgoing {
    let redrives = redrives_of(&letter.headers).saturating_add(1);
    let mut headers = stripped(&letter.headers);
    headers.push((REDRIVES.into(), Bytes::from(redrives.to_string())));
    Outgoing {
        topic: topic.to_owned().into(),
        key: letter.key.clone(),
        value: letter.value.clone(),
        headers,
    }
}

/// The headers of the record itself.
pub fn stripped(headers: &Headers) -> Headers {
    headers
        .iter()
        .filter(|(name, _)| !name.starts_with(PREFIX))
        .cloned()
        .collect()
}

fn redrives_of(headers: &Headers) -> u32 {
    lineage::parsed(headers, REDRIVES).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(headers: &Headers) -> Outgoing {
        let partition = Partition {
            topic: "rag.chunks.v1".into(),
            number: 3,
        };
        let original = Original {
            partition: &partition,
            offset: 41,
            key: &Some(Bytes::from_static(b"key")),
            value: &Some(Bytes::from_static(b"\xC3\x01value")),
            headers,
        };
        let cause = Cause {
            class: "poison",
            reason: "vector is all zero".to_owned(),
        };
        let letters = DeadLetters::new("embed", "rag.chunks.v1.dlq");
        letters.letter(&original, &cause, 2, 1_795_000_000_000)
    }

    fn shown(headers: &Headers) -> Vec<String> {
        let line = |(name, value): &(Cow<'static, str>, Bytes)| {
            format!("{name}: {}", String::from_utf8_lossy(value))
        };
        headers.iter().map(line).collect()
    }

    /// Tools and alerts read these: a change here is a change of the contract.
    #[test]
    fn golden() {
        let original = vec![
            ("penstock.group".into(), Bytes::from_static(b"freight")),
            ("raw".into(), Bytes::from_static(&[0xFF, 0x00])),
            ("raw".into(), Bytes::from_static(b"twice")),
        ];
        let letter = letter(&original);
        assert_eq!(&*letter.topic, "rag.chunks.v1.dlq");
        assert_eq!(letter.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(letter.value.as_deref(), Some(&b"\xC3\x01value"[..]));
        assert_eq!(letter.headers[..3], original, "untouched, in order");
        let version = format!("dlq.version: {}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            shown(&letter.headers)[3..],
            [
                "dlq.stage: embed",
                "dlq.class: poison",
                "dlq.reason: vector is all zero",
                "dlq.topic: rag.chunks.v1",
                "dlq.partition: 3",
                "dlq.offset: 41",
                "dlq.attempts: 2",
                "dlq.time: 1795000000000",
                version.as_str(),
                "dlq.redrives: 0",
            ]
        );
    }

    fn as_read(letter: Outgoing) -> Record {
        Record {
            partition: Partition {
                topic: letter.topic.into(),
                number: 0,
            },
            offset: 0,
            timestamp: 0,
            key: letter.key,
            value: letter.value,
            headers: letter.headers,
        }
    }

    #[test]
    fn provenance_reads_what_was_written() {
        let letter = as_read(letter(&vec![(REDRIVES.into(), Bytes::from_static(b"2"))]));
        let expect = Provenance {
            stage: Some("embed".to_owned()),
            class: Some("poison".to_owned()),
            reason: Some("vector is all zero".to_owned()),
            topic: Some("rag.chunks.v1".to_owned()),
            partition: Some(3),
            offset: Some(41),
            attempts: Some(2),
            time: Some(1_795_000_000_000),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            redrives: 2,
        };
        assert_eq!(Provenance::of(&letter.headers), expect);
        assert_eq!(Provenance::of(&Headers::new()), Provenance::default());
    }

    /// Out and back again: nothing of the original is lost, and only the count is added.
    #[test]
    fn putting_back_keeps_the_original_and_counts() {
        let original = vec![
            ("penstock.group".into(), Bytes::from_static(b"freight")),
            ("raw".into(), Bytes::from_static(&[0xFF, 0x00])),
        ];
        let first = put_back(&as_read(letter(&original)), "rag.chunks.v1");
        assert_eq!(&*first.topic, "rag.chunks.v1");
        assert_eq!(first.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(first.value.as_deref(), Some(&b"\xC3\x01value"[..]));
        assert_eq!(first.headers[..2], original, "untouched, in order");
        assert_eq!(shown(&first.headers)[2..], ["dlq.redrives: 1"]);

        let again = letter(&first.headers);
        assert_eq!(Provenance::of(&again.headers).redrives, 1, "carried on");
        let second = put_back(&as_read(again), "rag.chunks.v1");
        assert_eq!(shown(&second.headers)[2..], ["dlq.redrives: 2"]);
    }

    #[test]
    fn redrives_are_carried_on_once() {
        let check = |count: &'static [u8], expect: &str| {
            let letter = letter(&vec![(REDRIVES.into(), Bytes::from_static(count))]);
            let shown = shown(&letter.headers);
            assert_eq!(shown.len(), 10);
            assert_eq!(shown.last().map(String::as_str), Some(expect));
        };
        check(b"2", "dlq.redrives: 2");
        check(b"many", "dlq.redrives: 0");
        check(b"\xFF", "dlq.redrives: 0");
    }
}
