use super::*;

/// Mentions as `Label normal form {field=value, …}`, without the labels named in `besides`.
fn found(text: &str, besides: &[&str]) -> Vec<String> {
    let rules = Rules::built_in().unwrap();
    let mentions = rules.find(text);
    for mention in &mentions {
        let passage: String = text
            .chars()
            .skip(mention.start)
            .take(mention.end - mention.start)
            .collect();
        assert_eq!(
            passage, mention.passage,
            "places are characters of the text"
        );
    }
    let shown = |mention: &Mention| {
        let fields: Vec<String> = mention
            .fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!(
            "{} {} {{{}}}",
            mention.label,
            mention.normal_form,
            fields.join(", ")
        )
    };
    mentions
        .iter()
        .filter(|it| !besides.contains(&it.label.as_str()))
        .map(shown)
        .collect()
}

fn check(text: &str, expect: &[&str]) {
    assert_eq!(found(text, &[]), expect, "in {text:?}");
}

#[test]
fn customers_say_that_they_are() {
    let check = |text: &str, expect: &[&str]| {
        assert_eq!(
            found(text, &["Date", "Money", "Email"]),
            expect,
            "in {text:?}"
        );
    };
    check(
        "The customer Blue Harbour Foods was late.",
        &["Customer Blue Harbour Foods {name=Blue Harbour Foods}"],
    );
    check(
        "Der Kunde Wendel Papier GmbH prüft alles.",
        &["Customer Wendel Papier GmbH {name=Wendel Papier GmbH}"],
    );
    check(
        "dem Kunden Nord & Süd Brauerei AG, im Folgenden",
        &["Customer Nord & Süd Brauerei AG {name=Nord & Süd Brauerei AG}"],
    );
    check(
        "Customer: Holm & Finch Cargo. Visited on Monday.",
        &["Customer Holm & Finch Cargo {name=Holm & Finch Cargo}"],
    );
    check(
        "Customer: Tully Tools\nStatus: on hold\nPayment terms: net 30\nCredit limit: EUR 5,000.00\nContact e-mail: Hello@Tully.example",
        &[
            "Customer Tully Tools {contact_email=hello@tully.example, credit_limit=EUR 5000.00, name=Tully Tools, payment_terms=net 30, status=on hold}",
        ],
    );
    check(
        "| Kunde | Zahlungsziel | Status |\n| --- | --- | --- |\n| Krug Möbel KG | 14 Tage netto | aktiv |\n| Bell eG | 7 Tage netto | gesperrt |",
        &[
            "Customer Krug Möbel KG {name=Krug Möbel KG, payment_terms=14 Tage netto, status=aktiv}",
            "Customer Bell eG {name=Bell eG, payment_terms=7 Tage netto, status=gesperrt}",
        ],
    );
    check(
        "{\"customer\": {\"name\": \"Ems Tiles S.p.A.\", \"status\": \"active\"}, \"carrier\": \"Ems Tiles S.p.A.\"}",
        &[
            "Customer Ems Tiles S.p.A. {name=Ems Tiles S.p.A., status=active}",
            "Customer Ems Tiles S.p.A. {name=Ems Tiles S.p.A.}",
        ],
    );
    check(
        "Every customer Service Desk call. Kunden lieben Service.",
        &[],
    );
    check("Customer: none\nDriver: n/a", &[]);
}

#[test]
fn organisations_have_a_form_and_are_no_customers() {
    check(
        "Die Talbach Spedition GmbH & Co. KG zahlt.",
        &["Organisation Talbach Spedition GmbH & Co. KG {}"],
    );
    check(
        "Vertrag mit Ost Leasing AG und Delta Handling B.V. in Rotterdam",
        &[
            "Organisation Ost Leasing AG {}",
            "Organisation Delta Handling B.V. {}",
        ],
    );
    check(
        "Customer: Acme Ltd\n\nAcme Ltd pays.",
        &[
            "Customer Acme Ltd {name=Acme Ltd}",
            "Customer Acme Ltd {name=Acme Ltd}",
        ],
    );
    check(
        "asked the Farwick Port Authority for help",
        &["Organisation Farwick Port Authority {}"],
    );
    check("He took 5 KG of flour to the AG.", &[]);
}

#[test]
fn drivers_carry_their_papers() {
    check(
        "Our driver Sinead O'Hara (EMP-2001) waited.",
        &["Driver Sinead O'Hara {employee_id=EMP-2001, name=Sinead O'Hara}"],
    );
    check(
        "Fahrerin: Aylin Özdemir, Führerschein DL-HE-552806",
        &["Driver Aylin Özdemir {license_number=DL-HE-552806, name=Aylin Özdemir}"],
    );
    check(
        "Fahrer Piet van den Berg fuhr. Piet van den Berg schlief.",
        &[
            "Driver Piet van den Berg {name=Piet van den Berg}",
            "Driver Piet van den Berg {name=Piet van den Berg}",
        ],
    );
    check(
        "Driver,Employee ID,Licence number,Status\nAnn Lee,EMP-1,DL-BY-204518,active\nBob Ray,EMP-2,DL-NW-318842,suspended\n",
        &[
            "Driver Ann Lee {employee_id=EMP-1, license_number=DL-BY-204518, name=Ann Lee, status=active}",
            "Driver Bob Ray {employee_id=EMP-2, license_number=DL-NW-318842, name=Bob Ray, status=suspended}",
        ],
    );
    check(
        "driver Ann Lee (EMP-1001) and driver Bob Ray (EMP-1002)",
        &[
            "Driver Ann Lee {employee_id=EMP-1001, name=Ann Lee}",
            "Driver Bob Ray {employee_id=EMP-1002, name=Bob Ray}",
        ],
    );
    check(
        "The driver may stop. Der Fahrer entfernte die Folie. Driver Training And Rules.",
        &[],
    );
}

#[test]
fn numbers_name_equipment_loads_and_invoices() {
    check(
        "Trailer TRL-2041 stays in service.",
        &[
            "Equipment TRL-2041 {equipment_number=TRL-2041, equipment_type=Trailer, status=in service}",
        ],
    );
    check(
        "| Auflieger | TRL-2093 |\n| --- | --- |\n| Kunde | Bell eG |",
        &[
            "Equipment TRL-2093 {equipment_number=TRL-2093, equipment_type=Auflieger}",
            "Customer Bell eG {name=Bell eG}",
        ],
    );
    check(
        "Fahrzeug-Nr.: ABC-77\nFahrzeugart: Lkw\nHersteller: Fjellberg\nModell: FB 480\nStatus: im Einsatz",
        &[
            "Equipment ABC-77 {equipment_number=ABC-77, equipment_type=Lkw, make=Fjellberg, model=FB 480, status=im Einsatz}",
        ],
    );
    check(
        "Load LD-48213 from Duisburg to Rotterdam was delivered",
        &[
            "Load LD-48213 {delivery_location=Rotterdam, load_number=LD-48213, pickup_location=Duisburg, status=delivered}",
        ],
    );
    check(
        "Ladung LD-49088 von Bad Essen nach Hannover, Status folgt",
        &[
            "Load LD-49088 {delivery_location=Hannover, load_number=LD-49088, pickup_location=Bad Essen}",
        ],
    );
    check(
        "unsere Rechnung INV-2025-00326 vom 21.03.2025 über 2.610,00 EUR ist noch offen",
        &[
            "Invoice INV-2025-00326 {amount=EUR 2610.00, invoice_date=2025-03-21, invoice_number=INV-2025-00326, status=offen}",
            "Date 2025-03-21 {}",
            "Money EUR 2610.00 {}",
        ],
    );
    check(
        "Invoice number INV-2025-00317\nInvoice date 14 March 2025\nAmount EUR 4,284.00\nStatus open\n",
        &[
            "Invoice INV-2025-00317 {amount=EUR 4284.00, invoice_date=2025-03-14, invoice_number=INV-2025-00317, status=open}",
            "Date 2025-03-14 {}",
            "Money EUR 4284.00 {}",
        ],
    );
}

#[test]
fn a_shared_key_speaks_of_the_subject_only() {
    check(
        "| Ladungsnummer | Status | Fahrer | Fahrzeug |\n| --- | --- | --- | --- |\n| LD-48402 | unterwegs | Maria Keller | TRK-1188 |",
        &[
            "Load LD-48402 {load_number=LD-48402, status=unterwegs}",
            "Driver Maria Keller {name=Maria Keller}",
            "Equipment TRK-1188 {equipment_number=TRK-1188}",
        ],
    );
}

#[test]
fn days_in_every_notation() {
    let check = |text: &str, expect: &str| {
        let found: Vec<String> = Rules::built_in()
            .unwrap()
            .find(text)
            .into_iter()
            .map(|it| it.normal_form)
            .collect();
        assert_eq!(found.join(" "), expect, "in {text:?}");
    };
    check(
        "2025-03-14, 2025-03-15 and 2025-03-16T10:00:00Z",
        "2025-03-14 2025-03-15 2025-03-16",
    );
    check("14.03.2025 und 1. 4. 2025", "2025-03-14 2025-04-01");
    check(
        "14. März 2025, 14 March 2025, 14th of March 2025",
        "2025-03-14 2025-03-14 2025-03-14",
    );
    check("March 14, 2025 and Mar. 14 2025", "2025-03-14 2025-03-14");
    check("3/4/2025 and 12/31/2025", "2025-04-03 2025-12-31");
    check(
        "31.02.2025, 2025-13-01, March 2025, 1234-2025-03-14, version 1.2.2025b",
        "",
    );
}

#[test]
fn amounts_with_their_currency() {
    let check = |text: &str, expect: &str| {
        let found: Vec<String> = Rules::built_in()
            .unwrap()
            .find(text)
            .into_iter()
            .map(|it| it.normal_form)
            .collect();
        assert_eq!(found.join(", "), expect, "in {text:?}");
    };
    check(
        "EUR 4,284.00, €3,127.50 and £880",
        "EUR 4284.00, EUR 3127.50, GBP 880.00",
    );
    check(
        "1.840,00 EUR; 86,40 €; 12 Euro",
        "EUR 1840.00, EUR 86.40, EUR 12.00",
    );
    check(
        "EUR 1.5 million, 2,5 Mio. EUR",
        "EUR 1500000.00, EUR 2500000.00",
    );
    check("EUR 0.07 per km, EUR 16.20.", "EUR 0.07, EUR 16.20");
    check("120 km, 45 percent, EURO 6 engine, 12.5 mm", "");
}

#[test]
fn addresses_are_lower_case() {
    check("Mail <Info@Ex-Ample.ORG>.", &["Email info@ex-ample.org {}"]);
    check("no@where, @home, a@b.c", &[]);
}

#[test]
fn the_same_text_gives_the_same_mentions_and_labels() {
    let rules = Rules::built_in().unwrap();
    let text = "Customer: Acme Ltd. Driver: Ann Lee, load LD-10001, 2025-01-01, EUR 5, a@b.example";
    assert_eq!(rules.find(text), Rules::built_in().unwrap().find(text));
    assert_eq!(
        rules.labels(text),
        ["Customer", "Date", "Driver", "Email", "Load", "Money"]
    );
    assert!(rules.labels("nothing").is_empty());
}

#[test]
fn mistakes_in_rules_are_said_with_their_place() {
    let check = |content: &str, expect: &str| {
        let refused = Rules::load(&[("mine.yaml", content)])
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default();
        assert!(
            refused.starts_with("entity rules mine.yaml: "),
            "{refused:?}"
        );
        assert!(
            refused.contains(expect),
            "{refused:?} does not say {expect:?}"
        );
    };
    check(
        "label: A\npaterns: [x]",
        "unknown field `paterns`, expected one of",
    );
    check(
        "label: A\npatterns: [x]\nfields: {f: {key: [a]}}",
        "unknown field `key`",
    );
    check("words: {}\nkeys: [a]", "a rule needs a label");
    check(
        "label: A\npatterns: ['(']",
        "pattern \"(\": regex parse error",
    );
    check(
        "label: A\npatterns: ['{nowhere}']",
        "unknown words nowhere; known: ",
    );
    check(
        "label: A\nwords: {a: '{b}', b: '{a}'}\npatterns: ['{a}']",
        "refer to themselves",
    );
    check(
        "label: A\npatterns: ['\\w{100}{100}{10}']",
        "exceeds size limit",
    );
    check("label: A", "neither keys nor patterns");
    check(
        "label: A\nform: date\npatterns: ['x']",
        "lacks the group year",
    );
    check(
        "label: A\npatterns: [x]\nunless: [B]",
        "unknown label B; known: A",
    );
    check(
        "label: A\npatterns: [x]\nfields: {f: {is: B}}",
        "unknown label B",
    );
    check("label: [", "line 2");
    let twice = Rules::load(&[
        ("a.yaml", "label: A\npatterns: [x]"),
        ("b.yaml", "label: A\npatterns: [y]"),
    ])
    .err()
    .unwrap();
    assert_eq!(
        twice.to_string(),
        "entity rules b.yaml: label A is that of a.yaml too"
    );
}

#[test]
fn the_digest_follows_the_rules() {
    let digest = |content: &str| {
        Rules::load(&[("a.yaml", content)])
            .unwrap()
            .digest()
            .to_owned()
    };
    assert_eq!(
        digest("label: A\npatterns: [x]"),
        digest("label: A\npatterns: [x]")
    );
    assert_ne!(
        digest("label: A\npatterns: [x]"),
        digest("label: A\npatterns: [y]")
    );
}

#[test]
fn hostile_text_is_searched_all_the_same() {
    let rules = Rules::built_in().unwrap();
    for piece in [
        "A ",
        "\"",
        "{\"a\":",
        "| a ",
        "Customer: Acme Ltd ",
        "1.",
        "a@",
        "[",
        "Status open\n",
        "\u{301}",
        "Driver: Ann Lee\n",
    ] {
        let text = piece.repeat(20_000 / piece.len());
        rules.find(&text);
    }
}
