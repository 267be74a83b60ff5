//! `penstock status --document`: what has become of one document; and documents that stand still.

use penstock::dead_letters::Listed;
use penstock::life::Life;
use penstock::status::Status;
use penstock_adapters::kafka::{KafkaConfig, KafkaSink};
use penstock_runtime::{Route, Sink};
use penstock_schemas::{About, Codec, Lineage, Opened, Outcome, Progress, now_ms, topics};
use penstock_tests::{Bench, until};
use serde_json::Value;
use uuid::Uuid;

fn life(bench: &Bench, id: &str) -> Life {
    let ran = bench.run(&["status", "--document", id, "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

#[test]
fn a_document_that_is_visible_one_that_is_dead_and_one_that_is_unknown() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir_all(&docs).unwrap();
    std::fs::write(
        docs.join("crane.md"),
        "# Crane\n\nThe crane lifts salt at noon.\n",
    )
    .unwrap();
    std::fs::write(docs.join("empty.txt"), "").unwrap();
    let (code, report) = bench.ingest(&docs, &[]);
    assert_eq!(code, 2, "{report:?}");

    let answer = bench.query("crane salt", &[]);
    let seen = life(&bench, &answer.hits[0].document_guid);
    assert_eq!(seen.path.as_deref(), Some("docs/crane.md"));
    assert_eq!(seen.source.as_deref(), Some("test"));
    assert_eq!(seen.waits, None);
    assert!(seen.dead_letters.is_empty());
    let edition = &seen.editions[0];
    assert_eq!(
        (edition.state.as_str(), edition.parts, edition.dead),
        ("visible", Some(1), 0)
    );
    assert_eq!(seen.sent.as_ref().unwrap().version, edition.version);
    let counts = [edition.chunks, edition.indexed, edition.linked];
    assert_eq!(counts, [1, 1, 1]);

    let letters: Listed = bench.run(&["dead-letters", "list", "--json"]).json();
    let letter = &letters.dead_letters[0];
    let id = letter.document_guid.unwrap().to_string();
    let dead = life(&bench, &id);
    assert_eq!(dead.path.as_deref(), Some("docs/empty.txt"));
    assert_eq!(dead.dead_letters.len(), 1);
    assert_eq!(dead.dead_letters[0].place, letter.place);
    assert_eq!(dead.editions[0].state, "failed");
    assert_eq!(dead.editions[0].dead, 1);
    let waits = dead.waits.unwrap();
    assert_eq!(waits.stage, None);
    assert!(waits.what.contains("redrive --document"), "{}", waits.what);
    let text = bench.run(&["status", "--document", &id]).stdout;
    let place = letter.place.to_string();
    for words in [
        "docs/empty.txt",
        "failed since",
        &place,
        "waits for somebody",
    ] {
        assert!(text.contains(words), "{text} lacks {words}");
    }

    // What failed is no document that stopped: its letter tells of it.
    let status: Status = bench
        .run(&["status", "--stopped-for", "0s", "--json"])
        .json();
    assert_eq!(status.stopped.count, 0, "{status:?}");

    let unknown = Uuid::from_u128(7).to_string();
    bench
        .run(&["status", "--document", &unknown])
        .could_not_run(&["no document", &unknown]);
}

/// The part that split tells of was lost: no stage has anything to do, and the document is not done.
#[test]
fn a_document_that_stops_half_way_is_named() {
    let bench = Bench::new();
    let mut running = bench.spawn(&["run"]);
    until("the process runs", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:")
    });
    let owner = std::fs::read_to_string(bench.data().join("owner.json")).unwrap();
    let owner: Value = serde_json::from_str(&owner).unwrap();
    let log = KafkaConfig::embedded(owner["kafka"].as_str().unwrap());
    let lost = opened_by_split();
    let id = lost.lineage.document_guid;
    let record = topics::PROGRESS.encode(&Codec::default(), &lost).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let sink = KafkaSink::new(&log).unwrap();
        sink.produce(vec![record]).await.unwrap();
    });

    let status =
        |more: &[&str]| -> Status { bench.run(&[&["status", "--json"], more].concat()).json() };
    until("the document is named", || {
        status(&["--stopped-for", "0s"]).stopped.count == 1
    });
    let found = status(&["--stopped-for", "0s"]).stopped.documents.remove(0);
    assert_eq!(
        (found.document_guid, found.path.as_str()),
        (id, "docs/lost.md")
    );
    assert!(
        found.waits.starts_with("parse: 1 of 1 parts"),
        "{}",
        found.waits
    );
    // It may yet come.
    assert_eq!(status(&["--stopped-for", "1h"]).stopped.count, 0);
    let waits = life(&bench, &id.to_string()).waits.unwrap();
    assert_eq!(waits.stage.as_deref(), Some("parse"));
    assert_eq!((waits.lag_records, waits.instances), (Some(0), Some(1)));
    assert_eq!(running.terminate(), Some(0), "{}", running.output());
}

fn opened_by_split() -> Progress {
    Progress {
        lineage: Lineage {
            group: "default".to_owned(),
            document_guid: Uuid::new_v4(),
            version: Uuid::now_v7(),
            edition: Uuid::new_v4(),
            stamped: now_ms(),
        },
        stage: "split".to_owned(),
        part: None,
        run: None,
        outcome: Outcome::Outputs,
        ids: Vec::new(),
        opened: Some(Opened {
            about: About {
                source: "test".to_owned(),
                key: "lost.md".to_owned(),
                path: "docs/lost.md".to_owned(),
                title: None,
                author: None,
                language: None,
                created_at: None,
                attributes: Default::default(),
            },
            blob: None,
            attributes_digest: String::new(),
            recipe: "test".to_owned(),
            parts: 1,
        }),
        dead: None,
        at: now_ms(),
    }
}
