//! A letter is mended, and a record skipped, by somebody who knows better.

use penstock_schemas::{Document, next_version};
use penstock_tests::{document, publish};

use super::*;

/// A document, its bytes in the object store.
fn stored(bench: &Bench, name: &str, bytes: &[u8]) -> Document {
    let document = document(name, bytes);
    std::fs::write(bench.object(&document), bytes).unwrap();
    document
}

/// Another program wrote a wrong digest; beside running stages, the record is mended and its document completes.
#[tokio::test]
async fn an_edit_mends_the_record_beside_running_stages() {
    let bench = Bench::new();
    let running = start(&bench, &[]);
    let owner = std::fs::read_to_string(bench.data().join("owner.json")).unwrap();
    let owner = serde_json::from_str(&owner).unwrap();
    let owner = Log::of_owner(&Config::default(), &owner).await.unwrap();
    let mut wrong = stored(&bench, "salt.md", GOOD);
    let right = std::mem::replace(&mut wrong.blob.as_mut().unwrap().sha256, "0".repeat(64));
    publish(&owner, &wrong).await;
    until("it dies", || list(&bench, &[]).count == 1);

    let refused = |edit: &str, word: &str| {
        let (code, report) = redrive(&bench, &["--all", "--edit", edit]);
        assert_eq!((code, report.put_back, report.left), (2, 0, 1), "{edit}");
        let why = report.dead_letters[0].why.as_deref().unwrap();
        assert!(why.contains(word), "{why}");
    };
    refused(".blob.sha256 = 7", "no Document");
    refused(".blob.sha = \"7\"", "no field blob.sha");
    refused(".document_guid = .version", "which document");
    refused("empty", "yields nothing");
    let edit = format!(".blob.sha256 = \"{right}\" | .title = \"Salt\"");
    let (_, dry) = redrive(&bench, &["--all", "--edit", &edit, "--dry-run"]);
    let mended = dry.dead_letters[0].record.as_ref().unwrap();
    assert_eq!(
        (&mended["title"], &mended["blob"]["sha256"]),
        (&"Salt".into(), &right.as_str().into())
    );
    let (code, done) = redrive(&bench, &["--all", "--edit", &edit]);
    assert_eq!((code, done.put_back), (0, 1), "{done:#?}");
    until("the document becomes an answer", || {
        let answer = bench.query("how many tonnes of salt", &[]);
        let title = answer.hits.first().and_then(|hit| hit.title.clone());
        title.as_deref() == Some("Salt")
    });
    // Its document is visible now: putting an older version behind it is refused.
    let newer = Document {
        version: next_version(Some(wrong.version)),
        blob: None,
        ..wrong.clone()
    };
    publish(&owner, &newer).await;
    until("the newer version dies", || list(&bench, &[]).count == 1);
    publish(
        &owner,
        &Document {
            version: next_version(Some(newer.version)),
            ..stored(&bench, "salt.md", GOOD)
        },
    )
    .await;
    let dead = list(&bench, &[]).dead_letters[0].place.clone();
    until("the ledger knows the newest version", || {
        let shown = show(&bench, &dead);
        shown["document"]["visible"].as_str() > Some(newer.version.to_string().as_str())
    });
    let (code, report) = redrive(&bench, &["--all"]);
    assert_eq!((code, report.left), (2, 1));
    let why = report.dead_letters[0].why.as_deref().unwrap();
    assert!(
        why.contains("a newer version of its document is known"),
        "{why}"
    );
    stop(running);
    bench.sound();
    let audits = audits(&bench).await;
    assert_eq!(audits.len(), 1, "{audits:#?}");
    assert_eq!(audits[0].detail["edit"], edit);
}

#[tokio::test]
async fn a_record_in_the_way_is_skipped() {
    let bench = Bench::new();
    // So many that every partition holds some.
    let names: Vec<String> = (0..6).map(|number| format!("log-{number}.md")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), b"# Log\n\nNothing was lifted.\n".as_slice()))
        .collect();
    let docs = folder(&bench, &files);
    bench.ingest(&docs, &[]);
    // Published while no stage runs: split's group stands at it.
    let (killer, behind) = (
        stored(&bench, "killer.md", GOOD),
        stored(&bench, "behind.md", GOOD),
    );
    let open = log(&bench).await;
    let before = lags(&open.kafka, "penstock.split", DOCUMENTS)
        .await
        .unwrap();
    publish(&open, &killer).await;
    let after = lags(&open.kafka, "penstock.split", DOCUMENTS)
        .await
        .unwrap();
    let partition = (0..)
        .zip(&before)
        .find(|(at, lag)| lag.end < after[*at].end)
        .unwrap()
        .1
        .partition;
    let lag = after.iter().find(|lag| lag.partition == partition).unwrap();
    assert_eq!(lag.records(), 1, "{lag:?}");
    let place = Place {
        topic: DOCUMENTS.to_owned(),
        partition,
        offset: lag.end - 1,
    };
    publish(&open, &behind).await;
    open.close().await;

    let at_offset = |offset: i64| Place {
        offset,
        ..place.clone()
    };
    run_at(&bench, "skip", &at_offset(place.offset + 1), &[])
        .could_not_run(&["penstock.split", "not worked yet"]);
    run_at(&bench, "skip", &at_offset(place.offset - 1), &[]).could_not_run(&["past that record"]);
    let dlq = Place {
        topic: DEAD_DOCUMENTS.to_owned(),
        ..place.clone()
    };
    run_at(&bench, "skip", &dlq, &[]).could_not_run(&["no stage reads", DOCUMENTS]);

    let skipped: Value = run_at(&bench, "skip", &place, &["--json"]).json();
    assert_eq!(skipped["committed"], place.offset + 1);
    assert_eq!(skipped["document_guid"], killer.document_guid.to_string());
    let letter = list(&bench, &[]).dead_letters[0].clone();
    assert_eq!(
        (letter.class.as_str(), letter.stage.as_str()),
        ("skipped", "split")
    );
    assert_eq!(letter.original, Some(place.clone()));
    run_at(&bench, "skip", &place, &[]).could_not_run(&["penstock.split", "it stands"]);

    let running = start(&bench, &[]);
    run_at(&bench, "skip", &place, &[]).could_not_run(&["stop it first"]);
    until(
        "what is behind it is done, and its document has failed",
        || {
            let shown = show(&bench, &letter.place);
            let behind = bench.query("twelve tonnes of salt", &["--limit", "10"]);
            shown["document"]["open"][0]["step"] == "failed"
                && behind.hits.iter().any(|hit| hit.path == "behind.md")
        },
    );
    let answer = bench.query("twelve tonnes of salt", &["--limit", "10"]);
    assert!(
        answer.hits.iter().all(|hit| hit.path != "killer.md"),
        "it was not skipped"
    );
    let history = show(&bench, &letter.place)["history"].clone();
    assert_eq!(history[0]["action"], "dead-letters skip", "{history}");
    assert_eq!(history[0]["group"], "penstock.split");

    // The program was mended: put back, it completes.
    assert_eq!(redrive(&bench, &["--class", "skipped"]).0, 0);
    until("it becomes an answer", || {
        let answer = bench.query("twelve tonnes of salt", &["--limit", "10"]);
        answer.hits.iter().any(|hit| hit.path == "killer.md")
    });
    visible(&bench, 8);
    stop(running);
    assert_eq!(bench.sound().documents, 8);
}
