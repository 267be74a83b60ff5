//! Bytes of made-up documents, from dice.

use crate::dice::Dice;

const NOUNS: [&str; 40] = [
    "crane",
    "driver",
    "load",
    "trailer",
    "depot",
    "salt",
    "pallet",
    "dock",
    "invoice",
    "route",
    "engine",
    "container",
    "ship",
    "harbour",
    "forklift",
    "reefer",
    "gate",
    "seal",
    "axle",
    "bridge",
    "ferry",
    "grain",
    "steel",
    "timber",
    "cable",
    "pump",
    "valve",
    "tank",
    "wagon",
    "signal",
    "track",
    "yard",
    "barge",
    "anchor",
    "hull",
    "customer",
    "carrier",
    "manifest",
    "permit",
    "weighbridge",
];
const VERBS: [&str; 20] = [
    "lifted", "carried", "passed", "reached", "left", "checked", "moved", "weighed", "cleaned",
    "mended", "stored", "counted", "signed", "turned", "met", "followed", "crossed", "loaded",
    "emptied", "held",
];
const TIMES: [&str; 10] = [
    "at noon",
    "before dawn",
    "in the evening",
    "after the storm",
    "on time",
    "a day late",
    "twice",
    "without delay",
    "under guard",
    "by hand",
];
/// Pages of a book: two parts, of which the second has the last page alone.
const PAGES: usize = 26;

/// Markdown of so many paragraphs, each of the length of one chunk. The number makes the text its own.
pub fn note(number: u64, paragraphs: u64, dice: &mut Dice) -> Vec<u8> {
    let mut text = format!("# Report {number}\n");
    for paragraph in 0..paragraphs {
        if paragraph % 8 == 7 {
            text += &format!("\n## Part {}\n", paragraph / 8 + 1);
        }
        text += &format!(
            "\nEntry {paragraph} of report {number}: {}.",
            sentence(dice)
        );
        text += &format!(" {}.", sentence(dice));
        if dice.chance(10.0) {
            text += &format!(" Load LD-{} was booked.", dice.between(10_000, 99_999));
        }
        text += "\n";
    }
    text.into_bytes()
}

fn sentence(dice: &mut Dice) -> String {
    let mut word = |of: &[&'static str]| dice.pick(of, "crane");
    let (who, did, what) = (word(&NOUNS), word(&VERBS), word(&NOUNS));
    let (also, with, when) = (word(&VERBS), word(&NOUNS), word(&TIMES));
    format!("the {who} {did} the {what} and {also} the {with} {when}")
}

/// A PDF of two parts, the second of which has no text and so is filtered on purpose.
pub fn book(number: u64, dice: &mut Dice) -> Vec<u8> {
    let pages: Vec<String> = (1..=PAGES)
        .map(|page| match page {
            PAGES => String::new(),
            _ => format!("Page {page} of book {number}: {}.", sentence(dice)),
        })
        .collect();
    pdf(&pages)
}

/// One line of text to a page.
fn pdf(pages: &[String]) -> Vec<u8> {
    let kids: Vec<String> = (0..pages.len())
        .map(|page| format!("{} 0 R", 4 + 2 * page))
        .collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!(
            "<< /Type /Pages /Kids [{}] /Count {} >>",
            kids.join(" "),
            pages.len()
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    for (page, text) in pages.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] \
             /Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R >>",
            5 + 2 * page
        ));
        let drawn = match text.is_empty() {
            true => String::new(),
            false => format!("BT /F1 9 Tf 40 720 Td ({text}) Tj ET"),
        };
        objects.push(format!(
            "<< /Length {} >>\nstream\n{drawn}\nendstream",
            drawn.len()
        ));
    }
    let mut out = "%PDF-1.4\n".to_owned();
    let mut starts = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        starts.push(out.len());
        out += &format!("{} 0 obj\n{object}\nendobj\n", index + 1);
    }
    let table = out.len();
    out += &format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for start in starts {
        out += &format!("{start:010} 00000 n \n");
    }
    out += &format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use penstock_stages::parse::{Limits, extract, sniff};

    use super::*;

    #[test]
    fn a_book_has_text_but_for_its_last_page() {
        let bytes = book(7, &mut Dice::of(1, 0));
        let kind = sniff(&bytes, "book.pdf").unwrap();
        let text = extract(&bytes, kind, None, &Limits::default()).unwrap();
        let text = format!("{text:?}");
        assert!(text.contains("Page 1 of book 7"), "{text}");
        assert!(text.contains("Page 25 of book 7"), "{text}");
        assert!(!text.contains("Page 26"), "{text}");
    }

    #[test]
    fn a_note_is_of_its_number() {
        let text = |number| String::from_utf8(note(number, 20, &mut Dice::of(1, 0))).unwrap();
        assert!(text(3).contains("Entry 19 of report 3"));
        assert_ne!(text(3), text(4));
    }
}
