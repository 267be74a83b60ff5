//! The rules against the samples' labelled truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::parse::{Limits, extract, sniff};

/// Right, wrong and missed, of one label or field.
#[derive(Default)]
struct Score {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Score {
    fn add<T: Ord>(&mut self, found: &BTreeSet<T>, truth: &BTreeSet<T>) {
        self.right += found.intersection(truth).count();
        self.wrong += found.difference(truth).count();
        self.missed += truth.difference(found).count();
    }

    fn f1(&self) -> f64 {
        2.0 * self.right as f64 / (2 * self.right + self.wrong + self.missed).max(1) as f64
    }

    fn line(&self, name: &str) -> String {
        let share = |others: usize| self.right as f64 / (self.right + others).max(1) as f64;
        let (precision, recall) = (share(self.wrong), share(self.missed));
        format!(
            "{name:<28} {precision:>9.3} {recall:>9.3} {:>9.3} {:>6}",
            self.f1(),
            self.right + self.missed
        )
    }
}

/// The text of a sample as the pipeline reads it.
fn text_of(samples: &Path, path: &str) -> String {
    let bytes = std::fs::read(samples.join(path)).unwrap();
    let kind = sniff(&bytes, path).unwrap();
    extract(&bytes, kind, None, &Limits::default())
        .unwrap()
        .text
}

#[test]
fn precision_and_recall_on_the_samples() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let read = |path: &str| std::fs::read_to_string(samples.join(path)).unwrap();
    let truth: BTreeMap<String, Vec<serde_json::Value>> =
        serde_json::from_str(&read("truth/entities.json")).unwrap();
    let rules = Rules::built_in().unwrap();
    let mut labels: BTreeMap<String, Score> = BTreeMap::new();
    let mut fields: BTreeMap<String, Score> = BTreeMap::new();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut unlike = String::new();
    for (path, entities) in truth.iter() {
        let mut stated = BTreeSet::new();
        let mut named = BTreeSet::new();
        for entity in entities {
            let (label, name) = (text(&entity["label"]), text(&entity["name"]));
            for (field, value) in entity["fields"].as_object().unwrap() {
                stated.insert((label.clone(), name.clone(), field.clone(), text(value)));
            }
            named.insert((label, name));
        }
        let mut found_stated = BTreeSet::new();
        let mut found = BTreeSet::new();
        for mention in rules.find(&text_of(&samples, path)) {
            let key = (mention.label, mention.normal_form);
            for (field, value) in mention.fields {
                found_stated.insert((key.0.clone(), key.1.clone(), field, value));
            }
            found.insert(key);
        }
        for label in named
            .iter()
            .chain(&found)
            .map(|(label, _)| label)
            .collect::<BTreeSet<_>>()
        {
            let of = |all: &BTreeSet<(String, String)>| {
                all.iter().filter(|(it, _)| it == label).cloned().collect()
            };
            labels
                .entry(label.clone())
                .or_default()
                .add(&of(&found), &of(&named));
        }
        for label in stated
            .iter()
            .chain(&found_stated)
            .map(|it| &it.0)
            .collect::<BTreeSet<_>>()
        {
            let of = |all: &BTreeSet<(String, String, String, String)>| {
                all.iter().filter(|it| it.0 == *label).cloned().collect()
            };
            fields
                .entry(format!("{label} fields"))
                .or_default()
                .add(&of(&found_stated), &of(&stated));
        }
        for (sign, one, other) in [("+", &found, &named), ("-", &named, &found)] {
            for (label, name) in one.difference(other) {
                unlike.push_str(&format!("{sign} {path}: {label} {name}\n"));
            }
        }
        for (sign, one, other) in [("+", &found_stated, &stated), ("-", &stated, &found_stated)] {
            for (_, name, field, value) in one.difference(other) {
                unlike.push_str(&format!("{sign} {path}: {name}: {field} = {value}\n"));
            }
        }
    }
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>6}",
        "", "precision", "recall", "F1", "of"
    );
    for (name, score) in labels.iter().chain(&fields) {
        println!("{}", score.line(name));
    }
    println!("found (+) or missed (-) against the truth:\n{unlike}");
    assert_eq!(labels.len(), 9, "the samples have every kind");
    for (label, score) in &labels {
        assert!(score.f1() >= 0.95, "F1 of {label} is {:.3}", score.f1());
    }
    for (name, score) in &fields {
        assert!(score.f1() >= 0.9, "F1 of {name} is {:.3}", score.f1());
    }
}
