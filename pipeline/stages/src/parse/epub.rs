//! EPUB books: a chapter is a page.

use std::collections::HashMap;

use penstock_runtime::Failure;

use super::draft::{Draft, Extracted};
use super::html::{self, Dialect};
use super::limits::Budget;
use super::package::{Node, Package, attribute};
use super::pptx::resolve;
use super::{core_properties, dates, encoding, package};

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let mut package = Package::open(bytes, budget)?;
    if package.has("META-INF/rights.xml") {
        return Err(Failure::poison("encrypted: the book is protected (DRM)"));
    }
    let mut root = None;
    package.walk("META-INF/container.xml", |node| {
        if let Node::Start("rootfile", element) = node {
            root = root.take().or_else(|| attribute(element, "full-path"));
        }
        Ok(())
    })?;
    let root = root.ok_or_else(|| package::damaged("epub", "no root file is named"))?;
    let mut draft = Draft::new(budget);
    let chapters = contents(&mut package, &root, &mut draft)?;
    let mut number = 0;
    for chapter in chapters {
        budget.check()?;
        let Some(page) = package.read(&chapter)? else {
            continue;
        };
        number += 1;
        draft.page(number)?;
        // Each page has a title of its own, which is not the book's.
        let title = draft.out.title.take();
        draft.out.title = Some(String::new());
        draft = html::write(&encoding::decode(&page), Dialect::Xhtml, draft)?;
        draft.out.title = title;
    }
    if number == 0 {
        return Err(package::damaged("epub", "none of its chapters is there"));
    }
    Ok(draft.finish())
}

/// Reads the package document: what the book says of itself, and its chapters in reading order.
fn contents(
    package: &mut Package<'_>,
    root: &str,
    draft: &mut Draft<'_>,
) -> Result<Vec<String>, Failure> {
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut manifest: HashMap<String, String> = HashMap::new();
    let mut menus = Vec::new();
    let mut spine = Vec::new();
    let mut text = String::new();
    let found = package.walk(root, |node| {
        match node {
            Node::Start(name, element) => {
                text.clear();
                let field = |name| attribute(element, name).unwrap_or_default();
                match name {
                    "item" => {
                        let id = field("id");
                        if field("properties").split(' ').any(|p| p == "nav") {
                            menus.push(id.clone());
                        }
                        manifest.insert(id, percent_decoded(&field("href")));
                    }
                    "itemref" => spine.push(field("idref")),
                    _ => {}
                }
            }
            Node::Text(more) => text.push_str(more),
            Node::End("date") => draft.set_created_at(dates::parse(&text)),
            Node::End(name) => core_properties::field(name, &text, draft),
        }
        Ok(())
    })?;
    if !found {
        return Err(package::damaged("epub", format!("{root} is missing")));
    }
    Ok(spine
        .iter()
        .filter(|id| !menus.contains(id))
        .filter_map(|id| manifest.get(id))
        .map(|href| resolve(folder, href))
        .collect())
}

/// `%20` and the like in a reference.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = match (first, tail) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or(&[]);
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
