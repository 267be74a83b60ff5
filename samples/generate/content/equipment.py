ALL = ["equipment_type", "make", "model", "status"]

DOCUMENTS = [
    {"path": "equipment/fleet-register.xlsx", "language": "en", "title": "Fleet register",
     "attributes": {"impact_score": 0.7, "impact_tier": "medium", "doc_type": "register", "region": "all"},
     "sheets": [
        ("Trucks", [("entities", ["TRK-1188", "TRK-1192", "TRK-1205", "TRK-1216", "TRK-1230"], ALL,
                     {"Owner": ["{Lechfeld Leasing AG}", "{Lechfeld Leasing AG}", "own", "own", "own"], "Year built": [2021, 2023, 2019, 2020, 2022], "Kilometres": [412300, 188050, 655120, 590870, 74410]})]),
        ("Trailers", [("entities", ["TRL-2041", "TRL-2058", "TRL-2077", "TRL-2093", "TRL-2110", "RFR-3107", "RFR-3115", "RFR-3122"], ALL,
                      {"Next inspection": ["{2025-09-30 iso}", "{2025-11-28 iso}", "{2025-06-13 iso}", "{2026-01-30 iso}", "{2025-05-30 iso}", "{2025-10-17 iso}", "{2026-02-27 iso}", "{2025-07-18 iso}"]})]),
        ("Notes", [["Note"], ["The two articulated trucks that are leased go back after 48 months; the leasing company {Lechfeld Leasing AG} charges {EUR 0.07 plain} for each extra kilometre."]])]},

    {"path": "equipment/trl-2041-inspection.html", "language": "en", "title": "Inspection report TRL-2041",
     "blocks": [
        ("entity", "TRL-2041", ALL),
        ("p", "Inspected on {2025-03-28} in the hall of {Prüfdienst Isartal e.V.}; inspector's fee {EUR 164.50}."),
        ("h", 2, "Findings"),
        ("table", ["Part", "Finding", "Class"], [
            ["Roof", "Two bows bent, tarpaulin torn over 30 cm beside the third bow", "B"],
            ["Curtain, left", "Four buckles worn, straps frayed at the lower edge", "C"],
            ["Landing legs", "Grease dry, crank stiff", "C"],
            ["Lights", "Rear marker lamp dim through water", "B"]]),
        ("h", 2, "Decision"),
        ("p", "Trailer {TRL-2041} stays in service until the roof has been repaired, which must be done by {2025-04-25}. Tyres of axle two have 5 mm left. The number plate bracket was renewed on the spot.")]},

    {"path": "equipment/rfr-3107-kuehlprotokoll.txt", "language": "de", "title": "Kühlprotokoll RFR-3107",
     "blocks": [
        ("entity", "RFR-3107", ALL),
        ("p", "Tour vom {2025-05-06} auf den {2025-05-07}, Fahrer: {Luca Moretti}. Sollwert 4,0 Grad."),
        ("table", ["Uhrzeit", "Rückluft", "Bemerkung"], [["20:00", "4,1", "Start nach Vorkühlung"], ["22:00", "4,3", "Tür geöffnet, Zuladung"], ["00:00", "6,8", "Alarm 63"],
                                                        ["01:00", "7,4", "Klappe von Hand geöffnet"], ["03:00", "4,2", "wieder im Band"]]),
        ("p", "Ursache: In der Nacht stieg die Temperatur über den Sollwert, weil eine lose Folie vor dem Verdampfer lag und den Luftstrom sperrte. Der Fahrer entfernte die Folie nach Rücksprache mit {Coldline Service Ltd}. Die Ware, Quark und Butter, blieb unter 7,5 Grad und wurde angenommen."),
        ("p", "Der Kühlauflieger {RFR-3107} bekam ein neues Schutzgitter für {EUR 86.40 sign}.")]},

    {"path": "equipment/flt-0420-repair.odt", "language": "en", "title": "Repair order for forklift FLT-0420",
     "blocks": [
        ("entity", "FLT-0420", ALL),
        ("p", "Reported by the late shift on {2025-04-08 us}: the mast judders when a full pallet is lowered, and the left chain sings."),
        ("h", 2, "Diagnosis"),
        ("p", "Air in the tilt cylinders was suspected first and ruled out. The cause was a worn slide pad in the inner mast: 3 mm of play let the carriage jump from rail to rail. The chain had been tightened to hide the noise."),
        ("h", 2, "Parts and labour"),
        ("table", ["Position", "Quantity", "Price"], [["Slide pad, nylon", "4", "{EUR 92}"], ["Lift chain", "2", "{EUR 318}"], ["Labour, hours", "5", "{EUR 390}"]]),
        ("p", "Until forklift {FLT-0420} returns, the team uses forklift {FLT-0412|status=in service}, which is in service at hall one. Expected back: {2025-04-17 us}.")]},

    {"path": "equipment/trk-1216-telematics.json", "language": "en", "title": "Telematics extract TRK-1216",
     "object": {
        "title": "Telematics extract TRK-1216",
        "provider": "{Vantage Telematics Ltd}",
        "equipment": ("record", "TRK-1216", ALL),
        "period": {"from": "{2025-05-01 iso}", "until": "{2025-05-15 iso}"},
        "fault_codes": [
            {"code": "P20EE", "meaning": "catalyst efficiency too low", "count": 14},
            {"code": "U0121", "meaning": "no answer from the brake control unit", "count": 2}],
        "summary": "The Longhaul truck lost power on hills after the catalyst code had been stored; the workshop renewed the dosing valve.",
        "distance_km": 4812, "idle_hours": 22.5,
        "driver": ("record", "Gareth Ellwood", ["employee_id"]),
        "contact": "{support@vantage-telematics.example}"}},

    {"path": "equipment/reifenwechsel.csv", "language": "de", "title": "Reifenwechsel Frühjahr 2025", "delimiter": ";",
     "rows": [("entities", ["TRK-1188", "TRK-1205", "TRL-2058", "TRL-2093"], ["equipment_type"],
               {"Datum": ["{2025-04-03}", "{2025-04-03}", "{2025-04-04}", "{2025-04-04}"],
                "Profiltiefe alt mm": [4, 3, 5, 2], "Profiltiefe neu mm": [16, 16, 14, 14],
                "Reifendienst": ["{Brennacher Reifendienst KG}"] * 4,
                "Preis": ["{EUR 1840}", "{EUR 1790}", "{EUR 1120}", "{EUR 1155.50}"],
                "Bemerkung": ["Lenkachse, Ventile erneuert", "Antriebsachse", "Achse zwei und drei", "ein Reifen mit Schnitt in der Flanke"]})]},

    {"path": "equipment/fleet-review-2024.pdf", "language": "en", "title": "Annual fleet review 2024", "header": "Annual fleet review 2024",
     "attributes": {"impact_score": 0.75, "impact_tier": "high", "doc_type": "report", "region": "all"},
     "blocks": [
        ("p", "Prepared for the management of {Talweg Freight GmbH} on {2025-01-30}. The review looks at cost, age and downtime of sixteen vehicles and trucks for the yard, and ends with a proposal."),
        ("h", 2, "Summary"),
        ("p", "Downtime fell from 6.1 to 4.8 percent of planned days. Repairs cost {EUR 148200}, of which a third went into two vehicles. The young trucks used 1.9 litres less on 100 km than the old ones."),
        ("page",), ("h", 2, "Trucks"),
        ("entities", ["TRK-1188", "TRK-1192", "TRK-1205", "TRK-1216"], ALL),
        ("p", "Truck {TRK-1205} is the oldest on the road and still reliable: three days in the workshop all year, each planned. Truck {TRK-1216} stood for 31 days, first with the turbocharger, then with the exhaust treatment, at a cost of {EUR 27950}. Its particle filter was cleaned twice by {Ostrava Truck Service s.r.o.} because the domestic workshop had no slot."),
        ("page",), ("h", 2, "Trailers"),
        ("entities", ["TRL-2041", "TRL-2058", "TRL-2077", "TRL-2110"], ALL),
        ("p", "The Megaliner with its inner height of three metres paid for itself with automotive crates. The coil trailer {TRL-2077} rusts at the trough edges. The side wall of trailer {TRL-2110} was crushed on {2024-10-02} by a crane hook; repair would cost {EUR 11300}, more than the trailer is worth."),
        ("page",), ("h", 2, "Reefers"),
        ("entities", ["RFR-3107", "RFR-3115", "RFR-3122"], ALL),
        ("p", "Cooling hours rose by a fifth. The two-chamber reefer {RFR-3122} lost refrigerant at a joint that nobody could reach without removing the bulkhead. A service contract with {Coldline Service Ltd} at {EUR 310} a month per unit would have cost less than the single repairs."),
        ("page",), ("h", 2, "Forklifts"),
        ("entities", ["FLT-0412", "FLT-0420", "FLT-0433"], ALL),
        ("p", "The electric forklift needs a new battery within eighteen months, about {EUR 8900}. The diesel machine is the last one on the site, and the neighbours ask when it goes. The reach truck runs two shifts and needs a second set of load wheels."),
        ("page",), ("h", 2, "What to replace next year"),
        ("list", ["Replace truck {TRK-1216} with an electric tractor for the shuttle to the port; budget {EUR 296000}, subsidy still open.",
                  "Sell trailer {TRL-2110} as it stands; a dealer offered {EUR 2400}.",
                  "Buy no new reefer, but sign the service contract.",
                  "Swap the diesel forklift for an electric one of the same lift height."]),
        ("p", "Decision expected on {2025-02-27}. Questions to {fleet@talweg-freight.example}.")]},
]
