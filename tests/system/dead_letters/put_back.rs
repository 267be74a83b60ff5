//! Letters are found and shown, and put back once their cause is mended.

use std::path::Path;

use penstock::dead_letters::{Letter, Outcome};
use penstock_tests::root;

use super::*;

fn copy(sample: &str, to: &Path) {
    std::fs::copy(root().join("samples").join(sample), to).unwrap();
}

fn of_reason<'a>(listed: &'a Listed, reason: &str) -> &'a Letter {
    let mut found = listed
        .dead_letters
        .iter()
        .filter(|it| it.reason.contains(reason));
    let letter = found
        .next()
        .unwrap_or_else(|| panic!("no {reason}: {listed:#?}"));
    assert!(found.next().is_none(), "two letters of {reason}");
    letter
}

#[tokio::test]
async fn letters_are_found_shown_and_put_back_once_their_cause_is_mended() {
    let bench = Bench::new();
    let docs = folder(&bench, &[("crane.md", GOOD), ("noise.bin", NOISE)]);
    copy(
        "customers/nordlicht-rahmenvertrag.pdf",
        &docs.join("contract.pdf"),
    );
    copy("broken/truncated.pdf", &docs.join("torn.pdf"));
    let (code, report) = bench.ingest(&docs, &["--set", "parse.max_pages=2"]);
    assert_eq!(
        (
            code,
            report.documents.complete,
            report.documents.dead_lettered
        ),
        (2, 1, 3)
    );

    let listed = list(&bench, &[]);
    assert_eq!((listed.count, listed.put_back), (3, 0), "{listed:#?}");
    let contract = of_reason(&listed, "page count").clone();
    let torn = of_reason(&listed, "damaged").clone();
    assert_eq!(
        (contract.stage.as_str(), contract.class.as_str()),
        ("split", "poison")
    );
    assert_eq!(
        (contract.place.topic.as_str(), contract.redrives),
        (DEAD_DOCUMENTS, 0)
    );
    assert_eq!(
        (torn.stage.as_str(), torn.place.topic.as_str()),
        ("parse", "rag.parts.v1.dlq")
    );
    check_filters(&bench, &contract);
    check_groups(&bench);
    check_shown(&bench, &contract, &torn);

    // A dry run says what a run does, and does nothing.
    let before = ends(&bench).await;
    let (code, dry) = redrive(&bench, &["--reason", "page count", "--dry-run"]);
    assert_eq!((code, dry.dry_run, dry.put_back, dry.left), (0, true, 1, 0));
    assert_eq!(dry.dead_letters[0].to.as_deref(), Some(DOCUMENTS));
    assert_eq!(ends(&bench).await, before);
    assert_eq!(list(&bench, &[]).put_back, 0);

    let (code, done) = redrive(&bench, &["--reason", "page count"]);
    assert_eq!(
        (code, done.dry_run, done.put_back, done.left),
        (0, false, 1, 0)
    );
    let after = ends(&bench).await;
    let grown: Vec<(&str, i64)> = after
        .iter()
        .map(|(topic, end)| (topic.as_str(), end - before[topic]))
        .filter(|(_, more)| *more > 0)
        .collect();
    assert_eq!(grown, [("rag.audit.v1", 1), (DOCUMENTS, 1)]);

    // With the usual limit it becomes an answer.
    let running = start(&bench, &[]);
    until("the contract becomes an answer", || {
        let answer = bench.query("Sonderfahrten zu Volksfesten", &["--limit", "1"]);
        answer
            .hits
            .iter()
            .any(|hit| hit.path.ends_with("contract.pdf"))
    });
    visible(&bench, 2);
    stop(running);
    assert_eq!(bench.sound().documents, 2);
    let (waiting, all) = (list(&bench, &[]), list(&bench, &["--all"]));
    assert_eq!((waiting.count, waiting.put_back), (2, 1));
    assert_eq!(all.count, 3);
    assert!(of_reason(&all, "page count").put_back.is_some());

    // What is put back is not put back again, and who asks is told by whom and when.
    let (code, again) = redrive(&bench, &["--reason", "page count"]);
    assert_eq!((code, again.put_back, again.left), (0, 0, 0));
    let ran = run_at(&bench, "redrive", &contract.place, &["--json"]);
    let named: Redriven = ran.json();
    assert_eq!((ran.code, named.left), (2, 1));
    let why = named.dead_letters[0].why.clone().unwrap();
    let shown = show(&bench, &contract.place);
    let event = &shown["history"][0];
    assert_eq!(event["action"], "dead-letters redrive");
    assert_eq!(
        (&event["to"], &event["redrives"]),
        (&DOCUMENTS.into(), &"1".into())
    );
    let actor = event["actor"].as_str().unwrap();
    assert!(actor.contains('@') && why.contains(actor), "{why}, {actor}");
}

fn check_filters(bench: &Bench, contract: &Letter) {
    let check = |filters: &[&str], expect: usize| {
        assert_eq!(list(bench, filters).count, expect, "{filters:?}");
    };
    let document = contract.document_guid.unwrap().to_string();
    check(&["--stage", "split"], 2);
    check(&["--stage", "parse"], 1);
    check(&["--reason", "page count"], 1);
    check(&["--class", "poison"], 3);
    check(&["--class", "panic"], 0);
    check(&["--since", "2h"], 3);
    check(&["--until", "2h"], 0);
    check(&["--since", "2020-01-01", "--until", "2020-01-02"], 0);
    check(&["--document", &document], 1);
    check(&["--topic", "rag.parts.v1"], 1);
    check(&["--stage", "parse", "--reason", "page count"], 0);
    bench
        .run(&["dead-letters", "list", "--stage", "pars"])
        .could_not_run(&["there is no stage pars", "split, parse"]);
    bench
        .run(&["dead-letters", "redrive"])
        .could_not_run(&["name what to put back", "--all"]);
    bench
        .run(&["dead-letters", "redrive", "--all", "--edit", ".title = "])
        .could_not_run(&["--edit", "at its end"]);
    assert_eq!(
        bench.run(&["dead-letters", "list", "--since", "soon"]).code,
        1
    );
}

fn check_groups(bench: &Bench) {
    let groups = |by: &str| {
        let ran = bench.run(&["dead-letters", "list", "--by", by, "--json"]);
        let value: Value = ran.json();
        let groups = value["groups"].as_array().unwrap().clone();
        groups
            .iter()
            .map(|group| {
                assert!(group["first"].as_str() <= group["last"].as_str());
                (
                    group["value"].as_str().unwrap().to_owned(),
                    group["count"].as_u64().unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(groups("class"), [("poison".to_owned(), 3)]);
    assert_eq!(
        groups("stage"),
        [("split".to_owned(), 2), ("parse".to_owned(), 1)]
    );
    assert_eq!(groups("reason").len(), 3);
    assert_eq!(groups("document").len(), 3);
}

fn check_shown(bench: &Bench, contract: &Letter, torn: &Letter) {
    let shown = show(bench, &contract.place);
    assert_eq!(shown["schema"], "Document");
    assert!(
        shown["record"]["path"]
            .as_str()
            .unwrap()
            .ends_with("contract.pdf")
    );
    assert_eq!(shown["original"]["topic"], DOCUMENTS);
    assert_eq!(shown["attempts"], 1);
    assert_eq!(shown["history"], Value::Array(Vec::new()));
    assert_eq!(shown["document"]["open"][0]["step"], "failed");
    let shown = show(bench, &torn.place);
    assert_eq!(shown["schema"], "Part");
    assert_eq!(shown["document"]["open"][0]["of_letter"], true);
    let headers = shown["headers"].as_array().unwrap();
    assert!(
        headers.iter().any(|it| it[0] == "penstock.document"),
        "{headers:?}"
    );
    assert!(
        headers
            .iter()
            .all(|it| !it[0].as_str().unwrap().starts_with("dlq."))
    );
    let text = run_at(bench, "show", &torn.place, &[]);
    assert!(text.stdout.contains("\"kind\": \"pdf\""), "{}", text.stdout);
    let nowhere = Place {
        offset: 99,
        ..torn.place.clone()
    };
    run_at(bench, "show", &nowhere, &[]).could_not_run(&["there is no dead letter at"]);
}

#[test]
fn what_is_not_mended_dies_again_and_is_left_at_the_cap() {
    let bench = Bench::new();
    let docs = folder(&bench, &[("noise.bin", NOISE)]);
    assert_eq!(bench.ingest(&docs, &[]).0, 2);
    let running = start(&bench, &[]);
    for redrives in 1..=2 {
        let (code, done) = redrive(&bench, &["--all"]);
        assert_eq!((code, done.put_back, done.left), (0, 1, 0), "{done:#?}");
        until("it dies again", || {
            let listed = list(&bench, &[]);
            listed.count == 1 && listed.dead_letters[0].redrives == redrives
        });
    }
    let (code, capped) = redrive(&bench, &["--all", "--max-redrives", "2"]);
    assert_eq!((code, capped.put_back, capped.left), (2, 0, 1));
    assert_eq!(capped.dead_letters[0].outcome, Outcome::Left);
    let why = capped.dead_letters[0].why.as_deref().unwrap();
    assert!(why.contains("put back 2 times"), "{why}");
    let listed = list(&bench, &["--all"]);
    assert_eq!((listed.count, listed.put_back), (3, 2));
    stop(running);
}

/// Stopped by SIGTERM, then killed: what was put back is not put back again, but for the one record a kill can catch
/// between the record and its audit record.
#[tokio::test]
async fn an_interrupted_redrive_goes_on_where_it_was() {
    let bench = Bench::new();
    let files: Vec<(String, Vec<u8>)> = (0..9_u8)
        .map(|number| (format!("noise-{number}.bin"), [NOISE, &[number]].concat()))
        .collect();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let docs = folder(&bench, &files);
    assert_eq!(bench.ingest(&docs, &[]).1.documents.dead_lettered, 9);
    let running = start(&bench, &[]);

    // What dies again meanwhile is above this cap.
    let slow = [
        "dead-letters",
        "redrive",
        "--all",
        "--max-redrives",
        "1",
        "--rate",
        "1",
    ];
    let put_back = |count: usize| {
        until("some are put back", || list(&bench, &[]).put_back >= count);
    };
    let mut first = bench.spawn(&slow);
    put_back(2);
    assert_eq!(first.terminate(), Some(1), "{}", first.output());
    assert!(
        first.output().contains("run the same command again"),
        "{}",
        first.output()
    );
    let after_first = list(&bench, &[]).put_back;
    assert!(after_first < 9, "all were put back before it was stopped");
    let mut second = bench.spawn(&slow);
    put_back(after_first + 1);
    second.kill();
    let (_, last) = redrive(&bench, &["--all", "--max-redrives", "1"]);
    assert!(last.put_back >= 1 && last.put_back < 7, "{last:#?}");
    until("all have died again", || {
        let listed = list(&bench, &[]);
        listed.put_back == 9 && listed.dead_letters.iter().all(|it| it.redrives == 1)
    });
    stop(running);

    let mut places: Vec<(String, String)> = audits(&bench)
        .await
        .into_iter()
        .map(|audit| {
            (
                audit.detail["partition"].clone(),
                audit.detail["offset"].clone(),
            )
        })
        .collect();
    assert_eq!(places.len(), 9, "{places:?}");
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 9, "a letter was put back twice");
    let sent = ends(&bench).await[DOCUMENTS];
    assert!((18..=19).contains(&sent), "{sent} records for 9 documents");
}
