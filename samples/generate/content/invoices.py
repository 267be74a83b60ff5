ALL = ["invoice_date", "amount", "status"]

DOCUMENTS = [
    {"path": "invoices/INV-2025-00317.pdf", "language": "en", "title": "Invoice INV-2025-00317", "header": "Invoice",
     "attributes": {"impact_score": 0.5, "impact_tier": "medium", "doc_type": "invoice", "region": "west"},
     "blocks": [
        ("p", "{Talweg Freight GmbH}, Hafenstrasse 12, Duisburg"),
        ("p", "Bill to: customer {Alder & Finch Logistics|payment_terms; contact_email}, {accounts@alderfinch.example}"),
        ("entity", "INV-2025-00317", ["invoice_date", "status"]),
        ("p", "For haulage of paper reels, load {LD-48213} from Duisburg to Rotterdam, loaded on {2025-03-11}:"),
        ("table", ["Position", "Amount"], [["Freight, two trucks", "{EUR 3200}"], ["Diesel surcharge 6.5 %", "{EUR 208}"], ["Waiting time at the quay, three half hours", "{EUR 192}"],
                                          ["Net amount", "{EUR 3600}"], ["VAT 19 %", "{EUR 684}"], ["Total due", "{EUR 4284}"]]),
        ("p", "Invoice {INV-2025-00317|amount} over {EUR 4284} is payable net 30, that is by {2025-04-13}. Please quote the invoice number with your transfer.")]},

    {"path": "invoices/INV-2025-00342.pdf", "language": "de", "title": "Rechnung INV-2025-00342", "header": "Rechnung",
     "blocks": [
        ("p", "{Talweg Freight GmbH}, Niederlassung Hamburg"),
        ("p", "Rechnung an den Kunden {Nordlicht Brauerei AG|contact_email; payment_terms}, {einkauf@nordlicht-brauerei.example}"),
        ("entity", "INV-2025-00342", ALL),
        ("p", "Für den Transport von Bierkästen, Ladung {LD-49088} von Flensburg nach Hannover, und zwölf Leerguttouren im März berechnen wir:"),
        ("table", ["Leistung", "Betrag"], [["Zwölf Touren nach Rahmenvertrag", "{EUR 5400}"], ["Maut für 1.640 km", "{EUR 311.60}"], ["Sortieren der Kästen", "{EUR 102.40}"],
                                           ["Netto", "{EUR 5814}"], ["Umsatzsteuer 19 %", "{EUR 1104.66}"], ["Brutto", "{EUR 6918.66}"]]),
        ("p", "Zahlbar 30 Tage netto, spätestens am {2025-05-02}.")]},

    {"path": "invoices/INV-2025-00355.html", "language": "en", "title": "Invoice INV-2025-00355",
     "blocks": [
        ("p", "Customer: {Delft Botanics B.V.}"),
        ("entity", "INV-2025-00355", ALL, "sign"),
        ("h", 2, "Services"),
        ("p", "Load {LD-48655} from Delft to Erfurt: bulbs and cut tulips on 38 double-deck trolleys, held at 5 °C with reefer {RFR-3107}, delivered before the flower market opened at four in the morning."),
        ("table", ["Service", "Net"], [["Refrigerated transport", "{EUR 2480 sign}"], ["Trolley return", "{EUR 95 sign}"], ["Early delivery", "{EUR 52.50 sign}"], ["Attendance of the second driver", "{EUR 500 sign}"]]),
        ("p", "No VAT is charged (reverse charge). The invoice was paid on {2025-04-24}.")]},

    {"path": "invoices/open-items.xlsx", "language": "en", "title": "Open items, end of May 2025",
     "sheets": [
        ("Open items", [("entities", ["INV-2025-00331", "INV-2025-00348", "INV-2025-00361", "INV-2025-00370", "INV-2025-00377", "INV-2025-00381"], ALL,
                         {"Customer": ["{Oakhaven Books}", "{Castellan Ceramics}", "{Vasari Tiles S.p.A.}", "{Ironbridge Steel Ltd}", "{Kestrel Pharma}", "{Nordlicht Brauerei AG}"],
                          "Days overdue": [0, 40, 15, 0, 16, 0],
                          "Note": ["", "second reminder sent", "bookkeeper Bianchi promised a bank transfer", "", "disputes the waiting time of a locked gate", ""]})]),
        ("Totals", [["Bucket", "Sum"], ["Not due", "{EUR 13282.85}"], ["Overdue up to 30 days", "{EUR 3443.80}"], ["Overdue above 30 days", "{EUR 1430}"], ["As of", "{2025-05-31}"]])]},

    {"path": "invoices/zahlungserinnerung.docx", "language": "de", "title": "Zahlungserinnerung",
     "blocks": [
        ("p", "Kunde: {Sonnenfeld Möbel GmbH|contact_email}, {disposition@sonnenfeld-moebel.example}"),
        ("p", "Regensburg, {2025-05-26 long}"),
        ("p", "Sehr geehrte Damen und Herren, unsere Rechnung {INV-2025-00326|invoice_date; amount; status=offen} vom {2025-03-21} über {EUR 2610} ist noch offen. Sicher ist sie in der Umzugszeit Ihrer Möbelausstellung liegen geblieben."),
        ("p", "Wir bitten um Überweisung bis zum {2025-06-06}. Danach müssten wir eine Mahngebühr von {EUR 12.50} und Verzugszinsen von neun Prozent berechnen."),
        ("p", "Haben Sie inzwischen gezahlt, betrachten Sie dieses Schreiben bitte als gegenstandslos. Fragen beantwortet Herr Übelhör unter {mahnwesen@talweg-freight.example}.")]},

    {"path": "invoices/credit-note.json", "language": "en", "title": "Credit note for wall tiles",
     "object": {
        "document": "credit note", "issued_on": "{2025-05-22 iso}",
        "customer": ("record", "Vasari Tiles S.p.A.", ["status", "contact_email"]),
        "refers_to_invoice": ("record", "INV-2025-00361", ["invoice_date", "amount"]),
        "load": ("record", "LD-48702", ["pickup_location", "delivery_location"]),
        "reason": "Half a day of delay: the ramp at the builder's merchant was closed for stocktaking, which our planner had been told. A fifth of the freight for the wall tiles is credited.",
        "credit": "{EUR 448.96 plain}"}},
]
