"""The operations manual: what is particular stands in manual.txt, what recurs is composed here."""

import random
from pathlib import Path

from world import CUSTOMERS, DRIVERS, EQUIPMENT, LOADS

DUTIES = [
    "The {role} answers for this section. Entries go on form {form}, which is kept for {keep}.",
    "Responsible is the {role}, and in absence the shift leader. Use form {form}; we keep it for {keep}.",
    "This is the task of the {role}. What was done is written on form {form} and filed for {keep}.",
    "For {topic} the {role} decides. Form {form} is signed at the end of the shift and stays on file for {keep}.",
    "The {role} keeps form {form} up to date; it may be asked for in an audit during {keep}.",
]
LEADS = ["In practice:", "Step by step:", "What we expect on every shift:", "Please note three things:", "The habit that works:"]
AFTER_TABLE = [
    "The first line of the table matters most: as soon as {item} passes the mark of {limit}, there is no discussion and the answer is: {action}.",
    "If {item} is beyond {limit}, do not wait for permission. The rule reads: {action}.",
    "Colleagues often ask about {item}. The figure is {limit}, without rounding, and then: {action}.",
    "We measured {item} over two seasons before we fixed {limit}. Whoever finds a worse value acts at once: {action}.",
    "The limit for {item} ({limit}) was chosen with a margin. That margin is not for daily use; beyond it: {action}.",
]
TROUBLE = ["What if it goes wrong?", "A case that occurs", "When things go wrong", "Trouble and remedy"]
CLOSING = [
    "Questions about {topic} go to the {role} first; proposals for a better rule go to {quality@talweg-freight.example}.",
    "A note on the form costs a minute, and a missing note about {topic} has cost us whole afternoons.",
    "Anyone who shows a new colleague {topic} should let them do it once alone and watch, rather than explain it twice.",
    "Shortcuts in {topic} save little: the last internal review counted four cases, each repaired with more work than the proper way.",
    "The {role} goes through {topic} with the team at least once a year, with an example from our own log.",
    "Temporary staff are told about {topic} before their first shift and sign that they have understood it.",
]
EXAMPLES = [
    "Example from the log: on {%(day)s} the %(role)s opened a case under %(form)s for load {%(load)s} from %(pickup)s to %(delivery)s; it was closed on the same day and cost {EUR %(cost)s}.",
    "Example: on {%(day)s} driver {%(driver)s} asked about %(topic)s while standing with {%(equipment)s} at dock 5; the answer took three minutes and went into %(form)s.",
    "A case to learn from: for customer {%(customer)s} we paid {EUR %(cost)s} after %(topic)s had been skipped on {%(day)s}.",
    "From last year's audit: the inspection of {%(equipment)s} on {%(day)s} showed that %(form)s had been filled in without looking.",
]


def chapters():
    """[(chapter, [(section title, role, form, keep, intro, steps, limits, fault, remedy)])]"""
    found = []
    for line in Path(__file__).with_name("manual.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            found.append((line[2:], []))
        elif line.startswith("## "):
            title, role, form, keep = line[3:].split(" | ")
            section = {"title": title, "role": role, "form": form, "keep": keep, "intro": "", "steps": [], "limits": []}
            found[-1][1].append(section)
        elif line.startswith("- "):
            section["steps"].append(line[2:])
        elif line.startswith("= "):
            section["limits"].append(line[2:].split(" | "))
        elif line.startswith("! "):
            section["fault"], section["remedy"] = line[2:].split(" -> ")
        elif line:
            section["intro"] += line
    return found


def manual_blocks():
    chance = random.Random(2025)
    drivers = [name for name in DRIVERS if name.isascii()]
    blocks = [
        ("h", 1, "Operations Manual"),
        ("p", "{Talweg Freight GmbH}, depots at Regensburg, Duisburg and Hamburg. Edition of {2025-02-01}."),
        ("p", "This manual says how we work: at the gate, at the docks, on the road, in the warehouse and at the desk. It replaces the "
              "edition of {2023-05-15}. Each section fits on one page, so that it can be copied and hung up where it is needed."),
        ("p", "Emergencies come before rules. In an emergency follow the chapter on systems and emergencies, and ask afterwards."),
        ("p", "Questions about the manual: {quality@talweg-freight.example}"),
        ("page",), ("contents", "Contents"),
    ]
    for number, (chapter, sections) in enumerate(chapters(), 1):
        for index, section in enumerate(sections, 1):
            topic = section["title"][0].lower() + section["title"][1:]
            words = {"role": section["role"], "form": section["form"], "keep": section["keep"], "topic": topic}
            item, limit, action = chance.choice(section["limits"])
            known_item = {"item": item, "limit": limit, "action": action}
            blocks.append(("page",))
            if index == 1:
                blocks.append(("h", 1, f"{number} {chapter}"))
            blocks += [
                ("h", 2, f"{number}.{index} {section['title']}"),
                ("p", section["intro"]),
                ("p", chance.choice(DUTIES).format(**words)),
                ("p", chance.choice(LEADS)),
                ("list", [step[0].upper() + step[1:] + "." for step in section["steps"]]),
                ("table", ["What", "Limit", "Beyond it"], section["limits"]),
                ("p", _fill(AFTER_TABLE[chance.randrange(len(AFTER_TABLE))], known_item)),
                ("h", 3, chance.choice(TROUBLE)),
                ("p", f"{section['fault']}. What to do: {section['remedy']}."),
            ]
            if index % 2 == 0:
                load = chance.choice(sorted(LOADS.values(), key=lambda load: load["load_number"]))
                blocks.append(("p", chance.choice(EXAMPLES) % {
                    "day": f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}", "role": section["role"], "form": section["form"],
                    "topic": topic, "load": load["load_number"], "pickup": load["pickup_location"], "delivery": load["delivery_location"],
                    "cost": chance.randrange(60, 900, 5), "driver": chance.choice(drivers),
                    "customer": chance.choice(sorted(CUSTOMERS)), "equipment": chance.choice(sorted(EQUIPMENT))}))
            blocks.append(("p", _fill(chance.choice(CLOSING), words)))
    return blocks


def _fill(template, words):
    """Like format, but leaves the braces of marks in the words alone."""
    for key, value in words.items():
        template = template.replace("{" + key + "}", value)
    return template
