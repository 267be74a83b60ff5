"""The made-up world behind the samples. Every company, person and number is invented."""


def _table(label, key, fields, text):
    rows = {}
    for line in text.strip().splitlines():
        values = [value.strip() for value in line.split("|")]
        rows[values[0]] = {"label": label, **dict(zip([key, *fields], values))}
    return rows


CUSTOMERS = _table("Customer", "name", ["status", "payment_terms", "credit_limit", "contact_email"], """
Alder & Finch Logistics | active   | net 30 | EUR 75000.00  | accounts@alderfinch.example
Hollerbach Papier GmbH  | active   | net 45 | EUR 120000.00 | versand@hollerbach-papier.example
Brightwater Foods Ltd   | active   | net 21 | EUR 60000.00  | logistics@brightwater-foods.example
Castellan Ceramics      | on hold  | net 14 | EUR 15000.00  | orders@castellan-ceramics.example
Nordlicht Brauerei AG   | active   | net 30 | EUR 200000.00 | einkauf@nordlicht-brauerei.example
Kestrel Pharma          | active   | net 10 | EUR 90000.00  | quality@kestrel-pharma.example
Sonnenfeld Möbel GmbH   | active   | net 30 | EUR 45000.00  | disposition@sonnenfeld-moebel.example
Pemberton Tools         | prospect | net 7  | EUR 5000.00   | hello@pemberton-tools.example
Grünwald Gartenbau KG   | active   | net 14 | EUR 20000.00  | info@gruenwald-gartenbau.example
Ironbridge Steel Ltd    | active   | net 60 | EUR 250000.00 | transport@ironbridge-steel.example
Delft Botanics B.V.     | active   | net 14 | EUR 30000.00  | planning@delft-botanics.example
Vasari Tiles S.p.A.     | on hold  | net 30 | EUR 40000.00  | export@vasari-tiles.example
Oakhaven Books          | active   | net 28 | EUR 12000.00  | warehouse@oakhaven-books.example
Mühlbach Käserei eG     | active   | net 20 | EUR 35000.00  | rampe@muehlbach-kaeserei.example
""")

DRIVERS = _table("Driver", "name", ["employee_id", "license_number", "status"], """
Maria Keller      | EMP-1042 | DL-BY-204518 | active
Declan O'Connell  | EMP-1057 | DL-NW-318842 | active
Tomasz Wiśniewski | EMP-1063 | DL-SN-440127 | active
Jürgen Pfaff      | EMP-1008 | DL-BW-110293 | active
Aylin Demir       | EMP-1071 | DL-HE-552806 | active
Piet van Houten   | EMP-1034 | DL-NW-276611 | active
Sofia Lindqvist   | EMP-1088 | DL-HH-618340 | on leave
Luca Moretti      | EMP-1090 | DL-BY-630975 | active
Hanna Böhm        | EMP-1019 | DL-NI-158264 | active
Gareth Ellwood    | EMP-1022 | DL-HB-163350 | active
Noor Haddad       | EMP-1101 | DL-BE-701482 | active
Stefan Krüger     | EMP-1015 | DL-TH-139907 | suspended
""")

EQUIPMENT = _table("Equipment", "equipment_number", ["equipment_type", "make", "model", "status"], """
TRL-2041 | trailer  | Kronwald  | Curtainliner 136 | in service
TRL-2058 | trailer  | Kronwald  | Megaliner 3      | in service
TRL-2077 | trailer  | Steinmark | Coilporter 27    | in workshop
TRL-2093 | trailer  | Steinmark | Boxer 40         | in service
TRL-2110 | trailer  | Kronwald  | Curtainliner 140 | out of service
TRK-1188 | truck    | Fjellberg | FB 480           | in service
TRK-1192 | truck    | Fjellberg | FB 520           | in service
TRK-1205 | truck    | Vantor    | Longhaul 460     | in service
TRK-1216 | truck    | Vantor    | Longhaul 500     | in workshop
TRK-1230 | truck    | Vantor    | City E18         | in service
FLT-0412 | forklift | Hebemeier | H25 Electric     | in service
FLT-0420 | forklift | Hebemeier | H35 Diesel       | in workshop
FLT-0433 | forklift | Liftwell  | Reach 16         | in service
RFR-3107 | reefer   | Polarhaus | Arctic 33        | in service
RFR-3115 | reefer   | Polarhaus | Arctic 36        | in service
RFR-3122 | reefer   | Polarhaus | Duo 28           | in workshop
""")

LOADS = _table("Load", "load_number", ["pickup_location", "delivery_location", "status"], """
LD-48213 | Duisburg   | Rotterdam  | delivered
LD-48240 | Hamburg    | Prague     | delivered
LD-48266 | Leipzig    | Antwerp    | delivered
LD-48301 | Regensburg | Bologna    | delivered
LD-48319 | Bremen     | Aarhus     | delivered
LD-48344 | Cologne    | Lille      | cancelled
LD-48377 | Sheffield  | Dortmund   | delivered
LD-48402 | Munich     | Verona     | in transit
LD-48428 | Kassel     | Ghent      | in transit
LD-48455 | Rostock    | Malmö      | planned
LD-48491 | Nuremberg  | Brno       | planned
LD-48560 | Mannheim   | Lyon       | delivered
LD-48612 | Freising   | Innsbruck  | delivered
LD-48655 | Delft      | Erfurt     | delivered
LD-48702 | Modena     | Stuttgart  | delivered
LD-48733 | Oldenburg  | Groningen  | in transit
LD-49020 | Passau     | Graz       | delivered
LD-49044 | Ulm        | Basel      | delivered
LD-49061 | Kempten    | Dresden    | delivered
LD-49088 | Flensburg  | Hannover   | planned
""")

INVOICES = _table("Invoice", "invoice_number", ["invoice_date", "amount", "status"], """
INV-2025-00317 | 2025-03-14 | EUR 4284.00  | open
INV-2025-00318 | 2025-03-17 | EUR 1975.40  | paid
INV-2025-00326 | 2025-03-21 | EUR 2610.00  | paid
INV-2025-00331 | 2025-03-24 | EUR 880.60   | open
INV-2025-00342 | 2025-04-02 | EUR 6918.66  | open
INV-2025-00348 | 2025-04-07 | EUR 1430.00  | overdue
INV-2025-00355 | 2025-04-11 | EUR 3127.50  | paid
INV-2025-00361 | 2025-04-16 | EUR 2244.80  | overdue
INV-2025-00370 | 2025-04-25 | EUR 5060.00  | open
INV-2025-00377 | 2025-05-05 | EUR 1199.00  | disputed
INV-2025-00381 | 2025-05-09 | EUR 7342.25  | open
INV-2025-00389 | 2025-05-16 | EUR 655.00   | paid
""")

ORGANISATIONS = {name: {"label": "Organisation", "name": name} for name in [
    "Talweg Freight GmbH", "Nordkai Terminal GmbH", "Rheinbogen Versicherung AG", "Brennacher Reifendienst KG",
    "Harwick Port Authority", "Coldline Service Ltd", "Vantage Telematics Ltd", "Prüfdienst Isartal e.V.",
    "Maasvlakte Handling B.V.", "Lechfeld Leasing AG", "Ostrava Truck Service s.r.o.",
]}

KNOWN = {**CUSTOMERS, **DRIVERS, **EQUIPMENT, **LOADS, **INVOICES, **ORGANISATIONS}

GERMAN = {
    "active": "aktiv", "on hold": "gesperrt", "prospect": "Interessent", "on leave": "beurlaubt",
    "suspended": "suspendiert", "in service": "im Einsatz", "in workshop": "in der Werkstatt",
    "out of service": "außer Betrieb", "trailer": "Auflieger", "truck": "Lkw", "forklift": "Stapler",
    "reefer": "Kühlauflieger", "delivered": "zugestellt", "in transit": "unterwegs", "planned": "geplant",
    "cancelled": "storniert", "paid": "bezahlt", "open": "offen", "overdue": "überfällig", "disputed": "strittig",
    "net 7": "7 Tage netto", "net 10": "10 Tage netto", "net 14": "14 Tage netto", "net 20": "20 Tage netto",
    "net 21": "21 Tage netto", "net 28": "28 Tage netto", "net 30": "30 Tage netto", "net 45": "45 Tage netto",
    "net 60": "60 Tage netto", "Munich": "München", "Cologne": "Köln", "Nuremberg": "Nürnberg", "Prague": "Prag",
    "Brno": "Brünn",
}

FIELD_NAMES = {
    "en": {
        "name": "Name", "status": "Status", "payment_terms": "Payment terms", "credit_limit": "Credit limit",
        "contact_email": "Contact e-mail", "equipment_type": "Equipment type", "equipment_number": "Equipment No.",
        "make": "Make", "model": "Model", "employee_id": "Employee ID", "license_number": "Licence number",
        "invoice_number": "Invoice number", "invoice_date": "Invoice date", "amount": "Amount",
        "load_number": "Load number", "pickup_location": "Pickup location", "delivery_location": "Delivery location",
        "Customer": "Customer", "Driver": "Driver",
    },
    "de": {
        "name": "Name", "status": "Status", "payment_terms": "Zahlungsziel", "credit_limit": "Kreditlimit",
        "contact_email": "Kontakt-E-Mail", "equipment_type": "Fahrzeugart", "equipment_number": "Fahrzeug-Nr.",
        "make": "Hersteller", "model": "Modell", "employee_id": "Personalnummer", "license_number": "Führerscheinnummer",
        "invoice_number": "Rechnungsnummer", "invoice_date": "Rechnungsdatum", "amount": "Betrag",
        "load_number": "Ladungsnummer", "pickup_location": "Ladeort", "delivery_location": "Entladeort",
        "Customer": "Kunde", "Driver": "Fahrer",
    },
}
