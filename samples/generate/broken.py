"""Files that a pipeline must survive, and what should become of each."""

import io
import random
import struct
import zipfile
import zlib

import formats
from pdf import pdf

DEAD, COMPLETE = "dead_letter", "complete"
BROKEN = [
    {"path": f"broken/{name}", "expect": expect, "reason_contains": reason, "note": note} for name, expect, reason, note in [
        ("truncated.pdf", DEAD, "damaged", "a PDF cut off before its first page"),
        ("encrypted.pdf", DEAD, "encrypted", "needs a user password"),
        ("bomb.docx", DEAD, "decompress", "300 KB that inflate to 300 MB"),
        ("zero-bytes.txt", DEAD, "empty", "no bytes at all"),
        ("binary-named.txt", DEAD, "unknown", "random bytes behind a text file's name"),
        ("not-a-zip.xlsx", DEAD, "damaged", "the first bytes of a zip, then noise"),
        ("unknown.bin", DEAD, "unknown", "the header of a program, then noise"),
        ("empty.docx", DEAD, "empty", "a valid document without text"),
        ("image.png", DEAD, "image", "a picture: nothing to read"),
        ("latin1.txt", COMPLETE, "", "German in ISO-8859-1"),
        ("utf16.txt", COMPLETE, "", "German in UTF-16, little endian, with a mark"),
        ("invalid-utf8.md", COMPLETE, "", "UTF-8 with a few wrong bytes: they become replacement characters"),
        ("bad.json", COMPLETE, "", "JSON that stops in the middle: read as plain text"),
        ("one-line.txt", COMPLETE, "", "1 MB without a line end"),
        ("deep-nested.html", COMPLETE, "", "100,000 open elements around one sentence: read without recursion"),
    ]
]

LATIN1 = """Hausordnung für die Fährüberfahrt

Während der Überfahrt bleiben die Fahrzeuge verschlossen. Größere Gepäckstücke gehören nicht in die Gänge.
Das Kühlaggregat läuft über den Schiffsstrom; der Stecker sitzt an Säule zwölf. Übermüdete Fahrer fragen nach einer Kabine.
"""
UTF16 = """Schleusenbuch, Auszug

Der Schleusenwärter öffnet das Obertor, sobald der Schubverband „Möwe“ festgemacht hat. Bei Hochwasser über 5,20 m ruht der Betrieb.
Für Sportboote gilt: Motor aus, Leinen kürzen, Fender auf beiden Seiten.
"""
MARKDOWN = b"""# Caf\xc3\xa9 at the weighbridge

The caf\xe9 beside the weighbridge opens at five. Its pea soup costs less than a coffee on the motorway, and the \xff\xfe jukebox plays only on Fridays.
"""
LONG_WORDS = ("international transportation administration organization communication manufacturing infrastructure distribution "
              "responsibility construction development environmental investigation documentation representative significant "
              "understanding approximately establishment agricultural professional particularly circumstances consideration").split()


def write_broken(put):
    chance = random.Random(7)
    noise = chance.randbytes
    page = [("h", 1, "Ferry timetable"), ("p", "Departures at six, ten and four."), ("page",), ("p", "No service on Sundays in winter.")]
    put("broken/truncated.pdf", pdf("Ferry timetable", "en", page)[:700])
    put("broken/encrypted.pdf", encrypted(pdf, page))
    put("broken/bomb.docx", bomb(300))
    put("broken/zero-bytes.txt", b"")
    put("broken/binary-named.txt", noise(20_000))
    put("broken/not-a-zip.xlsx", b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + noise(6_000))
    put("broken/unknown.bin", b"\x7fELF\x02\x01\x01" + bytes(9) + noise(6_000))
    put("broken/empty.docx", formats.docx("", "en", []))
    put("broken/image.png", picture())
    put("broken/latin1.txt", LATIN1.encode("iso-8859-1"))
    put("broken/utf16.txt", b"\xff\xfe" + UTF16.encode("utf-16-le"))
    put("broken/invalid-utf8.md", MARKDOWN)
    put("broken/bad.json", b'{\n  "noticeboard": "The sauna for drivers is open on Tuesdays",\n  "towels": ["bring your own", "rent one at the desk"\n')
    put("broken/one-line.txt", one_line(chance, 1_000_000))
    put("broken/deep-nested.html", b"<!DOCTYPE html><html><body>" + b"<div>" * 100_000 + b"The lighthouse keeper counts the barges.")


def encrypted(pdf, blocks):
    from reportlab.lib.pdfencrypt import StandardEncryption
    return pdf("Ferry timetable", "en", blocks, encrypt=StandardEncryption("harbour", ownerPassword="master", strength=128))


def bomb(megabytes):
    """A DOCX whose text is spaces, written piece by piece so that making it takes no memory."""
    buffer = io.BytesIO(formats.docx("Bomb", "en", []))
    with zipfile.ZipFile(buffer) as valid:
        parts = [(info.filename, valid.read(info)) for info in valid.infolist()]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in parts:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            with archive.open(info, "w") as part:
                if name != "word/document.xml":
                    part.write(content)
                    continue
                head, tail = content.split(b"<w:body>")
                part.write(head + b'<w:body><w:p><w:r><w:t xml:space="preserve">')
                for _ in range(megabytes):
                    part.write(b" " * 1_000_000)
                part.write(b"</w:t></w:r></w:p>" + tail)
    return out.getvalue()


def picture():
    """A PNG of 64 by 64 pixels, a plain gradient."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\x00" + bytes((x * 4, y * 4, 128)[c] for x in range(64) for c in range(3)) for y in range(64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def one_line(chance, size):
    """Long words, so that a megabyte is few tokens to embed."""
    words, length = [], 0
    while length < size:
        words.append(chance.choice(LONG_WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)[:size].encode()
