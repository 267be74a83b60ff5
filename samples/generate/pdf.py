"""PDFs by reportlab, without its clock."""

import io
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import BaseDocTemplate, Frame, PageBreak, PageTemplate, Paragraph, Spacer, Table, TableStyle
from reportlab.platypus.tableofcontents import TableOfContents

from formats import AUTHOR

rl_config.invariant = 1
rl_config.useA85 = 0

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14, spaceAfter=7)
CELL = ParagraphStyle("cell", parent=BODY, fontSize=9, leading=11, spaceAfter=0)
ITEM = ParagraphStyle("item", parent=BODY, leftIndent=14, bulletIndent=4, spaceAfter=4)
HEADINGS = {n: ParagraphStyle(f"h{n}", parent=BODY, fontName="Helvetica-Bold", fontSize=size, leading=size + 5, spaceBefore=8, keepWithNext=1)
            for n, size in {1: 18, 2: 14, 3: 11}.items()}
ENTRY = {1: ParagraphStyle("toc1", parent=BODY, fontName="Helvetica-Bold", spaceBefore=5, spaceAfter=1),
         2: ParagraphStyle("toc2", parent=BODY, leftIndent=14, spaceAfter=0, leading=12)}


class _Document(BaseDocTemplate):
    def __init__(self, target, header, page_word, **options):
        super().__init__(target, pagesize=A4, leftMargin=22 * mm, rightMargin=22 * mm, topMargin=24 * mm, bottomMargin=22 * mm, **options)
        frame = Frame(self.leftMargin, self.bottomMargin, self.width, self.height, id="page")
        self.addPageTemplates(PageTemplate(frames=[frame], onPage=self._margins))
        self.header, self.page_word = header, page_word

    def _margins(self, canvas, _document):
        canvas.setFont("Helvetica", 8)
        canvas.setFillColor(colors.grey)
        canvas.drawString(22 * mm, A4[1] - 15 * mm, self.header)
        canvas.drawRightString(A4[0] - 22 * mm, 12 * mm, f"{self.page_word} {canvas.getPageNumber()}")

    def afterFlowable(self, flowable):
        level = {"h1": 1, "h2": 2}.get(getattr(getattr(flowable, "style", None), "name", ""))
        if level:
            self.notify("TOCEntry", (level - 1, escape(flowable.getPlainText()), self.page))


def _table(rows, width, header):
    cells = [[Paragraph(escape(str(cell)), CELL) for cell in row] for row in rows]
    table = Table(cells, colWidths=[width / len(rows[0])] * len(rows[0]), repeatRows=1 if header else 0, spaceAfter=9)
    style = [("GRID", (0, 0), (-1, -1), 0.4, colors.lightgrey), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    if header:
        style.append(("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke))
    table.setStyle(TableStyle(style))
    return table


def pdf(title, language, blocks, header="", encrypt=None):
    """Two more blocks than elsewhere: ("page",) breaks the page, ("contents", heading) lists the headings."""
    target = io.BytesIO()
    document = _Document(target, header or title, {"en": "Page", "de": "Seite"}[language], title=title, author=AUTHOR,
                         lang=language, invariant=1, encrypt=encrypt)
    story = []
    for kind, *rest in blocks:
        if kind == "h":
            story.append(Paragraph(escape(rest[1]), HEADINGS[rest[0]]))
        elif kind == "p":
            story.append(Paragraph(escape(rest[0]), BODY))
        elif kind == "list":
            story += [Paragraph(escape(item), ITEM, bulletText="•") for item in rest[0]]
        elif kind == "table":
            story.append(_table([rest[0], *rest[1]], document.width, header=True))
        elif kind == "facts":
            story.append(_table(rest[0], document.width, header=False))
        elif kind == "page":
            story.append(PageBreak())
        elif kind == "contents":
            contents = TableOfContents(dotsMinLevel=-1)
            contents.levelStyles = [ENTRY[1], ENTRY[2]]
            story += [Paragraph(rest[0], ParagraphStyle("contents", parent=HEADINGS[1])), Spacer(1, 6), contents]
    document.multiBuild(story)
    return target.getvalue()
