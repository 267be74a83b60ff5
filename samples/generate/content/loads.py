ALL = ["pickup_location", "delivery_location", "status"]

DOCUMENTS = [
    {"path": "loads/LD-48377-transport-order.docx", "language": "en", "title": "Transport order LD-48377",
     "blocks": [
        ("entity", "LD-48377", ALL[:2]),
        ("facts", [("Customer", "{Ironbridge Steel Ltd|contact_email}"), ("Contact", "transport@ironbridge-steel.example"), ("Pickup date", "{2025-03-19}"), ("Delivery date", "{2025-03-21}"),
                   ("Equipment", "{TRL-2077|equipment_type; model}, trailer, Coilporter 27"), ("Driver", "{Gareth Ellwood|employee_id; license_number}, EMP-1022, licence DL-HB-163350"), ("Agreed price", "{GBP 2150 sign}")]),
        ("h", 2, "Goods"),
        ("p", "Two slit coils of galvanised strip, 11.8 and 12.1 tonnes, eye to the side, wrapped in oiled paper."),
        ("h", 2, "Instructions"),
        ("list", ["The mill in Sheffield provides crane and padded coil hook; the driver brings rubber strips and four edge protectors.",
                  "Crossing by the night ferry from Harwick; the {Harwick Port Authority} asks for arrival ninety minutes before departure.",
                  "Discharge in Dortmund at hall seven, by appointment only.",
                  "Status messages to {control@talweg-freight.example} after loading, on board and after discharge."])]},

    {"path": "loads/LD-48213-waybill.txt", "language": "en", "title": "Waybill for load LD-48213",
     "blocks": [
        ("entity", "LD-48213", ALL),
        ("facts", [("Customer", "{Alder & Finch Logistics}"), ("Consignee", "{Maasvlakte Handling B.V.}"), ("Date of loading", "{2025-03-11}"), ("Driver", "{Piet van Houten|employee_id}"), ("Employee ID", "EMP-1034"), ("Equipment No.", "{TRL-2058}")]),
        ("p", "Goods: 22 reels of newsprint on end, 23,400 kg gross, no exchange pallets. Seal 771904 applied by the shipper."),
        ("p", "Box 18, remarks: reel 14 with a scuffed wrapper over a hand's width, core undamaged."),
        ("p", "Received complete on {2025-03-12} at 05:40, name in capitals J. DE WIT, stamp illegible. Value declared: none.")]},

    {"path": "loads/week-12.csv", "language": "en", "title": "Loads of week 12",
     "rows": [("entities", ["LD-48240", "LD-48266", "LD-48301", "LD-48319", "LD-48344"], ALL,
               {"Customer": ["{Oakhaven Books}", "{Delft Botanics B.V.}", "{Sonnenfeld Möbel GmbH}", "{Brightwater Foods Ltd}", "{Vasari Tiles S.p.A.}"],
                "Loading date": ["{2025-03-17 iso}", "{2025-03-17 iso}", "{2025-03-18 iso}", "{2025-03-19 iso}", "{2025-03-20 iso}"],
                "Goods": ["school atlases", "potting soil in bags", "flat-packed wardrobes", "tinned mackerel", "floor tiles"],
                "Weight kg": [18200, 24100, 9650, 21400, 23900],
                "Freight": ["{EUR 1310 plain}", "{EUR 1185 plain}", "{EUR 1720.50 plain}", "{EUR 1975.40 plain}", "{EUR 0 plain}"],
                "Remark": ["", "bags sweat, ventilate", "two drops", "", "cancelled by the quarry one hour before loading"]})]},

    {"path": "loads/LD-49020-frachtbrief.html", "language": "de", "title": "Frachtbrief zur Ladung LD-49020",
     "blocks": [
        ("entity", "LD-49020", ALL),
        ("facts", [("Kunde", "{Grünwald Gartenbau KG}"), ("Beladen am", "{2025-05-13 long}"), ("Fahrerin", "{Aylin Demir|employee_id; license_number}"), ("Personalnummer", "EMP-1071"), ("Führerscheinnummer", "DL-HE-552806"), ("Auflieger", "{TRL-2093|equipment_type}")]),
        ("p", "Ware: 640 Kartons Gartenscheren und Rosendünger, 11.200 kg brutto, 24 Europaletten getauscht."),
        ("h", 2, "Vorbehalte"),
        ("p", "Feld 18: Auf den Paletten drei und sieben sind die unteren Kartons feucht, Wasserstand auf dem Hof in Passau nach Starkregen. Die Fahrerin hat vor der Übernahme fotografiert, der Lagermeister Zeiler hat den Vorbehalt gegengezeichnet."),
        ("h", 2, "Ablieferung"),
        ("p", "In Graz am {2025-05-14 long} um 10:15 Uhr zugestellt. Neunzehn Kartons wurden ausgesondert, Schaden geschätzt {EUR 437}. Meldung an {schaden@talweg-freight.example}.")]},

    {"path": "loads/LD-48560-damage-report.docx", "language": "en", "title": "Damage report for load LD-48560",
     "attributes": {"impact_score": 0.85, "impact_tier": "high", "doc_type": "damage_report", "region": "france"},
     "blocks": [
        ("p", "Load {LD-48560|status} from Mannheim to Lyon was delivered on {2025-04-29} with damage. Driver: {Noor Haddad|employee_id} (employee ID EMP-1101), truck {TRK-1188} with trailer {TRL-2093}."),
        ("h", 2, "What happened"),
        ("p", "The load was 44 crated espresso machines. At the toll station of Villefranche a car cut in; the driver braked hard, the second row slid forward by half a metre and six crates tipped against the front wall. The crates stood on smooth film instead of friction mats, and two straps had been released at the previous stop and not tightened again."),
        ("h", 2, "Extent"),
        ("table", ["Item", "Pieces", "Value"], [["Machines with broken boilers", "4", "{EUR 15600}"], ["Machines with scratched housings", "7", "{EUR 2450}"], ["Crates", "6", "{EUR 270}"]]),
        ("p", "The claim of {EUR 18320} was sent to {Rheinbogen Versicherung AG}. An expert visits the consignee on {2025-05-06}."),
        ("h", 2, "Lesson"),
        ("p", "After each partial unloading, the remaining rows get a new front blocking and every strap is checked by hand.")]},

    {"path": "loads/tourenplan-kw21.md", "language": "de", "title": "Tourenplan Kalenderwoche 21",
     "front_matter": {"title": "Tourenplan Kalenderwoche 21", "doc_type": "schedule", "impact_score": 0.3, "impact_tier": "low", "region": "south"},
     "blocks": [
        ("p", "Gültig von {2025-05-19} bis {2025-05-23}. Änderungen meldet die Disposition unter {sued@talweg-freight.example}."),
        ("entities", ["LD-48402", "LD-48491", "LD-49044", "LD-49061"], ALL,
         {"Fahrer": ["{Maria Keller}", "{Jürgen Pfaff}", "{Hanna Böhm}", "{Luca Moretti}"],
          "Fahrzeug": ["{TRK-1188}", "{TRK-1205}", "{TRK-1230}", "{RFR-3115}"]}),
        ("h", 2, "Hinweise"),
        ("list", ["Die Käsetour holt Bergkäse in Kempten und fährt über Nacht nach Dresden; Laderaum auf 6 Grad vorkühlen.",
                  "In Basel ist die Verzollung erst ab 7 Uhr besetzt.",
                  "Die Strecke nach Brünn ist wegen einer Baustelle bei Pilsen zwei Stunden länger.",
                  "Kunde {Mühlbach Käserei eG} bittet um Anruf eine Stunde vor Ankunft."])]},
]
