//! Objects that nobody names are shown, then removed, and nobody misses them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use penstock::config::Config;
use penstock::objects::{COLLECT, Collected, Why};
use penstock::replay::Replayed;
use penstock::system::Log;
use penstock_adapters::kafka::read_topic;
use penstock_adapters::objects::Objects;
use penstock_schemas::{Audit, topics};
use penstock_servers::s3::S3;
use penstock_stages::blobs::Blobs;
use penstock_tests::{Bench, Ran, copy_samples, document, files, until};

use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TEXT: &[u8] = b"# Crane log\n\nThe crane lifted twelve tonnes of salt at noon.\n";

fn age(file: &Path, days: u32) {
    let file = std::fs::File::options().append(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - days * DAY).unwrap();
}

fn collected(ran: &Ran) -> Collected {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

fn keys(collected: &Collected) -> Vec<(&str, Why)> {
    let orphans = collected.orphans.iter();
    let mut keys: Vec<_> = orphans.map(|it| (it.key.as_str(), it.why)).collect();
    keys.sort();
    keys
}

async fn audits(bench: &Bench) -> Vec<Audit> {
    let log = Log::open(&Config::default(), &bench.data()).await.unwrap();
    let entries = read_topic(&log.kafka, &log.codec, topics::AUDIT).await;
    log.close().await;
    entries
        .unwrap()
        .into_iter()
        .filter_map(|it| it.value)
        .collect()
}

#[tokio::test]
async fn what_ingest_left_behind_is_collected_and_nothing_else() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    for name in ["crane.md", "gate.md"] {
        std::fs::write(docs.join(name), TEXT).unwrap();
    }
    std::fs::write(docs.join("noise.bin"), [0x00, 0xFE, 0x07, 0x90, 0x81]).unwrap();
    let (code, report) = bench.ingest(&docs, &[]);
    assert_eq!((code, report.documents.complete), (2, 2));
    let before = bench.stores().await;

    // As ingest leaves them: bytes whose record was never sent, and bytes it did not write to their end.
    let (lost, young) = (document("lost.md", TEXT), document("young.md", TEXT));
    let half = document("half.md", TEXT);
    let half = PathBuf::from(format!("{}#1", bench.object(&half).display()));
    std::fs::write(bench.object(&lost), TEXT).unwrap();
    std::fs::write(bench.object(&young), TEXT).unwrap();
    std::fs::write(&half, "# Cra").unwrap();
    let folder = bench.data().join("objects");
    for file in files(&folder) {
        if file != bench.object(&young) {
            age(&file, 100);
        }
    }
    // The store's clock is among them: settle has asked for the time.
    let all = files(&folder);

    let dry = bench.run(&["objects", "collect", "--dry-run", "--json"]);
    let dry = collected(&dry);
    let lost_key = lost.blob.clone().unwrap().key;
    let found = keys(&dry);
    let expect = (lost_key.as_str(), Why::UnknownDocument);
    assert!(found.contains(&expect), "{found:?}");
    let unfinished: Vec<_> = dry
        .orphans
        .iter()
        .filter(|it| it.why == Why::UnfinishedUpload)
        .collect();
    assert_eq!(unfinished.len(), 1, "{found:?}");
    assert_eq!(unfinished[0].size, Some(5));
    let tally = &dry.summary.tally;
    assert_eq!(tally.count as usize, dry.orphans.len());
    assert_eq!((tally.kept.young, tally.of_unknown_documents), (1, 1));
    assert!(
        dry.orphans
            .iter()
            .all(|it| it.age_seconds >= 99 * 24 * 60 * 60)
    );
    assert!(dry.summary.dry_run);
    assert_eq!(files(&folder), all, "nothing changed");
    let shown = bench.run(&["objects", "collect", "--dry-run"]).stdout;
    assert!(shown.contains("no record is of its document"), "{shown}");
    assert!(shown.contains("a dry run: nothing was"), "{shown}");

    let done = collected(&bench.run(&["objects", "collect", "--json"]));
    assert_eq!(keys(&done), keys(&dry));
    let again = collected(&bench.run(&["objects", "collect", "--json"]));
    assert_eq!(again.orphans, []);
    assert!(!bench.object(&lost).exists() && bench.object(&young).exists() && !half.exists());
    bench
        .run(&["objects", "collect", "--older-than", "23h"])
        .could_not_run(&["--older-than", "24 h"]);

    let told: Vec<Audit> = audits(&bench).await;
    let of_lost = lost.document_guid.to_string();
    let of_lost: Vec<_> = told
        .iter()
        .filter(|it| it.detail["document"] == of_lost)
        .collect();
    assert_eq!(of_lost.len(), 1, "{told:#?}");
    assert_eq!(of_lost[0].action, COLLECT);
    assert!(of_lost[0].actor.contains('@'));
    let detail = |name: &str| of_lost[0].detail[name].as_str();
    assert_eq!(
        (detail("objects"), detail("keys")),
        ("1", lost_key.as_str())
    );
    assert_eq!(detail("bytes"), TEXT.len().to_string());

    // All that can be done again finds its bytes, and changes nothing.
    let replayed: Replayed = bench
        .run(&["replay", "split", "--beginning", "--json"])
        .json();
    assert_eq!(
        (replayed.planned, replayed.dead_letters),
        (3, 1),
        "{replayed:?}"
    );
    let letters = bench.run(&["dead-letters", "list", "--all"]).stdout;
    assert!(!letters.contains("is not in the object store"), "{letters}");
    bench.sound();
    assert_eq!(bench.stores().await, before);
}

/// Beside the process that owns the folder; and where log and objects do not belong together, nothing at all.
#[test]
fn it_works_beside_a_running_process_and_on_its_own_objects_only() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    let mut running = bench.spawn(&["run"]);
    until("it runs", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:")
    });
    let lost = document("lost.md", TEXT);
    std::fs::write(bench.object(&lost), TEXT).unwrap();
    age(&bench.object(&lost), 8);
    for number in 0..4 {
        std::fs::write(docs.join(format!("note-{number}.md")), TEXT).unwrap();
        let (code, report) = bench.ingest(&docs, &[]);
        assert_eq!((code, report.documents.complete), (0, 1));
        let done = collected(&bench.run(&["objects", "collect", "--json"]));
        assert_eq!(done.orphans.len(), usize::from(number == 0), "{done:?}");
    }
    assert_eq!(running.terminate(), Some(0), "{}", running.output());
    assert_eq!(bench.sound().documents, 4);

    // The same objects beside a log that knows nothing of them.
    let other = Bench::new();
    let folder = bench.data().join("objects");
    files(&folder).iter().for_each(|file| age(file, 100));
    std::fs::create_dir(other.data()).unwrap();
    std::fs::rename(&folder, other.data().join("objects")).unwrap();
    let folder = other.data().join("objects");
    let before = files(&folder);
    other.run(&["objects", "collect"]).could_not_run(&[
        "belong together",
        "--dry-run",
        "--even-if-most",
    ]);
    assert_eq!(files(&folder), before);
    let ran = other.run(&["objects", "collect", "--even-if-most", "--json"]);
    assert!(collected(&ran).summary.tally.count >= 4);
}

/// On a cluster with a bucket, beside a fleet at work and an ingest, whatever time the bucket believes it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_collected_beside_a_fleet_at_work() {
    let s3 = S3::start().await.unwrap();
    let (url, properties) = s3.settings("all/of it");
    let objects = Objects::at(&url, &properties).unwrap();
    // The bucket's clock is months ahead of everybody else's.
    s3.run_ahead(100 * DAY);
    let text = s3.toml("all/of it");
    let handle = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let world = World::new();
        world.configure_objects(&text);
        assert_eq!(world.run(&["topics", "apply"]).code, 0);
        let docs = world.file("docs");
        copy_samples(&docs, |key| key.starts_with("loads/"));
        let mut processes = [
            world.start(&["split", "parse", "shard", "embed"]),
            world.start(&["index", "link", "settle"]),
        ];
        let first = world.ingest(&docs);
        assert!(first.documents.complete >= 5, "{first:?}");
        let lost = document("lost.md", TEXT).blob.unwrap().key;
        handle.block_on(objects.write(&lost, TEXT.into())).unwrap();
        let half = document("half.md", TEXT).blob.unwrap().key;
        s3.leave_upload(&format!("all/of it/{half}"));
        s3.leave_upload("all/of it/notes/of/others");
        let collect = |more: &[&str]| {
            let args = [&["objects", "collect", "--json"], more].concat();
            collected(&world.run_outside(&args))
        };
        assert_eq!(collect(&[]).orphans, [], "all is young");

        s3.age(6 * DAY);
        assert_eq!(collect(&[]).orphans, [], "all is young enough");
        s3.age(2 * DAY);
        copy_samples(&docs, |key| key.starts_with("mail/"));
        let mut sender = world.spawn_ingest(&docs);
        let dry = collect(&["--dry-run"]);
        assert!(
            keys(&dry).contains(&(lost.as_str(), Why::UnknownDocument)),
            "{dry:?}"
        );
        let unfinished = (half.as_str(), Why::UnfinishedUpload);
        assert!(keys(&dry).contains(&unfinished), "{dry:?}");
        assert_eq!(s3.open_uploads(), 2);
        let done = collect(&[]);
        assert!(
            keys(&done).contains(&(lost.as_str(), Why::UnknownDocument)),
            "{done:?}"
        );
        assert_eq!(s3.open_uploads(), 1, "only ours");
        assert!(!s3.keys().iter().any(|key| key.ends_with(&lost)));
        until("all is accounted for", || sender.has_ended());
        let (code, replayed): (i32, Replayed) = {
            let ran = world.run_outside(&["replay", "split", "--beginning", "--json"]);
            (ran.code, ran.json())
        };
        assert_eq!((code, replayed.dead_letters), (0, 0), "{replayed:?}");
        until("what was done again is worked off", || {
            let stages = ["parse", "shard", "embed", "index", "link", "settle"];
            stages.iter().all(|stage| world.lag(stage) == 0)
        });
        // What is named by now is as young as its records: the same again finds nothing.
        assert_eq!(collect(&[]).orphans, []);
        let listed = world.run(&["dead-letters", "list"]).stdout;
        assert!(listed.contains("0 dead letters"), "{listed}");
        let audit = world.run(&["audit"]);
        assert_eq!(audit.code, 0, "{}", audit.stdout);
        for process in &mut processes {
            assert_eq!(process.terminate(), Some(0), "{}", process.output());
        }
    })
    .await
    .unwrap();
}
