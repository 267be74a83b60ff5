//! What was forgotten, for whoever asked for it.

use std::time::Duration;

use penstock_runtime::Failure;
use penstock_schemas::{content_hash, now_ms};
use penstock_stages::scope::Scope;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::holdings::Holdings;
use super::topics::{Held, Purged};
use crate::dead_letters::{actor, shown};

/// Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forgotten {
    /// RFC 3339.
    pub at: String,
    pub actor: String,
    pub scope: Scope,
    pub group: String,
    /// Documents that were removed now.
    pub removed: u64,
    /// Documents that had been forgotten before.
    pub removed_before: u64,
    /// All of them.
    pub documents: Vec<Uuid>,
    /// Documents of which a newer version was sent meanwhile: that one stays.
    pub again: Vec<Uuid>,
    /// What the stores had; none where they could not be seen from here.
    pub found: Option<Holdings>,
    pub left: Option<Holdings>,
    /// The stores were looked into afterwards, and have nothing left.
    pub verified: bool,
    pub purged: Vec<Purged>,
    /// What still has records of them.
    pub held: Vec<Held>,
    /// What may hold them and is not looked after here.
    pub not_under_control: Vec<String>,
    pub seconds: f64,
    /// SHA-256 of all of this as compact JSON, with this field empty.
    pub sha256: String,
}

impl Forgotten {
    pub(super) fn begin(scope: &Scope, group: &str, took: Duration) -> Self {
        Self {
            at: shown(now_ms()),
            actor: actor(),
            scope: scope.clone(),
            group: group.to_owned(),
            removed: 0,
            removed_before: 0,
            documents: Vec::new(),
            again: Vec::new(),
            found: None,
            left: None,
            verified: false,
            purged: Vec::new(),
            held: Vec::new(),
            not_under_control: vec![
                "backups, snapshots and dumps of the stores, the objects and the log".to_owned(),
                "older versions and replicas that the object store keeps by itself".to_owned(),
                "the files the documents came from, and what other programs read off the topics"
                    .to_owned(),
            ],
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            sha256: String::new(),
        }
    }

    pub(super) fn sealed(mut self) -> Result<Self, Failure> {
        self.sha256 = self.digest()?;
        Ok(self)
    }

    /// What `sha256` is to be.
    pub fn digest(&self) -> Result<String, Failure> {
        let bare = Self {
            sha256: String::new(),
            ..self.clone()
        };
        let json = serde_json::to_vec(&bare)
            .map_err(|error| Failure::fatal(format!("the report cannot be written: {error}")))?;
        Ok(content_hash(&json))
    }

    /// For the audit topic.
    pub(super) fn detail(&self) -> Vec<(&'static str, String)> {
        let left = self.left.as_ref();
        let count = |of: fn(&Holdings) -> u64| self.found.as_ref().map_or(0, of).to_string();
        let held = self.held.iter().map(|it| it.topic.as_str());
        let purged = self.purged.iter();
        let purged = purged.map(|it| format!("{} {} {}", it.topic, it.partition, it.before));
        vec![
            ("removed", self.removed.to_string()),
            ("removed_before", self.removed_before.to_string()),
            ("points", count(|it| it.points)),
            ("nodes", count(|it| it.nodes)),
            ("objects", count(|it| it.objects)),
            ("cached_vectors", count(|it| it.cached_vectors)),
            ("verified", self.verified.to_string()),
            ("left", left.is_some_and(|it| !it.is_empty()).to_string()),
            ("held", held.collect::<Vec<_>>().join(" ")),
            ("purged", purged.collect::<Vec<_>>().join("\n")),
            ("sha256", self.sha256.clone()),
        ]
    }

    /// For a person.
    pub fn print(&self) -> String {
        let mut out = format!("{} documents forgotten", self.removed);
        if self.removed_before > 0 {
            out.push_str(&format!(", {} were forgotten before", self.removed_before));
        }
        out.push('\n');
        match &self.found {
            Some(found) => out.push_str(&format!("found: {}\n", line(found))),
            None => out.push_str("found: the stores cannot be seen from here\n"),
        }
        match &self.left {
            Some(left) if left.is_empty() => {
                out.push_str("left in both stores, the objects and the cache: nothing\n");
            }
            Some(left) => out.push_str(&format!("left: {}\n", line(left))),
            None => out.push_str(
                "not verified: run it beside the process that owns the stores, with its --data\n",
            ),
        }
        if !self.again.is_empty() {
            out.push_str(&format!(
                "{} of them were sent again meanwhile, as newer versions: those stay\n",
                self.again.len()
            ));
        }
        for it in &self.purged {
            out.push_str(&format!(
                "purged: {} partition {} before offset {}\n",
                it.topic, it.partition, it.before
            ));
        }
        for it in &self.held {
            let what = match it.text {
                true => "records with text",
                false => "records with names, attributes or references",
            };
            let until = it.until.as_deref().unwrap_or("no set time");
            out.push_str(&format!(
                "still held: {}: {} {what}, until {until}: {}\n",
                it.topic, it.records, it.why
            ));
        }
        for it in &self.not_under_control {
            out.push_str(&format!("not looked after here: {it}\n"));
        }
        out.push_str(&format!("report {}\n", self.sha256));
        out
    }
}

fn line(it: &Holdings) -> String {
    format!(
        "{} points, {} nodes, {} objects ({} bytes), {} cached vectors",
        it.points, it.nodes, it.objects, it.bytes, it.cached_vectors
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seal_holds_what_is_above_it() {
        let scope = Scope::Group("g".to_owned());
        let report = Forgotten::begin(&scope, "g", Duration::from_millis(1500));
        let mut report = report.sealed().unwrap();
        assert_eq!(report.sha256.len(), 64);
        let json = serde_json::to_string(&report).unwrap();
        let read: Forgotten = serde_json::from_str(&json).unwrap();
        assert_eq!(read.digest().unwrap(), report.sha256);
        report.removed = 1;
        assert_ne!(report.digest().unwrap(), report.sha256);
    }
}
