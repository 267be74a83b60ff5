//! A dead letter as the tools show it, without its value.

use penstock_runtime::{Headers, Provenance, Record, lineage};
use penstock_schemas::{Lineage, dead_letters_of};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time;
use crate::pipeline::topology;

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl Place {
    pub fn of(record: &Record) -> Self {
        Self {
            topic: record.partition.topic.to_string(),
            partition: record.partition.number,
            offset: record.offset,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.topic, self.partition, self.offset)
    }
}

/// Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// In the dead-letter topic.
    #[serde(flatten)]
    pub place: Place,
    pub stage: String,
    pub class: String,
    pub reason: String,
    pub document_guid: Option<Uuid>,
    pub redrives: u32,
    /// When it died, RFC 3339.
    pub time: String,
    pub attempts: Option<u32>,
    /// Where the record lay when it died.
    pub original: Option<Place>,
    /// When it was put back, RFC 3339; none: it waits.
    pub put_back: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(skip)]
    pub died_at: i64,
    #[serde(skip)]
    pub lineage: Option<Lineage>,
}

impl Letter {
    /// What the record of a dead-letter topic tells, with nothing decoded. What another program left out is filled in
    /// from the topic's name.
    pub fn of(record: &Record) -> Self {
        let place = Place::of(record);
        let told = Provenance::of(&record.headers);
        let origin = lineage::Origin::from_headers(&record.headers);
        let died_at = told.time.unwrap_or(record.timestamp);
        let original = match (told.topic, told.partition, told.offset) {
            (Some(topic), Some(partition), Some(offset)) => Some(Place {
                topic,
                partition,
                offset,
            }),
            _ => None,
        };
        let reader = || reader_of(original_of(&place.topic)).map(str::to_owned);
        Self {
            stage: told.stage.or_else(reader).unwrap_or_default(),
            class: told.class.unwrap_or_else(|| "unknown".to_owned()),
            reason: told.reason.unwrap_or_default(),
            document_guid: document_of(&record.headers, record.key.as_deref()),
            redrives: told.redrives,
            time: time::shown(died_at),
            attempts: told.attempts,
            original,
            put_back: None,
            died_at,
            lineage: origin.lineage,
            place,
        }
    }
}

/// Whose record it is: by its headers, or by its key, which begins with the document on every topic.
pub fn document_of(headers: &Headers, key: Option<&[u8]>) -> Option<Uuid> {
    let told = lineage::text(headers, lineage::DOCUMENT).and_then(|it| it.parse().ok());
    told.or_else(|| {
        let key = std::str::from_utf8(key?).ok()?;
        key.split('/').next()?.parse().ok()
    })
}

/// The topic whose dead letters these are.
pub fn original_of(dead_letters: &str) -> &str {
    penstock_schemas::original_of(dead_letters).unwrap_or(dead_letters)
}

/// The stage that reads a topic.
pub fn reader_of(topic: &str) -> Option<&'static str> {
    let stage = topology().into_iter().find(|it| it.from == topic)?;
    Some(stage.name)
}

/// Every dead-letter topic, in the order records flow.
pub fn dead_letter_topics() -> Vec<String> {
    let read = topology().into_iter().map(|it| it.from);
    read.map(dead_letters_of).collect()
}

#[cfg(test)]
pub mod tests {
    use bytes::Bytes;
    use penstock_runtime::Partition;

    use super::*;

    pub fn record(topic: &str, offset: i64, headers: &[(&str, &str)]) -> Record {
        Record {
            partition: Partition {
                topic: topic.into(),
                number: 1,
            },
            offset,
            timestamp: 5_000,
            key: Some(Bytes::from("00000000-0000-0000-0000-000000000007/3")),
            value: None,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned().into(), Bytes::from((*value).to_owned())))
                .collect(),
        }
    }

    #[test]
    fn headers_tell_and_the_key_and_the_topic_stand_in() {
        let full = Letter::of(&record(
            "rag.parts.v1.dlq",
            4,
            &[
                ("penstock.document", "00000000-0000-0000-0000-000000000009"),
                ("dlq.stage", "parse"),
                ("dlq.class", "poison"),
                ("dlq.reason", "torn"),
                ("dlq.topic", "rag.parts.v1"),
                ("dlq.partition", "1"),
                ("dlq.offset", "40"),
                ("dlq.attempts", "2"),
                ("dlq.time", "1000"),
                ("dlq.redrives", "1"),
            ],
        ));
        assert_eq!(full.place.to_string(), "rag.parts.v1.dlq 1 4");
        assert_eq!(
            (full.stage.as_str(), full.class.as_str()),
            ("parse", "poison")
        );
        assert_eq!(full.document_guid, Some(Uuid::from_u128(9)));
        assert_eq!(full.original.unwrap().to_string(), "rag.parts.v1 1 40");
        assert_eq!((full.attempts, full.redrives), (Some(2), 1));
        assert_eq!(full.time, "1970-01-01T00:00:01.000Z");

        let bare = Letter::of(&record("rag.parts.v1.dlq", 4, &[]));
        assert_eq!(
            (bare.stage.as_str(), bare.class.as_str()),
            ("parse", "unknown")
        );
        assert_eq!(bare.document_guid, Some(Uuid::from_u128(7)));
        assert_eq!((bare.original, bare.died_at), (None, 5_000));
    }

    /// The fields design promises to scripts.
    #[test]
    fn json_has_the_promised_fields() {
        let letter = Letter::of(&record("rag.parts.v1.dlq", 4, &[]));
        let json = serde_json::to_value(&letter).unwrap();
        for field in [
            "topic",
            "partition",
            "offset",
            "stage",
            "class",
            "reason",
            "document_guid",
            "redrives",
        ] {
            assert!(json.get(field).is_some(), "{field} is missing in {json}");
        }
    }
}
