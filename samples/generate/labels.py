"""Text with marks in, plain text and its labels out.

A mark is written in braces inside any text of a document:
  {LD-48213}                      an entity of world.py, by its number or name
  {Maria Keller|employee_id}      ... whose employee ID, as world.py has it, is stated in this document
  {LD-48213|status=delayed}       ... whose status is stated in this document and is "delayed"
  {2025-03-14}  {2025-03-14 long} a date, as the document's language writes it
  {EUR 1240}    {EUR 1240 sign}   money, likewise
  {dispatch@talweg-freight.example}
"trailer {TRL-2041}" states the equipment type too, and "{LD-48213} from Ulm to Basel" the places.
"""

import re
from datetime import date

from world import FIELD_NAMES, GERMAN, KNOWN

NAME_FIELD = {"Customer": "name", "Driver": "name", "Equipment": "equipment_number", "Invoice": "invoice_number",
              "Load": "load_number"}
MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
}
TYPE_BEFORE = re.compile(r"\b(reefer trailer|trailer|truck|forklift|reefer|Kühlauflieger|Auflieger|Lkw|Stapler) $", re.I)
PLACE = r"([A-ZÄÖÜ][\wäöüß]+)"
PLACES_AFTER = re.compile(rf" (?:from|von) {PLACE} (?:to|nach) {PLACE}")
MARK = re.compile(r"\{([^{}]+)\}")


def show_date(iso, language, style=""):
    day = date.fromisoformat(iso)
    month = MONTHS[language][day.month - 1]
    if style == "iso":
        return iso
    if language == "de":
        return f"{day.day}. {month} {day.year}" if style == "long" else f"{day.day:02}.{day.month:02}.{day.year}"
    return f"{month} {day.day}, {day.year}" if style == "us" else f"{day.day} {month} {day.year}"


def show_money(currency, amount, language, style=""):
    if style == "plain":
        return f"{currency} {amount:.2f}"
    number = f"{amount:,.2f}"
    sign = {"EUR": "€", "GBP": "£"}.get(currency) if style == "sign" else None
    if language == "de":
        return f"{number.translate(str.maketrans(',.', '.,'))} {sign or currency}"
    return f"{sign}{number}" if sign else f"{currency} {number}"


class Labels:
    """The labels of one document."""

    def __init__(self, language):
        self.language = language
        self.found = {}

    def add(self, label, name, **fields):
        entry = self.found.setdefault((label, name), {"label": label, "name": name, "fields": {}})
        if label in NAME_FIELD:
            entry["fields"].setdefault(NAME_FIELD[label], name)
        for field, value in fields.items():
            entry["fields"].setdefault(field, value)

    def sorted(self):
        return [self.found[key] for key in sorted(self.found)]

    def state(self, name, field, style=""):
        """States one field of a known entity; returns how this document writes it."""
        known = KNOWN[name]
        value = known[field]
        if field in ("amount", "credit_limit"):
            self.add(known["label"], name, **{field: value})
            return self.text("{%s %s}" % (value, style))
        if field == "invoice_date":
            self.add(known["label"], name, invoice_date=value)
            return self.text("{%s %s}" % (value, style))
        if field == "contact_email":
            self.add("Email", value)
        elif field not in ("name",) and self.language == "de":
            value = GERMAN.get(value, value)
        self.add(known["label"], name, **{field: value})
        return value

    def text(self, marked):
        out = ""
        end = 0
        for mark in MARK.finditer(marked):
            out += marked[end:mark.start()]
            end = mark.end()
            out += self._mark(mark.group(1).strip(), out, marked[end:])
        return out + marked[end:]

    def _mark(self, mark, before, after):
        money = re.fullmatch(r"(EUR|GBP|USD) ([\d.]+)(?: (\w+))?", mark)
        if money:
            currency, amount, style = money.group(1), float(money.group(2)), money.group(3) or ""
            self.add("Money", f"{currency} {amount:.2f}")
            return show_money(currency, amount, self.language, style)
        day = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?: (\w+))?", mark)
        if day:
            self.add("Date", day.group(1))
            return show_date(day.group(1), self.language, day.group(2) or "")
        if "@" in mark:
            self.add("Email", mark.lower())
            return mark
        name, _, stated = mark.partition("|")
        label = KNOWN[name]["label"]
        self.add(label, name)
        for part in filter(None, (part.strip() for part in stated.split(";"))):
            field, _, value = part.partition("=")
            if value:
                self.add(label, name, **{field: value})
            else:
                self.state(name, field)
        if label == "Equipment" and (kind := TYPE_BEFORE.search(before)):
            self.add(label, name, equipment_type=kind.group(1))
        if label == "Load" and (places := PLACES_AFTER.match(after)):
            self.add(label, name, pickup_location=places.group(1), delivery_location=places.group(2))
        return name

    def facts(self, name, fields, style=""):
        """One entity as (field name, value) pairs; its own name comes first."""
        label = KNOWN[name]["label"]
        words = FIELD_NAMES[self.language]
        self.add(label, name)
        first = words.get(label) or words[NAME_FIELD[label]]
        return [(first, name)] + [(words[field], self.state(name, field, style)) for field in fields]

    def listing(self, names, fields, style=""):
        """Several entities of one kind as a header and rows."""
        facts = [self.facts(name, fields, style) for name in names]
        return [key for key, _ in facts[0]], [[value for _, value in row] for row in facts]

    def record(self, name, fields, style="plain"):
        """One entity as a JSON object, keys as in the graph."""
        label = KNOWN[name]["label"]
        self.add(label, name)
        return {NAME_FIELD[label]: name, **{field: self.state(name, field, "iso" if field == "invoice_date" else style)
                                            for field in fields}}
