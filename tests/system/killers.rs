//! A record that kills its process is found and given up, by the real program; one that does not come back is abandoned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock::config::Config;
use penstock::dead_letters::Listed;
use penstock::session::{DRAIN, Session};
use penstock::system::Log;
use penstock_adapters::kafka::{KafkaSink, read_topic};
use penstock_runtime::{Attempts, Trail};
use penstock_schemas::{Document, topics};
use penstock_tests::{Bench, Running, document, files, make_pipe, publish, until};
use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::world::World;

const GROUP: &str = "penstock.split";

/// Where a document's record lies.
async fn place_of(log: &Log, id: Uuid) -> (i32, i64) {
    let entries = read_topic(&log.kafka, &log.codec, topics::DOCUMENTS).await;
    let is_it = |document: &Document| document.document_guid == id;
    let entries = entries.unwrap();
    let entry = entries
        .iter()
        .find(|it| it.value.as_ref().is_some_and(is_it));
    entry.map(|it| (it.partition, it.offset)).unwrap()
}

/// The log of the process that owns the folder, once it runs.
async fn log_of(bench: &Bench, running: &mut Running) -> Arc<Log> {
    until("the process runs", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:")
    });
    let config = Config {
        data: bench.data(),
        ..Config::default()
    };
    match Session::open(&config).unwrap() {
        Session::Beside(beside) => beside.log().await.unwrap(),
        Session::Network(_) | Session::Owner(_) => panic!("nobody owns the folder"),
    }
}

/// Kills the process as soon as its trail is as wanted.
async fn kill_once(bench: &Bench, wanted: impl Fn(&BTreeMap<i32, Trail>) -> bool) {
    let mut running = bench.spawn(&["run"]);
    let log = log_of(bench, &mut running).await;
    let topic = topics::DOCUMENTS.attempts();
    let sink = Arc::new(KafkaSink::new(&log.kafka).unwrap());
    let attempts = Attempts::new(GROUP, &topic, log, sink, Arc::new(Semaphore::new(1)));
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        assert!(!running.has_ended(), "{}", running.output());
        let trails = attempts.read().await.unwrap();
        if wanted(&trails) {
            break;
        }
        assert!(Instant::now() < deadline, "{trails:?}");
    }
    running.kill();
}

/// What does not come back is abandoned at the deadline; the process that follows does it.
#[test]
fn a_record_that_does_not_come_back_keeps_no_process_from_ending() {
    let world = World::new();
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let docs = world.file("docs");
    std::fs::create_dir_all(&docs).unwrap();
    let notes = 6;
    for number in 0..notes {
        std::fs::write(
            docs.join(format!("note-{number}.md")),
            format!("# Note {number}\n"),
        )
        .unwrap();
    }
    let mut ingest = world.spawn_ingest(&docs);
    until("all are sent", || {
        world.records("rag.documents.v1") == notes
    });
    ingest.kill();
    let objects = files(&world.file("objects"));
    let (clogged, aside) = (&objects[0], world.file("aside"));
    std::fs::rename(clogged, &aside).unwrap();
    make_pipe(clogged);
    let mut stuck = world.start(&["split"]);
    let parts = || world.records("rag.parts.v1");
    until("all others are done", || parts() == notes - 1);
    let asked = Instant::now();
    assert_eq!(stuck.terminate(), Some(0), "{}", stuck.output());
    let took = asked.elapsed();
    assert!(took < 2 * DRAIN, "{took:?}");
    assert!(world.lag("split") >= 1);

    std::fs::rename(&aside, clogged).unwrap();
    let mut next = world.start(&["split"]);
    until("it is done too", || world.lag("split") == 0);
    assert!(parts() >= notes);
    assert_eq!(world.records("rag.documents.v1.dlq"), 0);
    assert_eq!(next.terminate(), Some(0), "{}", next.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_kills_its_process_three_times_is_given_up() {
    let bench = Bench::new();
    let log = Log::open(&Config::default(), &bench.data()).await.unwrap();
    let killer = document("killer.md", b"# Nobody reads this\n");
    make_pipe(&bench.object(&killer));
    // The first of its partition: nothing that is closed before it moves the position.
    publish(&log, &killer).await;
    for number in 0..3 {
        let text = format!("# Crane {number}\n\nIt lifted {number} tonnes of salt at noon.\n");
        let good = document(&format!("crane-{number}.md"), text.as_bytes());
        std::fs::write(bench.object(&good), text).unwrap();
        publish(&log, &good).await;
    }
    let (partition, offset) = place_of(&log, killer.document_guid).await;
    log.close().await;

    // What was at work is suspected, and runs alone from then on.
    kill_once(&bench, |trails| trails.contains_key(&partition)).await;
    for times in 1..=3 {
        let alone = |trail: &Trail| trail.alone.get(&offset) == Some(&times);
        kill_once(&bench, |trails| trails.get(&partition).is_some_and(alone)).await;
    }

    let mut running = bench.spawn(&["run"]);
    let listed = |more: &[&str]| -> Option<Listed> {
        let args = [&["dead-letters", "list", "--json"], more].concat();
        let ran = bench.run(&args);
        (ran.code == 0).then(|| ran.json())
    };
    until("the killer is given up", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:") && listed(&[]).is_some_and(|it| it.count > 0)
    });
    let letters = listed(&["--class", "killed"]).unwrap().dead_letters;
    assert_eq!(letters.len(), 1, "{letters:#?}");
    let letter = &letters[0];
    assert_eq!(letter.stage, "split");
    assert_eq!(letter.document_guid, Some(killer.document_guid));
    let original = letter.original.as_ref().unwrap();
    assert_eq!((original.partition, original.offset), (partition, offset));
    assert!(
        letter.reason.contains("killed the process 3 times"),
        "{}",
        letter.reason
    );

    // The others are answers, and settle knows what became of the killer.
    for number in 0..3 {
        let word = format!("Crane {number}");
        until("its neighbours are visible", || {
            let hits = bench.query(&word, &[]).hits;
            hits.iter()
                .any(|hit| hit.path == format!("crane-{number}.md"))
        });
    }
    let place = &letter.place;
    let (number, at) = (place.partition.to_string(), place.offset.to_string());
    let show = ["dead-letters", "show", &place.topic, &number, &at, "--json"];
    until("settle is told", || {
        let shown: Value = bench.run(&show).json();
        shown["document"]["open"][0]["step"] == "failed"
    });
    // An answer may come a moment before the ledger knows that its document is visible.
    until("the ledger knows", || bench.audit().documents == 3);
    assert_eq!(running.terminate(), Some(0), "{}", running.output());
    assert_eq!(bench.sound().documents, 3);
}
