//! Word documents.

use std::collections::HashMap;

use penstock_runtime::Failure;

use super::draft::{Draft, Extracted, one_line};
use super::grid::Grid;
use super::limits::Budget;
use super::package::{Node, Package, attribute};
use super::{core_properties, package};

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let mut package = Package::open(bytes, budget)?;
    let headings = heading_styles(&mut package)?;
    let mut draft = Draft::new(budget);
    core_properties::read(&mut package, &mut draft)?;
    let mut body = Body::new(draft, headings);
    let found = package.walk("word/document.xml", |node| body.visit(node))?;
    if !found {
        return Err(package::damaged("docx", "word/document.xml is missing"));
    }
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        package.walk(notes, |node| body.visit(node))?;
    }
    let mut draft = body.draft;
    if let Some(title) = body.title {
        draft.set_title(&title);
    }
    Ok(draft.finish())
}

/// Level of each paragraph style that is a heading: by outline level, or by name, which differs between languages of
/// Word while `heading N` is what it stores.
fn heading_styles(package: &mut Package<'_>) -> Result<HashMap<String, usize>, Failure> {
    let mut levels = HashMap::new();
    let mut style = String::new();
    package.walk("word/styles.xml", |node| {
        if let Node::Start(name, element) = node {
            match name {
                "style" => style = attribute(element, "styleId").unwrap_or_default(),
                "name" => {
                    let value = attribute(element, "val").unwrap_or_default().to_lowercase();
                    if let Some(level) = heading_name(&value) {
                        levels.insert(style.clone(), level);
                    }
                }
                "outlineLvl" => {
                    let level = attribute(element, "val").and_then(|v| v.parse::<usize>().ok());
                    if let Some(level) = level.filter(|level| *level < 9) {
                        levels.entry(style.clone()).or_insert(level + 1);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(levels)
}

fn heading_name(name: &str) -> Option<usize> {
    if name == "title" {
        return Some(1);
    }
    let level = name
        .strip_prefix("heading")
        .or_else(|| name.strip_prefix("überschrift"))?;
    level
        .trim()
        .parse()
        .ok()
        .filter(|level| (1..=9).contains(level))
}

struct Body<'b> {
    draft: Draft<'b>,
    headings: HashMap<String, usize>,
    grid: Grid,
    paragraph: String,
    heading: Option<usize>,
    list_level: Option<usize>,
    in_text: bool,
    /// The first heading of level 1.
    title: Option<String>,
}

impl<'b> Body<'b> {
    fn new(draft: Draft<'b>, headings: HashMap<String, usize>) -> Self {
        Self {
            draft,
            headings,
            grid: Grid::default(),
            paragraph: String::new(),
            heading: None,
            list_level: None,
            in_text: false,
            title: None,
        }
    }

    fn visit(&mut self, node: Node<'_>) -> Result<(), Failure> {
        match node {
            Node::Start(name, element) => {
                let value = || attribute(element, "val").unwrap_or_default();
                match name {
                    "t" => self.in_text = true,
                    "tab" => self.paragraph.push(' '),
                    "br" | "cr" => self.paragraph.push('\n'),
                    "noBreakHyphen" => self.paragraph.push('-'),
                    "pStyle" => {
                        let style = value();
                        self.heading = self
                            .headings
                            .get(&style)
                            .copied()
                            .or_else(|| heading_name(&style.to_lowercase()));
                    }
                    "ilvl" => self.list_level = value().parse().ok(),
                    "tbl" => self.grid.open(),
                    _ => {}
                }
            }
            Node::End(name) => match name {
                "t" => self.in_text = false,
                "p" => self.end_paragraph()?,
                "tc" => self.grid.end_cell(),
                "tr" => self.grid.end_row(&mut self.draft)?,
                "tbl" => self.grid.close(&mut self.draft)?,
                _ => {}
            },
            Node::Text(text) => {
                if self.in_text {
                    self.paragraph.push_str(text);
                }
            }
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.paragraph);
        let heading = self.heading.take();
        let list_level = self.list_level.take();
        if self.grid.depth() > 0 {
            self.grid.push(&text);
            return Ok(());
        }
        if let Some(level) = heading {
            if level == 1 && self.title.is_none() && !text.trim().is_empty() {
                self.title = Some(text.clone());
            }
            return self.draft.heading(level, &text);
        }
        match list_level {
            Some(_) if text.trim().is_empty() => Ok(()),
            Some(level) => {
                let indent = "  ".repeat(level.min(8));
                self.draft.line(&format!("{indent}- {}", one_line(&text)))
            }
            None => self.draft.block(&text),
        }
    }
}
