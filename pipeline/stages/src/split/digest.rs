use std::collections::BTreeMap;

use penstock_schemas::content_hash;
use serde_json::json;

/// SHA-256 over what a source says of a document beside its bytes, as canonical JSON: equal digests mean that nothing
/// of it changed.
pub fn attributes_digest(
    title: Option<&str>,
    author: Option<&str>,
    language: Option<&str>,
    created_at: Option<i64>,
    attributes: &BTreeMap<String, String>,
) -> String {
    // An array keeps its order by itself, a BTreeMap its keys'.
    let canonical = json!([title, author, language, created_at, attributes]);
    content_hash(canonical.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_only_when_nothing_changed() {
        let attributes: BTreeMap<String, String> = [("tier".to_owned(), "low".to_owned())].into();
        let digest = |title, author, created_at, attributes| {
            attributes_digest(title, author, None, created_at, attributes)
        };
        let base = digest(Some("t"), None, Some(1), &attributes);
        assert_eq!(
            base,
            "917b7c0e530b31a1023bede4b3bfa72ee56f852724f09e969061c0009ba5bee8"
        );
        assert_ne!(base, digest(None, Some("t"), Some(1), &attributes));
        assert_ne!(base, digest(Some("t"), None, None, &attributes));
        assert_ne!(base, digest(Some("t"), None, Some(1), &BTreeMap::new()));
    }
}
