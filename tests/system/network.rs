//! Stores on the network: any process runs any stage, and commands work from anywhere.

use penstock::audit::Audit;
use penstock::query::Answer;
use penstock::smoke::Verdict;
use penstock::status::Status;
use penstock_servers::qdrant::Qdrant;
use penstock_servers::{NEO4J_PASSWORD, NEO4J_USER, Neo4j};
use penstock_tests::{copy_samples, until};

use crate::world::World;

/// The cluster of the world, with both stores beside it.
struct Stores {
    world: World,
    _neo4j: Neo4j,
    /// Serves while its runtime lives.
    _qdrant: Qdrant,
    _runtime: tokio::runtime::Runtime,
}

impl Stores {
    fn new() -> Self {
        let world = World::new();
        let neo4j = Neo4j::start();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let qdrant = runtime.block_on(Qdrant::start()).unwrap();
        let configuration = world.file("penstock.toml");
        let mut text = std::fs::read_to_string(&configuration).unwrap();
        text.push_str(&format!(
            "\n[qdrant]\nurl = {:?}\n[neo4j]\nurl = \"bolt://{}\"\nuser = {NEO4J_USER:?}\npassword = {NEO4J_PASSWORD:?}\n",
            qdrant.url(),
            neo4j.address()
        ));
        std::fs::write(&configuration, text).unwrap();
        Self {
            world,
            _neo4j: neo4j,
            _qdrant: qdrant,
            _runtime: runtime,
        }
    }

    fn sound(&self) -> Audit {
        let ran = self.world.run_outside(&["audit", "--json"]);
        let audit: Audit = ran.json();
        assert_eq!(ran.code, 0, "{audit:#?}");
        audit
    }
}

#[test]
fn any_process_runs_any_stage() {
    let stores = Stores::new();
    let world = &stores.world;
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    // What a stage needs is not there yet, and it says what to run.
    for stage in ["index", "link", "settle"] {
        world.run(&["run", stage]).could_not_run(&["schema apply"]);
    }
    let applied = world.run(&["schema", "apply"]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);

    let mut processes = vec![
        world.start(&["split", "parse", "shard", "embed"]),
        world.start(&["index", "settle"]),
        world.start(&["link", "settle"]),
        world.start(&["index", "link"]),
    ];
    let docs = world.file("docs");
    copy_samples(&docs, |key| key.starts_with("loads/"));
    let report = world.ingest(&docs);
    assert!(report.documents.complete >= 5, "{report:?}");
    let audit = stores.sound();
    assert_eq!(audit.documents, report.documents.complete);
    assert_eq!(audit.points, audit.chunks);
    let question = ["query", "who carries load LD-48377", "--json"];
    let answer: Answer = world.run_outside(&question).json();
    assert!(
        answer.hits.iter().any(|it| it.text.contains("LD-48377")),
        "{answer:?}"
    );

    // A process that is killed leaves its partitions to the others.
    let mut killed = processes.remove(1);
    killed.kill();
    let smoke = world.run_outside(&["smoke", "--json"]);
    let verdict: Verdict = smoke.json();
    assert_eq!(smoke.code, 0, "{verdict:#?}");
    assert_eq!(stores.sound(), audit);

    let status: Status = world.run_outside(&["status", "--json"]).json();
    assert!(status.stores.iter().all(|it| it.healthy), "{status:?}");
    let instances = |name: &str| {
        let found = status.stages.iter().find(|it| it.stage == name);
        found.map_or(0, |it| it.instances)
    };
    assert!(instances("link") >= 2, "{status:?}");

    let forgotten = world.run_outside(&["forget", "--group", "default"]);
    assert_eq!(forgotten.code, 0, "{}", forgotten.stderr);
    until("all is committed", || {
        let status: Status = world.run_outside(&["status", "--json"]).json();
        status.stages.iter().all(|it| it.lag_records == 0)
    });
    let audit = stores.sound();
    assert_eq!(
        (audit.documents, audit.points, audit.nodes, audit.edges),
        (0, 0, 0, 0)
    );
    // Nobody has made a data folder.
    assert!(!world.outside.data().join("graph.db").exists());
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
}
