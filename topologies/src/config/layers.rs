//! What is set where: defaults, file, environment, flags, laid over each other.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, properties};
use crate::cli::Common;

/// Everything that is set, by the rule that later wins.
pub(super) fn table(
    common: &Common,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Table, String> {
    let mut table = default_table()?;
    if let Some(path) = &common.config {
        let file = read_file(path)?;
        overlay(&mut table, file, "", &path.display().to_string())?;
    }
    for (name, text) in environment {
        set_from_environment(&mut table, &name, &text)?;
    }
    for setting in &common.set {
        let (key, text) = setting
            .split_once('=')
            .ok_or_else(|| format!("--set {setting}: expected KEY=VALUE"))?;
        set_key(&mut table, key, text, &format!("--set {setting}"))?;
    }
    if let Some(data) = &common.data {
        table.insert("data".into(), Value::String(data.display().to_string()));
    }
    Ok(table)
}

/// Environment names that are no configuration keys.
const OTHER_NAMES: [&str; 3] = ["PENSTOCK_CONFIG", "PENSTOCK_LOG", "PENSTOCK_CACHE"];

fn default_table() -> Result<Table, String> {
    Table::try_from(Config::default())
        .map_err(|error| format!("configuration defaults: {}", one_line(&error)))
}

fn read_file(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("configuration file {}: {error}", path.display()))?;
    text.parse::<Table>().map_err(|error| {
        // The error's own text shows the line, which may hold a secret.
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        format!(
            "configuration file {} line {line}: {}",
            path.display(),
            one_line(&error.message())
        )
    })
}

/// Lays `over` on `table`; a key that has no default is an error that names the nearest one.
fn overlay(table: &mut Table, over: Table, prefix: &str, origin: &str) -> Result<(), String> {
    for (key, value) in over {
        let path = format!("{prefix}{key}");
        match (table.get_mut(&key), value) {
            (Some(Value::Table(open)), Value::Table(inner)) if properties::is_open(&path) => {
                open.extend(inner);
            }
            (Some(Value::Table(inner)), Value::Table(value)) => {
                overlay(inner, value, &format!("{path}."), origin)?;
            }
            // The value is not shown: it may be a secret in the wrong place.
            (Some(Value::Table(_)), _) => {
                return Err(format!(
                    "{origin}: {path} is a section: write [{path}], its keys below"
                ));
            }
            (Some(slot), value) => *slot = value,
            (None, _) => return Err(unknown_key(&path, origin)),
        }
    }
    Ok(())
}

fn set_from_environment(table: &mut Table, name: &str, text: &str) -> Result<(), String> {
    if !name.starts_with("PENSTOCK_") || OTHER_NAMES.contains(&name) {
        return Ok(());
    }
    if let Some((section, property)) = properties::from_environment(name) {
        set_property(table, section, &property, text);
        return Ok(());
    }
    let key = known_keys()
        .into_iter()
        .find(|key| environment_name(key) == name);
    let Some(key) = key else {
        let names = known_keys().into_iter().map(|key| environment_name(&key));
        let hint = nearest(name, names).map_or(String::new(), |it| format!(", did you mean {it}"));
        return Err(format!("environment: unknown {name}{hint}"));
    };
    set_key(table, &key, text, &format!("environment {name}"))
}

/// Sets a dotted key from text, as the type its default has.
fn set_key(table: &mut Table, key: &str, text: &str, origin: &str) -> Result<(), String> {
    if let Some((section, property)) = properties::from_key(key) {
        set_property(table, section, property, text);
        return Ok(());
    }
    let slot = find_key(table, key).ok_or_else(|| unknown_key(key, origin))?;
    let wrong = |want: &str| format!("{origin}: {key} is {text:?}, expected {want}");
    *slot = match slot {
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Value::String(_) => Value::String(text.to_owned()),
        Value::Table(secret) if properties::is_file(secret) => Value::String(text.to_owned()),
        _ => return Err(wrong("a single value")),
    };
    Ok(())
}

fn set_property(table: &mut Table, section: &str, name: &str, text: &str) {
    let section = table.get_mut(section);
    if let Some(Value::Table(open)) = section.and_then(|it| it.get_mut("properties")) {
        open.insert(name.to_owned(), Value::String(text.to_owned()));
    }
}

fn find_key<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((name, rest)) => match table.get_mut(name)? {
            Value::Table(inner) => find_key(inner, rest),
            _ => None,
        },
    }
}

fn known_keys() -> Vec<String> {
    fn collect(table: &Table, prefix: &str, keys: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => collect(inner, &format!("{prefix}{key}."), keys),
                _ => keys.push(format!("{prefix}{key}")),
            }
        }
    }
    let mut keys = Vec::new();
    if let Ok(table) = default_table() {
        collect(&table, "", &mut keys);
    }
    keys
}

fn environment_name(key: &str) -> String {
    format!("PENSTOCK_{}", key.replace('.', "_").to_uppercase())
}

fn unknown_key(key: &str, origin: &str) -> String {
    let hint = nearest(key, known_keys().into_iter())
        .map_or(String::new(), |it| format!(", did you mean {it}"));
    format!("{origin}: unknown key {key}{hint}")
}

fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|it| (strsim::damerau_levenshtein(name, &it), it))
        .min()
        .map(|(_, it)| it)
}

pub(super) fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['|', '^']))
        .collect();
    lines.join("; ")
}
