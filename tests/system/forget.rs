//! What is forgotten is gone from every store, and what still holds something of it is named.

use std::collections::BTreeMap;
use std::fs;

use penstock::config::Config;
use penstock::forget::Forgotten;
use penstock::system::Log;
use penstock_adapters::kafka::read_topic;
use penstock_schemas::{Audit, document_guid, topics};
use penstock_tests::{Bench, Ran, copy_samples, files, until};
use uuid::Uuid;

use crate::world::World;

const TEXT: &str = "# Salvage\n\nThe master of the Albatross signed for load LD-48213 at noon.\n";

fn forgotten(ran: &Ran, code: i32) -> Forgotten {
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    let report: Forgotten = ran.json();
    assert_eq!(report.digest().unwrap(), report.sha256);
    report
}

fn held(report: &Forgotten) -> Vec<&str> {
    report.held.iter().map(|it| it.topic.as_str()).collect()
}

/// Whether the words stand in any file of the data folder.
fn found_in(bench: &Bench, words: &str) -> Vec<String> {
    let all = files(&bench.data());
    let having = all.iter().filter(|it| {
        let bytes = fs::read(it).unwrap_or_default();
        bytes.windows(words.len()).any(|it| it == words.as_bytes())
    });
    having.map(|it| it.display().to_string()).collect()
}

async fn told(bench: &Bench) -> Vec<Audit> {
    let log = Log::open(&Config::default(), &bench.data()).await.unwrap();
    let entries = read_topic(&log.kafka, &log.codec, topics::AUDIT).await;
    log.close().await;
    let all = entries.unwrap().into_iter().filter_map(|it| it.value);
    all.filter(|it| it.action.starts_with("forget")).collect()
}

/// What the last record of every document of a group says where it lay.
async fn last_paths(bench: &Bench, group: &str) -> Vec<String> {
    let log = Log::open(&Config::default(), &bench.data()).await.unwrap();
    let mut last = BTreeMap::new();
    let read = log.fold_documents(|it| {
        if it.group == group {
            last.insert(it.document_guid, it.path);
        }
    });
    read.await.unwrap();
    log.close().await;
    last.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_forgotten_and_seen_to_be_gone() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    fs::create_dir(&docs).unwrap();
    fs::write(docs.join("salvage.md"), TEXT).unwrap();
    fs::write(
        docs.join("rules.md"),
        "# Rules\n\nVessels report at dawn.\n",
    )
    .unwrap();
    bench.ingest(&docs, &[]);
    bench.ingest(&docs, &["--group", "others"]);
    let id = document_guid("default", "test", "salvage.md");
    let args = ["forget", "--document", &id.to_string(), "--json"];

    bench
        .run(&["forget", "--document", &Uuid::from_u128(7).to_string()])
        .could_not_run(&["no document", "nor ever was"]);
    bench
        .run(&["forget", "--group", "nobody"])
        .could_not_run(&["nobody", "nor ever was"]);

    let report = forgotten(&bench.run(&args), 0);
    assert_eq!((report.removed, report.removed_before), (1, 0));
    assert_eq!(report.documents, [id]);
    assert!(report.verified && report.again.is_empty());
    let found = report.found.unwrap();
    assert!(
        found.points > 0 && found.nodes > 1 && found.objects > 1,
        "{found:?}"
    );
    assert!(found.cached_vectors > 0 && found.bytes > 0, "{found:?}");
    assert!(report.left.unwrap().is_empty());
    // What was said of it before the deletion lies there until compaction.
    assert!(held(&report).contains(&"rag.documents.v1"), "{report:#?}");
    let path = report
        .held
        .iter()
        .find(|it| it.topic == "rag.completed.v1")
        .unwrap();
    assert!(path.until.is_some() && !path.text, "{path:?}");
    assert!(
        report
            .not_under_control
            .iter()
            .any(|it| it.contains("backups"))
    );
    let audit = bench.sound();
    assert_eq!(audit.documents, 3);
    let objects = bench.data().join("objects/default");
    assert!(!objects.join(id.to_string()).exists());

    let again = forgotten(&bench.run(&args), 0);
    assert_eq!((again.removed, again.removed_before), (0, 1));
    assert!(again.verified);
    let said = bench.run(&args[..3]).stdout;
    assert!(said.contains("1 were forgotten before"), "{said}");

    let told = told(&bench).await;
    let last = told.last().unwrap();
    assert_eq!(last.action, "forget done");
    assert_eq!(last.detail["document"], id.to_string());
    assert!(
        told.iter()
            .any(|it| it.detail.get("sha256") == Some(&report.sha256))
    );

    // The same file may come again: it is another version.
    let (_, back) = bench.ingest(&docs, &[]);
    assert_eq!((back.documents.complete, back.documents.unchanged), (1, 1));
    // What was pruned left its path in the log.
    fs::remove_file(docs.join("rules.md")).unwrap();
    let (_, pruned) = bench.ingest(&docs, &["--prune"]);
    assert_eq!(pruned.documents.removed, 1);
    let group = forgotten(&bench.run(&["forget", "--group", "default", "--json"]), 0);
    assert_eq!((group.removed, group.documents.len()), (2, 2));
    assert_eq!(last_paths(&bench, "default").await, ["", ""]);
    assert!(group.found.unwrap().nodes > group.found.unwrap().points);
    let audit = bench.sound();
    assert_eq!(audit.documents, 2);
    // The other group has the same text.
    assert!(!found_in(&bench, "Albatross").is_empty());
    let group = forgotten(&bench.run(&["forget", "--group", "others", "--json"]), 0);
    assert!(group.verified);
    let audit = bench.sound();
    assert_eq!((audit.points, audit.nodes, audit.edges), (0, 0, 0));
}

/// On a cluster, beside a fleet at work, with topics that keep what went through them.
#[test]
fn topics_are_purged_of_what_nobody_needs() {
    let world = World::new();
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let docs = world.file("docs");
    copy_samples(&docs, |key| key.starts_with("mail/"));
    let mut processes = [
        world.start(&["split", "parse", "shard", "embed"]),
        world.start(&["index", "link", "settle"]),
    ];
    let kept = world.ingest(&docs).documents.complete;
    let secret = world.file("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("salvage.md"), TEXT).unwrap();
    fs::write(secret.join("noise.bin"), [0x00, 0xFE, 0x07, 0x90, 0x81]).unwrap();
    let folder = secret.display().to_string();
    let ran = world.run_outside(&[
        "ingest", &folder, "--source", "test", "--group", "secret", "--json",
    ]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    until("all is committed", || {
        let stages = [
            "split", "parse", "shard", "embed", "index", "link", "settle",
        ];
        stages.iter().all(|stage| world.lag(stage) == 0)
    });

    // From where the stores cannot be seen it is done, and not proven.
    let outside = world.run_outside(&["forget", "--group", "secret", "--json"]);
    let report = forgotten(&outside, 2);
    assert_eq!((report.removed, report.verified), (2, false));
    assert!(report.found.is_none() && report.left.is_none());
    for topic in ["rag.chunks.v1", "rag.embeddings.v1", "rag.indexed.v1"] {
        let it = report.held.iter().find(|it| it.topic == topic).unwrap();
        assert!(it.text && it.until.is_some(), "{it:?}");
    }
    assert!(
        held(&report).contains(&"rag.documents.v1.dlq"),
        "{report:#?}"
    );

    let purged = world.run(&["forget", "--group", "secret", "--purge", "--json"]);
    let purged = forgotten(&purged, 0);
    assert_eq!((purged.removed, purged.removed_before), (0, 2));
    assert!(purged.verified);
    let left = held(&purged);
    let kept_for_a_reason = [
        "rag.documents.v1",
        "rag.ledger.v1",
        "rag.completed.v1",
        "rag.audit.v1",
    ];
    assert!(
        left.iter().all(|it| kept_for_a_reason.contains(it)),
        "{purged:#?}"
    );
    assert!(purged.purged.iter().any(|it| it.topic == "rag.chunks.v1"));
    assert!(
        purged
            .purged
            .iter()
            .any(|it| it.topic == "rag.documents.v1.dlq")
    );

    // Nothing else is lost: the fleet goes on, and all others can be done again.
    let ran = world.run(&["audit", "--json"]);
    let audit: penstock::audit::Audit = ran.json();
    assert_eq!((ran.code, audit.documents), (0, kept), "{audit:#?}");
    let ran = world.run_outside(&["replay", "split", "--beginning", "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
}

/// Documents that are half-way when they are forgotten do not come out at the other end.
#[test]
fn what_is_on_its_way_is_forgotten_too() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    copy_samples(&docs, |key| {
        key.starts_with("mail/") || key.starts_with("loads/")
    });
    let mut running = bench.spawn(&["run"]);
    until("it runs", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:")
    });
    let folder = docs.display().to_string();
    let mut ingest = bench.spawn(&["ingest", &folder, "--source", "test"]);
    until("something is on its way", || bench.audit().points > 0);
    let report = forgotten(&bench.run(&["forget", "--group", "default", "--json"]), 0);
    assert!(report.removed > 0);
    until("ingest is through", || ingest.has_ended());
    let last = forgotten(&bench.run(&["forget", "--group", "default", "--json"]), 0);
    assert!(last.verified);
    let audit = bench.sound();
    assert_eq!((audit.documents, audit.points, audit.nodes), (0, 0, 0));
    assert_eq!(running.terminate(), Some(0), "{}", running.output());
}
