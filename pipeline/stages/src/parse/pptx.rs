//! PowerPoint presentations: a slide is a page.

use std::collections::HashMap;

use penstock_runtime::Failure;

use super::draft::{Draft, Extracted, one_line};
use super::grid::Grid;
use super::limits::Budget;
use super::package::{Node, Package, attribute};
use super::{core_properties, package};

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let mut package = Package::open(bytes, budget)?;
    let slides = slides_in_order(&mut package)?;
    if slides.is_empty() {
        return Err(package::damaged("pptx", "no slide is listed"));
    }
    let mut draft = Draft::new(budget);
    core_properties::read(&mut package, &mut draft)?;
    for (number, slide) in slides.iter().enumerate() {
        draft.page(number + 1)?;
        let mut shapes = Shapes::new(draft);
        package.walk(slide, |node| shapes.visit(node))?;
        draft = shapes.draft;
        if let Some(notes) = notes_of(&mut package, slide)? {
            let mut shapes = Shapes::new(draft);
            package.walk(&notes, |node| shapes.visit(node))?;
            draft = shapes.draft;
        }
    }
    Ok(draft.finish())
}

/// Members that hold the slides, in the order of the presentation.
fn slides_in_order(package: &mut Package<'_>) -> Result<Vec<String>, Failure> {
    let targets = relations(package, "ppt/_rels/presentation.xml.rels")?;
    let mut slides = Vec::new();
    package.walk("ppt/presentation.xml", |node| {
        if let Node::Start("sldId", element) = node {
            // Two attributes are named id; the relation's is the one with a prefix.
            let relation = element
                .attributes()
                .with_checks(false)
                .flatten()
                .find(|a| a.key.local_name().as_ref() == "id" && a.key.prefix().is_some());
            let target = relation.and_then(|relation| targets.get(relation.value.as_ref()));
            if let Some((target, _)) = target {
                slides.push(resolve("ppt", target));
            }
        }
        Ok(())
    })?;
    slides.retain(|slide| package.has(slide));
    Ok(slides)
}

fn notes_of(package: &mut Package<'_>, slide: &str) -> Result<Option<String>, Failure> {
    let Some((folder, file)) = slide.rsplit_once('/') else {
        return Ok(None);
    };
    let targets = relations(package, &format!("{folder}/_rels/{file}.rels"))?;
    Ok(targets
        .values()
        .find(|(_, kind)| kind.ends_with("/notesSlide"))
        .map(|(target, _)| resolve(folder, target)))
}

/// Target and type of each relation, by id.
fn relations(
    package: &mut Package<'_>,
    member: &str,
) -> Result<HashMap<String, (String, String)>, Failure> {
    let mut relations = HashMap::new();
    package.walk(member, |node| {
        if let Node::Start("Relationship", element) = node {
            let field = |name| attribute(element, name).unwrap_or_default();
            relations.insert(field("Id"), (field("Target"), field("Type")));
        }
        Ok(())
    })?;
    Ok(relations)
}

/// `target` as seen from `folder`: `../x` goes up, `/x` starts at the top.
pub fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut path: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            step => path.push(step),
        }
    }
    path.join("/")
}

struct Shapes<'b> {
    draft: Draft<'b>,
    grid: Grid,
    paragraph: String,
    level: usize,
    shape: Shape,
    paragraphs_in_shape: usize,
    in_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Title,
    Body,
    /// Slide numbers, dates, footers.
    Skipped,
}

impl<'b> Shapes<'b> {
    fn new(draft: Draft<'b>) -> Self {
        Self {
            draft,
            grid: Grid::default(),
            paragraph: String::new(),
            level: 0,
            shape: Shape::Body,
            paragraphs_in_shape: 0,
            in_text: false,
        }
    }

    fn visit(&mut self, node: Node<'_>) -> Result<(), Failure> {
        match node {
            Node::Start(name, element) => match name {
                "sp" => {
                    self.shape = Shape::Body;
                    self.paragraphs_in_shape = 0;
                }
                "ph" => {
                    self.shape = match attribute(element, "type").as_deref() {
                        Some("title" | "ctrTitle") => Shape::Title,
                        Some("sldNum" | "dt" | "ftr" | "hdr" | "sldImg") => Shape::Skipped,
                        _ => Shape::Body,
                    };
                }
                "t" => self.in_text = true,
                "br" => self.paragraph.push(' '),
                "pPr" => {
                    let level = attribute(element, "lvl").and_then(|level| level.parse().ok());
                    self.level = level.unwrap_or(0);
                }
                "tbl" => self.grid.open(),
                _ => {}
            },
            Node::End(name) => match name {
                "t" => self.in_text = false,
                "p" => self.end_paragraph()?,
                "tc" => self.grid.end_cell(),
                "tr" => self.grid.end_row(&mut self.draft)?,
                "tbl" => self.grid.close(&mut self.draft)?,
                "sp" => self.draft.new_block()?,
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
        let text = one_line(&std::mem::take(&mut self.paragraph));
        let level = std::mem::take(&mut self.level);
        if self.grid.depth() > 0 {
            self.grid.push(&text);
            return Ok(());
        }
        if text.is_empty() || self.shape == Shape::Skipped {
            return Ok(());
        }
        self.paragraphs_in_shape += 1;
        if self.shape == Shape::Title {
            self.draft.set_title(&text);
            return self.draft.heading(2, &text);
        }
        if level > 0 {
            let indent = "  ".repeat(level.min(8) - 1);
            return self.draft.line(&format!("{indent}- {text}"));
        }
        self.draft.block(&text)
    }
}
