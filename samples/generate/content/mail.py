DOCUMENTS = [
    {"path": "mail/delay-notice.eml", "language": "en", "title": "Load LD-48612: late arrival at Innsbruck",
     "mail": {"from": "Ines Vogt <dispatch@talweg-freight.example>", "to": "Dairy desk <rampe@muehlbach-kaeserei.example>", "date": "Thu, 22 May 2025 09:12:00 +0200",
      "body": """Dear all,

load {LD-48612} from Freising to Innsbruck reached the cold store three hours late on {2025-05-22}. The chilled yoghurt left on time, but a rockfall closed the road at Scharnitz, and the detour over Kufstein was full of holiday traffic. The temperature stayed at 4 degrees throughout; the log is available.

Customer: {Mühlbach Käserei eG|contact_email} ({rampe@muehlbach-kaeserei.example})
Driver: {Hanna Böhm|employee_id} (EMP-1019)
Reefer: {RFR-3115}

We shall not bill the second driver, {EUR 210}.

Kind regards
Ines Vogt
{dispatch@talweg-freight.example}
"""}},

    {"path": "mail/temperatur-reklamation.eml", "language": "de", "title": "Reklamation: Käse zu warm angeliefert",
     "mail": {"from": "Wareneingang Käserei <rampe@muehlbach-kaeserei.example>", "to": "Qualität <qualitaet@talweg-freight.example>", "date": "Wed, 28 May 2025 14:40:00 +0200",
      "body": """Sehr geehrte Frau Vogt,

bei der Anlieferung am {2025-05-28} war der Frischkäse zu warm: Wir haben in drei Kartons 9,4 bis 10,1 Grad gemessen, vereinbart sind höchstens 7 Grad. Die Käserei lehnt deshalb vier Paletten ab. Der Kühlauflieger {RFR-3122|status=defekt} war offenbar defekt, die Anzeige blinkte.

Kunde: {Mühlbach Käserei eG|contact_email}
Ladung: {LD-49061}
Warenwert: {EUR 6240 sign}

Bitte schicken Sie uns bis zum {2025-06-04} eine Stellungnahme und die Aufzeichnung des Kühlgeräts. Über die Gutschrift sprechen wir danach.

Mit freundlichen Grüßen
Käthe Brändle
{rampe@muehlbach-kaeserei.example}, Kopie an {qualitaet@talweg-freight.example}
"""}},

    {"path": "mail/rate-request.eml", "language": "en", "title": "Rate request: garden tools to Ireland",
     "mail": {"from": "Rowan Pike <hello@pemberton-tools.example>", "to": "Sales <sales@talweg-freight.example>", "date": "Mon, 12 May 2025 10:05:00 +0100",
      "body": """Hello {sales@talweg-freight.example},

on {2025-05-12} we spoke at the fair; please quote for one part load a week of garden tools from Sheffield to Cork, eight pallets, starting on {2025-07-07}. Our present rate is {GBP 940 sign} per trip, and we hope for {GBP 880 sign} on a yearly agreement. Spades and forks are tied in bundles; nothing is fragile.

The volume by month is in the attached text.

Rowan Pike
Customer: {Pemberton Tools|contact_email}, {hello@pemberton-tools.example}
""",
      "html": True,
      "attachment": ("volumes.txt", """Volumes of garden tools, pallets per month

July        32
August      32
September   40, of which 8 for the fair on {2025-09-13 iso}
October     24
Insurance   {GBP 15000} per trip
""")}},

    {"path": "mail/shift-handover.eml", "language": "en", "title": "Handover to the night desk",
     "mail": {"from": "Late desk <late@talweg-freight.example>", "to": "Night desk <night@talweg-freight.example>", "date": "Fri, 16 May 2025 21:50:00 +0200",
      "body": """Hi Radek, the night desk is yours from ten. Open matters on {2025-05-16}:

1. Load {LD-48428|status} from Kassel to Ghent is in transit but silent since 19:20; driver {Piet van Houten} does not answer, his wife has not been rung yet.
2. Load {LD-48733} from Oldenburg to Groningen waits for a replacement tyre. The fitter of {Brennacher Reifendienst KG} is on the way, cost agreed at {EUR 340}.
3. The gate at {Nordkai Terminal GmbH} closes at midnight because of a concert; truck {TRK-1230} must be in before.
4. The coffee machine is broken again.

Handed over by {late@talweg-freight.example} to {night@talweg-freight.example}.
"""}},
]
