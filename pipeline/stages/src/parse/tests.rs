//! Whole documents in, text out.

use penstock_schemas::{About, Blob, Lineage, Range, Unit, content_hash};
use uuid::Uuid;

use super::made::{MemoryBlobs, archive, docx, input, pdf};
use super::*;

/// Sniffs and extracts: `Ok` as "kind: text", a refusal as its reason.
fn read(bytes: &[u8], path: &str) -> Result<String, String> {
    let limits = Limits::default();
    let kind = sniff(bytes, path).map_err(|failure| failure.to_string())?;
    let out = extract(bytes, kind, None, &limits).map_err(|failure| failure.to_string())?;
    Ok(format!("{}: {}", kind.as_str(), out.text))
}

#[test]
fn kinds_are_found_from_content() {
    fn check(bytes: &[u8], path: &str, expect: Result<&str, &str>) {
        let found = sniff(bytes, path);
        match (&found, expect) {
            (Ok(kind), Ok(name)) => assert_eq!(kind.as_str(), name, "{path}"),
            (Err(failure), Err(reason)) => {
                assert_eq!(failure.class(), "poison");
                assert!(failure.reason().contains(reason), "{failure}");
            }
            _ => panic!("{path}: {found:?}, expected {expect:?}"),
        }
    }
    check(&pdf(&[Some("x")]), "x.txt", Ok("pdf"));
    check(&docx(""), "x.zip", Ok("docx"));
    check(b"<!-- a --><!DOCTYPE html><p>x", "x", Ok("html"));
    check(b"<div>x<p>y</div>", "x.html", Ok("html"));
    check(b"<div>x<p>y</div>", "x.md", Ok("md"));
    check(b"{\"a\": [1, 2]}", "x.txt", Ok("json"));
    check(b"{\"a\": 1}\n{\"a\": 2}\n", "x", Ok("jsonl"));
    check(b"{\"a\": 1, ", "x.json", Ok("txt"));
    check(
        b"From: a@b\nTo: c@d\nSubject: x\n\nbody",
        "mail.txt",
        Ok("eml"),
    );
    check(b"Note: this\nFrom: here on\n", "x", Ok("txt"));
    check(b"a,b\n1,2\n3,4\n", "x", Ok("csv"));
    check(b"a,b\n1,2\n3,4\n", "x.txt", Ok("txt"));
    check(b"one, two\nthree\n", "x.csv", Ok("csv"));
    check(b"# A\n\ntext\n\n## B\n\ntext", "x", Ok("md"));
    check(b"# a comment\nkey=1\n# another\nkey=2\n", "x", Ok("txt"));
    check(b"#!/bin/sh\n# A\n\n# B\n\necho", "x", Ok("txt"));
    check(b"just words", "x", Ok("txt"));
    check(b"MZ is short for megazone, and BM for both", "x", Ok("txt"));
    check(b"", "x.txt", Err("empty"));
    check(
        b"\x7fELF\x02\x01\x01\0\0",
        "x.txt",
        Err("unknown type: looks like an ELF program"),
    );
    check(b"\x89PNG\r\n\x1a\n\0", "x", Err("PNG image"));
    check(b"PK\x03\x04nonsense", "x.xlsx", Err("damaged zip"));
    check(
        &archive(&[("a.txt", b"x")]),
        "x.docx",
        Err("looks like a zip archive (holding a.txt)"),
    );
    let noise: Vec<u8> = (0..5_000_u64).map(|n| (n * n * 7919 >> 5) as u8).collect();
    check(&noise, "x.txt", Err("binary data of unknown type"));
    check(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "x.doc",
        Err("old Office"),
    );
}

#[test]
fn documents_become_markdown() {
    fn check(bytes: &[u8], expect: &str) {
        assert_eq!(read(bytes, "x").as_deref(), Ok(expect));
    }
    check(
        &docx(
            "<w:p><w:pPr><w:pStyle w:val='Heading2'/></w:pPr><w:r><w:t>He</w:t></w:r><w:r><w:t>ad &amp; tail</w:t></w:r></w:p>\
             <w:p><w:r><w:t>Text</w:t><w:tab/><w:t>after tab</w:t></w:r></w:p>\
             <w:p><w:pPr><w:numPr><w:ilvl w:val='1'/></w:numPr></w:pPr><w:r><w:t>item</w:t></w:r></w:p>\
             <w:tbl><w:tr><w:tc><w:p><w:r><w:t>Status</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>open</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
        ),
        "docx: ## Head & tail\n\nText after tab\n\n  - item\nStatus: open",
    );
    let content = "<office:text><text:h text:outline-level='1'>Kopf</text:h><text:p>Ein<text:s text:c='2'/>Wort</text:p>\
                   <text:list><text:list-item><text:p>Punkt</text:p></text:list-item></text:list></office:text>";
    check(
        &archive(&[
            ("mimetype", b"application/vnd.oasis.opendocument.text"),
            ("content.xml", content.as_bytes()),
        ]),
        "odt: # Kopf\n\nEin  Wort\n\n- Punkt",
    );
    let slide = |title: &str| {
        format!(
            "<p:sld><p:sp><p:ph type='title'/><a:p><a:r><a:t>{title}</a:t></a:r></a:p></p:sp>\
             <p:sp><p:ph type='sldNum'/><a:p><a:r><a:t>7</a:t></a:r></a:p></p:sp>\
             <p:sp><a:p><a:pPr lvl='1'/><a:r><a:t>point</a:t></a:r></a:p></p:sp></p:sld>"
        )
    };
    check(
        &archive(&[
            (
                "ppt/presentation.xml",
                b"<p:p><p:sldId id='256' r:id='r2'/><p:sldId id='257' r:id='r1'/></p:p>",
            ),
            (
                "ppt/_rels/presentation.xml.rels",
                b"<R><Relationship Id='r1' Target='slides/slide1.xml'/>\
                  <Relationship Id='r2' Target='/ppt/slides/slide2.xml'/></R>",
            ),
            ("ppt/slides/slide1.xml", slide("Last").as_bytes()),
            ("ppt/slides/slide2.xml", slide("First").as_bytes()),
        ]),
        "pptx: ## First\n\n- point\n\n## Last\n\n- point",
    );
    check(
        &archive(&[
            ("mimetype", b"application/epub+zip"),
            (
                "META-INF/container.xml",
                b"<c><rootfile full-path='O/b.opf'/></c>",
            ),
            (
                "O/b.opf",
                b"<package><dc:title>Book</dc:title><item id='a' href='one%20a.xhtml'/><item id='n' href='nav.xhtml' \
                  properties='nav'/><item id='b' href='../two.xhtml'/><itemref idref='n'/><itemref idref='a'/>\
                  <itemref idref='b'/></package>",
            ),
            (
                "O/one a.xhtml",
                b"<html><head><title/></head><body><h1>One</h1></body></html>",
            ),
            ("two.xhtml", b"<html><title>T</title><p>two</p></html>"),
            ("O/nav.xhtml", b"<p>menu</p>"),
        ]),
        "epub: # One\n\ntwo",
    );
    check(
        b"From: =?utf-8?q?K=C3=A4the?= <k@x.example>\r\nTo: d@y.example\r\nSubject: Late\r\nMIME-Version: 1.0\r\n\
          Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n\
          --C\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
          K=FChler\r\n--C\r\nContent-Type: text/html\r\n\r\n<p>not this</p>\r\n--C--\r\n--B\r\n\
          Content-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\na,b\r\n--B--\r\n",
        "eml: Subject: Late\nFrom: Käthe <k@x.example>\nTo: d@y.example\n\nKühler\n\n## Attachment: a.csv\n\na,b",
    );
}

#[test]
fn a_workbook_has_sheets_of_rows() {
    let bytes = archive(&[
        (
            "[Content_Types].xml",
            b"<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>",
        ),
        (
            "_rels/.rels",
            b"<Relationships><Relationship Id='r1' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument' Target='xl/workbook.xml'/></Relationships>",
        ),
        (
            "xl/workbook.xml",
            b"<workbook xmlns:r='x'><sheets><sheet name='Loads' sheetId='1' r:id='r1'/>\
              <sheet name='Empty' sheetId='2' r:id='r2'/></sheets></workbook>",
        ),
        (
            "xl/_rels/workbook.xml.rels",
            b"<Relationships><Relationship Id='r1' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet' Target='worksheets/sheet1.xml'/>\
              <Relationship Id='r2' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet' Target='worksheets/sheet2.xml'/></Relationships>",
        ),
        (
            "xl/worksheets/sheet1.xml",
            b"<worksheet><sheetData><row r='1'><c r='A1' t='inlineStr'><is><t>Load</t></is></c><c r='B1' t='inlineStr'><is><t>Fee</t></is></c></row>\
              <row r='3'><c r='A3' t='inlineStr'><is><t>LD-1</t></is></c><c r='B3'><v>12.5</v></c></row>\
              <row r='1048576'><c r='XFD1048576'><v>9</v></c><c r='A1048576'><v>1</v></c></row></sheetData></worksheet>",
        ),
        (
            "xl/worksheets/sheet2.xml",
            b"<worksheet><sheetData/></worksheet>",
        ),
    ]);
    assert_eq!(
        read(&bytes, "x").as_deref(),
        Ok("xlsx: ## Loads\n\nLoad: LD-1; Fee: 12.5\nLoad: 1")
    );
}

#[test]
fn hostile_documents_are_refused_by_name() {
    fn check(bytes: &[u8], limits: &Limits, expect: &str) {
        let kind = sniff(bytes, "x").unwrap();
        let failure = extract(bytes, kind, None, limits).unwrap_err();
        assert_eq!(failure.class(), "poison");
        assert!(failure.reason().contains(expect), "{failure}");
    }
    let limits = Limits::default();
    // 64 MiB of one letter shrink to 64 KiB.
    let bomb = docx(&"a".repeat(64 << 20));
    check(&bomb, &limits, "above the limit of 200 to 1");
    let small = Limits {
        inflated_bytes: 1 << 20,
        ..Limits::default()
    };
    check(&bomb, &small, "above the limit of 1048576 bytes");
    check(
        &docx(&"<w:p>".repeat(10_000)),
        &limits,
        "nested too deep: 257 levels, above the limit of 256 levels",
    );
    let few = Limits {
        zip_entries: 1,
        ..Limits::default()
    };
    let two = archive(&[("word/document.xml", b"<a/>"), ("b", b"")]);
    check(
        &two,
        &few,
        "zip archive: 2 entries, above the limit of 1 entries",
    );
    let mut torn = docx("<w:p><w:r><w:t>some text that is long enough</w:t></w:r></w:p>");
    let middle = torn.iter().position(|byte| *byte == b'w').unwrap() + 30;
    torn[middle] ^= 0xff;
    check(&torn, &limits, "damaged");
    let strings = archive(&[
        ("xl/workbook.xml", b"<workbook/>"),
        ("xl/sharedStrings.xml", b"<sst uniqueCount='99999999999'/>"),
    ]);
    check(&strings, &limits, "cannot hold the 99999999999 strings");
    let slow = Limits {
        time: std::time::Duration::ZERO,
        ..Limits::default()
    };
    check(
        &pdf(&[Some("x")]),
        &slow,
        "took longer than the limit of 0 s",
    );
    let thin = Limits {
        pages: 1,
        ..Limits::default()
    };
    check(
        &pdf(&[None, None]),
        &thin,
        "page count: 2 pages, above the limit of 1 pages",
    );
    check(&pdf(&[None]), &limits, "no text: the pages are images");
    let whole = pdf(&[Some("x")]);
    check(&whole[..60], &limits, "damaged PDF");
}

#[test]
fn entities_are_not_expanded() {
    let body = "<!DOCTYPE d [<!ENTITY a 'boom'>]><w:p><w:r><w:t>x&a;&#228;&lt;</w:t></w:r></w:p>";
    assert_eq!(read(&docx(body), "x").as_deref(), Ok("docx: x\u{e4}<"));
}

#[test]
fn pages_are_numbered_in_the_whole_document() {
    let texts: Vec<String> = (1..=60).map(|n| format!("Page number {n}")).collect();
    let pages: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
    let range = Range {
        unit: Unit::Pages,
        first: 26,
        last: 28,
    };
    let out = extract(&pdf(&pages), Kind::Pdf, Some(&range), &Limits::default()).unwrap();
    assert_eq!(
        out.text,
        "Page number 26\n\nPage number 27\n\nPage number 28"
    );
    let starts: Vec<(i32, i64)> = out.pages.iter().map(|p| (p.page, p.start_char)).collect();
    assert_eq!(starts, [(26, 0), (27, 16), (28, 32)]);
    assert_eq!(out.title.as_deref(), Some("A made book"));
    assert_eq!(out.author.as_deref(), Some("Weller"));
    assert_eq!(out.created_at, Some(1_736_294_400_000));
}

fn part(bytes: &[u8], kind: Kind, parts: i32, range: Option<Range>) -> Part {
    let sha256 = content_hash(bytes);
    Part {
        lineage: Lineage {
            group: "g".into(),
            document_guid: Uuid::nil(),
            version: Uuid::nil(),
            edition: Uuid::nil(),
            stamped: 1,
        },
        part: 0,
        parts,
        kind: kind.as_str().into(),
        blob: Blob {
            key: format!("g/d/{sha256}"),
            sha256,
            size: bytes.len() as i64,
        },
        range,
        about: About {
            source: "s".into(),
            key: "k".into(),
            path: "p".into(),
            title: None,
            author: Some("given".into()),
            language: None,
            created_at: None,
            attributes: Default::default(),
        },
    }
}

async fn stage(bytes: &[u8], part: &Part) -> (Parse, Arc<MemoryBlobs>) {
    let blobs = Arc::new(MemoryBlobs::default());
    blobs
        .write(&part.blob.key, bytes.to_vec().into())
        .await
        .unwrap();
    (Parse::new(blobs.clone(), Limits::default(), 2), blobs)
}

#[tokio::test]
async fn parts_of_a_book_read_it_once() {
    let bytes = pdf(&[Some("one"), None, Some("three")]);
    let range = |page| {
        Some(Range {
            unit: Unit::Pages,
            first: page,
            last: page,
        })
    };
    let first = part(&bytes, Kind::Pdf, 3, range(1));
    let (parse, blobs) = stage(&bytes, &first).await;
    let emit = parse.process(&input(first)).await.unwrap();
    let section = &emit.outputs[0];
    let text = blobs::load(blobs.as_ref(), &section.text).await.unwrap();
    assert_eq!(&text[..], b"one");
    assert_eq!(section.about.author.as_deref(), Some("given"));
    assert_eq!(section.about.title.as_deref(), Some("A made book"));

    let empty = parse
        .process(&input(part(&bytes, Kind::Pdf, 3, range(2))))
        .await
        .unwrap();
    assert!(empty.outputs.is_empty());
    assert!(matches!(empty.note, penstock_runtime::Note::Filtered));
    let last = parse
        .process(&input(part(&bytes, Kind::Pdf, 3, range(3))))
        .await
        .unwrap();
    assert_eq!(last.outputs[0].pages[0].page, 3);
    // One read of the source, one of the text by this test.
    assert_eq!(*blobs.reads.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_document_without_text_is_poison() {
    let bytes = docx("<w:p/>");
    let only = part(&bytes, Kind::Docx, 1, None);
    let (parse, _) = stage(&bytes, &only).await;
    let failure = parse.process(&input(only)).await.unwrap_err();
    assert_eq!(
        failure,
        Failure::poison("empty document: this docx holds no text")
    );
}

#[tokio::test]
async fn a_scan_is_poison_in_its_first_part() {
    let bytes = pdf(&[None, None]);
    let range = Range {
        unit: Unit::Pages,
        first: 1,
        last: 1,
    };
    let first = part(&bytes, Kind::Pdf, 2, Some(range));
    let (parse, _) = stage(&bytes, &first).await;
    let failure = parse.process(&input(first)).await.unwrap_err();
    assert!(failure.reason().contains("OCR is not part"), "{failure}");
}

#[tokio::test]
async fn a_range_outside_the_document_is_poison() {
    let range = Range {
        unit: Unit::Bytes,
        first: 0,
        last: 99,
    };
    let wrong = part(b"text", Kind::Text, 1, Some(range));
    let (parse, _) = stage(b"text", &wrong).await;
    let failure = parse.process(&input(wrong)).await.unwrap_err();
    assert!(
        failure.reason().contains("0..=99 is not inside"),
        "{failure}"
    );
}
