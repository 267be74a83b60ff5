"""Writes every sample document and its truth. Run again, it writes the same bytes.

    pip install -r requirements.txt && python generate.py
"""

import json
import shutil
import sys
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

import formats
from broken import BROKEN, write_broken
from content import DOCUMENTS
from labels import Labels
from pdf import pdf
from questions import questions

SAMPLES = Path(__file__).parent.parent


def main():
    truth = {}
    for folder in {document["path"].split("/")[0] for document in DOCUMENTS} | {"broken", "truth"}:
        shutil.rmtree(SAMPLES / folder, ignore_errors=True)
    for document in DOCUMENTS:
        labels = Labels(document["language"])
        content = written(document, labels)
        put(document["path"], content)
        if "attributes" in document:
            sidecar = "".join(f"{key}: {value}\n" for key, value in document["attributes"].items())
            put(document["path"] + ".meta.yaml", sidecar.encode())
        truth[document["path"]] = labels.sorted()
    write_broken(put)
    put("truth/entities.json", formats.json_text(dict(sorted(truth.items()))))
    put("truth/questions.json", formats.json_text(questions()))
    put("truth/broken.json", formats.json_text(BROKEN))
    unknown = [q["path"] for q in questions() if q["path"] not in truth]
    assert not unknown, unknown
    print(json.dumps({"documents": len(truth), "labels": sum(map(len, truth.values())), "questions": len(questions()), "broken": len(BROKEN)}))


def put(path, content):
    target = SAMPLES / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def written(document, labels):
    """The document as bytes; its labels are collected on the way."""
    title, language, kind = document["title"], document["language"], document["path"].rsplit(".", 1)[1]
    if kind == "xlsx":
        return formats.xlsx(title, language, [(name, rows_of(rows, labels)) for name, rows in document["sheets"]])
    if kind == "csv":
        return formats.comma_separated(rows_of(document["rows"], labels), document.get("delimiter", ","))
    if kind == "json":
        return formats.json_text(object_of(document["object"], labels))
    if kind == "eml":
        return mail_of(document, labels)
    blocks = document["blocks"]
    if document.get("titled", True):
        blocks = [("h", 1, title), *blocks]
    blocks = [plain(block, labels) for block in blocks]
    if kind == "pdf":
        return pdf(title, language, blocks, document["header"])
    if kind == "md":
        return formats.markdown(title, language, blocks, document.get("front_matter"))
    writer = {"docx": formats.docx, "pptx": formats.pptx, "odt": formats.odt, "epub": formats.epub, "html": formats.html, "txt": formats.text}
    return writer[kind](title, language, blocks)


def plain(block, labels):
    """A block with its marks resolved."""
    kind, *rest = block
    if kind == "h":
        return (kind, rest[0], labels.text(rest[1]))
    if kind == "p":
        return (kind, labels.text(rest[0]))
    if kind == "list":
        return (kind, [labels.text(item) for item in rest[0]])
    if kind == "table":
        return (kind, rest[0], [[labels.text(cell) for cell in row] for row in rest[1]])
    if kind == "facts":
        return (kind, [(key, labels.text(value)) for key, value in rest[0]])
    if kind == "entity":
        return ("facts", labels.facts(*rest))
    if kind == "entities":
        header, *rows = rows_of([block], labels)
        return ("table", header, rows)
    return block


def rows_of(rows, labels):
    """Rows of cells; ("entities", names, fields, more columns) becomes a header and a row for each."""
    out = []
    for row in rows:
        if row[0] != "entities":
            out.append([labels.text(cell) if isinstance(cell, str) else cell for cell in row])
            continue
        _, names, fields, *more = row
        header, listed = labels.listing(names, fields)
        for title, cells in (more[0] if more else {}).items():
            header.append(title)
            for cells_before, cell in zip(listed, cells):
                cells_before.append(labels.text(cell) if isinstance(cell, str) else cell)
        out += [header, *listed]
    return out


def object_of(value, labels):
    if isinstance(value, tuple):
        return labels.record(*value[1:])
    if isinstance(value, dict):
        return {key: object_of(inner, labels) for key, inner in value.items()}
    if isinstance(value, list):
        return [object_of(inner, labels) for inner in value]
    return labels.text(value) if isinstance(value, str) else value


def mail_of(document, labels):
    mail = document["mail"]
    name = document["path"].rsplit("/", 1)[1].removesuffix(".eml")
    headers = {"From": mail["from"], "To": mail["to"], "Subject": document["title"], "Date": mail["date"],
               "Message-ID": f"<{name}.2025@talweg-freight.example>"}
    body = labels.text(mail["body"])
    html = None
    if mail.get("html"):
        paragraphs = "".join(f"<p>{escape(part, quote=False)}</p>\n" for part in body.strip().split("\n\n"))
        html = f"<html><body>\n{paragraphs}</body></html>\n"
    attachment = mail.get("attachment")
    return formats.mail(headers, body, html, attachment and (attachment[0], labels.text(attachment[1])))


if __name__ == "__main__":
    main()
