//! What a key tells by itself.

use penstock_stages::settle::is_manifest;
use uuid::Uuid;

/// The document an object belongs to, and the version; none for what all its versions share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose {
    pub document: Uuid,
    pub version: Option<Uuid>,
}

/// None for what is not laid out as ours are: it stays, whoever put it there.
pub fn whose(key: &str) -> Option<Whose> {
    let mut parts: Vec<&str> = key.split('/').collect();
    let name = parts.pop()?;
    let last = parts.pop()?.parse().ok()?;
    let of_version = is_digest(name) || is_manifest(key);
    match (parts.as_slice(), of_version) {
        // group/document/version/name; a group may hold slashes.
        ([_, .., document], true) => Some(Whose {
            document: document.parse().ok()?,
            version: Some(last),
        }),
        // vectors/group/document/model
        (["vectors", _], false) => Some(Whose {
            document: last,
            version: None,
        }),
        _ => None,
    }
}

fn is_digest(name: &str) -> bool {
    name.len() == 64
        && name
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let digest = "0af3".repeat(16);
        let check = |key: &str, expect: Option<(Uuid, Option<Uuid>)>| {
            let found = whose(key).map(|it| (it.document, it.version));
            assert_eq!(found, expect, "{key}");
        };
        let version = Some((one, Some(two)));
        check(&format!("g/{one}/{two}/{digest}"), version);
        check(&format!("a/b/{one}/{two}/{digest}"), version);
        check(&format!("g/{one}/{two}/manifest-{one}.json"), version);
        check(&format!("vectors/{one}/{two}/{digest}"), version);
        check(&format!("vectors/g/{one}/model@1"), Some((one, None)));
        check(&format!("vectors/{two}/{one}/model@1"), Some((one, None)));
        for foreign in [
            "penstock-clock".to_owned(),
            format!("{one}/{two}/{digest}"),
            format!("g/{one}/{digest}"),
            format!("g/{one}/{two}/notes.txt"),
            format!("g/{one}/{two}/manifest-x.json"),
            format!("other/g/{one}/model@1"),
            format!("vectors/a/b/{one}/model@1"),
        ] {
            check(&foreign, None);
        }
    }
}
