from manual import manual_blocks

DOCUMENTS = [
    {"path": "manuals/operations-manual.pdf", "language": "en", "title": "Operations Manual", "header": "Operations Manual", "titled": False,
     "attributes": {"impact_score": 0.98, "impact_tier": "high", "doc_type": "manual", "region": "all"},
     "blocks": manual_blocks()},

    {"path": "manuals/driver-handbook.epub", "language": "en", "title": "Driver handbook",
     "blocks": [
        ("p", "A small book for the glove box. Published by {Talweg Freight GmbH} on {2024-12-01}."),
        ("h", 1, "Attention"),
        ("p", "Holding a phone at the wheel is forbidden, and so is typing a message while the queue crawls. The tablet locks itself above walking pace. If somebody must reach you, the desk sends a voice message that is read out; answer at the next stop. A fine for using the phone is {EUR 100} and one point, and the company does not pay it."),
        ("h", 1, "Courtesy on the road"),
        ("p", "Leave a gap at slip roads so that cars can merge. On a narrow lane the empty vehicle reverses for the full one. At night dip the roof lights when somebody follows you for more than a minute."),
        ("h", 1, "Eating, sleeping, moving"),
        ("list", ["A cool box takes less money than a filling station: about {EUR 9} a day instead of {EUR 24}.",
                  "Darken the cab fully, even for a nap of twenty minutes.",
                  "Ten squats beside the front axle before the afternoon leg help the back more than any seat."]),
        ("h", 1, "At the border"),
        ("p", "Keep passports, the vehicle papers and the transport document in one red folder. Officers want to see the seal first. Never joke about the load. Help by e-mail: {border@talweg-freight.example}."),
        ("h", 1, "Dogs, stones and hitch-hikers"),
        ("p", "Loose dogs in a customer's yard: stay in the cab and sound the horn. A cracked windscreen from a flying stone is reported with the motorway kilometre. Hitch-hikers are never taken along.")]},

    {"path": "manuals/lagerhandbuch.epub", "language": "de", "title": "Lagerhandbuch",
     "blocks": [
        ("p", "Für alle, die in den Hallen der {Talweg Freight GmbH} arbeiten. Ausgabe vom {2025-03-01}."),
        ("h", 1, "Inventur zu zweit"),
        ("p", "Gezählt wird bei der Inventur immer zu zweit: Eine Person zählt laut, die andere schreibt und sieht dabei den Sollbestand nicht. Nach zehn Plätzen wird getauscht. Weichen zwei Zählungen ab, zählt eine dritte Person, und erst danach wird gebucht."),
        ("h", 1, "Stapeln und Schrumpfen"),
        ("p", "Säcke werden im Verband gestapelt, Eimer höchstens vierlagig. Die Haube wird von oben nach unten geschrumpft; die Gasflasche steht dabei mindestens drei Meter entfernt. Beschädigte Paletten kommen in den Käfig hinter Tor neun."),
        ("h", 1, "Müll und Wertstoffe"),
        ("p", "Folie, Pappe, Holz und Metallband werden getrennt. Ein Ballen Folie bringt etwa {EUR 85}, verschmutzte Folie kostet {EUR 140} je Tonne. Die Ballenpresse darf nur bedienen, wer unterwiesen ist."),
        ("h", 1, "Schlüssel und Licht"),
        ("p", "Wer zuletzt geht, prüft die sieben Brandschutztüren, löscht das Licht in Halle zwei und legt den Schlüssel in das Kästchen mit Zahlenschloss. Verlorene Schlüssel meldet man sofort an {lager@talweg-freight.example}.")]},

    {"path": "manuals/terminal-safety.pptx", "language": "en", "title": "Safety in the port terminal",
     "blocks": [
        ("p", "For everyone who enters {Nordkai Terminal GmbH}, valid from {2025-04-15}"),
        ("h", 2, "Before you go in"),
        ("list", ["Visitors wear a green helmet, staff a white one, signallers an orange one", "Register at the container with the clock; a lost badge costs {EUR 25}", "Leave dogs and children at home"]),
        ("h", 2, "Around straddle carriers"),
        ("list", ["The driver up there cannot see you within twelve metres", "Walk only on the blue bridge", "Stand beside your cab, never behind the chassis, while a box is lifted"]),
        ("h", 2, "Alarm"),
        ("list", ["Three long tones mean gas: walk across the wind", "The assembly point is the car park under the old water tower", "Emergency desk: {alarm@nordkai-terminal.example}"])]},

    {"path": "manuals/ladungssicherung.pptx", "language": "de", "title": "Schulung Ladungssicherung",
     "blocks": [
        ("p", "Unterweisung am {2025-02-21} im Depot Regensburg, Leitung: Fahrer {Stefan Krüger|employee_id} (EMP-1015)"),
        ("h", 2, "Warum sichern?"),
        ("list", ["Nach vorn wirken 80 Prozent des Gewichts, zur Seite und nach hinten 50 Prozent", "Reibung ist der billigste Helfer: besenrein, trocken, Matte"]),
        ("h", 2, "Beispiel Betonrohre"),
        ("p", "Drei Betonrohre von je 4 Tonnen, quer gelegt, mit Keilen. Man braucht acht Zurrgurte: zwei Kopfschlingen nach vorn, sechs Gurte nieder, alle mit Kantenschutz."),
        ("h", 2, "Häufige Fehler"),
        ("table", ["Fehler", "Folge", "Bußgeld"], [["Gurt verdreht", "halbe Kraft", "{EUR 35}"], ["Ratsche mit Stange gespannt", "Gurt reißt", "{EUR 60}"], ["Plane als Sicherung", "Ladung auf der Straße", "{EUR 225}"]])]},

    {"path": "manuals/pallet-exchange.md", "language": "en", "title": "Guide to pallet exchange",
     "front_matter": {"title": "Guide to pallet exchange", "doc_type": "guide", "impact_score": 0.45, "impact_tier": "low", "region": "all"},
     "blocks": [
        ("p", "Version of {2025-01-08}, written for drivers and dock teams."),
        ("h", 2, "When is a euro pallet unusable?"),
        ("list", ["a board is missing, or broken so that more than one nail shaft can be seen", "a block is missing or split", "the brand marks on both sides cannot be read",
                  "oil, paint or a strong smell has soaked into the wood"]),
        ("h", 2, "Who owes what"),
        ("p", "A pallet that is not swapped is written on the slip with the receiver's stamp. Balances below ten are carried forward; larger ones are bought out at {EUR 16.20} apiece. Plastic and half-size pallets have accounts of their own."),
        ("h", 2, "Disputes"),
        ("p", "Send the slip and a photograph to {pallets@talweg-freight.example} within five days. The customer {Oakhaven Books|status} (active) is exempt: it owns a blue pool and returns empties with the next truck.")]},
]
