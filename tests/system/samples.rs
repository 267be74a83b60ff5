//! What a new user sees first: the samples become answers, and broken files become reasons.

use std::collections::HashSet;

use penstock_tests::{Bench, root, truth};
use serde_json::Value;

/// One ingest serves all that only reads: the samples are large, and nothing here changes them.
#[test]
fn samples_become_answers() {
    let bench = Bench::new();
    let samples = root().join("samples");
    let (code, report) = bench.ingest(&samples, &[]);
    let broken: Vec<Value> = truth("broken.json");
    let expected_dead: Vec<&Value> = broken
        .iter()
        .filter(|it| it["expect"] == "dead_letter")
        .collect();
    assert_eq!(code, 2, "{report:#?}");
    assert_eq!(
        report.documents.dead_lettered as usize,
        expected_dead.len(),
        "{:#?}",
        report.dead_letters
    );
    check_broken(&broken, &report.dead_letters);
    assert!(report.documents.complete >= 30, "{:?}", report.documents);
    assert!(report.unreadable.is_empty());

    let audit = bench.sound();
    assert_eq!(audit.documents, report.documents.complete);
    assert_eq!(audit.points, audit.chunks);

    check_questions(&bench);

    // A second time: nothing new is made, the letters are only told of.
    let (code, again) = bench.ingest(&samples, &[]);
    assert_eq!(code, 0, "{again:#?}");
    assert_eq!(again.documents.unchanged, report.documents.complete);
    assert_eq!(
        again.documents.dead_lettered_before as usize,
        expected_dead.len()
    );
    assert_eq!((again.chunks, again.embedded), (0, 0));
    assert_eq!(bench.sound(), audit);

    // --retry sends the letters again, and they die again.
    let (code, retried) = bench.ingest(&samples, &["--retry"]);
    assert_eq!(code, 2);
    assert_eq!(
        retried.documents.dead_lettered as usize,
        expected_dead.len()
    );

    check_status(&bench);
    check_forget(&bench, audit.documents);
}

fn check_broken(broken: &[Value], letters: &[penstock::ingest::DeadLetter]) {
    for it in broken {
        let path = format!("samples/{}", it["path"].as_str().unwrap());
        let letter = letters.iter().find(|letter| letter.path == path);
        match it["expect"].as_str().unwrap() {
            "complete" => assert!(letter.is_none(), "{path} died: {letter:?}"),
            _ => {
                let letter = letter.unwrap_or_else(|| panic!("{path} did not die"));
                let word = it["reason_contains"].as_str().unwrap();
                assert!(
                    letter.reason.to_lowercase().contains(word),
                    "{path}: {:?} lacks {word:?}",
                    letter.reason
                );
                assert_eq!(letter.class, "poison", "{path}");
            }
        }
    }
}

fn check_questions(bench: &Bench) {
    let questions: Vec<Value> = truth("questions.json");
    assert!(questions.len() >= 30);
    let mut found = 0;
    for it in &questions {
        let question = it["question"].as_str().unwrap();
        let wanted = format!("samples/{}", it["path"].as_str().unwrap());
        let answer = bench.query(question, &["--limit", "10"]);
        // Several passages of one document are one answer.
        let mut seen = HashSet::new();
        let documents: Vec<&str> = answer
            .hits
            .iter()
            .map(|hit| hit.path.as_str())
            .filter(|path| seen.insert(*path))
            .collect();
        let place = documents.iter().position(|path| *path == wanted);
        if it["demo"] == true {
            assert_eq!(place, Some(0), "{question}: {documents:?}");
            let best = &answer.hits[0];
            assert!(best.score > 0.0 && best.title.is_some());
            if wanted.ends_with(".pdf") {
                assert!(best.page_first.is_some(), "{best:?}");
            }
        }
        if place.is_some_and(|place| place < 3) {
            found += 1;
        } else {
            println!("not among the first three: {question}: {documents:?}");
        }
    }
    let share = f64::from(found) / questions.len() as f64;
    println!("hit@3 {share:.3} of {} questions", questions.len());
    assert!(share >= 0.9, "hit@3 is {share}");
}

fn check_status(bench: &Bench) {
    let status: penstock::status::Status = bench.run(&["status", "--json"]).json();
    let names: Vec<&str> = status.stages.iter().map(|it| it.stage.as_str()).collect();
    assert_eq!(
        names,
        [
            "split", "parse", "shard", "embed", "index", "link", "settle"
        ]
    );
    for stage in &status.stages {
        assert_eq!(stage.lag_records, 0, "{stage:?}");
    }
    assert!(
        status.stores.iter().all(|it| it.healthy),
        "{:?}",
        status.stores
    );
}

fn check_forget(bench: &Bench, documents: u64) {
    let answer = bench.query("doors of a loaded reefer", &["--limit", "1"]);
    let guid = answer.hits[0].document_guid.clone();
    let ran = bench.run(&["forget", "--document", &guid, "--json"]);
    assert_eq!(ran.json::<Value>()["removed"], 1);
    let audit = bench.sound();
    assert_eq!(audit.documents, documents - 1);
    let answer = bench.query("doors of a loaded reefer", &["--limit", "20"]);
    assert!(answer.hits.iter().all(|hit| hit.document_guid != guid));
    bench.run(&["forget", "--group", "default", "--json"]);
    let audit = bench.sound();
    assert_eq!(
        (audit.documents, audit.points, audit.nodes, audit.edges),
        (0, 0, 0, 0)
    );
}
