//! Title, author, date and language that an office document says of itself.

use penstock_runtime::Failure;

use super::dates;
use super::draft::Draft;
use super::package::{Node, Package};

/// From Office (`docProps/core.xml`) or OpenDocument (`meta.xml`).
pub fn read(package: &mut Package<'_>, draft: &mut Draft<'_>) -> Result<(), Failure> {
    for member in ["docProps/core.xml", "meta.xml"] {
        let mut text = String::new();
        package.walk(member, |node| {
            match node {
                Node::Start(..) => text.clear(),
                Node::Text(more) => text.push_str(more),
                Node::End(name) => {
                    field(name, &text, draft);
                    text.clear();
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// One field, by the local name that Dublin Core, Office and OpenDocument give it.
pub fn field(name: &str, value: &str, draft: &mut Draft<'_>) {
    match name {
        "title" => draft.set_title(value),
        "creator" | "initial-creator" => draft.set_author(value),
        "created" | "creation-date" => draft.set_created_at(dates::parse(value)),
        "language" => draft.set_language(value),
        _ => {}
    }
}
