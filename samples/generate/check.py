"""Reads the written files back and holds the truth against them, both ways. Needs pdftotext.

The text is taken from the files without the code that wrote them; what the patterns below see must be labelled, and what is
labelled must be seen.
"""

import json
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.policy import default
from html import unescape
from pathlib import Path

sys.dont_write_bytecode = True
from labels import MONTHS
from world import GERMAN, KNOWN

SAMPLES = Path(__file__).parent.parent
CUES = {"Customer": r"customer|kunde|name", "Driver": r"driver|fahrer|fahrerin|name"}


def text_of(path):
    kind = path.suffix
    if kind == ".pdf":
        return subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True, text=True).stdout
    if kind in (".docx", ".pptx", ".xlsx", ".odt", ".epub"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            inner = [name for name in archive.namelist() if re.search(r"document\.xml$|slides/slide\d+\.xml$|sharedStrings|content\.xml|xhtml$", name)]
            return "\n".join(without_tags(archive.read(name).decode()) for name in inner)
    if kind == ".html":
        return without_tags(re.sub(r"<(script|style).*?</\1>", "", path.read_text(), flags=re.S))
    if kind == ".eml":
        message = message_from_bytes(path.read_bytes(), policy=default)
        parts = [part.get_content() if part.get_content_subtype() == "plain" else without_tags(part.get_content())
                 for part in message.walk() if part.get_content_maintype() == "text"]
        return "\n".join([message["From"], message["To"], message["Subject"], *parts])
    return path.read_text(encoding="utf-8")


def without_tags(xml):
    return unescape(re.sub(r"<[^>]+>", "\n", xml))


def seen_in(text):
    """{(label, name)} by patterns, whitespace already folded."""
    seen = set()
    for label, pattern in [("Load", r"\bLD-\d{5}\b"), ("Invoice", r"\bINV-\d{4}-\d{5}\b"), ("Equipment", r"\b(?:TRL|TRK|FLT|RFR)-\d{4}\b")]:
        seen |= {(label, name) for name in re.findall(pattern, text)}
    seen |= {("Email", mail.lower()) for mail in re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.\w+", text)}
    seen |= {(KNOWN[name]["label"], name) for name in KNOWN if re.search(rf"(?<!\w){re.escape(name)}", text)}
    seen |= {("Date", iso) for iso in re.findall(r"\b\d{4}-\d\d-\d\d\b", text)}
    seen |= {("Date", f"{y}-{m}-{d}") for d, m, y in re.findall(r"\b(\d\d)\.(\d\d)\.(\d{4})\b", text)}
    for number, names in enumerate(zip(*MONTHS.values()), 1):
        for name in set(names):
            seen |= {("Date", f"{y}-{number:02}-{int(d):02}") for d, y in re.findall(rf"\b(\d{{1,2}})\.? {name} (\d{{4}})\b", text)}
            seen |= {("Date", f"{y}-{number:02}-{int(d):02}") for d, y in re.findall(rf"\b{name} (\d{{1,2}}), (\d{{4}})\b", text)}
    for currency, sign in (("EUR", "€"), ("GBP", "£")):
        amounts = re.findall(rf"(?:{currency} ?|{sign})(\d[\d,]*(?:\.\d+)?)", text)
        amounts += [n.replace(".", "").replace(",", ".") for n in re.findall(rf"(\d[\d.]*(?:,\d\d)) (?:{currency}|{sign})", text)]
        seen |= {("Money", f"{currency} {float(n.replace(',', '')):.2f}") for n in amounts}
    return seen


def main():
    truth = json.loads((SAMPLES / "truth/entities.json").read_text())
    problems = 0
    for path, labels in truth.items():
        text = re.sub(r"\s+", " ", text_of(SAMPLES / path))
        named = {(entry["label"], entry["name"]) for entry in labels}
        seen = seen_in(text)
        faults = [f"not labelled: {x}" for x in sorted(seen - named)] + [f"not seen: {x}" for x in sorted(named - seen)]
        if re.search(r"Talweg(?! Freight GmbH)", text):
            faults.append("the company's name cut short")
        if re.search(r"[{}]", text) and not path.endswith(".json"):
            faults.append("a mark was left in the text")
        for entry in labels:
            known = KNOWN.get(entry["name"], {})
            for field, value in entry["fields"].items():
                shown = ("Date", value) in seen or ("Money", value) in seen or value.lower() in text.lower()
                if not shown:
                    faults.append(f"field not in the text: {entry['name']} {field} = {value}")
            for field in ("employee_id", "license_number", "contact_email", "model"):
                if field in known and field not in entry["fields"] and re.search(rf"\b{re.escape(known[field])}\b", text):
                    faults.append(f"field stated but not labelled: {entry['name']} {field}")
            if entry["label"] == "Load" and "pickup_location" not in entry["fields"] and all(
                    re.search(rf"\b({place}|{GERMAN.get(place, place)})\b", text) for place in (known["pickup_location"], known["delivery_location"])):
                faults.append(f"places stated but not labelled: {entry['name']}")
            if cue := CUES.get(entry["label"]):
                if not re.search(rf"\b({cue})", text, re.I):
                    faults.append(f"no cue for {entry['label']} {entry['name']}")
        for fault in faults:
            print(f"{path}: {fault}")
        problems += len(faults)
    print(f"{len(truth)} documents, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
