//! What an ingest came to. Scripts rely on these fields.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub documents: Documents,
    /// Pages parsed (a document without pages counts as one for each of its parts).
    pub pages: u64,
    pub chunks: u64,
    /// Texts that went through the model; the others' vectors were known.
    pub embedded: u64,
    /// Entities in the graph that a visible passage mentions.
    pub entities: u64,
    pub seconds: f64,
    pub dead_letters: Vec<DeadLetter>,
    /// Files and folders that could not be read.
    pub unreadable: Vec<Unreadable>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Documents {
    pub complete: u64,
    pub unchanged: u64,
    pub removed: u64,
    pub dead_lettered: u64,
    pub dead_lettered_before: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub path: String,
    pub stage: String,
    pub class: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    pub path: String,
    pub reason: String,
}

impl Report {
    /// 0: all visible; 2: some newly dead-lettered; 1: some files could not be read.
    pub fn exit_code(&self) -> u8 {
        if !self.unreadable.is_empty() {
            1
        } else if self.documents.dead_lettered > 0 {
            2
        } else {
            0
        }
    }

    pub fn print(&self) -> String {
        let documents = &self.documents;
        let mut out = String::new();
        let worked = documents.complete + documents.removed + documents.dead_lettered;
        if worked == 0 {
            out.push_str(&format!(
                "nothing to do: {} documents unchanged",
                documents.unchanged
            ));
        } else {
            out.push_str(&format!("{} documents complete", documents.complete));
            if documents.unchanged > 0 {
                out.push_str(&format!(", {} unchanged", documents.unchanged));
            }
        }
        if documents.removed > 0 {
            out.push_str(&format!(", {} removed", documents.removed));
        }
        if documents.dead_lettered > 0 {
            out.push_str(&format!(", {} dead-lettered", documents.dead_lettered));
        }
        if documents.dead_lettered_before > 0 {
            out.push_str(&format!(
                ", {} dead-lettered before (send them again with --retry)",
                documents.dead_lettered_before
            ));
        }
        out.push('\n');
        if worked > 0 {
            let rate = |count: u64| count as f64 / self.seconds.max(0.001);
            out.push_str(&format!(
                "{} pages, {} chunks ({} embedded), {} entities in {:.1} s: {:.1} pages/s, {:.1} chunks/s\n",
                self.pages,
                self.chunks,
                self.embedded,
                self.entities,
                self.seconds,
                rate(self.pages),
                rate(self.chunks),
            ));
        }
        for letter in &self.dead_letters {
            out.push_str(&format!(
                "  {} ({}): {}\n",
                letter.path, letter.stage, letter.reason
            ));
        }
        for file in &self.unreadable {
            out.push_str(&format!(
                "  {}: {}: not read, make it readable and ingest again\n",
                file.path, file.reason
            ));
        }
        out
    }
}
