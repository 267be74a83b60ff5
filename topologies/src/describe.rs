//! The topology, for people, for scripts and for Graphviz.

use penstock_schemas::dead_letters_of;
use serde::{Deserialize, Serialize};

use crate::pipeline::{group_of, topology};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    pub stages: Vec<StageDescription>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageDescription {
    pub stage: String,
    pub group: String,
    pub from: String,
    pub to: Vec<String>,
    pub dead_letters: String,
}

pub fn describe() -> Description {
    let stages = topology()
        .into_iter()
        .map(|it| StageDescription {
            stage: it.name.to_owned(),
            group: group_of(it.name),
            from: it.from.to_owned(),
            to: it.to.into_iter().map(str::to_owned).collect(),
            dead_letters: dead_letters_of(it.from),
        })
        .collect();
    Description { stages }
}

impl Description {
    pub fn print(&self) -> String {
        let mut out = String::new();
        for it in &self.stages {
            let to = if it.to.is_empty() {
                "(progress only)".to_owned()
            } else {
                it.to.join(", ")
            };
            out.push_str(&format!("{:<7} {} → {to}\n", it.stage, it.from));
            out.push_str(&format!(
                "        group {} · dead letters {}\n",
                it.group, it.dead_letters
            ));
        }
        out
    }

    pub fn dot(&self) -> String {
        let mut out = String::from("digraph penstock {\n  rankdir=LR;\n");
        for it in &self.stages {
            out.push_str(&format!("  \"{}\" [shape=box];\n", it.stage));
            out.push_str(&format!("  \"{}\" -> \"{}\";\n", it.from, it.stage));
            for to in &it.to {
                out.push_str(&format!("  \"{}\" -> \"{to}\";\n", it.stage));
            }
            out.push_str(&format!(
                "  \"{}\" -> \"{}\" [style=dotted];\n",
                it.stage, it.dead_letters
            ));
        }
        out.push_str("}\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_that_is_read_is_written_by_a_stage_or_from_outside() {
        let stages = describe().stages;
        for it in &stages {
            let outside = ["rag.documents.v1", "rag.progress.v1"].contains(&it.from.as_str());
            let written = stages.iter().any(|other| other.to.contains(&it.from));
            assert!(outside || written, "nobody writes {}", it.from);
        }
        let declared: Vec<String> = penstock_schemas::topics::all()
            .into_iter()
            .map(|it| it.name)
            .collect();
        for it in &stages {
            for topic in it.to.iter().chain([&it.from, &it.dead_letters]) {
                assert!(declared.contains(topic), "{topic} is not declared");
            }
        }
    }
}
