//! The type of a document, from its content.

use std::io::Cursor;

use penstock_runtime::Failure;
use serde::de::IgnoredAny;
use zip::ZipArchive;

use super::kind::Kind;
use super::{encoding, package, table};

/// How much of a text is looked at, bytes. Only JSON is read whole: it is valid or it is not.
const LOOK_AT: usize = 64 << 10;

/// What `bytes` are. The path only decides between kinds of plain text. A type nothing here reads is Poison that says
/// what it looks like.
pub fn sniff(bytes: &[u8], path_hint: &str) -> Result<Kind, Failure> {
    if bytes.is_empty() {
        return Err(Failure::poison("empty: the document has no bytes"));
    }
    let head = bytes.get(..1024).unwrap_or(bytes);
    if find(head, b"%PDF-").is_some() {
        return Ok(Kind::Pdf);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return packaged(bytes);
    }
    if let Some(look) = known_but_unread(bytes) {
        return Err(unknown(&format!("looks like {look}")));
    }
    let sample = bytes.get(..LOOK_AT).unwrap_or(bytes);
    let marked = encoding::marked(sample);
    let found = marked.unwrap_or_else(|| encoding::of(sample));
    let text = encoding::decode_as(found, sample);
    if !is_text(&text) {
        return Err(unknown("binary data of unknown type"));
    }
    Ok(textual(bytes, &text, sample.len() < bytes.len(), path_hint))
}

fn unknown(look: &str) -> Failure {
    Failure::poison(format!("unknown type: {look}; no text can be read from it"))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A zip archive is told by its members.
fn packaged(bytes: &[u8]) -> Result<Kind, Failure> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|e| package::damaged("zip", e))?;
    let has = |name: &str| archive.index_for_name(name).is_some();
    if has("word/document.xml") {
        return Ok(Kind::Docx);
    }
    if has("ppt/presentation.xml") {
        return Ok(Kind::Pptx);
    }
    if has("xl/workbook.xml") {
        return Ok(Kind::Xlsx);
    }
    if has("xl/workbook.bin") {
        return Err(unknown("looks like a binary Excel workbook (.xlsb)"));
    }
    let holds_epub = has("META-INF/container.xml");
    let holds_content = has("content.xml");
    let mimetype = package::first_bytes(&mut archive, "mimetype", 100).unwrap_or_default();
    match String::from_utf8_lossy(&mimetype).trim() {
        "application/epub+zip" => return Ok(Kind::Epub),
        "application/vnd.oasis.opendocument.text" => return Ok(Kind::Odt),
        "" => {}
        other => return Err(unknown(&format!("looks like {}", printable(other)))),
    }
    if holds_epub {
        return Ok(Kind::Epub);
    }
    if holds_content {
        return Ok(Kind::Odt);
    }
    let mut names: Vec<&str> = archive
        .file_names_raw()
        .take(3)
        .filter_map(|name| std::str::from_utf8(name).ok())
        .collect();
    names.sort_unstable();
    Err(unknown(&format!(
        "looks like a zip archive (holding {}): unpack it first",
        printable(&names.join(", "))
    )))
}

/// At most 80 characters, none of them control characters: this comes from outside and goes into a message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Types that people put beside documents. `infer` knows many more, by names less plain.
fn known_but_unread(bytes: &[u8]) -> Option<String> {
    const KNOWN: [(&[u8], &str); 16] = [
        (b"\x7fELF", "an ELF program"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"II*\0", "a TIFF image"),
        (b"MM\0*", "a TIFF image"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-zip archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"BZh", "a bzip2 archive"),
        (b"\xfd7zXZ\0", "an xz archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"{\\rtf", "an RTF document"),
        (b"%!PS", "a PostScript document"),
        (b"\xca\xfe\xba\xbe", "a Java class or a macOS program"),
    ];
    let known = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic));
    if let Some((_, look)) = known {
        return Some((*look).to_owned());
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        // The old Office container. Office puts encrypted new documents into it, under this stream name.
        let name: Vec<u8> = "EncryptedPackage"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let look = if find(bytes, &name).is_some() {
            "an encrypted Office document: save it without a password"
        } else {
            "an old Office document (.doc, .xls, .ppt): save it in the new format"
        };
        return Some(look.to_owned());
    }
    let inferred = infer::get(bytes)?;
    let is_text = matches!(inferred.matcher_type(), infer::MatcherType::Text);
    // Two letters are too little to call a text a program or an image.
    let is_weak = matches!(inferred.extension(), "exe" | "bmp" | "ps" | "Z" | "z");
    if is_text || is_weak && is_text_at_first(bytes) {
        return None;
    }
    Some(inferred.mime_type().to_owned())
}

fn is_text_at_first(bytes: &[u8]) -> bool {
    let head = bytes.get(..512).unwrap_or(bytes);
    !head.contains(&0)
}

/// Text has next to no control characters, and few that could not be decoded.
fn is_text(text: &str) -> bool {
    let (mut all, mut control, mut broken) = (0_usize, 0_usize, 0_usize);
    for c in text.chars() {
        all += 1;
        match c {
            '\t' | '\n' | '\u{c}' | '\u{1b}' => {}
            '\u{fffd}' => broken += 1,
            c if c.is_control() => control += 1,
            _ => {}
        }
    }
    control * 200 <= all && broken * 10 <= all
}

/// Which kind of text. `text` is the beginning of `bytes`; `more` follows, or not.
fn textual(bytes: &[u8], text: &str, more: bool, path_hint: &str) -> Kind {
    let extension = path_hint
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase())
        .unwrap_or_default();
    if let Some(json) = json_kind(bytes, text, more) {
        return json;
    }
    if is_mail(text) {
        return Kind::Eml;
    }
    let says_html = matches!(extension.as_str(), "html" | "htm" | "xhtml");
    if is_html(text, says_html) {
        return Kind::Html;
    }
    match extension.as_str() {
        "md" | "markdown" | "mdown" | "mkd" => return Kind::Markdown,
        "csv" | "tsv" if table::delimiter(text, more).is_some() => return Kind::Csv,
        "txt" | "text" | "log" => return Kind::Text,
        _ => {}
    }
    if markdown_marks(text) {
        return Kind::Markdown;
    }
    if table::is_regular(text, more) {
        return Kind::Csv;
    }
    Kind::Text
}

fn json_kind(bytes: &[u8], text: &str, more: bool) -> Option<Kind> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let whole_lines = if more {
        lines.len().saturating_sub(1)
    } else {
        lines.len()
    };
    let lines_are_json = lines
        .iter()
        .take(whole_lines)
        .all(|line| line.trim_start().starts_with('{') && is_json(line.as_bytes()));
    if whole_lines > 1 && lines_are_json {
        return Some(Kind::JsonLines);
    }
    let valid = match bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) {
        plain if std::str::from_utf8(plain).is_ok() => is_json(plain),
        other => is_json(encoding::decode(other).as_bytes()),
    };
    valid.then_some(Kind::Json)
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Header lines up to the first empty one, with those that every mail has.
fn is_mail(text: &str) -> bool {
    const FROM: [&str; 4] = ["from", "received", "return-path", "delivered-to"];
    const REST: [&str; 5] = ["date", "subject", "message-id", "mime-version", "to"];
    let (mut from, mut rest) = (false, 0);
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() {
            break;
        }
        let continues = line.starts_with([' ', '\t']) && number > 0;
        if continues {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else {
            return false;
        };
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !is_name {
            return false;
        }
        let name = name.to_ascii_lowercase();
        from |= FROM.contains(&name.as_str());
        rest += usize::from(REST.contains(&name.as_str()));
    }
    from && rest >= 2
}

fn is_html(text: &str, named_so: bool) -> bool {
    let mut rest = text.trim_start();
    // What may stand before the first element.
    while let Some(end) = [("<?xml", "?>"), ("<!--", "-->")]
        .iter()
        .find(|(start, _)| rest.starts_with(start))
        .and_then(|(_, end)| rest.find(end).map(|at| at + end.len()))
    {
        rest = rest.get(end..).unwrap_or("").trim_start();
    }
    let start: String = rest.chars().take(15).collect::<String>().to_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        return true;
    }
    if !start.starts_with('<') {
        return false;
    }
    let lower = rest.to_lowercase();
    let has = |tags: &[&str]| tags.iter().any(|tag| lower.contains(tag));
    has(&["<body", "<head>", "<title>"])
        || named_so && has(&["<p>", "<p ", "<div", "<table", "<h1", "<h2", "<ul", "<br"])
}

/// Front matter, or two marks of the kind that plain text does not have.
fn markdown_marks(text: &str) -> bool {
    if super::markdown::front_matter(text).is_some() {
        return true;
    }
    if text.starts_with("#!") {
        return false;
    }
    let followers = text.lines().skip(1).chain([""]);
    let marks = text
        .lines()
        .zip(followers)
        .filter(|(line, next)| {
            let hashes = line.chars().take_while(|c| *c == '#').count();
            // Programs and settings have lines like headings, as comments on what comes right after.
            let is_heading = (1..=6).contains(&hashes)
                && line.get(hashes..).is_some_and(|rest| rest.starts_with(' '))
                && next.trim().is_empty();
            let is_fence = line.starts_with("```");
            let is_rule_of_table = line.starts_with("|--") || line.starts_with("| --");
            is_heading || is_fence || is_rule_of_table || line.contains("](http")
        })
        .take(2)
        .count();
    marks >= 2
}
