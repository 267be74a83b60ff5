//! A document is worked in windows of pages: what it takes does not grow with it.

use penstock::ingest::Report;
use penstock_tests::{Bench, until};

/// Of some 23 MB, like the one for which a popular parser took 10 GB.
const PAGES: usize = 600;
const STROKES: usize = 1_900;
/// Of the whole process; a model and two stores are most of it.
const MOST_KIB: u64 = 1_500 << 10;

/// Pages full of lines, each with a sentence.
fn drawings() -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        String::new(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut kids = String::new();
    for page in 0..PAGES {
        let strokes: String = (0..STROKES)
            .map(|at| {
                format!(
                    "{} {} m {} {} l S\n",
                    at % 595,
                    page % 842,
                    at % 419,
                    at % 842
                )
            })
            .collect();
        let text = format!("BT /F1 12 Tf 72 720 Td (Drawing {page} shows crane {page}.) Tj ET\n");
        let content = strokes + text.as_str();
        kids += &format!("{} 0 R ", objects.len() + 1);
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R >>",
            objects.len() + 2
        ));
        objects.push(format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ));
    }
    objects[1] = format!("<< /Type /Pages /Kids [{kids}] /Count {PAGES} >>");
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = String::new();
    for (number, object) in objects.iter().enumerate() {
        offsets += &format!("{:010} 00000 n \n", file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", number + 1).bytes());
    }
    let (start, count) = (file.len(), objects.len() + 1);
    let tail = format!(
        "xref\n0 {count}\n0000000000 65535 f \n{offsets}trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    );
    file.extend(tail.bytes());
    file
}

#[test]
fn a_large_pdf_takes_no_more_than_a_few_pages_do() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir_all(&docs).unwrap();
    let file = drawings();
    assert!(file.len() > 22_000_000, "{}", file.len());
    std::fs::write(docs.join("drawings.pdf"), file).unwrap();
    let mut running = bench.spawn(&["ingest", &docs.display().to_string(), "--json"]);
    let mut peak = 0;
    until("all pages are done", || {
        peak = peak.max(running.peak_memory_kib().unwrap_or_default());
        running.has_ended()
    });
    let report: Report = running.json();
    assert_eq!(report.documents.complete, 1, "{report:?}");
    assert_eq!(report.pages as usize, PAGES);
    assert!(peak > 0 && peak < MOST_KIB, "{peak} KiB");
}
