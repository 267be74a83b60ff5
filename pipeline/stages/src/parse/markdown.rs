//! Markdown: as it is, but for the front matter, which becomes attributes.

use std::collections::BTreeMap;

use penstock_runtime::Failure;
use serde_yaml_ng::Value;

use super::draft::{Draft, Extracted};
use super::limits::Budget;
use super::{dates, encoding};

/// Longest front matter that is read, bytes. YAML can name a thing once and repeat it often; so little cannot hurt.
const LONGEST_FRONT_MATTER: usize = 64 << 10;

/// `bytes` is a part of the document that begins with `head`: the front matter holds for all parts.
pub fn extract(bytes: &[u8], head: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let text = encoding::decode_part(bytes, head);
    let head = encoding::decode(head.get(..2 * LONGEST_FRONT_MATTER).unwrap_or(head));
    let matter = front_matter(&head).map(|(yaml, _)| fields(yaml));
    let body = front_matter(&text).map_or(text.as_str(), |(_, body)| body);

    let mut draft = Draft::new(budget);
    draft.push(body.trim_start_matches('\n'))?;
    let mut fields = matter.unwrap_or_default();
    if let Some(title) = fields.remove("title") {
        draft.set_title(&title);
    } else if let Some(heading) = first_heading(&head) {
        draft.set_title(heading);
    }
    if let Some(author) = fields.remove("author") {
        draft.set_author(&author);
    }
    for name in ["date", "created_at", "created"] {
        let parsed = fields.get(name).and_then(|date| dates::parse(date));
        if parsed.is_some() {
            draft.set_created_at(parsed);
            fields.remove(name);
        }
    }
    let declared = ["language", "lang"]
        .iter()
        .find_map(|name| fields.remove(*name));
    let mut out = draft.finish();
    if let Some(language) = declared {
        let mut declared = Draft::new(budget);
        declared.set_language(&language);
        out.language = declared.out.language.or(out.language);
    }
    out.attributes = fields;
    Ok(out)
}

/// The YAML between two lines of `---` at the very beginning, and what follows; none unless it is a mapping.
pub fn front_matter(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("---\n")?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if at > LONGEST_FRONT_MATTER {
            return None;
        }
        if matches!(line.trim_end(), "---" | "...") {
            let yaml = rest.get(..at)?;
            let body = rest.get(at + line.len()..)?;
            let parsed: Value = serde_yaml_ng::from_str(yaml).ok()?;
            return parsed.is_mapping().then_some((yaml, body));
        }
        at += line.len();
    }
    None
}

/// Flat fields as text; lists of scalars joined by commas. Deeper structure is left out: attributes are flat.
fn fields(yaml: &str) -> BTreeMap<String, String> {
    let Ok(Value::Mapping(mapping)) = serde_yaml_ng::from_str(yaml) else {
        return BTreeMap::new();
    };
    mapping
        .iter()
        .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), flat(value)?)))
        .collect()
}

fn flat(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Mapping(_) | Value::Tagged(_) => None,
        Value::Sequence(items) => {
            let items: Option<Vec<String>> = items.iter().map(scalar).collect();
            Some(items?.join(", "))
        }
        scalar_value => scalar(scalar_value),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn first_heading(text: &str) -> Option<&str> {
    text.lines()
        .take(200)
        .find_map(|line| line.strip_prefix("# "))
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Cancel, Limits};
    use super::*;

    fn extracted(text: &str) -> Extracted {
        let budget = Budget::new(&Limits::default(), Cancel::default());
        extract(text.as_bytes(), text.as_bytes(), &budget).unwrap()
    }

    #[test]
    fn front_matter_becomes_attributes() {
        let out = extracted(
            "---\ntitle: Guide\nauthor: Weller\ndate: 2025-01-08\nlanguage: de\nimpact_score: 0.45\nflag: true\n\
             tags: [a, b]\ndeep: {x: 1}\n---\n\n# Heading\n\nText.\n",
        );
        assert_eq!(out.text, "# Heading\n\nText.");
        assert_eq!(out.title.as_deref(), Some("Guide"));
        assert_eq!(out.author.as_deref(), Some("Weller"));
        assert_eq!(out.created_at, Some(1_736_294_400_000));
        assert_eq!(out.language.as_deref(), Some("de"));
        let attributes: Vec<(&str, &str)> = out
            .attributes
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            attributes,
            [("flag", "true"), ("impact_score", "0.45"), ("tags", "a, b")]
        );
    }

    #[test]
    fn what_is_no_front_matter_stays() {
        fn check(text: &str, expect: &str) {
            assert_eq!(extracted(text).text, expect);
        }
        check("---\n\nA rule, then text.\n", "---\n\nA rule, then text.");
        check("---\nnot: [closed\n---\nx", "---\nnot: [closed\n---\nx");
        check("Text\n---\na: b\n---\n", "Text\n---\na: b\n---");
        check("---\na: b\n", "---\na: b");
    }

    #[test]
    fn the_first_heading_is_the_title() {
        let out = extracted("intro\n\n# The title\n\n# Another");
        assert_eq!(out.title.as_deref(), Some("The title"));
    }

    #[test]
    fn repeated_anchors_cost_nothing() {
        let mut yaml = String::from("---\na: &a [x,x,x,x,x,x,x,x,x]\n");
        for (before, name) in ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
            .windows(2)
            .map(|w| (w[0], w[1]))
        {
            yaml.push_str(&format!(
                "{name}: &{name} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\n"
            ));
        }
        yaml.push_str("---\nText");
        assert!(extracted(&yaml).text.ends_with("Text"));
    }
}
