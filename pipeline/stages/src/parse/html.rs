//! HTML to Markdown, as a stream of tags. No tree is built, so neither depth nor the repair of wrong nesting can cost
//! more than the bytes do.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use penstock_runtime::Failure;

use super::draft::{Draft, Extracted};
use super::encoding;
use super::html_writer::HtmlWriter;
use super::limits::Budget;

/// How much is fed between two looks at the clock, bytes.
const STEP: usize = 64 << 10;

/// XHTML closes elements in one tag, HTML does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Html,
    Xhtml,
}

pub fn extract(bytes: &[u8], budget: &Budget) -> Result<Extracted, Failure> {
    let text = decode(bytes);
    let mut draft = Draft::new(budget);
    draft = write(&text, Dialect::Html, draft)?;
    Ok(draft.finish())
}

/// A page may name its encoding itself, where no mark does.
fn decode(bytes: &[u8]) -> String {
    if encoding::marked(bytes).is_none() && std::str::from_utf8(bytes).is_err() {
        let head = String::from_utf8_lossy(bytes.get(..2048).unwrap_or(bytes)).to_lowercase();
        let named = head.split("charset=").nth(1).map(|rest| {
            rest.trim_start_matches(['"', '\''])
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
                .collect::<String>()
        });
        let label = named.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
        if let Some(label) = label.filter(|label| *label != encoding_rs::UTF_8) {
            return encoding::decode_as(label, bytes);
        }
    }
    encoding::decode(bytes)
}

/// Appends the text of a page to `draft`.
pub fn write<'b>(text: &str, dialect: Dialect, draft: Draft<'b>) -> Result<Draft<'b>, Failure> {
    let sink = Sink {
        writer: RefCell::new(HtmlWriter::new(draft)),
        dialect,
    };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let queue = BufferQueue::default();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = STEP.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (now, later) = rest.split_at(end);
        rest = later;
        queue.push_back(StrTendril::from_slice(now));
        // Scripts are skipped, so the tokenizer never stops for one.
        let _ = tokenizer.feed(&queue);
        tokenizer.sink.writer.borrow_mut().check()?;
    }
    tokenizer.end();
    tokenizer.sink.writer.into_inner().finish()
}

struct Sink<'b> {
    writer: RefCell<HtmlWriter<'b>>,
    dialect: Dialect,
}

impl TokenSink for Sink<'_> {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut writer = self.writer.borrow_mut();
        match token {
            Token::CharacterTokens(text) => writer.text(&text),
            Token::TagToken(tag) => {
                writer.tag(&tag);
                return self.raw_text_after(&tag);
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Sink<'_> {
    /// Elements whose content holds no tags.
    fn raw_text_after(&self, tag: &Tag) -> TokenSinkResult<()> {
        let is_closed = tag.self_closing && self.dialect == Dialect::Xhtml;
        if tag.kind == TagKind::EndTag || is_closed {
            return TokenSinkResult::Continue;
        }
        match &*tag.name {
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                TokenSinkResult::RawData(RawKind::Rawtext)
            }
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Cancel, Limits};
    use super::*;

    fn extracted(html: &str) -> Extracted {
        let budget = Budget::new(&Limits::default(), Cancel::default());
        extract(html.as_bytes(), &budget).unwrap()
    }

    #[test]
    fn html_becomes_markdown() {
        fn check(html: &str, expect: &str) {
            assert_eq!(extracted(html).text, expect, "{html}");
        }
        check(
            "<h1>A <b>b</b></h1><p>One\n two<br>three</p>",
            "# A b\n\nOne two\nthree",
        );
        check(
            "<ul><li>a<li>b<ol><li>c</ol></ul><p>d",
            "- a\n- b\n  - c\n\nd",
        );
        check("<pre>a\n  b</pre>c", "```\na\n  b\n```\n\nc");
        check(
            "<table><tr><th>Load<th>To<th>Fee</tr><tr><td>LD-1<td><p>Bern</p><p>Süd</p><td>5</table>x",
            "Load: LD-1; To: Bern Süd; Fee: 5\n\nx",
        );
        check(
            "<nav><a>menu</a></nav><script>if (a < b) {}</script><style>p{}</style>text&amp;more&uuml;",
            "text&moreü",
        );
        check("<div role='navigation'><div>x</div>y</div>z", "z");
        check(
            "<h2>Title<a class='headerlink' href='#t'>¶</a></h2>",
            "## Title",
        );
        check("a<!-- b -->c", "ac");
        check("<p>unclosed <b>tags <i>go", "unclosed tags go");
        check("", "");
    }

    #[test]
    fn an_unclosed_menu_hides_no_text() {
        assert_eq!(extracted("<nav><a>menu</a><main><p>text").text, "text");
    }

    #[test]
    fn the_head_says_what_it_is() {
        let out = extracted(
            "<html lang=de-AT><head><title>Der\nTitel</title><meta name=author content=Weller>\
             <meta property='article:published_time' content='2025-01-08'></head><body>x</body>",
        );
        assert_eq!(out.title.as_deref(), Some("Der Titel"));
        assert_eq!(out.author.as_deref(), Some("Weller"));
        assert_eq!(out.language.as_deref(), Some("de"));
        assert_eq!(out.created_at, Some(1_736_294_400_000));
        assert_eq!(out.text, "x");
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = format!(
            "{}core{}",
            "<div>".repeat(200_000),
            "</div>".repeat(200_000)
        );
        assert_eq!(extracted(&deep).text, "core");
        let lists = format!("{}core", "<ul><li>".repeat(100_000));
        assert!(extracted(&lists).text.ends_with("- core"));
        let tables = format!("{}core", "<table><tr><td>".repeat(100_000));
        assert!(extracted(&tables).text.contains("core"));
        let fonts: String = (0..100_000)
            .map(|n| format!("<p><font size={n}>x"))
            .collect();
        assert_eq!(extracted(&fonts).text.matches('x').count(), 100_000);
    }

    #[test]
    fn a_page_names_its_encoding() {
        let mut page = b"<meta charset='iso-8859-5'><p>".to_vec();
        let (cyrillic, _, _) = encoding_rs::ISO_8859_5.encode("Груз");
        page.extend_from_slice(&cyrillic);
        let budget = Budget::new(&Limits::default(), Cancel::default());
        assert_eq!(extract(&page, &budget).unwrap().text, "Груз");
    }
}
