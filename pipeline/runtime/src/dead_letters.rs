use std::sync::Arc;

use bytes::Bytes;

use crate::{Headers, Outgoing, Partition, lineage};

/// Headers that redrive strips, all but the count of redrives.
const PREFIX: &str = "dlq.";
/// How often a record was put back; it survives redriving.
pub const REDRIVES: &str = "dlq.redrives";

/// Why a record is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// undecodable, poison, panic or exhausted.
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
    topic: Arc<str>,
}

impl DeadLetters {
    /// `topic` takes the letters of `stage`.
    pub fn new(stage: &str, topic: &str) -> Self {
        Self {
            stage: stage.into(),
            topic: topic.into(),
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
        let redrives = lineage::text(original.headers, REDRIVES)
            .and_then(|count| count.parse::<u32>().ok())
            .unwrap_or(0);
        // A name of ours on the original can only be left from a redrive: it would stand twice.
        let mut headers: Headers = original
            .headers
            .iter()
            .filter(|(name, _)| !name.starts_with(PREFIX))
            .cloned()
            .collect();
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
                .map(|(name, value)| (name.to_owned(), Bytes::from(value))),
        );
        Outgoing {
            topic: self.topic.clone(),
            key: original.key.clone(),
            value: original.value.clone(),
            headers,
        }
    }
}
