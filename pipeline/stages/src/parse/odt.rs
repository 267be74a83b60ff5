//! OpenDocument texts.

use penstock_runtime::Failure;

use super::draft::{Draft, Extracted, one_line};
use super::grid::Grid;
use super::limits::Budget;
use super::package::{Node, Package, attribute};
use super::{core_properties, package};

/// Longest run of spaces that one element may stand for.
const MOST_SPACES: usize = 80;

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let mut package = Package::open(bytes, budget)?;
    let mut draft = Draft::new(budget);
    core_properties::read(&mut package, &mut draft)?;
    let mut body = Body {
        draft,
        grid: Grid::default(),
        paragraph: String::new(),
        heading: 0,
        lists: 0,
        first_in_item: false,
        depth_in_paragraph: 0,
        title: None,
    };
    let mut is_encrypted = false;
    package.walk("META-INF/manifest.xml", |node| {
        is_encrypted |= matches!(node, Node::Start("encryption-data", _));
        Ok(())
    })?;
    if is_encrypted {
        return Err(Failure::poison(
            "encrypted: save the document without a password",
        ));
    }
    if !package.walk("content.xml", |node| body.visit(node))? {
        return Err(package::damaged("odt", "content.xml is missing"));
    }
    let mut draft = body.draft;
    if let Some(title) = body.title {
        draft.set_title(&title);
    }
    Ok(draft.finish())
}

struct Body<'b> {
    draft: Draft<'b>,
    grid: Grid,
    paragraph: String,
    /// Level of the heading that is being read, 0 for none.
    heading: usize,
    lists: usize,
    first_in_item: bool,
    /// Paragraphs open inside each other (a note inside a paragraph); text outside of any is layout.
    depth_in_paragraph: usize,
    title: Option<String>,
}

impl Body<'_> {
    fn visit(&mut self, node: Node<'_>) -> Result<(), Failure> {
        match node {
            Node::Start(name, element) => match name {
                "p" => self.depth_in_paragraph += 1,
                "h" => {
                    self.depth_in_paragraph += 1;
                    let level = attribute(element, "outline-level");
                    self.heading = level.and_then(|level| level.parse().ok()).unwrap_or(1);
                }
                "s" => {
                    let count = attribute(element, "c").and_then(|count| count.parse().ok());
                    let count: usize = count.unwrap_or(1);
                    self.paragraph.push_str(&" ".repeat(count.min(MOST_SPACES)));
                }
                "tab" => self.paragraph.push(' '),
                "line-break" => self.paragraph.push('\n'),
                "list" => self.lists += 1,
                "list-item" => self.first_in_item = true,
                "table" => self.grid.open(),
                _ => {}
            },
            Node::End(name) => match name {
                "p" | "h" => {
                    self.depth_in_paragraph = self.depth_in_paragraph.saturating_sub(1);
                    self.end_paragraph()?;
                }
                "list" => {
                    self.lists = self.lists.saturating_sub(1);
                    if self.lists == 0 && self.grid.depth() == 0 {
                        self.draft.new_block()?;
                    }
                }
                "table-cell" => self.grid.end_cell(),
                "table-row" => self.grid.end_row(&mut self.draft)?,
                "table" => self.grid.close(&mut self.draft)?,
                _ => {}
            },
            Node::Text(text) => {
                if self.depth_in_paragraph > 0 {
                    self.paragraph.push_str(text);
                }
            }
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.paragraph);
        let heading = std::mem::take(&mut self.heading);
        if self.grid.depth() > 0 {
            self.grid.push(&text);
            return Ok(());
        }
        if heading > 0 {
            if heading == 1 && self.title.is_none() && !text.trim().is_empty() {
                self.title = Some(text.clone());
            }
            return self.draft.heading(heading, &text);
        }
        if self.lists > 0 && std::mem::take(&mut self.first_in_item) && !text.trim().is_empty() {
            let indent = "  ".repeat(self.lists.min(8) - 1);
            return self.draft.line(&format!("{indent}- {}", one_line(&text)));
        }
        self.draft.block(&text)
    }
}
