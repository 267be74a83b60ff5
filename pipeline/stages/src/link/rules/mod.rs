//! Entities by declared rules (`schemas/entities/*.yaml`): patterns, word lists, labelled values, fields, normal forms.
//!
//! A text is searched in time linear in its length; the same text always gives the same mentions.

mod fields;
mod forms;
mod labelled;
mod spec;
mod text;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use penstock_runtime::Failure;
use penstock_schemas::content_hash;
use regex::Regex;

use self::fields::Reader;
use self::labelled::Record;
use self::spec::Rule;
use self::text::{Characters, View};
use super::port::Mention;

/// Changes when this code reads the same rules differently, so that editions made before and after differ.
const ENGINE: &str = "entities 1";

/// The rules that come with Penstock.
const BUILT_IN: [(&str, &str); 10] = [
    (
        "words.yaml",
        include_str!("../../../../../schemas/entities/words.yaml"),
    ),
    (
        "customer.yaml",
        include_str!("../../../../../schemas/entities/customer.yaml"),
    ),
    (
        "date.yaml",
        include_str!("../../../../../schemas/entities/date.yaml"),
    ),
    (
        "driver.yaml",
        include_str!("../../../../../schemas/entities/driver.yaml"),
    ),
    (
        "email.yaml",
        include_str!("../../../../../schemas/entities/email.yaml"),
    ),
    (
        "equipment.yaml",
        include_str!("../../../../../schemas/entities/equipment.yaml"),
    ),
    (
        "invoice.yaml",
        include_str!("../../../../../schemas/entities/invoice.yaml"),
    ),
    (
        "load.yaml",
        include_str!("../../../../../schemas/entities/load.yaml"),
    ),
    (
        "money.yaml",
        include_str!("../../../../../schemas/entities/money.yaml"),
    ),
    (
        "organisation.yaml",
        include_str!("../../../../../schemas/entities/organisation.yaml"),
    ),
];

/// Compiled rules.
pub struct Rules {
    rules: Vec<Rule>,
    /// Keys that any rule or field asks for.
    keys: BTreeSet<String>,
    digest: String,
}

impl Rules {
    /// The rules that come with Penstock. An error is our bug.
    pub fn built_in() -> Result<Self, Failure> {
        Self::load(&BUILT_IN)
    }

    /// Rules from YAML files, each a name (for messages) and its content: one kind of entity per file, or `words` for all
    /// of them. What is wrong is said with the file, the place and what would be right.
    pub fn load(files: &[(&str, &str)]) -> Result<Self, Failure> {
        let rules = spec::compile(files)?;
        let mut keys = BTreeSet::new();
        for rule in &rules {
            keys.extend(rule.keys.iter().cloned());
            for field in &rule.fields {
                keys.extend(field.keys.iter().chain(&field.shared_keys).cloned());
            }
        }
        let mut whole = ENGINE.to_owned();
        for (file, content) in files {
            whole.push_str(&format!("\n{file} {}\n{content}", content.len()));
        }
        Ok(Self {
            rules,
            keys,
            digest: content_hash(whole.as_bytes()),
        })
    }

    /// SHA-256 over the rules and the version of the code that reads them: part of an edition's recipe.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The mentions in `text`, by place and label; those of one label do not overlap. Places are in characters.
    pub fn find(&self, text: &str) -> Vec<Mention> {
        let view = View::of(text);
        let records = labelled::records(&view.text, &self.keys);
        let found = self.names(&view, &records);
        let reader = Reader::new(&self.rules, &view, &records, &found);
        let mut mentions: Vec<(&Rule, &Name, BTreeMap<String, String>)> = Vec::new();
        for rule in &self.rules {
            for name in found.get(rule.label.as_str()).into_iter().flatten() {
                mentions.push((rule, name, reader.fields(rule, name)));
            }
        }
        mentions.sort_by(|(a_rule, a, _), (b_rule, b, _)| {
            (a.place.start, a.place.end, &a_rule.label).cmp(&(
                b.place.start,
                b.place.end,
                &b_rule.label,
            ))
        });
        let mut characters = Characters::of(text);
        mentions
            .into_iter()
            .map(|(rule, name, fields)| {
                let start = characters.before(name.place.start);
                let passage = text.get(name.place.clone()).unwrap_or_default();
                Mention {
                    label: rule.label.clone(),
                    normal_form: name.normal_form.clone(),
                    passage: passage.to_owned(),
                    start,
                    end: start + passage.chars().count(),
                    fields,
                }
            })
            .collect()
    }

    /// The labels of what `text` mentions, each once, in alphabetical order.
    pub fn labels(&self, text: &str) -> Vec<String> {
        let view = View::of(text);
        let records = labelled::records(&view.text, &self.keys);
        self.names(&view, &records)
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(label, _)| label.to_owned())
            .collect()
    }

    /// Names by label, ascending.
    fn names<'a>(&'a self, view: &View, records: &[Record]) -> Names<'a> {
        let mut found = Names::new();
        for rule in &self.rules {
            let names = rule.names(view, records, &found);
            found.insert(&rule.label, names);
        }
        found
    }
}

/// A name where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    /// Bytes of the text.
    place: Range<usize>,
    normal_form: String,
    /// What the pattern's other groups caught, by field.
    caught: BTreeMap<String, String>,
}

type Names<'a> = BTreeMap<&'a str, Vec<Name>>;

impl Rule {
    fn names(&self, view: &View, records: &[Record], others: &Names) -> Vec<Name> {
        let text = view.text.as_str();
        let mut names = Vec::new();
        for labelled in records.iter().flatten() {
            if labelled.names.iter().any(|name| self.keys.contains(name)) {
                names.extend(self.labelled_name(text, &labelled.value));
            }
        }
        for pattern in &self.patterns {
            names.extend(self.matches(pattern, text, 0));
        }
        let taken = |name: &Name| {
            let of = |label: &String| others.get(label.as_str()).map_or(&[][..], Vec::as_slice);
            self.unless
                .iter()
                .any(|label| overlaps(of(label), &name.place))
        };
        names.retain(|name| !taken(name));
        if self.everywhere {
            self.repeat(text, &mut names);
        }
        without_overlaps(names)
    }

    /// The name in a labelled value: what `value` says, or all of it.
    fn labelled_name(&self, text: &str, place: &Range<usize>) -> Option<Name> {
        let value = text.get(place.clone())?;
        if let Some(pattern) = &self.value {
            return self.matches(pattern, value, place.start).next();
        }
        let mut found = self.patterns.iter();
        found.find_map(|pattern| self.matches(pattern, value, place.start).next())
    }

    fn matches<'a>(
        &'a self,
        pattern: &'a Regex,
        text: &'a str,
        from: usize,
    ) -> impl Iterator<Item = Name> + 'a {
        pattern.captures_iter(text).filter_map(move |captures| {
            let name = captures.name("name").or_else(|| captures.get(0))?;
            let start = name.start() + self.dropped(name.as_str());
            let passage = text.get(start..name.end())?;
            if passage
                .split_whitespace()
                .any(|word| self.not.contains(&bare(word)))
            {
                return None;
            }
            let normal_form = forms::of_match(self.form, &self.meanings, &captures, passage)?;
            let named = pattern
                .capture_names()
                .flatten()
                .filter(|group| *group != "name");
            let caught = named.filter_map(|group| {
                let value = captures.name(group)?.as_str();
                let field = self.fields.iter().find(|field| field.name == group)?;
                Some((group.to_owned(), forms::plain(field.form, value)?))
            });
            Some(Name {
                place: from + start..from + name.end(),
                normal_form,
                caught: caught.collect(),
            })
        })
    }

    /// How many bytes of words that are not part of a name it starts with.
    fn dropped(&self, name: &str) -> usize {
        let mut start = 0;
        while let Some((word, rest)) = name
            .get(start..)
            .and_then(|name| name.split_once([' ', '\u{a0}']))
        {
            if !self.drop.contains(&bare(word)) {
                break;
            }
            start = name.len() - rest.trim_start().len();
        }
        start
    }

    /// Adds every other place where one of `names` stands as a word.
    fn repeat(&self, text: &str, names: &mut Vec<Name>) {
        let passages: BTreeMap<String, String> = names
            .iter()
            .filter_map(|name| {
                Some((
                    text.get(name.place.clone())?.to_owned(),
                    name.normal_form.clone(),
                ))
            })
            .collect();
        for (passage, normal_form) in passages {
            for (start, _) in text.match_indices(&passage) {
                let end = start + passage.len();
                let inside = |c: char| c.is_alphanumeric() || c == '_';
                let before = text.get(..start).and_then(|text| text.chars().next_back());
                let after = text.get(end..).and_then(|text| text.chars().next());
                if !before.is_some_and(inside) && !after.is_some_and(inside) {
                    names.push(Name {
                        place: start..end,
                        normal_form: normal_form.clone(),
                        caught: BTreeMap::new(),
                    });
                }
            }
        }
    }
}

/// A word in lower case without the marks around it.
fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase()
}

/// Whether one of `names`, which ascend and do not overlap, shares a character with `place`.
fn overlaps(names: &[Name], place: &Range<usize>) -> bool {
    let first = names.partition_point(|name| name.place.end <= place.start);
    names
        .get(first)
        .is_some_and(|name| name.place.start < place.end)
}

/// Of names that overlap, the one that starts first stays, and of those the longest; of the same place, what caught most.
fn without_overlaps(mut names: Vec<Name>) -> Vec<Name> {
    names.sort_by(|a, b| {
        let order = |name: &Name| {
            (
                name.place.start,
                std::cmp::Reverse(name.place.end),
                std::cmp::Reverse(name.caught.len()),
            )
        };
        order(a)
            .cmp(&order(b))
            .then_with(|| a.caught.cmp(&b.caught))
    });
    let mut end = 0;
    names.retain(|name| {
        let free = name.place.start >= end;
        if free {
            end = name.place.end;
        }
        free
    });
    names
}
