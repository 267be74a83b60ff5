//! Stores that were damaged on purpose are found out, and healed: what they hold afterwards is what they held before.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use penstock::audit::{Audit, REPAIR, Repaired};
use penstock::config::Config;
use penstock::engines::open_stores;
use penstock::system::Log;
use penstock_adapters::kafka::read_topic;
use penstock_schemas::{About, Audit as Told, Chunk, Lineage, chunk_guid, content_hash, topics};
use penstock_stages::index::{Point, PointRef};
use penstock_stages::link::Linked;
use penstock_stages::settle::Stores;
use penstock_tests::{Bench, assert_same, copy_samples, until};
use serde_json::Value;
use uuid::Uuid;

/// Missing, orphaned, stale, mixed, dangling, wrong, of wrong dimension.
type Counts = [u64; 7];

fn counts(audit: &Audit) -> Counts {
    [
        audit.missing,
        audit.orphaned,
        audit.stale,
        audit.mixed,
        audit.dangling,
        audit.wrong,
        audit.wrong_dimension,
    ]
}

/// The graph by its file, past all that watches over it.
fn change_graph(data: &Path, sql: &str) {
    const SCRIPT: &str = "import sqlite3, sys\n\
        graph = sqlite3.connect(sys.argv[1])\n\
        graph.executescript(sys.argv[2])\n\
        graph.commit()\n";
    let file = data.join("graph.db");
    let ran = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(file)
        .arg(sql)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{sql}: {ran:?}");
}

async fn points(stores: &Stores) -> Vec<PointRef> {
    stores.vectors.scroll(None, 10_000).await.unwrap()
}

/// A point as it was written, by its payload.
fn point_of(dumped: &Value) -> Point {
    let payload = &dumped["payload"];
    let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
    let id = |name: &str| text(name).parse::<Uuid>().unwrap();
    let number = |name: &str| payload[name].as_i64().unwrap();
    Point {
        chunk: Chunk {
            lineage: Lineage {
                group: text("group_guid"),
                document_guid: id("document_guid"),
                version: id("version"),
                edition: id("edition"),
                stamped: 0,
            },
            part: number("part") as i32,
            chunk_guid: dumped["chunk_guid"].as_str().unwrap().parse().unwrap(),
            ordinal: number("chunk_index") as i32,
            text: text("text"),
            start_char: number("start_char"),
            end_char: number("end_char"),
            page_first: None,
            page_last: None,
            heading_path: Vec::new(),
            content_hash: text("content_hash"),
            tokens: 1,
            about: About {
                source: text("source_guid"),
                key: text("path"),
                path: text("path"),
                title: None,
                author: None,
                language: None,
                created_at: None,
                attributes: Default::default(),
            },
        },
        model: text("model"),
        dense: serde_json::from_value(dumped["dense"].clone()).unwrap(),
        bm25: Default::default(),
        entity_types: Vec::new(),
    }
}

/// Points of the document that has most.
async fn of_one(stores: &Stores) -> Vec<Point> {
    let mut counts: BTreeMap<Uuid, usize> = BTreeMap::new();
    for it in points(stores).await {
        *counts.entry(it.document_guid).or_default() += 1;
    }
    let (document, _) = counts.into_iter().max_by_key(|it| it.1).unwrap();
    let dumped = stores.vectors.dump(document).await.unwrap();
    dumped.iter().map(point_of).collect()
}

/// In place of what is there.
async fn replace(stores: &Stores, point: Point) {
    let id = [point.chunk.chunk_guid];
    stores.vectors.remove_chunks(&id).await.unwrap();
    stores.vectors.insert(vec![point]).await.unwrap();
}

/// As another edition's or document's chunk, under the id that follows.
fn moved(mut point: Point, document: Uuid, edition: Uuid) -> Point {
    let chunk = &mut point.chunk;
    chunk.lineage.document_guid = document;
    chunk.lineage.edition = edition;
    chunk.chunk_guid = chunk_guid(
        document,
        edition,
        chunk.part,
        chunk.ordinal,
        &chunk.content_hash,
    );
    point
}

struct Damaged {
    bench: Bench,
    before: Vec<String>,
}

impl Damaged {
    /// Damages, audits, repairs; and both stores hold what they held before.
    async fn check(&self, what: &str, expect: Counts, damage: impl AsyncFnOnce(Stores)) {
        let bench = &self.bench;
        damage(open_stores(&bench.data()).unwrap()).await;
        let ran = bench.run(&["audit", "--json"]);
        let found: Audit = ran.json();
        assert_eq!(counts(&found), expect, "{what}: {found:#?}");
        assert_eq!(ran.code, 2, "{what}");
        assert!(!found.findings.is_empty(), "{what}");
        let ran = bench.run(&["audit", "--repair", "--json"]);
        let repaired: Repaired = ran.json();
        assert_eq!(ran.code, 0, "{what}: {repaired:#?} {}", ran.stderr);
        assert_eq!(counts(&repaired.before), expect, "{what}: {repaired:#?}");
        assert!(repaired.repaired.left.is_empty(), "{what}: {repaired:#?}");
        bench.sound();
        assert_same(&self.before, &bench.exact().await);
    }
}

async fn audits(bench: &Bench) -> Vec<Told> {
    let log = Log::open(&Config::default(), &bench.data()).await.unwrap();
    let entries = read_topic(&log.kafka, &log.codec, topics::AUDIT).await;
    log.close().await;
    let told = entries.unwrap().into_iter().filter_map(|it| it.value);
    told.filter(|it| it.action == REPAIR).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_every_kind_is_found_and_healed() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    copy_samples(&docs, |key| key.starts_with("loads/"));
    let (code, report) = bench.ingest(&docs, &[]);
    assert_eq!(code, 0, "{report:?}");
    let before = bench.exact().await;
    let damaged = Damaged { bench, before };
    let data = damaged.bench.data();
    assert_eq!(audits(&damaged.bench).await, []);

    let missing = [3, 0, 0, 0, 0, 0, 0];
    damaged
        .check("points and nodes are gone", missing, async |stores| {
            let all: Vec<Uuid> = points(&stores)
                .await
                .iter()
                .map(|it| it.chunk_guid)
                .collect();
            stores.vectors.remove_chunks(&all[..2]).await.unwrap();
            stores.graph.remove_chunks(&all[2..3]).await.unwrap();
        })
        .await;
    let told = audits(&damaged.bench).await;
    let sum: u64 = told
        .iter()
        .map(|it| it.detail["missing"].parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, 3, "{told:#?}");
    assert!(told.iter().all(|it| it.actor.contains('@')));

    // Two points and two nodes, each of a document nobody knows and of an edition nobody knows.
    damaged
        .check(
            "editions nobody knows",
            [0, 2, 2, 1, 0, 0, 0],
            async |stores| {
                let point = of_one(&stores).await.remove(0);
                let own = point.chunk.lineage.document_guid;
                for document in [Uuid::new_v4(), own] {
                    let strange = moved(point.clone(), document, Uuid::new_v4());
                    let edition = strange.chunk.lineage.edition;
                    let linked = Linked {
                        chunk: strange.chunk.clone(),
                        mentions: Vec::new(),
                    };
                    stores.vectors.insert(vec![strange]).await.unwrap();
                    stores.graph.write(vec![linked]).await.unwrap();
                    if document == own {
                        stores.vectors.show(document, edition).await.unwrap();
                    }
                }
            },
        )
        .await;

    damaged
        .check(
            "a node that is hidden",
            [1, 0, 0, 0, 0, 0, 0],
            async |stores| {
                drop(stores);
                change_graph(
                    &data,
                    "UPDATE chunks SET visible = 0 WHERE chunk = (SELECT min(chunk) FROM chunks)",
                );
            },
        )
        .await;

    damaged
        .check(
            "fields that are wrong",
            [0, 0, 0, 0, 0, 4, 0],
            async |stores| {
                let mut all = of_one(&stores).await;
                assert!(all.len() > 1);
                let mut group = all.remove(0);
                group.chunk.lineage.group = "others".to_owned();
                let mut hash = all.remove(0);
                hash.chunk.content_hash = content_hash(b"something else");
                let ids = [group.chunk.chunk_guid, hash.chunk.chunk_guid];
                replace(&stores, group).await;
                replace(&stores, hash).await;
                drop(stores);
                let [one, two] = ids.map(|it| it.simple().to_string());
                change_graph(
                    &data,
                    &format!(
                        "UPDATE chunks SET content_hash = 'x' WHERE chunk = x'{one}'; \
                     UPDATE chunks SET ordinal = ordinal + 100 WHERE chunk = x'{two}'"
                    ),
                );
            },
        )
        .await;

    damaged
        .check(
            "vectors that are wrong",
            [0, 0, 0, 0, 0, 0, 2],
            async |stores| {
                let mut all = of_one(&stores).await;
                let mut zero = all.remove(0);
                zero.dense.iter_mut().for_each(|it| *it = 0.0);
                let mut model = all.remove(0);
                model.model = "other@000000000000".to_owned();
                replace(&stores, zero).await;
                replace(&stores, model).await;
            },
        )
        .await;

    damaged
        .check("edges without an end", [0, 0, 0, 0, 3, 0, 0], async |stores| {
            drop(stores);
            change_graph(
                &data,
                "INSERT INTO entities VALUES (randomblob(16), 'default', 'Load', 'nobody', '{}'); \
                 INSERT INTO next_chunks VALUES (randomblob(16), randomblob(16))",
            );
        })
        .await;
}

/// Beside the process that owns the stores, whose stages do the work.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_is_repaired_from_beside() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    copy_samples(&docs, |key| key.starts_with("mail/"));
    let (code, _) = bench.ingest(&docs, &[]);
    assert_eq!(code, 0);
    let before = bench.exact().await;
    {
        let stores = open_stores(&bench.data()).unwrap();
        let one = points(&stores).await[0].chunk_guid;
        stores.graph.remove_chunks(&[one]).await.unwrap();
    }
    let mut running = bench.spawn(&["run"]);
    until("the owner serves", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:")
    });
    assert_eq!(bench.audit().missing, 1);
    let ran = bench.run(&["audit", "--repair"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("1 editions done again (1 finished)"),
        "{}",
        ran.stdout
    );
    bench.sound();
    assert_eq!(running.terminate(), Some(0), "{}", running.output());
    assert_same(&before, &bench.exact().await);
}
