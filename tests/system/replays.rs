//! A stage does again what it has done, on a cluster.

use std::path::{Path, PathBuf};

use penstock::replay::Replayed;
use penstock_adapters::kafka::{KafkaConfig, read_topic};
use penstock_schemas::{Codec, topics};
use penstock_servers::Listener;
use penstock_tests::{copy_samples, make_pipe, until};

use crate::world::World;

const DOCUMENTS: &str = "rag.documents.v1";
const PARTS: &str = "rag.parts.v1";

fn replay(world: &World, more: &[&str]) -> (i32, Replayed) {
    let ran = world.run_outside(&[&["replay", "split", "--json"], more].concat());
    (ran.code, ran.json())
}

/// Files of the bytes of every document.
fn blobs(world: &World) -> Vec<PathBuf> {
    let config = KafkaConfig::new(world.kafka.brokers(Listener::Plain));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = runtime.block_on(read_topic(&config, &Codec::default(), topics::DOCUMENTS));
    let documents = read.unwrap().into_iter().filter_map(|it| it.value);
    documents
        .filter_map(|it| Some(world.file("objects").join(it.blob?.key)))
        .collect()
}

/// Opening it never returns, until it is mended.
fn clog(file: &Path) -> PathBuf {
    let aside = file.with_extension("aside");
    std::fs::rename(file, &aside).unwrap();
    make_pipe(file);
    aside
}

#[test]
fn a_replay_leaves_the_live_group_alone_and_goes_on_where_it_was_killed() {
    let world = World::new();
    world.configure(Listener::Plain, "\"session.timeout.ms\" = \"6000\"\n");
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let docs = world.file("docs");
    copy_samples(&docs, |key| {
        key.starts_with("loads/") || key.starts_with("mail/")
    });
    let mut processes = [
        world.start(&["split", "parse", "shard", "embed"]),
        world.start(&["index", "link", "settle"]),
    ];
    let sent = world.ingest(&docs).documents.complete;
    until("every position is committed", || world.lag("split") == 0);
    let live = world.lags("penstock.split", DOCUMENTS);
    let parts = world.records(PARTS);

    let (code, dry) = replay(&world, &["--beginning", "--dry-run"]);
    assert_eq!((code, dry.planned, dry.replayed), (0, sent, 0));
    let (_, none) = replay(&world, &["--since", "2099-01-01", "--dry-run"]);
    assert_eq!(none.planned, 0);
    let (_, all) = replay(&world, &["--since", "1d", "--dry-run"]);
    assert_eq!(all.planned, sent);
    assert_eq!(world.records(PARTS), parts, "a dry run does nothing");

    // Killed while one record will not come back, then gone on with.
    let blobs = blobs(&world);
    let aside = clog(&blobs[0]);
    let mut running = world.spawn_outside(&["replay", "split", "--beginning"]);
    until("all others are done", || {
        assert!(!running.has_ended(), "{}", running.output());
        world.records(PARTS) - parts >= sent as i64 - 1
    });
    // Where it is no terminal, a line now and then says how far it is.
    let far = format!(" of {sent} ");
    until("it says how far it is", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains(&far)
    });
    let said = running.output();
    let id = said
        .split_whitespace()
        .skip_while(|word| *word != "replay")
        .nth(1)
        .unwrap();
    running.kill();
    std::fs::rename(&aside, &blobs[0]).unwrap();
    let (code, rest) = replay(&world, &["--resume", id]);
    assert_eq!((code, rest.id.as_str(), rest.interrupted), (0, id, false));
    assert!(
        rest.replayed >= 1 && rest.replayed == rest.planned,
        "{rest:?}"
    );
    world
        .run_outside(&["replay", "split", "--resume", id])
        .could_not_run(&["is done"]);
    world
        .run_outside(&["replay", "parse", "--resume", "nothing"])
        .could_not_run(&["no replay nothing"]);
    world
        .run_outside(&["replay", "settle", "--beginning"])
        .could_not_run(&["settle is not replayed"]);
    world
        .run(&["replay", "index", "--beginning"])
        .could_not_run(&["owns the data folder"]);

    assert_eq!(world.lags("penstock.split", DOCUMENTS), live);
    until("what was done again is worked off", || {
        let stages = ["parse", "shard", "embed", "index", "link", "settle"];
        stages.iter().all(|stage| world.lag(stage) == 0)
    });
    let audit = world.run(&["audit"]);
    assert_eq!(audit.code, 0, "{}", audit.stdout);
    assert!(audit.stdout.contains(&sent.to_string()), "{}", audit.stdout);
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
}
