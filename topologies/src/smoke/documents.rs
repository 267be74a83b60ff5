//! The documents of a smoke test: made up, and all that is known of them.

/// The two sources they are of.
pub const SOURCES: [&str; 2] = ["smoke-orders", "smoke-fleet"];
/// How many there are.
pub const COUNT: usize = FORMS.len() * GOODS.len();

/// A document and what has to be found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub source: &'static str,
    pub key: String,
    pub text: String,
    /// What the record says of it; none: the text tells.
    pub given_title: Option<String>,
    pub title: String,
    /// ISO 639-1, as it is found from the text.
    pub language: &'static str,
    /// Entities it mentions by the rules that come with Penstock: label and normal form.
    pub entities: Vec<(&'static str, String)>,
    /// A question it answers.
    pub question: String,
}

struct Goods {
    english: &'static str,
    german: &'static str,
}

const GOODS: [Goods; 5] = [
    Goods {
        english: "lemons in wooden crates",
        german: "Zitronen in Holzkisten",
    },
    Goods {
        english: "copper wire on drums",
        german: "Kupferdraht auf Trommeln",
    },
    Goods {
        english: "school atlases on pallets",
        german: "Schulatlanten auf Paletten",
    },
    Goods {
        english: "roof tiles under straps",
        german: "Dachziegel unter Gurten",
    },
    Goods {
        english: "oat flour in paper sacks",
        german: "Hafermehl in Papiersäcken",
    },
];

const FORMS: [fn(usize, &Goods) -> Made; 5] = [waybill, note, inspection, telematics, reminder];

/// The same every time.
pub fn made() -> Vec<Made> {
    let each = |form: &fn(usize, &Goods) -> Made| {
        let numbered = GOODS.iter().enumerate();
        numbered
            .map(|(n, goods)| form(n, goods))
            .collect::<Vec<_>>()
    };
    FORMS.iter().flat_map(each).collect()
}

/// Markdown.
fn waybill(n: usize, goods: &Goods) -> Made {
    let (load, trailer, goods) = (format!("LD-9700{n}"), format!("TRL-970{n}"), goods.english);
    let title = format!("Waybill for load {load}");
    Made {
        source: SOURCES[0],
        key: format!("waybill-{n}.md"),
        text: format!(
            "# {title}\n\nLoad number: {load}\nPickup location: Duisburg\nDelivery location: Rotterdam\n\n\
             ## Goods\n\nTrailer {trailer} carries {goods} for a customer in the harbour. The driver has counted them twice \
             before the doors were closed, and the weight was written down by the clerk at the gate.\n\n\
             ## Remarks\n\nThe goods were dry when they arrived. Nobody has opened the seal on the way, and the receiver was \
             content with the state of the load.\n"
        ),
        given_title: None,
        title,
        language: "en",
        question: format!("Which trailer carries {goods} as load {load}?"),
        entities: vec![("Load", load), ("Equipment", trailer)],
    }
}

/// Plain text, whose title only its record tells.
fn note(n: usize, goods: &Goods) -> Made {
    let (load, goods) = (format!("LD-9710{n}"), goods.english);
    let title = format!("Delivery note {n}");
    Made {
        source: SOURCES[0],
        key: format!("note-{n}.txt"),
        text: format!(
            "The load {load} was delivered in the morning. It consisted of {goods}, and the warehouse had made room for all of \
             them the evening before. The people at the ramp unloaded the truck within an hour and signed without any remark. \
             What was left over went back to the sender with the same vehicle.\n"
        ),
        given_title: Some(title.clone()),
        title,
        language: "en",
        question: format!("When was load {load} with {goods} delivered?"),
        entities: vec![("Load", load)],
    }
}

/// HTML.
fn inspection(n: usize, goods: &Goods) -> Made {
    let (trailer, goods) = (format!("RFR-972{n}"), goods.german);
    let title = format!("Prüfbericht {trailer}");
    Made {
        source: SOURCES[1],
        key: format!("inspection-{n}.html"),
        text: format!(
            "<!DOCTYPE html>\n<html lang=\"de\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body>\n\
             <h1>{title}</h1>\n<p>Der Kühlauflieger {trailer} wurde nach einer Fahrt mit der Ware {goods} geprüft. Die Türen \
             schließen dicht, und das Kühlgerät hält die Temperatur auch dann, wenn der Motor lange steht.</p>\n\
             <h2>Ergebnis</h2>\n<p>Das Fahrzeug darf ohne Einschränkung weiter eingesetzt werden. Die nächste Prüfung findet im \
             Frühjahr statt und wird von der Werkstatt rechtzeitig angekündigt.</p>\n</body></html>\n"
        ),
        given_title: None,
        title,
        language: "de",
        question: format!("Wie steht es um den Auflieger {trailer} nach der Fahrt mit {goods}?"),
        entities: vec![("Equipment", trailer)],
    }
}

/// JSON.
fn telematics(n: usize, goods: &Goods) -> Made {
    let (truck, goods) = (format!("TRK-973{n}"), goods.english);
    let title = format!("Telematics of {truck}");
    let text = serde_json::json!({
        "title": title,
        "equipment_number": truck,
        "summary": format!(
            "On its way with {goods} the truck lost power twice on the long climb behind the border, and the driver stopped at \
             the next services to look for the reason. The workshop has found a filter that was full of dust and has changed it \
             on the same day."
        ),
    });
    Made {
        source: SOURCES[1],
        key: format!("telematics-{n}.json"),
        text: text.to_string(),
        given_title: None,
        title,
        language: "en",
        question: format!("Why did {truck} lose power on its way with {goods}?"),
        entities: vec![("Equipment", truck)],
    }
}

/// E-mail.
fn reminder(n: usize, goods: &Goods) -> Made {
    let (invoice, goods) = (format!("RE-2026-9740{n}"), goods.german);
    let title = format!("Erinnerung an Rechnung {invoice}");
    Made {
        source: SOURCES[0],
        key: format!("reminder-{n}.eml"),
        text: format!(
            "From: Ines Vogt <dispatch@freight.example>\nTo: Einkauf <einkauf@kunde.example>\nSubject: {title}\n\
             Date: Thu, 22 May 2025 09:12:00 +0200\nMessage-ID: <reminder-{n}@freight.example>\nMIME-Version: 1.0\n\
             Content-Type: text/plain; charset=\"utf-8\"\nContent-Transfer-Encoding: 8bit\n\n\
             Sehr geehrte Damen und Herren,\n\nunsere Rechnung {invoice} über den Transport der Ware {goods} ist noch offen. Wir \
             bitten Sie, den Betrag in den nächsten Tagen zu überweisen. Sollten Sie das schon getan haben, so ist dieses \
             Schreiben gegenstandslos.\n\nMit freundlichen Grüßen\nInes Vogt\n"
        ),
        given_title: None,
        title,
        language: "de",
        question: format!("Ist die Rechnung {invoice} über {goods} noch offen?"),
        entities: vec![("Invoice", invoice)],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use penstock_stages::link::Rules;
    use penstock_stages::parse::{Limits, extract, sniff};

    use super::*;

    #[test]
    fn what_is_said_to_be_in_them_is_in_them() {
        let rules = Rules::built_in().unwrap();
        let all = made();
        assert_eq!((all.len(), COUNT), (25, 25));
        let keys: BTreeSet<&str> = all.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys.len(), COUNT);
        for it in &all {
            let kind = sniff(it.text.as_bytes(), &it.key).unwrap();
            let extracted = extract(it.text.as_bytes(), kind, None, &Limits::default()).unwrap();
            assert_eq!(
                extracted.language.as_deref(),
                Some(it.language),
                "{}",
                it.key
            );
            let title = it.given_title.clone().or(extracted.title);
            assert_eq!(title.as_ref(), Some(&it.title), "{}", it.key);
            let found: Vec<(String, String)> = rules
                .find(&extracted.text)
                .into_iter()
                .map(|it| (it.label, it.normal_form))
                .collect();
            for (label, name) in &it.entities {
                let wanted = ((*label).to_owned(), name.clone());
                assert!(
                    found.contains(&wanted),
                    "{}: {wanted:?} not in {found:?}",
                    it.key
                );
            }
            let asked = it
                .entities
                .iter()
                .any(|(_, name)| it.question.contains(name));
            assert!(asked, "{}", it.question);
        }
        for source in SOURCES {
            assert!(all.iter().any(|it| it.source == source));
        }
    }
}
