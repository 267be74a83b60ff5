//! `penstock schema` against a real Neo4j and the Qdrant endpoint.

use std::path::Path;
use std::sync::MutexGuard;

use penstock::schema::{Outcome, Plan, Undone};
use penstock_adapters::neo4j::migrations;
use penstock_adapters::qdrant::schema::Effect;
use penstock_servers::qdrant::Qdrant;
use penstock_servers::{NEO4J_PASSWORD, NEO4J_USER, Neo4j};
use penstock_tests::{Bench, Ran, root};
use tokio::runtime::Runtime;

/// Both stores with nothing of ours in them.
struct Stores {
    bench: Bench,
    qdrant: Qdrant,
    neo4j: MutexGuard<'static, Neo4j>,
    runtime: Runtime,
}

impl Stores {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let stores = Self {
            bench: Bench::new(),
            qdrant: runtime.block_on(Qdrant::start()).unwrap(),
            neo4j: Neo4j::shared(),
            runtime,
        };
        let objects = stores.bench.path().join("objects");
        let settings = format!(
            "[kafka]\nbrokers = \"127.0.0.1:1\"\n[objects]\nurl = \"file://{}\"\n[qdrant]\nurl = {:?}\n\
             [neo4j]\nurl = \"bolt://{}\"\nuser = {NEO4J_USER:?}\npassword = {NEO4J_PASSWORD:?}\n",
            objects.display(),
            stores.qdrant.url(),
            stores.neo4j.address(),
        );
        std::fs::write(stores.bench.path().join("penstock.toml"), settings).unwrap();
        // The server is shared: another test may have applied it.
        stores.run(&["undo", "--to", "0"]);
        stores
    }

    fn run(&self, args: &[&str]) -> Ran {
        let config = self.bench.path().join("penstock.toml");
        let config = config.display().to_string();
        self.bench
            .run(&[&["schema"], args, &["--config", &config]].concat())
    }

    /// This build's declarations in a folder, to be changed.
    fn folder(&self) -> String {
        let folder = self.bench.path().join("schemas");
        for part in ["qdrant", "neo4j"] {
            let (from, to) = (root().join("schemas").join(part), folder.join(part));
            std::fs::create_dir_all(&to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        folder.display().to_string()
    }

    fn plan(&self) -> (i32, Plan) {
        let ran = self.run(&["plan", "--json"]);
        (ran.code, ran.json())
    }
}

fn edit(folder: &str, file: &str, from: &str, to: &str) {
    let path = Path::new(folder).join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} lacks {from:?}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn schemas_are_planned_applied_listed_and_undone() {
    let stores = Stores::new();
    let (code, plan) = stores.plan();
    assert_eq!(code, 2);
    assert!(
        plan.qdrant
            .unwrap()
            .iter()
            .all(|it| it.effect == Effect::InPlace)
    );
    let versions = migrations::declared().unwrap().len();
    assert_eq!(plan.neo4j.unwrap().pending.len(), versions);
    assert_eq!(stores.run(&["apply", "--dry-run"]).code, 2);

    let ran = stores.run(&["apply", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let outcome: Outcome = ran.json();
    assert_eq!(outcome.neo4j.unwrap().steps.len(), versions);
    assert_eq!(outcome.qdrant.unwrap().done[0].field, "collection");
    let (code, plan) = stores.plan();
    assert_eq!((code, plan.qdrant), (0, Some(Vec::new())));
    let ran = stores.run(&["apply"]);
    assert_eq!((ran.code, ran.stdout.trim()), (0, "nothing to do"));

    let ran = stores.run(&["status"]);
    assert_eq!(ran.code, 0);
    for says in [
        "V001__initial_schema",
        "3 statements skipped",
        "all as declared",
        "community",
    ] {
        assert!(ran.stdout.contains(says), "{} lacks {says}", ran.stdout);
    }

    stores.run(&["undo", "qdrant"]).could_not_run(&["snapshot"]);
    let dry: Undone = stores
        .run(&["undo", "--to", "0", "--dry-run", "--json"])
        .json();
    assert_eq!(dry.undone.len(), versions);
    assert_eq!(stores.plan().0, 0);
    let undone: Undone = stores.run(&["undo", "--json"]).json();
    assert_eq!(undone.undone.len(), 1);
    assert_eq!(stores.plan().0, 2);
    let two = [&["apply"]; 2].map(|args| {
        let config = stores
            .bench
            .path()
            .join("penstock.toml")
            .display()
            .to_string();
        stores
            .bench
            .spawn(&[&["schema"], &args[..], &["--config", &config]].concat())
    });
    for mut process in two {
        penstock_tests::until("both have applied", || process.has_ended());
    }
    assert_eq!(stores.plan().0, 0);
}

#[test]
fn what_is_refused_names_both_sides_and_changes_neither_store() {
    let stores = Stores::new();
    assert_eq!(stores.run(&["apply"]).code, 0);
    let folder = stores.folder();
    edit(&folder, "qdrant/chunks.yaml", "size: 384", "size: 768");
    edit(
        &folder,
        "neo4j/V003__document_indexes.cypher",
        "n.path",
        "n.title",
    );
    let file = format!("{folder}/qdrant/chunks.yaml");
    for command in ["plan", "apply"] {
        let ran = stores.run(&[command, "--schemas", &folder]);
        assert_eq!(ran.code, 1);
        for says in [
            "vectors.dense.size is 768",
            &file,
            "384",
            "collection chunks",
        ] {
            assert!(ran.stderr.contains(says), "{} lacks {says}", ran.stderr);
        }
    }
    edit(&folder, "qdrant/chunks.yaml", "size: 768", "size: 384");
    edit(&folder, "qdrant/chunks.yaml", "m: 16", "m: 24");
    let ran = stores.run(&["apply", "--schemas", &folder]);
    assert_eq!(ran.code, 1);
    for says in ["V003__document_indexes", "was changed", "checksum"] {
        assert!(ran.stderr.contains(says), "{} lacks {says}", ran.stderr);
    }
    assert_eq!(stores.plan().0, 0, "nothing was changed");
}

#[test]
fn malformed_files_are_refused_before_a_store_is_asked() {
    let mut stores = Stores::new();
    let folder = stores.folder();
    stores.runtime.block_on(stores.qdrant.stop());
    let first = "neo4j/V001__initial_schema.cypher";
    let last = "neo4j/U003__document_indexes.cypher";
    let yaml = "qdrant/chunks.yaml";
    for (file, from, to, line, says) in [
        (
            yaml,
            "collection: chunks",
            "collection: [chunks",
            "line",
            "sequence",
        ),
        (yaml, "size: 384", "size: 0", "line 18", "size is 0"),
        (yaml, "m: 16", "mm: 16", "line", "unknown field `mm`"),
        (
            yaml,
            "type: none",
            "type: scalar\n      compression: x4",
            "line",
            "does not belong",
        ),
        (yaml, "is_tenant: true", "is_tenant: maybe", "line", "maybe"),
        (first, "IF NOT EXISTS", "", "line 3", "needs IF NOT EXISTS"),
        (
            last,
            "chunk_document_edition IF EXISTS;",
            "chunk_document_edition IF EXISTS",
            "line 5",
            "not ended by a semicolon",
        ),
        (
            first,
            "CREATE CONSTRAINT source_guid",
            "CREATE CONSTRAINT 'source_guid",
            "line",
            "a string is not ended",
        ),
        (
            first,
            "CREATE CONSTRAINT source_guid",
            "/* CREATE CONSTRAINT source_guid",
            "line 3",
            "comment is not ended",
        ),
        (
            first,
            "CREATE CONSTRAINT source_guid",
            "DELETE source_guid",
            "line 3",
            "no statement of a migration",
        ),
    ] {
        let path = Path::new(&folder).join(file);
        let good = std::fs::read_to_string(&path).unwrap();
        edit(&folder, file, from, to);
        let ran = stores.run(&["apply", "--schemas", &folder]);
        ran.could_not_run(&[file, line, says]);
        std::fs::write(path, good).unwrap();
    }
    stores
        .runtime
        .block_on(stores.qdrant.start_again())
        .unwrap();
    assert_eq!(stores.qdrant.calls("Collections/Create"), 0);
    let (_, plan) = stores.plan();
    assert!(plan.neo4j.unwrap().applied.is_empty());
}
