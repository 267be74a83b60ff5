//! JSON as readable lines, `path: value`. Read as a stream: no tree is built.

use std::fmt;

use penstock_runtime::Failure;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::draft::{Draft, Extracted};
use super::encoding;
use super::limits::Budget;

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let text = encoding::decode(bytes);
    let mut draft = Draft::new(budget);
    write(&text, &mut draft)?;
    Ok(draft.finish())
}

/// One value per line. A line that is no JSON stays as it is: one bad row must not hide the others.
pub fn extract_lines(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let text = encoding::decode(bytes);
    let mut draft = Draft::new(budget);
    for line in text.lines() {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
        if is_json {
            write(line, &mut draft)?;
            draft.new_block()?;
        } else {
            draft.block(line)?;
        }
    }
    Ok(draft.finish())
}

fn write(text: &str, draft: &mut Draft<'_>) -> Result<(), Failure> {
    let mut walk = Walk {
        path: String::new(),
        draft,
        failure: None,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Value(&mut walk).deserialize(&mut reader);
    if let Some(failure) = walk.failure {
        return Err(failure);
    }
    read.map_err(|e| Failure::poison(format!("damaged JSON: {e}")))
}

struct Walk<'a, 'b> {
    path: String,
    draft: &'a mut Draft<'b>,
    /// Why the draft refused: it cannot travel through serde's error.
    failure: Option<Failure>,
}

impl Walk<'_, '_> {
    fn write<E: Error>(&mut self, value: &str) -> Result<(), E> {
        let is_title = matches!(self.path.as_str(), "title" | "titel" | "subject");
        if is_title {
            self.draft.set_title(value);
        }
        let line = if self.path.is_empty() {
            value.to_owned()
        } else {
            format!("{}: {value}", self.path)
        };
        let written = self.draft.line(&line);
        self.keep(written)
    }

    fn keep<E: Error>(&mut self, written: Result<(), Failure>) -> Result<(), E> {
        written.map_err(|failure| {
            self.failure = Some(failure);
            E::custom("stopped")
        })
    }
}

/// One value at the walk's path.
struct Value<'w, 'a, 'b>(&'w mut Walk<'a, 'b>);

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.write(value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.write(if value { "yes" } else { "no" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.write(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.write(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.write(&value.to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let above = self.0.path.len();
        while let Some(name) = map.next_key::<String>()? {
            if !self.0.path.is_empty() {
                self.0.path.push('.');
            }
            self.0.path.push_str(&name);
            map.next_value_seed(Value(&mut *self.0))?;
            self.0.path.truncate(above);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        // Elements of a list at the top stand apart: each is a record of its own.
        let is_top = self.0.path.is_empty();
        while items.next_element_seed(Value(&mut *self.0))?.is_some() {
            let checked = self.0.draft.budget.check();
            self.0.keep(checked)?;
            if is_top {
                let apart = self.0.draft.new_block();
                self.0.keep(apart)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Cancel, Limits};
    use super::*;

    #[test]
    fn json_becomes_lines() {
        fn check(text: &str, expect: &str) {
            let budget = Budget::new(&Limits::default(), Cancel::default());
            assert_eq!(extract(text.as_bytes(), &budget).unwrap().text, expect);
        }
        check(
            r#"{"load": {"number": "LD-1", "stops": ["Köln", "Bern"], "paid": true}, "none": null, "n": 2.5}"#,
            "load.number: LD-1\nload.stops: Köln\nload.stops: Bern\nload.paid: yes\nn: 2.5",
        );
        check(r#"[{"a": 1}, {"a": -2}]"#, "a: 1\n\na: -2");
        check(r#""text""#, "text");
        check("{}", "");
    }

    #[test]
    fn json_fails_by_its_own_reason() {
        let limits = Limits {
            text_chars: 10,
            ..Limits::default()
        };
        let budget = Budget::new(&limits, Cancel::default());
        let refusal = extract(br#"{"a": "0123456789"}"#, &budget).unwrap_err();
        assert!(
            refusal.reason().starts_with("text of one part"),
            "{refusal}"
        );
        let deep = "[".repeat(100_000);
        let refusal = extract(deep.as_bytes(), &budget).unwrap_err();
        assert!(refusal.reason().starts_with("damaged JSON"), "{refusal}");
    }

    #[test]
    fn bad_lines_hide_no_others() {
        let budget = Budget::new(&Limits::default(), Cancel::default());
        let out = extract_lines(b"{\"a\": 1}\n{oops\n{\"a\": 2}\n", &budget).unwrap();
        assert_eq!(out.text, "a: 1\n\n{oops\n\na: 2");
    }
}
