//! What was done to letters by hand: records of `rag.audit.v1`.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;

use penstock_adapters::kafka::read_topic;
use penstock_runtime::{Failure, Outgoing, Route};
use penstock_schemas::{Audit, Codec, now_ms, topics};
use serde::Serialize;

use super::letter::Place;
use super::time;
use crate::system::Log;

pub const REDRIVE: &str = "dead-letters redrive";
pub const SKIP: &str = "dead-letters skip";

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// RFC 3339.
    pub at: String,
    pub actor: String,
    pub action: String,
    #[serde(flatten)]
    pub detail: BTreeMap<String, String>,
}

/// All that was done, by the place it was done to.
#[derive(Debug, Default)]
pub struct History {
    events: HashMap<Place, Vec<Event>>,
}

impl History {
    pub async fn read(log: &Log) -> Result<Self, Failure> {
        let mut history = Self::default();
        let mut audits: Vec<Audit> = read_topic(&log.kafka, &log.codec, topics::AUDIT)
            .await?
            .into_iter()
            .filter_map(|entry| entry.value)
            .collect();
        audits.sort_by_key(|audit| audit.at);
        for audit in audits {
            history.hear(audit);
        }
        Ok(history)
    }

    fn hear(&mut self, audit: Audit) {
        if let Some(place) = place_in(&audit.detail) {
            let event = Event {
                at: time::shown(audit.at),
                actor: audit.actor,
                action: audit.action,
                detail: audit.detail,
            };
            self.events.entry(place).or_default().push(event);
        }
    }

    /// What was done to the record at this place, oldest first.
    pub fn of(&self, place: &Place) -> &[Event] {
        self.events.get(place).map_or(&[], Vec::as_slice)
    }

    /// When the letter at this place was put back, and by whom.
    pub fn put_back(&self, place: &Place) -> Option<&Event> {
        self.of(place).iter().find(|event| event.action == REDRIVE)
    }
}

fn place_in(detail: &BTreeMap<String, String>) -> Option<Place> {
    Some(Place {
        topic: detail.get("topic")?.clone(),
        partition: detail.get("partition")?.parse().ok()?,
        offset: detail.get("offset")?.parse().ok()?,
    })
}

/// The record that says `action` was done to `place` now, by `actor`.
pub fn audit(
    log: &Log,
    actor: &str,
    action: &str,
    place: &Place,
    more: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Outgoing, Failure> {
    let at = [
        ("topic", place.topic.clone()),
        ("partition", place.partition.to_string()),
        ("offset", place.offset.to_string()),
    ];
    audited(&log.codec, actor, action, more.into_iter().chain(at))
}

/// The record that says `action` was done now, by `actor`.
pub fn audited(
    codec: &Codec,
    actor: &str,
    action: &str,
    detail: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Outgoing, Failure> {
    let detail = detail.into_iter();
    let record = Audit {
        at: now_ms(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        detail: detail
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    };
    topics::AUDIT
        .encode(codec, &record)
        .map_err(|error| Failure::fatal(format!("the audit record cannot be encoded: {error}")))
}

/// Who is doing this: user@host.
pub fn actor() -> String {
    format!("{}@{}", user(), host())
}

fn user() -> String {
    let from = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let by_id = || {
        let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(name_of(&users, &id).unwrap_or(format!("uid {id}")))
    };
    // Who this process is counts for more than what its environment says.
    by_id()
        .or_else(|| from("USER"))
        .or_else(|| from("LOGNAME"))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The name of a user id in the lines of a passwd file.
fn name_of(users: &str, id: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2) == Some(&id)).then(|| fields.first().map(|name| (*name).to_owned()))?
    })
}

fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let asked = || {
        let output = std::process::Command::new("uname")
            .arg("-n")
            .output()
            .ok()?;
        String::from_utf8(output.stdout).ok()
    };
    kernel
        .or_else(asked)
        .map(|it| it.trim().to_owned())
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(at: i64, action: &str, offset: &str) -> Audit {
        let detail = [("topic", "t.dlq"), ("partition", "0"), ("offset", offset)];
        Audit {
            at,
            actor: "ann@desk".to_owned(),
            action: action.to_owned(),
            detail: detail
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    #[test]
    fn only_a_redrive_puts_back() {
        let mut history = History::default();
        history.hear(done(1, REDRIVE, "4"));
        history.hear(done(2, SKIP, "5"));
        history.hear(done(3, REDRIVE, "not a number"));
        let place = |offset| Place {
            topic: "t.dlq".to_owned(),
            partition: 0,
            offset,
        };
        let put_back = |offset| history.put_back(&place(offset)).map(|it| it.at.as_str());
        assert_eq!(put_back(4), Some("1970-01-01T00:00:00.001Z"));
        assert_eq!(put_back(5), None);
        assert_eq!(put_back(6), None);
        assert_eq!(history.of(&place(5)).len(), 1);
    }

    #[test]
    fn names_of_users() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(users, "1000").as_deref(), Some("ann"));
        assert_eq!(name_of(users, "7"), None);
        assert!(actor().contains('@'));
    }
}
