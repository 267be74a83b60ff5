//! What a text states of the entities it mentions.

use std::collections::BTreeMap;
use std::ops::Range;

use regex::Regex;

use super::labelled::Record;
use super::spec::{Field, Rule};
use super::text::View;
use super::{Name, Names, forms};

/// Reads fields beside mentions.
pub(super) struct Reader<'a> {
    view: &'a View,
    records: &'a [Record],
    found: &'a Names<'a>,
    /// Labelled values by place, with the number of their record.
    values: Vec<(Range<usize>, usize)>,
    /// By record: the label and place of the value that says what it is about.
    subjects: Vec<Option<(&'a str, Range<usize>)>>,
}

impl<'a> Reader<'a> {
    pub fn new(
        rules: &'a [Rule],
        view: &'a View,
        records: &'a [Record],
        found: &'a Names<'a>,
    ) -> Self {
        let numbered = records.iter().enumerate();
        let mut values: Vec<_> = numbered
            .flat_map(|(number, record)| record.iter().map(move |it| (it.value.clone(), number)))
            .collect();
        values.sort_by_key(|(place, number)| (place.start, place.end, *number));
        let subject = |record: &Record| {
            record.iter().find_map(|labelled| {
                let asks =
                    |rule: &&Rule| labelled.names.iter().any(|name| rule.keys.contains(name));
                let names = |rule: &&Rule| !within(found, &rule.label, &labelled.value).is_empty();
                let rule = rules.iter().filter(asks).find(names)?;
                Some((rule.label.as_str(), labelled.value.clone()))
            })
        };
        Self {
            view,
            records,
            found,
            values,
            subjects: records.iter().map(subject).collect(),
        }
    }

    /// The fields of one mention, its name among them.
    pub fn fields(&self, rule: &Rule, name: &Name) -> BTreeMap<String, String> {
        let mut fields = name.caught.clone();
        if let Some(field) = &rule.name_field {
            fields.insert(field.clone(), name.normal_form.clone());
        }
        if rule.fields.is_empty() {
            return fields;
        }
        let record = self.record_of(name);
        let sentence = self.view.sentence(&name.place);
        for field in &rule.fields {
            if fields.contains_key(&field.name) {
                continue;
            }
            let value = self
                .labelled(rule, field, name, record)
                .or_else(|| self.adjoining(field, name, &sentence))
                .or_else(|| self.nearby(rule, field, name, &sentence));
            if let Some(value) = value {
                fields.insert(field.name.clone(), value);
            }
        }
        fields
    }

    fn record_of(&self, name: &Name) -> Option<usize> {
        let next = self
            .values
            .partition_point(|(place, _)| place.start <= name.place.start);
        let (place, record) = self.values.get(next.checked_sub(1)?)?;
        (name.place.end <= place.end).then_some(*record)
    }

    /// A value of the mention's record, by its key.
    fn labelled(
        &self,
        rule: &Rule,
        field: &Field,
        name: &Name,
        record: Option<usize>,
    ) -> Option<String> {
        let number = record?;
        let record = self.records.get(number)?;
        let subject = self.subjects.get(number)?.as_ref();
        let about = subject.is_some_and(|(label, place)| {
            *label == rule.label && place.start <= name.place.start && name.place.end <= place.end
        });
        let alone = about || self.alone(rule, name, record);
        record.iter().find_map(|labelled| {
            let asked = labelled.names.iter().any(|it| {
                alone && field.keys.contains(it) || about && field.shared_keys.contains(it)
            });
            if !asked || labelled.value == name.place {
                return None;
            }
            self.value(field, &labelled.value)
        })
    }

    /// Whether the record mentions no other of the kind, so that what it says is said of this one.
    fn alone(&self, rule: &Rule, name: &Name, record: &Record) -> bool {
        record
            .iter()
            .flat_map(|labelled| within(self.found, &rule.label, &labelled.value))
            .all(|other| other.normal_form == name.normal_form)
    }

    /// What the field is, of a labelled value.
    fn value(&self, field: &Field, place: &Range<usize>) -> Option<String> {
        if let Some(label) = &field.is {
            let first = within(self.found, label, place).first()?;
            return Some(first.normal_form.clone());
        }
        let written = self.view.text.get(place.clone())?;
        match &field.value {
            Some(pattern) => forms::plain(field.form, caught(pattern, written)?.1),
            None => forms::plain(field.form, written),
        }
    }

    /// A value right before or after the mention.
    fn adjoining(&self, field: &Field, name: &Name, sentence: &Range<usize>) -> Option<String> {
        let before = self.view.text.get(sentence.start..name.place.start)?;
        let after = self.view.text.get(name.place.end..sentence.end)?;
        if let Some(label) = &field.is {
            return field.after.iter().find_map(|pattern| {
                let end = name.place.end + pattern.find(after)?.end();
                let inside = within(self.found, label, &(end..sentence.end));
                inside
                    .first()
                    .filter(|it| it.place.start == end)
                    .map(|it| it.normal_form.clone())
            });
        }
        let found = |patterns: &[Regex], text| {
            patterns
                .iter()
                .find_map(|pattern| Some(caught(pattern, text)?.1))
        };
        let value = found(&field.before, before).or_else(|| found(&field.after, after))?;
        forms::plain(field.form, value)
    }

    /// A value elsewhere in the sentence: the first after the mention, or else the last before it. Where another of the
    /// kind stands in between, it is that one's.
    fn nearby(
        &self,
        rule: &Rule,
        field: &Field,
        name: &Name,
        sentence: &Range<usize>,
    ) -> Option<String> {
        if field.near.is_empty() {
            return None;
        }
        let (mut start, mut end) = (sentence.start, sentence.end);
        let alike = within(self.found, &rule.label, sentence);
        for other in alike
            .iter()
            .filter(|other| other.normal_form != name.normal_form)
        {
            if other.place.end <= name.place.start {
                start = start.max(other.place.end);
            } else if other.place.start >= name.place.end {
                end = end.min(other.place.start);
            }
        }
        let sides = [
            (name.place.end..end, true),
            (start..name.place.start, false),
        ];
        sides.into_iter().find_map(|(side, forward)| {
            let mut values = self.values_in(field, &side);
            if !forward {
                values.reverse();
            }
            values.into_iter().next()
        })
    }

    fn values_in(&self, field: &Field, side: &Range<usize>) -> Vec<String> {
        let Some(text) = self.view.text.get(side.clone()) else {
            return Vec::new();
        };
        if let Some(label) = &field.is {
            let leads = |other: &&Name| {
                let lead = self
                    .view
                    .text
                    .get(side.start..other.place.start)
                    .unwrap_or_default();
                field.near.iter().any(|pattern| pattern.is_match(lead))
            };
            let inside = within(self.found, label, side).iter();
            return inside
                .filter(leads)
                .map(|it| it.normal_form.clone())
                .collect();
        }
        let mut values: Vec<(usize, String)> = Vec::new();
        for pattern in &field.near {
            for captures in pattern.captures_iter(text) {
                let value = captures.name("value").or_else(|| captures.get(0));
                let value =
                    value.and_then(|it| Some((it.start(), forms::plain(field.form, it.as_str())?)));
                values.extend(value);
            }
        }
        values.sort();
        values.into_iter().map(|(_, value)| value).collect()
    }
}

/// Where `pattern` matches, and its group `value` or all of the match.
fn caught<'t>(pattern: &Regex, text: &'t str) -> Option<(usize, &'t str)> {
    let captures = pattern.captures(text)?;
    let value = captures.name("value").or_else(|| captures.get(0))?;
    Some((value.start(), value.as_str()))
}

/// The names of a label inside a place.
fn within<'n>(found: &'n Names, label: &str, place: &Range<usize>) -> &'n [Name] {
    let names = found.get(label).map_or(&[][..], Vec::as_slice);
    let first = names.partition_point(|name| name.place.start < place.start);
    let inside = names.get(first..).unwrap_or_default();
    let count = inside.partition_point(|name| name.place.end <= place.end);
    inside.get(..count).unwrap_or_default()
}
