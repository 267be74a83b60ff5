//! `penstock dead-letters show`.

use std::collections::HashSet;

use penstock_adapters::kafka::Reading;
use penstock_runtime::{Failure, Headers, Record, learn, stripped};
use penstock_schemas::LedgerEntry;
use serde::Serialize;
use serde_json::Value;

use super::fate::read_entries;
use super::filter::place_of_letter;
use super::history::{Event, History};
use super::letter::{Letter, Place, original_of};
use super::records::RecordType;
use super::{Desk, list};
use crate::cli::AtArgs;
use crate::commands::print;
use crate::system::Log;

/// Bytes of a value that cannot be decoded.
const HEAD: usize = 256;

/// All that is known of one letter.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    pub letter: Letter,
    /// The release that gave it up.
    pub version: Option<String>,
    /// Text, or bytes in hex where it is none.
    pub key: Option<String>,
    /// Those of the record itself, in order.
    pub headers: Vec<(String, String)>,
    /// Name of the record type.
    pub schema: Option<&'static str>,
    pub record: Option<Value>,
    /// Why there is no `record`.
    pub undecodable: Option<String>,
    /// The first bytes of what cannot be decoded, in hex.
    pub head: Option<String>,
    /// Size of the value.
    pub bytes: usize,
    /// Redrives of the letter and skips of its record, oldest first.
    pub history: Vec<Event>,
    /// What the ledger says of its document.
    pub document: Option<DocumentStanding>,
}

/// A document in the ledger.
#[derive(Debug, Serialize)]
pub struct DocumentStanding {
    pub group: String,
    /// The version readers see.
    pub visible: Option<String>,
    /// The newest version settle has heard of.
    pub newest: Option<String>,
    /// The version that deleted it.
    pub deleted: Option<String>,
    pub open: Vec<EditionStanding>,
}

#[derive(Debug, Serialize)]
pub struct EditionStanding {
    pub edition: String,
    pub version: String,
    pub step: Value,
    pub dead: usize,
    /// True where the letter belongs to it.
    pub of_letter: bool,
}

pub(super) async fn show(desk: &Desk, at: &AtArgs, json: bool) -> Result<u8, Failure> {
    let log = desk.log();
    let place = place_of_letter(at)?;
    let Some(record) = record_at(log, &place).await? else {
        return Err(Failure::fatal(format!(
            "there is no dead letter at {place}: `penstock dead-letters list` names them"
        )));
    };
    let shown = shown(log, place, record).await?;
    print(json, &shown, || text(&shown));
    Ok(0)
}

/// Exactly the record at this place; none where it is gone, or not there yet.
pub(super) async fn record_at(log: &Log, place: &Place) -> Result<Option<Record>, Failure> {
    let (topic, offset) = (&place.topic, place.offset);
    let mut reading = Reading::start_at(&log.kafka, topic, place.partition, offset).await?;
    let first = reading.next().await?;
    Ok(first.filter(|record| record.offset == offset))
}

async fn shown(log: &Log, place: Place, record: Record) -> Result<Shown, Failure> {
    let mut letter = Letter::of(&record);
    let history = History::read(log).await?;
    letter.put_back = history.put_back(&place).map(|it| it.at.clone());
    let mut events = history.of(&place).to_vec();
    if let Some(original) = &letter.original {
        events.extend_from_slice(history.of(original));
    }
    events.sort_by(|a, b| a.at.cmp(&b.at));
    let document = match letter.document_guid {
        Some(id) => read_entries(log, &HashSet::from([id])).await?.remove(&id),
        None => None,
    };
    let kind = RecordType::of_topic(original_of(&place.topic));
    learn(&log.codec, &record).await?;
    let value = record.value.as_deref();
    let decoded = match (kind, value) {
        (Some(kind), Some(value)) => kind.decode(&log.codec, value),
        (Some(_), None) => Err("it has no value".to_owned()),
        (None, _) => Err("its topic is read by no stage".to_owned()),
    };
    let bytes = value.unwrap_or_default();
    let head = decoded
        .is_err()
        .then(|| hex(bytes.get(..HEAD).unwrap_or(bytes)));
    let (decoded, undecodable) = match decoded {
        Ok(decoded) => (Some(decoded), None),
        Err(error) => (None, Some(error)),
    };
    Ok(Shown {
        version: penstock_runtime::Provenance::of(&record.headers).version,
        key: record.key.as_deref().map(text_or_hex),
        headers: readable(&stripped(&record.headers)),
        schema: kind.map(|kind| kind.name),
        record: decoded,
        undecodable,
        head,
        bytes: bytes.len(),
        history: events,
        document: document.map(|entry| standing(&entry, &letter)),
        letter,
    })
}

fn standing(entry: &LedgerEntry, letter: &Letter) -> DocumentStanding {
    let edition = letter.lineage.as_ref().map(|lineage| lineage.edition);
    DocumentStanding {
        group: entry.group.clone(),
        visible: entry
            .visible
            .as_ref()
            .map(|it| it.lineage.version.to_string()),
        newest: entry.newest.map(|it| it.to_string()),
        deleted: entry.deleted.map(|it| it.to_string()),
        open: entry
            .open
            .iter()
            .map(|open| EditionStanding {
                edition: open.lineage.edition.to_string(),
                version: open.lineage.version.to_string(),
                step: serde_json::to_value(open.step).unwrap_or_default(),
                dead: open.dead.len(),
                of_letter: edition == Some(open.lineage.edition),
            })
            .collect(),
    }
}

fn readable(headers: &Headers) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text_or_hex(value)))
        .collect()
}

fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

fn text(shown: &Shown) -> String {
    let mut out = list::line(&shown.letter);
    let mut say = |name: &str, value: String| out.push_str(&format!("{name}: {value}\n"));
    if let Some(original) = &shown.letter.original {
        say("original", original.to_string());
    }
    if let Some(attempts) = shown.letter.attempts {
        say("attempts", attempts.to_string());
    }
    if let Some(version) = &shown.version {
        say("given up by", format!("penstock {version}"));
    }
    say(
        "key",
        shown.key.clone().unwrap_or_else(|| "none".to_owned()),
    );
    for (name, value) in &shown.headers {
        say("header", format!("{name} = {value}"));
    }
    for event in &shown.history {
        say(
            "history",
            format!("{} {} by {}", event.at, event.action, event.actor),
        );
    }
    match &shown.document {
        None => say("document", "not in the ledger".to_owned()),
        Some(document) => {
            let version = |it: &Option<String>| it.clone().unwrap_or_else(|| "none".to_owned());
            say(
                "document",
                format!(
                    "visible {}, newest {}, deleted {}",
                    version(&document.visible),
                    version(&document.newest),
                    version(&document.deleted)
                ),
            );
            for open in &document.open {
                let whose = if open.of_letter {
                    " (the letter's)"
                } else {
                    ""
                };
                let step = open.step.as_str().unwrap_or_default();
                say(
                    "edition",
                    format!("{} {step}, {} dead{whose}", open.edition, open.dead),
                );
            }
        }
    }
    match (&shown.record, &shown.undecodable) {
        (Some(record), _) => {
            let pretty = serde_json::to_string_pretty(record).unwrap_or_default();
            say(shown.schema.unwrap_or("record"), pretty);
        }
        (None, why) => {
            say("undecodable", why.clone().unwrap_or_default());
            say(
                &format!("head of {} bytes", shown.bytes),
                shown.head.clone().unwrap_or_default(),
            );
        }
    }
    out
}
