DOCUMENTS = [
    {"path": "reports/claims-meeting.txt", "language": "en", "title": "Minutes of the claims meeting",
     "blocks": [
        ("p", "Held on {2025-05-08} with {Rheinbogen Versicherung AG}. Present: Ines Vogt, Karim Osei, Lena Marten of the insurer."),
        ("h", 2, "1. Stolen copper cable"),
        ("p", "Nine drums of copper cable disappeared on {2025-02-14} from an unlit lay-by near Magdeburg, load {LD-48455}. The insurer pays {EUR 41200} of the {EUR 58000} claimed: the driver had parked without a guard although the value was above the threshold, which counts as a breach of the security clause."),
        ("h", 2, "2. Scratched car bodies"),
        ("p", "Closed. The scratches were there before loading, as the photographs of the gate camera prove."),
        ("h", 2, "3. Premium"),
        ("p", "The loss ratio of 71 percent lets the premium rise by 4 percent from {2025-10-01}. With guarded parking in all tenders the insurer would waive the rise. Minutes to {claims@talweg-freight.example}.")]},

    {"path": "reports/depot-regensburg.json", "language": "de", "title": "Steckbrief Depot Regensburg",
     "object": {
        "titel": "Steckbrief Depot Regensburg", "betreiber": "{Talweg Freight GmbH}", "stand": "{2025-05-05}",
        "tore": 22, "flaeche_quadratmeter": 14800,
        "oeffnungszeiten": "Das Depot Regensburg öffnet montags bis freitags von 4 bis 23 Uhr, samstags von 5 bis 14 Uhr. Sonntags ist nur die Pforte besetzt.",
        "ausstattung": ["Kühlhalle mit 900 Palettenplätzen", "Waschhalle", "Tankstelle mit 60.000 Litern Diesel"],
        "flurfoerderzeuge": [("record", "FLT-0412", ["make", "model"]), ("record", "FLT-0433", ["make", "model", "status"])],
        "miete": "{EUR 61500} im Monat", "kontakt": "{regensburg@talweg-freight.example}"}},

    {"path": "reports/first-quarter.docx", "language": "en", "title": "First quarter 2025 in short",
     "attributes": {"impact_score": 0.95, "impact_tier": "high", "doc_type": "report", "region": "all"},
     "blocks": [
        ("p", "{Talweg Freight GmbH} closed the quarter on {2025-03-31} with revenue of {EUR 6480000} and a result of {EUR 214000}."),
        ("h", 2, "Punctuality"),
        ("p", "Deliveries inside the agreed window rose from 93.2 to 95.7 percent. The gain came from the fixed night departures and from the new slot list at the harbour; the line to Lombardy stayed poor at 88 percent because of the tunnel works."),
        ("h", 2, "Cost"),
        ("table", ["Kind", "Quarter", "Change"], [["Subcontractors", "{EUR 2310000}", "+6 %"], ["Fuel", "{EUR 1120000}", "-3 %"], ["Wages", "{EUR 1655000}", "+2 %"], ["Tolls", "{EUR 498000}", "+11 %"]]),
        ("p", "Subcontractors cost most; tolls rose fastest. Six vacancies among drivers were filled."),
        ("h", 2, "Outlook"),
        ("p", "The electric shuttle to {Nordkai Terminal GmbH} starts on {2025-09-15}. Two customers have announced tenders.")]},
]
