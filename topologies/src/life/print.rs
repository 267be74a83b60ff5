//! A document's life for a person.

use super::{EditionLife, Life, Waiting};
use crate::dead_letters::line;

impl Life {
    pub fn print(&self) -> String {
        let unknown = || "unknown".to_owned();
        let told = |it: &Option<String>| it.clone().unwrap_or_else(unknown);
        let mut out = format!(
            "document {}: {}\n  group {}, source {}, key {}\n",
            self.document_guid,
            told(&self.path),
            told(&self.group),
            told(&self.source),
            told(&self.key)
        );
        match &self.sent {
            Some(sent) => out.push_str(&format!(
                "  newest version {}{}, sent {}\n",
                sent.version,
                if sent.deleted { ", a deletion" } else { "" },
                sent.at
            )),
            None => out.push_str("  its record is not in the log\n"),
        }
        if let Some(version) = self.deleted {
            let state = match &self.removed_at {
                Some(at) => format!("removed from both stores {at}"),
                None => "not removed from both stores yet".to_owned(),
            };
            out.push_str(&format!("  deleted by version {version}: {state}\n"));
        }
        for edition in &self.editions {
            out.push_str(&edition.print());
        }
        for letter in &self.dead_letters {
            out.push_str(&format!("dead letter {}", line(letter)));
        }
        out.push_str(&match &self.waits {
            Some(waits) => waits.print(),
            None => "waits for nothing\n".to_owned(),
        });
        out
    }
}

impl EditionLife {
    fn print(&self) -> String {
        let parts = match (self.parts, self.parts_pending) {
            (None, _) => "parts unknown".to_owned(),
            (Some(parts), 0) => format!("{parts} parts"),
            (Some(parts), pending) => format!("{parts} parts, {pending} without chunks yet"),
        };
        let dead = match self.dead {
            0 => String::new(),
            dead => format!(", {dead} dead"),
        };
        let mut out = format!(
            "edition {} of version {}: {} since {}\n  {parts}, {} chunks, {} in the vector store, {} in the graph{dead}\n",
            self.edition,
            self.version,
            self.state.replace('_', " "),
            self.since,
            self.chunks,
            self.indexed,
            self.linked
        );
        for it in &self.stages {
            let dead = match it.dead {
                0 => String::new(),
                dead => format!(", {dead} dead"),
            };
            out.push_str(&format!(
                "  {:<7}{:>10.3} s  {} to {}, {} done{dead}\n",
                it.stage,
                it.milliseconds as f64 / 1000.0,
                it.first,
                it.last,
                it.done
            ));
        }
        out
    }
}

impl Waiting {
    pub fn print(&self) -> String {
        let Some(stage) = &self.stage else {
            return format!("waits for somebody: {}\n", self.what);
        };
        let lag = match self.lag_records {
            Some(lag) if lag > 0 => format!("; {lag} records wait there"),
            _ => String::new(),
        };
        let running = match self.instances {
            Some(0) => "; no process runs it",
            _ => "",
        };
        format!("waits for {stage}: {}{lag}{running}\n", self.what)
    }
}
