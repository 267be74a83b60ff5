"""Questions with the one document that answers each. The first three are shown by the demo."""

MANUAL = "manuals/operations-manual.pdf"

DEMO = [
    ("For how many minutes may the doors of a loaded reefer stay open at a single stop?", MANUAL, "en"),
    ("What is the total amount and due date of the invoice for hauling paper reels from Duisburg to Rotterdam?", "invoices/INV-2025-00317.pdf", "en"),
    ("Why did the shipment of chilled yoghurt reach Innsbruck late?", "mail/delay-notice.eml", "en"),
]

QUESTIONS = [
    ("Which battery types must be put in a steel box with vermiculite when they are damaged?", MANUAL, "en"),
    ("How high may the river rise before parking rows A and B have to be emptied?", MANUAL, "en"),
    ("What should be done if AdBlue was filled into the diesel tank by mistake?", MANUAL, "en"),
    ("How is the diesel surcharge calculated from the published fuel price?", MANUAL, "en"),
    ("What torque do wheel nuts need after changing a wheel?", MANUAL, "en"),
    ("Why was Alder & Finch chosen for the night line with two fixed departures?", "customers/alder-finch-profile.docx", "en"),
    ("Welche Anlieferfenster gelten für Papierrollen im Werk Hollerbach?", "customers/hollerbach-kundenblatt.odt", "de"),
    ("How must trucks for Brightwater be washed before seafood is loaded?", "customers/brightwater-terms.json", "en"),
    ("Why has the ceramics customer been put on hold, and what did the visit agree on?", "customers/castellan-visit.md", "en"),
    ("Welche Vertragsstrafe gilt im Rahmenvertrag mit der Brauerei für verspätetes Leergut?", "customers/nordlicht-rahmenvertrag.pdf", "de"),
    ("What must be qualified before the first pharma shipment of Kestrel can start?", "customers/kestrel-onboarding.html", "en"),
    ("Welcher Kunde im Süden braucht die Anmeldung an der Rampe zwei Stunden vorher?", "customers/kundenliste-sued.xlsx", "de"),
    ("Welche Zusatzausbildung zum Gefahrgut hat die Fahrerin Keller im Personalblatt?", "drivers/keller-personalblatt.docx", "de"),
    ("Which driver is based in Hamburg and speaks Swedish?", "drivers/driver-roster.xlsx", "en"),
    ("Whose licence was checked by the inspector Weller and found with a ban?", "drivers/licence-checks.csv", "en"),
    ("How should I fit snow chains and which axle gets them first?", "drivers/winter-training.pptx", "en"),
    ("Wie teile ich die Fahrtunterbrechung laut Merkblatt Lenkzeiten auf dem Weg über den Brenner?", "drivers/lenkzeiten-merkblatt.md", "de"),
    ("Who helped a family with a burning camper van on the motorway?", "drivers/oconnell-commendation.txt", "en"),
    ("Which leasing company owns the articulated trucks in the fleet register?", "equipment/fleet-register.xlsx", "en"),
    ("What defects did the inspection of the curtain trailer find on the roof?", "equipment/trl-2041-inspection.html", "en"),
    ("Warum stieg die Temperatur im Kühlprotokoll in der Nacht über den Sollwert?", "equipment/rfr-3107-kuehlprotokoll.txt", "de"),
    ("What caused the mast of the diesel forklift to judder?", "equipment/flt-0420-repair.odt", "en"),
    ("What fault codes did the telematics unit send from the Longhaul truck?", "equipment/trk-1216-telematics.json", "en"),
    ("Welche Profiltiefe hatten die Reifen beim Wechsel durch den Reifendienst?", "equipment/reifenwechsel.csv", "de"),
    ("Which equipment should be replaced next year according to the annual fleet review?", "equipment/fleet-review-2024.pdf", "en"),
    ("Who has to provide the coil hook when steel is collected in Sheffield?", "loads/LD-48377-transport-order.docx", "en"),
    ("Which load of the calendar week carried tinned fish to Denmark?", "loads/week-12.csv", "en"),
    ("Welcher Vorbehalt zu den feuchten Kartons steht auf dem Frachtbrief nach Graz?", "loads/LD-49020-frachtbrief.html", "de"),
    ("How did the espresso machines get damaged on the way to Lyon?", "loads/LD-48560-damage-report.docx", "en"),
    ("Welche Tour holt Käse in Kempten und fährt nach Dresden?", "loads/tourenplan-kw21.md", "de"),
    ("Wie hoch ist die Maut auf der Rechnung für die Bierkästen nach Hannover?", "invoices/INV-2025-00342.pdf", "de"),
    ("How much did we charge for the bulb and tulip transport with double-deck trolleys?", "invoices/INV-2025-00355.html", "en"),
    ("Which receivables are overdue and who promised to pay them by bank transfer?", "invoices/open-items.xlsx", "en"),
    ("Welche Mahngebühr verlangt die Zahlungserinnerung an die Möbelfirma?", "invoices/zahlungserinnerung.docx", "de"),
    ("Why did we credit part of the freight for the wall tiles?", "invoices/credit-note.json", "en"),
    ("What does the driver handbook say about using a phone or messaging at the wheel?", "manuals/driver-handbook.epub", "en"),
    ("Wie wird im Lagerhandbuch das Zählen bei der Inventur mit zwei Personen beschrieben?", "manuals/lagerhandbuch.epub", "de"),
    ("Where is the assembly point in the port terminal and what colour is the helmet for visitors?", "manuals/terminal-safety.pptx", "en"),
    ("Wie viele Zurrgurte braucht man für Betonrohre laut der Schulung Ladungssicherung?", "manuals/ladungssicherung.pptx", "de"),
    ("When is a euro pallet counted as unusable for exchange?", "manuals/pallet-exchange.md", "en"),
    ("Welche Reklamation meldet die Käserei wegen zu warmer Ware?", "mail/temperatur-reklamation.eml", "de"),
    ("What price was requested for weekly transports of garden tools to Ireland?", "mail/rate-request.eml", "en"),
    ("Who takes over the night desk and which open matters were handed over?", "mail/shift-handover.eml", "en"),
    ("What did the insurer decide about the stolen copper cable?", "reports/claims-meeting.txt", "en"),
    ("Welche Öffnungszeiten hat das Depot Regensburg und wie viele Tore gibt es dort?", "reports/depot-regensburg.json", "de"),
    ("How did punctuality develop in the first quarter and what cost most?", "reports/first-quarter.docx", "en"),
]


def questions():
    demo = [{"question": q, "path": p, "language": l, "demo": True} for q, p, l in DEMO]
    return demo + [{"question": q, "path": p, "language": l} for q, p, l in QUESTIONS]
