"""Writers, one per format. Each takes plain blocks and gives bytes, the same bytes every time.

A block is ("h", level, text), ("p", text), ("list", [text]), ("table", header, rows) or ("facts", [(key, value)]).
"""

import csv
import io
import json
import zipfile
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from xml.sax.saxutils import escape as xml

FIXED = "2025-06-02T08:00:00Z"
AUTHOR = "Ines Vogt"


def zipped(files):
    """`files`: (name, content) in order. A file named mimetype is stored, as ODT and EPUB ask."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content.encode() if isinstance(content, str) else content, compresslevel=9)
    return buffer.getvalue()


HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def office_package(main, main_type, parts, title, language):
    """The parts every Office file has, around its own `parts`: (name, content type or None, content)."""
    core_type = "application/vnd.openxmlformats-package.core-properties+xml"
    overrides = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>'
                        for name, kind, _ in [(main, main_type, ""), *parts, ("docProps/core.xml", core_type, "")] if kind)
    types = (f'{HEAD}<Types xmlns="{PACKAGE}/content-types">'
             '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
             f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>')
    core = (f'{HEAD}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" '
            'xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            f'<dc:title>{xml(title)}</dc:title><dc:creator>{AUTHOR}</dc:creator><dc:language>{language}</dc:language>'
            f'<dcterms:created xsi:type="dcterms:W3CDTF">{FIXED}</dcterms:created></cp:coreProperties>')
    return zipped([
        ("[Content_Types].xml", types),
        ("_rels/.rels", relations([("officeDocument", main),
                                   (f"{PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml")])),
        ("docProps/core.xml", core),
        *[(name, content) for name, _, content in parts],
    ])


def relations(targets):
    items = "".join(f'<Relationship Id="rId{i}" Type="{kind if "/" in kind else f"{OFFICE}/relationships/{kind}"}" Target="{target}"/>'
                    for i, (kind, target) in enumerate(targets, 1))
    return f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{items}</Relationships>'


def docx(title, language, blocks):
    def paragraph(text, style=None, extra=""):
        props = f'<w:pPr>{f"<w:pStyle w:val={chr(34)}{style}{chr(34)}/>" if style else ""}{extra}</w:pPr>' if style or extra else ""
        return f'<w:p>{props}<w:r><w:t xml:space="preserve">{xml(text)}</w:t></w:r></w:p>'

    def grid(rows):
        cells = lambda row: "".join(f"<w:tc><w:tcPr/>{paragraph(str(cell))}</w:tc>" for cell in row)
        columns = '<w:gridCol w:w="2400"/>' * len(rows[0])
        return (f'<w:tbl><w:tblPr><w:tblStyle w:val="TableGrid"/></w:tblPr><w:tblGrid>{columns}</w:tblGrid>'
                + "".join(f"<w:tr>{cells(row)}</w:tr>" for row in rows) + "</w:tbl>" + "<w:p/>")

    body = ""
    for kind, *rest in blocks:
        if kind == "h":
            body += paragraph(rest[1], f"Heading{rest[0]}")
        elif kind == "p":
            body += paragraph(rest[0])
        elif kind == "list":
            bullet = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
            body += "".join(paragraph(item, "ListParagraph", bullet) for item in rest[0])
        elif kind == "table":
            body += grid([rest[0], *rest[1]])
        elif kind == "facts":
            body += grid(rest[0])
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    headings = "".join(f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/><w:basedOn w:val="Normal"/>'
                       f'<w:pPr><w:outlineLvl w:val="{n - 1}"/></w:pPr><w:rPr><w:b/><w:sz w:val="{38 - 6 * n}"/></w:rPr></w:style>'
                       for n in (1, 2, 3))
    styles = (f'{HEAD}<w:styles {space}><w:docDefaults><w:rPrDefault><w:rPr><w:lang w:val="{language}"/></w:rPr></w:rPrDefault></w:docDefaults>'
              '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'
              f'{headings}<w:style w:type="paragraph" w:styleId="ListParagraph"><w:name w:val="List Paragraph"/></w:style>'
              '<w:style w:type="table" w:styleId="TableGrid"><w:name w:val="Table Grid"/></w:style></w:styles>')
    numbering = (f'{HEAD}<w:numbering {space}><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/>'
                 '<w:lvlText w:val="•"/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>')
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    return office_package("word/document.xml", f"{word}.document.main+xml", [
        ("word/document.xml", None, f"{HEAD}<w:document {space}><w:body>{body}<w:sectPr/></w:body></w:document>"),
        ("word/styles.xml", f"{word}.styles+xml", styles),
        ("word/numbering.xml", f"{word}.numbering+xml", numbering),
        ("word/_rels/document.xml.rels", None, relations([("styles", "styles.xml"), ("numbering", "numbering.xml")])),
    ], title, language)


def pptx(title, language, blocks):
    """A heading of any level starts a slide."""
    a = "http://schemas.openxmlformats.org/drawingml/2006/main"
    space = (f'xmlns:a="{a}" xmlns:r="{OFFICE}/relationships" '
             'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"')
    group = ('<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>')
    run = lambda text: f'<a:p><a:r><a:rPr lang="{language}"/><a:t>{xml(text)}</a:t></a:r></a:p>'

    def shape(number, name, placeholder, paragraphs, top, height):
        return (f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="{name}"/><p:cNvSpPr/><p:nvPr><p:ph type="{placeholder}"/></p:nvPr></p:nvSpPr>'
                f'<p:spPr><a:xfrm><a:off x="457200" y="{top}"/><a:ext cx="8229600" cy="{height}"/></a:xfrm></p:spPr>'
                f'<p:txBody><a:bodyPr/><a:lstStyle/>{"".join(map(run, paragraphs))}</p:txBody></p:sp>')

    def grid(rows):
        cell = lambda text: f"<a:tc><a:txBody><a:bodyPr/><a:lstStyle/>{run(str(text))}</a:txBody><a:tcPr/></a:tc>"
        width = 8229600 // len(rows[0])
        return ('<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="4" name="Table"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr>'
                '<p:xfrm><a:off x="457200" y="3600000"/><a:ext cx="8229600" cy="1800000"/></p:xfrm>'
                f'<a:graphic><a:graphicData uri="{a.replace("main", "table")}"><a:tbl><a:tblPr firstRow="1"/><a:tblGrid>'
                + f'<a:gridCol w="{width}"/>' * len(rows[0]) + "</a:tblGrid>"
                + "".join(f'<a:tr h="370840">{"".join(map(cell, row))}</a:tr>' for row in rows)
                + "</a:tbl></a:graphicData></a:graphic></p:graphicFrame>")

    slides = []
    for kind, *rest in blocks:
        if kind == "h":
            slides.append([rest[1], [], ""])
        elif kind == "p":
            slides[-1][1].append(rest[0])
        elif kind == "list":
            slides[-1][1] += rest[0]
        elif kind == "table":
            slides[-1][2] = grid([rest[0], *rest[1]])
        elif kind == "facts":
            slides[-1][2] = grid(rest[0])
    kind = "application/vnd.openxmlformats-officedocument.presentationml"
    parts = []
    for n, (heading, lines, table) in enumerate(slides, 1):
        shapes = shape(2, "Title", "title", [heading], 300000, 900000)
        if lines:
            shapes += shape(3, "Content", "body", lines, 1300000, 2200000 if table else 4800000)
        parts.append((f"ppt/slides/slide{n}.xml", f"{kind}.slide+xml",
                      f"{HEAD}<p:sld {space}><p:cSld><p:spTree>{group}{shapes}{table}</p:spTree></p:cSld></p:sld>"))
        parts.append((f"ppt/slides/_rels/slide{n}.xml.rels", None, relations([("slideLayout", "../slideLayouts/slideLayout1.xml")])))
    empty = f"<p:cSld><p:spTree>{group}</p:spTree></p:cSld>"
    colours = "".join(f'<a:{name}><a:srgbClr val="{value}"/></a:{name}>' for name, value in [
        ("dk1", "000000"), ("lt1", "FFFFFF"), ("dk2", "1F3A4D"), ("lt2", "EEF2F5"), ("accent1", "2A6F97"), ("accent2", "C9A227"),
        ("accent3", "7A9E7E"), ("accent4", "B5543B"), ("accent5", "5C5470"), ("accent6", "8D99AE"), ("hlink", "2A6F97"), ("folHlink", "5C5470")])
    fonts = "".join(f'<a:{n}Font><a:latin typeface="Arial"/><a:ea typeface=""/><a:cs typeface=""/></a:{n}Font>' for n in ("major", "minor"))
    fill = '<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>' * 3
    theme = (f'{HEAD}<a:theme xmlns:a="{a}" name="Plain"><a:themeElements><a:clrScheme name="Plain">{colours}</a:clrScheme>'
             f'<a:fontScheme name="Plain">{fonts}</a:fontScheme><a:fmtScheme name="Plain"><a:fillStyleLst>{fill}</a:fillStyleLst><a:lnStyleLst>'
             + '<a:ln><a:solidFill><a:schemeClr val="phClr"/></a:solidFill></a:ln>' * 3
             + "</a:lnStyleLst><a:effectStyleLst>" + "<a:effectStyle><a:effectLst/></a:effectStyle>" * 3
             + f"</a:effectStyleLst><a:bgFillStyleLst>{fill}</a:bgFillStyleLst></a:fmtScheme></a:themeElements></a:theme>")
    mapping = ('<p:clrMap bg1="lt1" tx1="dk1" bg2="lt2" tx2="dk2" accent1="accent1" accent2="accent2" accent3="accent3" '
               'accent4="accent4" accent5="accent5" accent6="accent6" hlink="hlink" folHlink="folHlink"/>')
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="rId{n + 1}"/>' for n in range(1, len(slides) + 1))
    parts += [
        ("ppt/presentation.xml", None, f'{HEAD}<p:presentation {space}><p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId1"/>'
         f'</p:sldMasterIdLst><p:sldIdLst>{ids}</p:sldIdLst><p:sldSz cx="9144000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>'),
        ("ppt/_rels/presentation.xml.rels", None, relations([("slideMaster", "slideMasters/slideMaster1.xml")]
         + [("slide", f"slides/slide{n}.xml") for n in range(1, len(slides) + 1)] + [("theme", "theme/theme1.xml")])),
        ("ppt/slideMasters/slideMaster1.xml", f"{kind}.slideMaster+xml", f'{HEAD}<p:sldMaster {space}>{empty}{mapping}'
         '<p:sldLayoutIdLst><p:sldLayoutId id="2147483649" r:id="rId1"/></p:sldLayoutIdLst></p:sldMaster>'),
        ("ppt/slideMasters/_rels/slideMaster1.xml.rels", None,
         relations([("slideLayout", "../slideLayouts/slideLayout1.xml"), ("theme", "../theme/theme1.xml")])),
        ("ppt/slideLayouts/slideLayout1.xml", f"{kind}.slideLayout+xml", f'{HEAD}<p:sldLayout {space} type="obj">{empty}</p:sldLayout>'),
        ("ppt/slideLayouts/_rels/slideLayout1.xml.rels", None, relations([("slideMaster", "../slideMasters/slideMaster1.xml")])),
        ("ppt/theme/theme1.xml", "application/vnd.openxmlformats-officedocument.theme+xml", theme),
    ]
    return office_package("ppt/presentation.xml", f"{kind}.presentation.main+xml", parts, title, language)


def xlsx(title, language, sheets):
    """`sheets`: (name, rows); numbers stay numbers."""
    shared = {}
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def cell(column, row, value):
        place = f"{chr(65 + column)}{row}"
        if isinstance(value, (int, float)):
            return f'<c r="{place}"><v>{value}</v></c>'
        return f'<c r="{place}" t="s"><v>{shared.setdefault(value, len(shared))}</v></c>'

    parts = []
    for n, (_, rows) in enumerate(sheets, 1):
        data = "".join(f'<row r="{r}">{"".join(cell(c, r, value) for c, value in enumerate(row))}</row>' for r, row in enumerate(rows, 1))
        parts.append((f"xl/worksheets/sheet{n}.xml", f"{kind}.worksheet+xml",
                      f'{HEAD}<worksheet xmlns="{main}"><sheetData>{data}</sheetData></worksheet>'))
    count = len(sheets)
    listed = "".join(f'<sheet name="{xml(name)}" sheetId="{n}" r:id="rId{n}"/>' for n, (name, _) in enumerate(sheets, 1))
    strings = "".join(f'<si><t xml:space="preserve">{xml(text)}</t></si>' for text in shared)
    parts += [
        ("xl/workbook.xml", None, f'{HEAD}<workbook xmlns="{main}" xmlns:r="{OFFICE}/relationships"><sheets>{listed}</sheets></workbook>'),
        ("xl/_rels/workbook.xml.rels", None, relations([("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, count + 1)]
                                                       + [("sharedStrings", "sharedStrings.xml"), ("styles", "styles.xml")])),
        ("xl/sharedStrings.xml", f"{kind}.sharedStrings+xml", f'{HEAD}<sst xmlns="{main}" uniqueCount="{len(shared)}">{strings}</sst>'),
        ("xl/styles.xml", f"{kind}.styles+xml", f'{HEAD}<styleSheet xmlns="{main}"><fonts count="1"><font/></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
         '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs></styleSheet>'),
    ]
    return office_package("xl/workbook.xml", f"{kind}.sheet.main+xml", parts, title, language)


def odt(title, language, blocks):
    names = {"office": "office:1.0", "text": "text:1.0", "table": "table:1.0", "style": "style:1.0", "meta": "meta:1.0"}
    space = " ".join(f'xmlns:{key}="urn:oasis:names:tc:opendocument:xmlns:{value}"' for key, value in names.items())
    space += ' xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.2"'

    def grid(rows, number):
        cells = lambda row: "".join(f'<table:table-cell office:value-type="string"><text:p>{xml(str(cell))}</text:p></table:table-cell>' for cell in row)
        return (f'<table:table table:name="Table{number}"><table:table-column table:number-columns-repeated="{len(rows[0])}"/>'
                + "".join(f"<table:table-row>{cells(row)}</table:table-row>" for row in rows) + "</table:table>")

    body = ""
    for number, (kind, *rest) in enumerate(blocks, 1):
        if kind == "h":
            body += f'<text:h text:outline-level="{rest[0]}">{xml(rest[1])}</text:h>'
        elif kind == "p":
            body += f"<text:p>{xml(rest[0])}</text:p>"
        elif kind == "list":
            body += "<text:list>" + "".join(f"<text:list-item><text:p>{xml(item)}</text:p></text:list-item>" for item in rest[0]) + "</text:list>"
        elif kind == "table":
            body += grid([rest[0], *rest[1]], number)
        elif kind == "facts":
            body += grid(rest[0], number)
    mime = "application/vnd.oasis.opendocument.text"
    entries = [("/", mime), ("content.xml", "text/xml"), ("styles.xml", "text/xml"), ("meta.xml", "text/xml")]
    manifest = "".join(f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{kind}"/>' for path, kind in entries)
    return zipped([
        ("mimetype", mime),
        ("META-INF/manifest.xml", f'{HEAD}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">{manifest}</manifest:manifest>'),
        ("content.xml", f"{HEAD}<office:document-content {space}><office:body><office:text>{body}</office:text></office:body></office:document-content>"),
        ("styles.xml", f"{HEAD}<office:document-styles {space}><office:styles/></office:document-styles>"),
        ("meta.xml", f"{HEAD}<office:document-meta {space}><office:meta><dc:title>{xml(title)}</dc:title><meta:initial-creator>{AUTHOR}</meta:initial-creator>"
         f"<dc:creator>{AUTHOR}</dc:creator><dc:language>{language}</dc:language><meta:creation-date>{FIXED[:-1]}</meta:creation-date></office:meta></office:document-meta>"),
    ])


def html_body(blocks):
    out = []
    row = lambda cells, tag: "<tr>" + "".join(f"<{tag}>{escape(str(cell), quote=False)}</{tag}>" for cell in cells) + "</tr>"
    for kind, *rest in blocks:
        if kind == "h":
            out.append(f"<h{rest[0]}>{escape(rest[1], quote=False)}</h{rest[0]}>")
        elif kind == "p":
            out.append(f"<p>{escape(rest[0], quote=False)}</p>")
        elif kind == "list":
            out.append("<ul>\n" + "\n".join(f"<li>{escape(item, quote=False)}</li>" for item in rest[0]) + "\n</ul>")
        elif kind == "table":
            out.append("<table>\n" + "\n".join([row(rest[0], "th")] + [row(cells, "td") for cells in rest[1]]) + "\n</table>")
        elif kind == "facts":
            out.append("<table>\n" + "\n".join(row(pair, "td") for pair in rest[0]) + "\n</table>")
    return "\n".join(out)


def html(title, language, blocks):
    return (f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n<title>{escape(title, quote=False)}</title>\n'
            f'<meta name="author" content="{AUTHOR}">\n<style>body {{ font-family: sans-serif; max-width: 44em }} td, th {{ padding: 2px 8px }}</style>\n'
            f'<script>var printed = false; window.onbeforeprint = function () {{ printed = true; }};</script>\n</head>\n<body>\n<main>\n{html_body(blocks)}\n</main>\n</body>\n</html>\n').encode()


def epub(title, language, blocks):
    """A heading of level 1 starts a chapter."""
    chapters = []
    for block in blocks:
        if block[:2] == ("h", 1):
            chapters.append([])
        chapters[-1].append(block)
    page = lambda head, body: (f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" '
                               f'lang="{language}" xml:lang="{language}">\n<head><title>{xml(head)}</title></head>\n<body>\n{body}\n</body>\n</html>\n')
    numbers = range(1, len(chapters) + 1)
    items = "".join(f'<item id="c{n}" href="chapter{n}.xhtml" media-type="application/xhtml+xml"/>' for n in numbers)
    links = "".join(f'<li><a href="chapter{n}.xhtml">{xml(chapter[0][2])}</a></li>' for n, chapter in zip(numbers, chapters))
    return zipped([
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", f'{HEAD}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
         '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'),
        ("OEBPS/content.opf", f'{HEAD}<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
         f'<dc:identifier id="id">talweg:{xml(title.lower().replace(" ", "-"))}</dc:identifier><dc:title>{xml(title)}</dc:title><dc:creator>{AUTHOR}</dc:creator><dc:language>{language}</dc:language>'
         f'<meta property="dcterms:modified">{FIXED}</meta></metadata><manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>{items}</manifest>'
         f'<spine>{"".join(f"<itemref idref={chr(34)}c{n}{chr(34)}/>" for n in numbers)}</spine></package>'),
        ("OEBPS/nav.xhtml", page(title, f'<nav epub:type="toc"><ol>{links}</ol></nav>')),
        *[(f"OEBPS/chapter{n}.xhtml", page(chapter[0][2], html_body(chapter))) for n, chapter in zip(numbers, chapters)],
    ])


def markdown(_title, _language, blocks, front_matter=None):
    out = []
    row = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
    for kind, *rest in blocks:
        if kind == "h":
            out.append("#" * rest[0] + " " + rest[1])
        elif kind == "p":
            out.append(rest[0])
        elif kind == "list":
            out.append("\n".join(f"- {item}" for item in rest[0]))
        elif kind == "table":
            out.append("\n".join([row(rest[0]), row(["---"] * len(rest[0]))] + [row(cells) for cells in rest[1]]))
        elif kind == "facts":
            out.append("\n".join(f"- **{key}:** {value}" for key, value in rest[0]))
    head = "---\n" + "".join(f"{key}: {value}\n" for key, value in front_matter.items()) + "---\n\n" if front_matter else ""
    return (head + "\n\n".join(out) + "\n").encode()


def text(_title, _language, blocks):
    out = []
    for kind, *rest in blocks:
        if kind == "h":
            out.append(rest[1].upper() if rest[0] == 0 else rest[1] + "\n" + ("=" if rest[0] == 1 else "-") * len(rest[1]))
        elif kind == "p":
            out.append(rest[0])
        elif kind == "list":
            out.append("\n".join(f"  * {item}" for item in rest[0]))
        elif kind == "table":
            rows = [rest[0], *rest[1]]
            widths = [max(len(str(row[c])) for row in rows) for c in range(len(rest[0]))]
            out.append("\n".join("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows))
        elif kind == "facts":
            out.append("\n".join(f"{key}: {value}" for key, value in rest[0]))
    return ("\n\n".join(out) + "\n").encode()


def comma_separated(rows, delimiter=","):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def json_text(value):
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def mail(headers, body, html_part=None, attachment=None):
    """Bodies go out quoted-printable. `attachment`: (file name, text)."""
    message = EmailMessage(policy=SMTP)
    for key, value in headers.items():
        message[key] = value
    message.set_content(body, cte="quoted-printable")
    if html_part:
        message.add_alternative(html_part, subtype="html", cte="quoted-printable")
        message.set_boundary("=_talweg_alternative")
    if attachment:
        message.add_attachment(attachment[1], subtype="plain", filename=attachment[0], cte="base64")
        message.set_boundary("=_talweg_mixed")
    return message.as_bytes()
