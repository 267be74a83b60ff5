//! Tags and text to Markdown.

use html5ever::tokenizer::{Tag, TagKind};
use penstock_runtime::Failure;

use super::dates;
use super::draft::{Draft, one_line};
use super::grid::Grid;

/// Deeper lists are indented no further.
const DEEPEST_INDENT: usize = 8;
pub struct HtmlWriter<'b> {
    draft: Draft<'b>,
    /// The first refusal of the draft; nothing is written after it.
    failure: Option<Failure>,
    /// The block under construction.
    block: String,
    mode: Mode,
    /// Level of the heading the block is, 0 for none.
    heading: usize,
    /// The block begins with a bullet.
    bullet: bool,
    list_depth: usize,
    /// Inside an element that is skipped: its name, and how many of that name are open.
    skipping: Option<(String, usize)>,
    grid: Grid,
    in_cell: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Flow,
    /// White space counts.
    Preformatted,
    /// The text of `<title>`.
    Title,
}

impl<'b> HtmlWriter<'b> {
    pub fn new(draft: Draft<'b>) -> Self {
        Self {
            draft,
            failure: None,
            block: String::new(),
            mode: Mode::Flow,
            heading: 0,
            bullet: false,
            list_depth: 0,
            skipping: None,
            grid: Grid::default(),
            in_cell: false,
        }
    }

    /// The clock, and whether the draft still takes text.
    pub fn check(&mut self) -> Result<(), Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        // Text without any tag gathers in one block, which the draft sees only at its end.
        let waiting = self.draft.chars() + self.block.len() / 4;
        self.draft.budget.limits.chars(waiting)?;
        self.draft.budget.check()
    }

    pub fn finish(mut self) -> Result<Draft<'b>, Failure> {
        self.end_cell();
        let closed = self.grid.close_all(&mut self.draft);
        self.keep(closed);
        self.end_block();
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.draft),
        }
    }

    pub fn text(&mut self, text: &str) {
        if self.skipping.is_some() {
            return;
        }
        if self.mode != Mode::Flow {
            self.block.push_str(text);
            return;
        }
        let mut words = text.split_whitespace().peekable();
        if text.starts_with(char::is_whitespace) || words.peek().is_none() {
            self.space();
        }
        while let Some(word) = words.next() {
            self.block.push_str(word);
            if words.peek().is_some() || text.ends_with(char::is_whitespace) {
                self.block.push(' ');
            }
        }
    }

    pub fn tag(&mut self, tag: &Tag) {
        let name: &str = &tag.name;
        let starts = tag.kind == TagKind::StartTag;
        if self.skip(tag, name, starts) {
            return;
        }
        match name {
            "title" if starts && !tag.self_closing => {
                self.end_block();
                self.mode = Mode::Title;
            }
            "title" if !starts => self.end_block(),
            "html" if starts => {
                let language = attribute(tag, "lang").unwrap_or_default();
                self.draft.set_language(&language);
            }
            "meta" => self.meta(tag),
            "br" if self.in_cell => self.space(),
            "br" => {
                let kept = self.block.trim_end().len();
                self.block.truncate(kept);
                if !self.block.is_empty() {
                    self.block.push('\n');
                }
            }
            "table" | "tr" | "td" | "th" => self.table_tag(name, starts),
            _ if self.in_cell => {
                if is_block(name) {
                    self.space();
                }
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block();
                if starts {
                    self.heading = name
                        .bytes()
                        .nth(1)
                        .map_or(1, |digit| usize::from(digit - b'0'));
                }
            }
            "ul" | "ol" | "menu" => {
                self.end_block();
                self.list_depth = if starts {
                    self.list_depth.saturating_add(1)
                } else {
                    self.list_depth.saturating_sub(1)
                };
                if self.list_depth == 0 {
                    let apart = self.draft.new_block();
                    self.keep(apart);
                }
            }
            "li" => {
                self.end_block();
                self.bullet = starts;
            }
            "pre" => {
                self.end_block();
                if starts {
                    self.mode = Mode::Preformatted;
                }
            }
            _ if is_block(name) => {
                // A paragraph inside a list item or a heading does not end it at once.
                if !self.block.trim().is_empty() && self.mode == Mode::Flow {
                    self.end_block();
                }
            }
            _ => {}
        }
    }

    /// Whether `tag` belongs to what is not read: programs, styles, menus.
    fn skip(&mut self, tag: &Tag, name: &str, starts: bool) -> bool {
        if let Some((skipped, open)) = &mut self.skipping {
            if skipped == name {
                *open = if starts {
                    open.saturating_add(1)
                } else {
                    open.saturating_sub(1)
                };
            }
            let text_begins = starts && matches!(name, "main" | "article" | "h1");
            let body_begins = starts && name == "body";
            if *open == 0 || text_begins || body_begins {
                self.skipping = None;
            }
            // The element that ends a menu left open is itself read.
            return !text_begins;
        }
        let is_skipped = matches!(
            name,
            "script" | "style" | "nav" | "template" | "svg" | "iframe" | "noframes" | "object"
        ) || attribute(tag, "role").is_some_and(|role| role == "navigation")
            // The sign beside a heading that links to itself.
            || attribute(tag, "class").is_some_and(|class| class.contains("headerlink"));
        if is_skipped && starts && !tag.self_closing {
            if is_block(name) {
                self.end_block();
            }
            self.skipping = Some((name.to_owned(), 1));
        }
        is_skipped
    }

    fn table_tag(&mut self, name: &str, starts: bool) {
        // Tables inside a cell are read as its text.
        let is_inner = self.grid.depth() > 1;
        match (name, starts) {
            ("table", true) => {
                if self.grid.depth() == 0 {
                    self.end_block();
                }
                self.space();
                self.grid.open();
            }
            ("table", false) => {
                if self.grid.depth() == 1 {
                    self.end_cell();
                }
                let closed = self.grid.close(&mut self.draft);
                self.keep(closed);
            }
            _ if is_inner || self.grid.depth() == 0 => self.space(),
            ("tr", _) => {
                self.end_cell();
                let ended = self.grid.end_row(&mut self.draft);
                self.keep(ended);
            }
            (_, starts) => {
                self.end_cell();
                if starts {
                    self.end_block();
                }
                self.in_cell = starts;
            }
        }
    }

    fn end_cell(&mut self) {
        if self.in_cell {
            self.grid.push(&std::mem::take(&mut self.block));
            self.grid.end_cell();
            self.in_cell = false;
        }
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        let heading = std::mem::take(&mut self.heading);
        let mode = std::mem::replace(&mut self.mode, Mode::Flow);
        if mode == Mode::Title {
            self.draft.set_title(&block);
            return;
        }
        if block.trim().is_empty() {
            return;
        }
        let written = if mode == Mode::Preformatted {
            self.draft
                .block(&format!("```\n{}\n```", block.trim_matches('\n')))
        } else if heading > 0 {
            self.draft.heading(heading, &block)
        } else if std::mem::take(&mut self.bullet) {
            let depth = self.list_depth.clamp(1, DEEPEST_INDENT) - 1;
            let first = self.draft.new_line();
            self.keep(first);
            self.draft
                .line(&format!("{}- {}", "  ".repeat(depth), one_line(&block)))
        } else {
            self.draft.block(&block)
        };
        self.keep(written);
    }

    fn meta(&mut self, tag: &Tag) {
        let name = attribute(tag, "name")
            .or_else(|| attribute(tag, "property"))
            .unwrap_or_default()
            .to_lowercase();
        let Some(content) = attribute(tag, "content") else {
            return;
        };
        match name.as_str() {
            "author" | "dc.creator" | "article:author" => self.draft.set_author(&content),
            "date" | "created" | "dc.date" | "dcterms.created" | "article:published_time" => {
                self.draft.set_created_at(dates::parse(&content));
            }
            _ => {}
        }
    }

    fn space(&mut self) {
        if !self.block.is_empty() && !self.block.ends_with(char::is_whitespace) {
            self.block.push(' ');
        }
    }

    fn keep(&mut self, written: Result<(), Failure>) {
        if let Err(failure) = written {
            self.failure.get_or_insert(failure);
        }
    }
}

fn attribute(tag: &Tag, name: &str) -> Option<String> {
    tag.attrs
        .iter()
        .find(|attribute| &*attribute.name.local == name)
        .map(|attribute| attribute.value.to_string())
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "dd"
            | "details"
            | "dialog"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "head"
            | "header"
            | "hr"
            | "html"
            | "legend"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "option"
            | "p"
            | "pre"
            | "section"
            | "select"
            | "summary"
            | "ul"
    )
}
