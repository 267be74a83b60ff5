//! Stages as processes of their own, on a cluster.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use penstock::ingest::Report;
use penstock::pipeline::group_of;
use penstock::status::Status;
use penstock_adapters::kafka::{KafkaConfig, lags};
use penstock_schemas::topics;
use penstock_servers::Listener;
use penstock_tests::{Bench, assert_same, copy_samples, until};

use crate::world::World;

/// They stop without a trace, and what waits meanwhile is the same to `status` as to Kafka's own tool.
#[test]
fn stages_run_as_processes_of_their_own() {
    let world = World::new();
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let fleet = || {
        vec![
            world.start(&["split", "parse", "shard"]),
            world.start(&["embed"]),
            world.start(&["embed"]),
            world.start(&["index", "link", "settle"]),
        ]
    };
    let docs = world.file("docs");
    copy_samples(&docs, |key| key.starts_with("loads/"));
    let mut processes = fleet();
    let report = world.ingest(&docs);
    assert!(report.documents.complete >= 5, "{report:?}");
    let question = "who carries load LD-48377";
    let found = world.run(&["query", question, "--json"]).stdout;
    assert!(found.contains("LD-48377"), "{found}");
    until("every position is committed", || {
        let status: Status = world.run(&["status", "--json"]).json();
        status.stages.iter().all(|it| it.lag_records == 0)
    });

    // Told to stop, each finishes what it has and leaves; those that follow begin where these ended.
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
    drop(processes);
    let before = world.chunks(topics::CHUNKS);
    copy_samples(&docs, |key| key.starts_with("mail/"));
    let mut sender = world.spawn_ingest(&docs);
    until("documents wait", || world.lag("split") >= 3);
    sender.kill();
    let status: Status = world.run(&["status", "--json"]).json();
    assert!(status.stages[0].lag_records >= 3, "{status:?}");
    for stage in &status.stages {
        assert_eq!(stage.lag_records, world.lag(&stage.stage));
        let group = group_of(&stage.stage);
        let told = world.kafka.told_of(&group);
        assert!(!told.is_empty(), "{group}");
        for ((topic, partition), told) in told {
            let ours = world.lags(&group, &topic);
            let ours = ours.iter().find(|it| it.partition == partition).unwrap();
            let ours = [ours.committed.unwrap(), ours.end, ours.records()];
            assert_eq!(ours, told, "{group} on {topic}/{partition}");
        }
    }

    let mut processes = fleet();
    let more = world.ingest(&docs);
    // Those that waited may be done by the time it looks.
    let (known, sent) = (more.documents.unchanged, more.documents.complete);
    assert!(known >= report.documents.complete, "{more:?}");
    assert!(known + sent >= report.documents.complete + 3, "{more:?}");
    let after = world.chunks(topics::CHUNKS);
    assert!(after.len() > before.len());
    for (topic, times) in [
        ("chunks", &after),
        ("embeddings", &world.chunks(topics::EMBEDDINGS)),
        ("indexed", &world.chunks(topics::INDEXED)),
    ] {
        let repeated: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(repeated.is_empty(), "{topic}: {repeated:?}");
        assert_eq!(times.len(), after.len(), "{topic}");
    }
    let audit = world.run(&["audit"]);
    assert_eq!(audit.code, 0, "{}", audit.stdout);
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
}

/// How long a group waits for a member that is silent, by librdkafka's default.
const SESSION: Duration = Duration::from_secs(45);

/// Looks at a topic all the time.
struct Watch {
    over: Arc<AtomicBool>,
    looking: JoinHandle<Duration>,
}

impl Watch {
    /// From its first record until it holds `all`.
    fn of(world: &World, topic: &'static str, all: i64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let config = KafkaConfig::new(world.kafka.brokers(Listener::Plain));
        let looking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let (mut seen, mut since, mut longest) = (0, Instant::now(), Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let found = runtime.block_on(lags(&config, "nobody", topic)).unwrap();
                let records = found.iter().map(|it| it.end).sum();
                if seen > 0 && seen < all {
                    longest = longest.max(since.elapsed());
                }
                if records > seen {
                    (seen, since) = (records, Instant::now());
                }
                std::thread::park_timeout(Duration::from_millis(100));
            }
            longest
        });
        Self { over, looking }
    }

    /// How long it did not grow at most.
    fn stood_still(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.looking.join().unwrap()
    }
}

/// Processes are replaced one after the other under load, as in a rolling deploy: nothing is done twice, and nobody waits
/// for a member that has gone.
#[test]
fn a_rolling_restart_repeats_nothing() {
    const NOTES: usize = 800;
    const STAGES: [&str; 3] = ["split", "parse", "shard"];
    let world = World::new();
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let docs = world.file("docs");
    std::fs::create_dir_all(&docs).unwrap();
    for number in 0..NOTES {
        let text = format!("# Note {number}\n\nCrane {number} lifted salt at noon.\n");
        std::fs::write(docs.join(format!("note-{number}.md")), text).unwrap();
    }
    let mut processes = [world.start(&STAGES), world.start(&STAGES)];
    let watch = Watch::of(&world, "rag.chunks.v1", NOTES as i64);
    let mut ingest = world.spawn_ingest(&docs);
    let done = || world.records("rag.chunks.v1");
    let mut seen = 0;
    let mut said = String::new();
    for turn in 0..4 {
        until("work goes on", || {
            assert!(!ingest.has_ended(), "{}", ingest.output());
            done() > seen
        });
        let process = &mut processes[turn % 2];
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
        said += &process.output();
        *process = world.start(&STAGES);
        seen = done().min(NOTES as i64 - 1);
    }
    until("every note is cut into chunks and committed", || {
        world.records("rag.documents.v1") == NOTES as i64
            && STAGES.iter().all(|stage| world.lag(stage) == 0)
    });
    for topic in ["rag.parts.v1", "rag.sections.v1", "rag.chunks.v1"] {
        assert_eq!(world.records(topic), NOTES as i64, "{topic}: {said}");
    }
    let stood_still = watch.stood_still();
    println!("stood still for {stood_still:?} at most");
    assert!(stood_still < SESSION, "{stood_still:?}: {said}");
    let times = world.chunks(topics::CHUNKS);
    assert_eq!(times.len(), NOTES, "one each");
    // It waits for stages that are not there.
    ingest.kill();
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
}

/// Each stage is killed while records it has worked on are not committed, and started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_every_stage_leaves_no_trace() {
    let docs = tempfile::tempdir().unwrap();
    let docs = docs.path().join("docs");
    copy_samples(&docs, |key| {
        ["drivers/", "equipment/", "loads/", "mail/", "reports/"]
            .iter()
            .any(|folder| key.starts_with(folder))
    });
    let calm = Bench::new();
    let (code, report) = calm.ingest(&docs, &[]);
    assert_eq!(code, 0, "{report:?}");

    let shaken = tokio::task::spawn_blocking(move || shake(&docs, &report))
        .await
        .unwrap();
    calm.sound();
    assert_same(&calm.stores().await, &shaken.stores().await);
}

/// The data folder of the stores, once all is done and every process has ended.
fn shake(docs: &Path, calm: &Report) -> Bench {
    let world = World::new();
    // What was killed is missed this soon.
    world.configure(Listener::Plain, "\"session.timeout.ms\" = \"6000\"\n");
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let mut processes = Vec::new();
    let mut ingest = world.spawn_ingest(docs);
    for it in &FLEET {
        // It finds all that the stages before it have done, and commits a second after it has begun.
        let mut doomed = world.start(it.stages);
        until("there is work to lose", || {
            world.records(it.output) > 0 || ingest.has_ended()
        });
        doomed.kill();
        processes.push(world.start(it.stages));
    }
    until("all is accounted for", || ingest.has_ended());
    let report: Report = ingest.json();
    assert_eq!(
        (report.documents.complete, report.documents.dead_lettered),
        (calm.documents.complete, 0),
        "{report:?}"
    );
    let audit = world.run(&["audit"]);
    assert_eq!(audit.code, 0, "{}", audit.stdout);
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
    drop(processes);
    world.into_bench()
}

struct Member {
    stages: &'static [&'static str],
    /// A topic they write to.
    output: &'static str,
}

/// The stages with stores share a process.
const FLEET: [Member; 5] = [
    Member {
        stages: &["split"],
        output: "rag.parts.v1",
    },
    Member {
        stages: &["parse"],
        output: "rag.sections.v1",
    },
    Member {
        stages: &["shard"],
        output: "rag.chunks.v1",
    },
    Member {
        stages: &["embed"],
        output: "rag.embeddings.v1",
    },
    Member {
        stages: &["index", "link", "settle"],
        output: "rag.indexed.v1",
    },
];

#[test]
fn a_process_that_lacks_something_says_what() {
    let world = World::new();
    let lacks = |args: &[&str], words: &[&str]| world.run(args).could_not_run(words);
    lacks(&["run", "index"], &["run index link settle"]);
    lacks(
        &["run", "embed", "--set", "objects.url="],
        &["objects.url", "s3://", "file:///"],
    );
    lacks(
        &["run", "embed", "--set", "objects.url=/srv"],
        &["objects.url is /srv"],
    );
    lacks(&["run", "embad"], &["no stage embad"]);
    // The stores are where their stages run: an empty one beside them is no answer.
    let elsewhere = |args: &[&str]| {
        world
            .run_outside(args)
            .could_not_run(&["no stores", "--data"])
    };
    elsewhere(&["query", "cranes"]);
    elsewhere(&["audit"]);
    lacks(&["ingest", "/nowhere"], &["topics apply"]);
}
