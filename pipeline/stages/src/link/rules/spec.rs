//! Rules as they are declared, and compiled. Everything is checked here; nothing can fail later.

use std::collections::{BTreeMap, BTreeSet};

use penstock_runtime::Failure;
use regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

use super::forms::{Form, Meanings};
use super::labelled::key;

/// A compiled pattern may take this much memory, in bytes.
const PATTERN_SIZE: usize = 8 << 20;
/// Words may refer to words, this deep.
const DEPTH: usize = 8;

/// A file of rules: words for all files, or one kind of entity.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommonSpec {
    words: BTreeMap<String, Words>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSpec {
    label: String,
    /// The field that holds the normal form itself.
    #[serde(default)]
    name_field: Option<String>,
    #[serde(default)]
    form: Form,
    #[serde(default)]
    words: BTreeMap<String, Words>,
    #[serde(default)]
    meanings: Meanings,
    /// Keys whose value is a mention.
    #[serde(default)]
    keys: Vec<String>,
    /// What of such a value is the name: it begins the value.
    #[serde(default)]
    value: Option<String>,
    /// Mentions anywhere; the group `name`, or all of the match.
    #[serde(default)]
    patterns: Vec<String>,
    /// A name that starts with one of these goes without it.
    #[serde(default)]
    drop: Vec<String>,
    /// A name with one of these words is none.
    #[serde(default)]
    not: Vec<String>,
    /// A name found once is looked for in all of the text.
    #[serde(default)]
    everywhere: bool,
    /// What is one of these is none of this.
    #[serde(default)]
    unless: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, FieldSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FieldSpec {
    keys: Vec<String>,
    shared_keys: Vec<String>,
    before: Vec<String>,
    after: Vec<String>,
    near: Vec<String>,
    value: Option<String>,
    is: Option<String>,
    form: Form,
}

/// Alternatives, or a pattern.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    List(Vec<String>),
    Pattern(String),
}

pub(super) struct Rule {
    pub label: String,
    pub name_field: Option<String>,
    pub form: Form,
    pub meanings: Meanings,
    pub keys: BTreeSet<String>,
    pub value: Option<Regex>,
    pub patterns: Vec<Regex>,
    pub drop: BTreeSet<String>,
    pub not: BTreeSet<String>,
    pub everywhere: bool,
    pub unless: Vec<String>,
    pub fields: Vec<Field>,
}

pub(super) struct Field {
    pub name: String,
    /// Keys in the mention's record.
    pub keys: BTreeSet<String>,
    /// Keys that many kinds of record have: they speak of what the record is about.
    pub shared_keys: BTreeSet<String>,
    /// Ends where the mention starts.
    pub before: Vec<Regex>,
    /// Starts where the mention ends.
    pub after: Vec<Regex>,
    /// Anywhere in the mention's sentence; with `is`, ends where that mention starts.
    pub near: Vec<Regex>,
    /// What of a labelled value is the field.
    pub value: Option<Regex>,
    /// The value is a mention of this label, in its normal form.
    pub is: Option<String>,
    pub form: Form,
}

/// Compiles the rules of `files` (name and content), those that others wait for first.
pub(super) fn compile(files: &[(&str, &str)]) -> Result<Vec<Rule>, Failure> {
    let mut common = BTreeMap::new();
    let mut specs: Vec<(&str, RuleSpec)> = Vec::new();
    for (file, content) in files {
        let wrong = |error: serde_yaml_ng::Error| refuse(file, &error.to_string());
        let whole: serde_yaml_ng::Value = serde_yaml_ng::from_str(content).map_err(wrong)?;
        if whole.get("label").is_none() {
            let spec: CommonSpec = serde_yaml_ng::from_str(content).map_err(|error| {
                refuse(
                    file,
                    &format!("{error}; a rule needs a label, a file of words has words only"),
                )
            })?;
            common.extend(spec.words);
            continue;
        }
        let spec: RuleSpec = serde_yaml_ng::from_str(content).map_err(wrong)?;
        if let Some((other, _)) = specs.iter().find(|(_, other)| other.label == spec.label) {
            return Err(refuse(
                file,
                &format!("label {} is that of {other} too", spec.label),
            ));
        }
        specs.push((file, spec));
    }
    let labels: BTreeSet<String> = specs.iter().map(|(_, spec)| spec.label.clone()).collect();
    let mut rules = Vec::with_capacity(specs.len());
    for (file, spec) in specs {
        rules.push(
            Compiler {
                file,
                common: &common,
                own: &spec.words,
                labels: &labels,
            }
            .rule(&spec)?,
        );
    }
    let waits = |rule: &Rule| !rule.unless.is_empty();
    for rule in rules.iter().filter(|rule| waits(rule)) {
        let also_waits = |label: &&String| {
            rules
                .iter()
                .any(|other| other.label == **label && waits(other))
        };
        if let Some(label) = rule.unless.iter().find(also_waits) {
            let reason = format!("unless names {label}, which has an unless of its own");
            return Err(refuse(&rule.label, &reason));
        }
    }
    rules.sort_by(|a, b| (waits(a), &a.label).cmp(&(waits(b), &b.label)));
    Ok(rules)
}

fn refuse(file: &str, reason: &str) -> Failure {
    Failure::fatal(format!("entity rules {file}: {reason}"))
}

/// What the patterns of one file are compiled with.
struct Compiler<'a> {
    file: &'a str,
    common: &'a BTreeMap<String, Words>,
    own: &'a BTreeMap<String, Words>,
    labels: &'a BTreeSet<String>,
}

impl Compiler<'_> {
    fn rule(&self, spec: &RuleSpec) -> Result<Rule, Failure> {
        if spec.keys.is_empty() && spec.patterns.is_empty() {
            return Err(self.refuse("it has neither keys nor patterns, so it finds nothing"));
        }
        let groups: &[&str] = match spec.form {
            Form::Date => &["year", "month", "day"],
            Form::Money => &["currency", "amount"],
            Form::Text | Form::Upper | Form::Lower => &[],
        };
        let patterns = self.all(&spec.patterns, "", "", groups)?;
        let value = self.value(spec.value.as_ref(), groups)?;
        for label in &spec.unless {
            self.known(label)?;
        }
        let words = |list: &[String]| list.iter().map(|word| word.to_lowercase()).collect();
        Ok(Rule {
            label: spec.label.clone(),
            name_field: spec.name_field.clone(),
            form: spec.form,
            meanings: spec.meanings.clone(),
            keys: spec.keys.iter().map(|written| key(written)).collect(),
            value,
            patterns,
            drop: words(&spec.drop),
            not: words(&spec.not),
            everywhere: spec.everywhere,
            unless: spec.unless.clone(),
            fields: spec
                .fields
                .iter()
                .map(|(name, field)| self.field(name, field))
                .collect::<Result<_, _>>()?,
        })
    }

    fn field(&self, name: &str, spec: &FieldSpec) -> Result<Field, Failure> {
        if let Some(label) = &spec.is {
            self.known(label)?;
        }
        if matches!(spec.form, Form::Date | Form::Money) {
            return Err(self.refuse(&format!(
                "field {name}: say `is: Date` or `is: Money`, not form"
            )));
        }
        // With `is`, a pattern leads up to the mention that is the value.
        let near_end = if spec.is.is_some() { "$" } else { "" };
        Ok(Field {
            name: name.to_owned(),
            keys: spec.keys.iter().map(|written| key(written)).collect(),
            shared_keys: spec
                .shared_keys
                .iter()
                .map(|written| key(written))
                .collect(),
            before: self.all(&spec.before, "", "$", &[])?,
            after: self.all(&spec.after, "^", "", &[])?,
            near: self.all(&spec.near, "", near_end, &[])?,
            value: self.value(spec.value.as_ref(), &[])?,
            is: spec.is.clone(),
            form: spec.form,
        })
    }

    fn value(&self, pattern: Option<&String>, groups: &[&str]) -> Result<Option<Regex>, Failure> {
        let found = self.all(
            pattern.map(std::slice::from_ref).unwrap_or_default(),
            "^",
            "",
            groups,
        )?;
        Ok(found.into_iter().next())
    }

    fn all(
        &self,
        patterns: &[String],
        start: &str,
        end: &str,
        groups: &[&str],
    ) -> Result<Vec<Regex>, Failure> {
        let compile = |pattern: &String| {
            let whole = format!("{start}(?:{}){end}", self.expand(pattern, DEPTH)?);
            let compiled = RegexBuilder::new(&whole)
                .size_limit(PATTERN_SIZE)
                .build()
                .map_err(|error| self.refuse(&format!("pattern {pattern:?}: {error}")))?;
            for group in groups {
                if !compiled
                    .capture_names()
                    .flatten()
                    .any(|name| name == *group)
                {
                    return Err(
                        self.refuse(&format!("pattern {pattern:?} lacks the group {group}"))
                    );
                }
            }
            Ok(compiled)
        };
        patterns.iter().map(compile).collect()
    }

    /// `pattern` with `{word}` replaced by what the words say.
    fn expand(&self, pattern: &str, depth: usize) -> Result<String, Failure> {
        let reference = Regex::new(r"\{([a-z_]+)\}")
            .map_err(|error| self.refuse(&format!("internal: {error}")))?;
        let mut unknown = None;
        let expanded = reference.replace_all(pattern, |captures: &Captures| {
            let name = captures.get(1).map_or("", |name| name.as_str());
            match self.own.get(name).or_else(|| self.common.get(name)) {
                Some(Words::Pattern(inner)) if depth > 0 => match self.expand(inner, depth - 1) {
                    Ok(inner) => format!("(?:{inner})"),
                    Err(failure) => {
                        unknown = Some(failure);
                        String::new()
                    }
                },
                Some(Words::List(words)) => alternatives(words),
                Some(Words::Pattern(_)) => {
                    unknown = Some(self.refuse(&format!("words {name} refer to themselves")));
                    String::new()
                }
                None => {
                    let known: Vec<&str> = self
                        .own
                        .keys()
                        .chain(self.common.keys())
                        .map(String::as_str)
                        .collect();
                    let known = known.join(", ");
                    unknown = Some(self.refuse(&format!(
                        "pattern {pattern:?} names unknown words {name}; known: {known}"
                    )));
                    String::new()
                }
            }
        });
        match unknown {
            Some(failure) => Err(failure),
            None => Ok(expanded.into_owned()),
        }
    }

    fn known(&self, label: &str) -> Result<(), Failure> {
        if self.labels.contains(label) {
            return Ok(());
        }
        let known: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        Err(self.refuse(&format!(
            "unknown label {label}; known: {}",
            known.join(", ")
        )))
    }

    fn refuse(&self, reason: &str) -> Failure {
        refuse(self.file, reason)
    }
}

/// Words as a pattern, the longest first so that none hides behind a shorter one; any white space fits a space.
fn alternatives(words: &[String]) -> String {
    let mut words: Vec<&String> = words.iter().collect();
    words.sort_by_key(|word| (std::cmp::Reverse(word.len()), word.as_str()));
    let escaped: Vec<String> = words
        .iter()
        .map(|word| regex::escape(word).replace(' ', r"[ \u{a0}]+"))
        .collect();
    format!("(?:{})", escaped.join("|"))
}
