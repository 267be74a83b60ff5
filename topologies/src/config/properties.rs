//! Secrets, which are never shown and may stand in a file; `kafka.properties` and `objects.properties`, settings of the
//! library below, of which some are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// A library's settings by its names. A value is text, a number, true or false, or `{ file = "PATH" }`: the content of
/// that file, without the line end.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct Properties(pub BTreeMap<String, String>);

impl TryFrom<Table> for Properties {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let read = |(name, value): (String, Value)| value_of(&name, value).map(|it| (name, it));
        table
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// Text that is never shown. It is written as a property's value is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Secret(pub String);

impl TryFrom<Value> for Secret {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Table(table) if !is_file(&table) => {
                Err("expected text or { file = \"PATH\" }".to_owned())
            }
            value => value_of("secret", value).map(Self),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.0.is_empty() { "none" } else { "set" })
    }
}

/// Sections with such settings, and what stands between the words of a setting's name.
const SECTIONS: [(&str, &str); 2] = [("kafka", "."), ("objects", "_")];

/// Whether any key may stand below this one.
pub(super) fn is_open(path: &str) -> bool {
    SECTIONS
        .iter()
        .any(|(section, _)| path.strip_prefix(section) == Some(".properties"))
}

/// Section and setting of a dotted key: `kafka.properties.sasl.password` is `sasl.password` of `kafka`.
pub(super) fn from_key(key: &str) -> Option<(&'static str, &str)> {
    SECTIONS.iter().find_map(|(section, _)| {
        let rest = key.strip_prefix(section)?.strip_prefix(".properties.")?;
        Some((*section, rest))
    })
}

/// The same of a name in the environment: `PENSTOCK_KAFKA_PROPERTIES_SASL_PASSWORD` is `sasl.password` of `kafka`.
pub(super) fn from_environment(name: &str) -> Option<(&'static str, String)> {
    SECTIONS.iter().find_map(|(section, between)| {
        let prefix = format!("PENSTOCK_{}_PROPERTIES_", section.to_uppercase());
        let words = name.strip_prefix(&prefix)?.to_lowercase();
        Some((*section, words.replace('_', between)))
    })
}

/// `{ file = "PATH" }`
pub(super) fn is_file(table: &Table) -> bool {
    table.len() == 1 && matches!(table.get("file"), Some(Value::String(_)))
}

fn value_of(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Table(table) => match (table.len(), table.get("file")) {
            (1, Some(Value::String(path))) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| format!("property {name}: file {path}: {error}")),
            _ => Err(format!(
                "property {name}: expected a value or {{ file = \"PATH\" }}; names with dots stand in quotes, \
                 such as \"{name}.…\" = …"
            )),
        },
        Value::Array(_) | Value::Datetime(_) => Err(format!(
            "property {name}: expected text, a number, true or false"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Properties, String> {
        Properties::try_from(text.parse::<Table>().unwrap())
    }

    #[test]
    fn values_of_every_form() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hunter2 \n").unwrap();
        let text = format!(
            "a = \"x\"\nb = 3\nc = true\n\"sasl.password\" = {{ file = {:?} }}\n",
            file.display().to_string()
        );
        let properties = read(&text).unwrap();
        let values: Vec<&str> = properties.0.values().map(String::as_str).collect();
        assert_eq!(values, ["x", "3", "true", "hunter2 "]);
        let shown = format!("{properties:?}");
        assert!(shown.contains("sasl.password"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn errors_name_the_setting() {
        let check = |text: &str, words: &[&str]| {
            let error = read(text).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{error:?} lacks {word:?}");
            }
        };
        check("x = { file = \"/nowhere\" }", &["property x", "/nowhere"]);
        check("sasl.password = \"hunter2\"", &["property sasl", "quotes"]);
        check("x = [1]", &["property x"]);
        check("x = { file = \"/nowhere\", env = \"Y\" }", &["property x"]);
    }
}
