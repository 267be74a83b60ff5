//! Documents change, move and go; readers never see a mixture, and nothing stays behind.

use std::collections::HashSet;

use penstock::config::Config;
use penstock::system::Log;
use penstock_adapters::kafka::lags;
use penstock_schemas::topics;
use penstock_tests::{Bench, assert_same};

const FIRST: &str = "# Harbour rules\n\nVessels report to the pilot station at dawn.\n\n## Berths\n\nBerth four is closed for repairs until autumn.\n";
const OTHER: &str = "# Yard rules\n\nForklifts yield to pedestrians at every crossing.\n";

/// Sections far longer than a chunk, so that an edit leaves other chunks as they are.
fn long_text(changed: &str) -> String {
    let mut text = String::new();
    for number in 0..8 {
        let word = if number == 3 { changed } else { "steady" };
        text.push_str(&format!("## Part {number}\n\n"));
        for line in 0..30 {
            text.push_str(&format!(
                "Line {line} of part {number} speaks of a {word} matter in plain words.\n"
            ));
        }
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn an_edit_replaces_and_embeds_only_what_changed() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    std::fs::write(docs.join("rules.md"), FIRST).unwrap();
    std::fs::write(docs.join("long.md"), long_text("steady")).unwrap();
    let (code, first) = bench.ingest(&docs, &[]);
    assert_eq!((code, first.documents.complete), (0, 2), "{first:?}");

    std::fs::write(docs.join("long.md"), long_text("sudden")).unwrap();
    let (code, second) = bench.ingest(&docs, &[]);
    assert_eq!(
        (code, second.documents.complete, second.documents.unchanged),
        (0, 1, 1)
    );
    assert!(
        second.embedded >= 1 && second.embedded * 2 < second.chunks,
        "{second:?}"
    );
    bench.sound();

    // The same as if it had been so from the start.
    let fresh = Bench::new();
    fresh.ingest(&docs, &[]);
    assert_same(&fresh.stores().await, &bench.stores().await);
}

#[tokio::test]
async fn pruned_documents_leave_nothing_and_a_replay_does_not_bring_them_back() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    std::fs::write(docs.join("a.md"), FIRST).unwrap();
    std::fs::write(docs.join("b.md"), OTHER).unwrap();
    bench.ingest(&docs, &[]);
    std::fs::remove_file(docs.join("a.md")).unwrap();

    let (_, kept) = bench.ingest(&docs, &[]);
    assert_eq!((kept.documents.removed, kept.documents.unchanged), (0, 1));
    let (code, pruned) = bench.ingest(&docs, &["--prune"]);
    assert_eq!(
        (code, pruned.documents.removed, pruned.documents.unchanged),
        (0, 1, 1)
    );
    assert_eq!(bench.sound().documents, 1);
    let fresh = Bench::new();
    fresh.ingest(&docs, &[]);
    assert_same(&fresh.stores().await, &bench.stores().await);
    let objects = std::fs::read_dir(bench.data().join("objects/default"))
        .unwrap()
        .count();
    assert_eq!(
        objects, 1,
        "the bytes of the removed document are still there"
    );

    // It comes back when the file does.
    std::fs::write(docs.join("a.md"), FIRST).unwrap();
    let (_, back) = bench.ingest(&docs, &["--prune"]);
    assert_eq!((back.documents.complete, back.documents.removed), (1, 0));
    bench.sound();
}

#[tokio::test]
async fn another_chunk_size_makes_new_editions_and_sweeps_the_old() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    std::fs::write(docs.join("long.md"), long_text("steady")).unwrap();
    let (_, large) = bench.ingest(&docs, &[]);
    let set = [
        "--set",
        "shard.max_tokens=64",
        "--set",
        "shard.overlap_tokens=8",
    ];
    let (code, small) = bench.ingest(&docs, &set);
    assert_eq!((code, small.documents.complete), (0, 1));
    assert!(small.chunks > large.chunks);
    let audit = bench.sound();
    assert_eq!((audit.points, audit.chunks), (small.chunks, small.chunks));
    let fresh = Bench::new();
    fresh.ingest(&docs, &set);
    assert_same(&fresh.stores().await, &bench.stores().await);
    let (_, again) = bench.ingest(&docs, &set);
    assert_eq!((again.documents.unchanged, again.chunks), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_intermediate_work_start_again_empty_once_all_is_settled() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    for round in ["first", "second"] {
        std::fs::write(docs.join("long.md"), long_text(round)).unwrap();
        let (code, report) = bench.ingest(&docs, &[]);
        assert_eq!((code, report.documents.complete), (0, 1), "{report:?}");
        let log = Log::open(&Config::default(), &bench.data()).await.unwrap();
        for topic in topics::all() {
            let stand = lags(&log.kafka, "test", &topic.name).await.unwrap();
            let written: i64 = stand.iter().map(|it| it.end).sum();
            let left: i64 = stand.iter().map(|it| it.end - it.first).sum();
            if topic.intermediate {
                assert!(written > 0 && left == 0, "{}: {stand:?}", topic.name);
            } else {
                assert_eq!(left, written, "{}: {stand:?}", topic.name);
            }
        }
        log.close().await;
    }
    bench.sound();
}

#[test]
fn rules_of_ones_own_shape_the_graph() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    std::fs::write(docs.join("a.md"), "The tug Morning Star left berth four.\n").unwrap();
    let (_, plain) = bench.ingest(&docs, &[]);
    let rules = bench.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = "label: Vessel\nform: text\npatterns:\n  - 'tug (?P<name>[A-Z]\\w+ [A-Z]\\w+)'\n";
    std::fs::write(rules.join("vessel.yaml"), rule).unwrap();
    let set = format!("link.rules={}", rules.display());
    let (code, own) = bench.ingest(&docs, &["--set", &set]);
    assert_eq!(
        (code, own.documents.complete),
        (0, 1),
        "other rules make another edition"
    );
    assert_eq!((plain.entities, own.entities), (0, 1));
    let answer = bench.query("tug at berth four", &["--set", &set]);
    let known = &answer.hits[0].neighbours;
    assert!(
        known
            .iter()
            .any(|it| it.label == "Vessel" && it.name == "Morning Star"),
        "{known:?}"
    );
    std::fs::write(
        rules.join("vessel.yaml"),
        "label: Vessel\npatterns:\n  - '('\n",
    )
    .unwrap();
    let folder = docs.display().to_string();
    bench
        .run(&["ingest", &folder, "--set", &set])
        .could_not_run(&["vessel.yaml"]);
}

/// While a document is replaced again and again, a reader beside sees one edition, whole, and never nothing.
#[test]
fn readers_never_see_a_mixture() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    let text = |round: usize| {
        (0..6)
            .map(|number| {
                format!(
                    "## Notice {number}\n\nThe beacon round{round} notice {number} is lit.\n\n{}\n",
                    "Keep clear of the quay. ".repeat(60)
                )
            })
            .collect::<String>()
    };
    std::fs::write(docs.join("notice.md"), text(0)).unwrap();
    bench.ingest(&docs, &[]);
    let mut run = bench.spawn(&["run"]);
    penstock_tests::until("the owner serves", || {
        bench.data().join("owner.json").exists() || run.has_ended()
    });
    let mut seen = HashSet::new();
    for round in 1..=4 {
        std::fs::write(docs.join("notice.md"), text(round)).unwrap();
        std::thread::scope(|scope| {
            let ingest = scope.spawn(|| bench.ingest(&docs, &[]));
            while !ingest.is_finished() {
                let answer = bench.query("beacon notice lit", &["--limit", "20"]);
                let rounds: HashSet<String> = answer
                    .hits
                    .iter()
                    .flat_map(|hit| hit.text.split_whitespace())
                    .filter(|word| word.starts_with("round"))
                    .map(str::to_owned)
                    .collect();
                assert_eq!(rounds.len(), 1, "a reader saw {rounds:?}");
                seen.extend(rounds);
            }
            let (code, report) = ingest.join().unwrap();
            assert_eq!((code, report.documents.complete), (0, 1));
        });
    }
    assert!(seen.len() >= 3, "too few editions were seen: {seen:?}");
    assert_eq!(run.terminate(), Some(0), "{}", run.output());
    bench.sound();
}
