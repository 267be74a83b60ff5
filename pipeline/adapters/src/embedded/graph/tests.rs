use std::collections::BTreeMap;
use std::path::PathBuf;

use penstock_runtime::Failure;
use penstock_schemas::{
    About, Chunk, Lineage, chunk_guid, content_hash, document_guid, edition_id,
};
use penstock_stages::link::{GraphCounts, GraphStore, Linked, Mention};
use uuid::Uuid;

use super::super::sql::Db;
use super::SqlGraph;

/// An edition of a document, in as many chunks as there are `texts`.
struct Edition {
    lineage: Lineage,
    rows: Vec<Linked>,
}

impl Edition {
    fn ids(&self) -> Vec<Uuid> {
        self.rows.iter().map(|row| row.chunk.chunk_guid).collect()
    }

    async fn put(&self, graph: &SqlGraph) {
        graph.write(self.rows.clone()).await.unwrap();
    }

    async fn show(&self, graph: &SqlGraph) {
        let (document, edition) = (self.lineage.document_guid, self.lineage.edition);
        graph
            .retain_chunks(document, edition, &self.ids())
            .await
            .unwrap();
        graph.show(document, edition, &self.ids()).await.unwrap();
        graph.retain_editions(document, &[edition]).await.unwrap();
    }
}

/// `mentions` per chunk: (label, normal form, field=value …).
fn edition(key: &str, version: u64, mentions: &[&[(&str, &str, &str)]]) -> Edition {
    edition_by("recipe", key, version, mentions)
}

fn edition_by(
    recipe: &str,
    key: &str,
    version: u64,
    mentions: &[&[(&str, &str, &str)]],
) -> Edition {
    let document = document_guid("freight", "docs", key);
    let version = uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000 + version, &[1; 10])
        .into_uuid();
    let lineage = Lineage {
        group: "freight".into(),
        document_guid: document,
        version,
        edition: edition_id(document, version, recipe),
        stamped: 1,
    };
    let rows = mentions
        .iter()
        .enumerate()
        .map(|(ordinal, mentions)| {
            let ordinal = ordinal as i32;
            let text = format!("{key} {recipe} {ordinal} {mentions:?}");
            let hash = content_hash(text.as_bytes());
            Linked {
                chunk: Chunk {
                    lineage: lineage.clone(),
                    part: 0,
                    chunk_guid: chunk_guid(document, lineage.edition, 0, ordinal, &hash),
                    ordinal,
                    text,
                    start_char: 0,
                    end_char: 10,
                    page_first: Some(1),
                    page_last: None,
                    heading_path: if ordinal == 0 {
                        Vec::new()
                    } else {
                        vec!["Guide".into(), "Loading".into()]
                    },
                    content_hash: hash,
                    tokens: 4,
                    about: About {
                        source: "docs".into(),
                        key: key.into(),
                        path: format!("docs/{key}"),
                        title: Some(format!("Title of {key} {version}")),
                        author: None,
                        language: None,
                        created_at: None,
                        attributes: BTreeMap::new(),
                    },
                },
                mentions: mentions
                    .iter()
                    .enumerate()
                    .map(|(at, mention)| mentioned(at, mention))
                    .collect(),
            }
        })
        .collect();
    Edition { lineage, rows }
}

fn mentioned(at: usize, (label, normal_form, fields): &(&str, &str, &str)) -> Mention {
    let fields = fields
        .split_terminator(',')
        .filter_map(|field| field.split_once('='));
    Mention {
        label: (*label).into(),
        normal_form: (*normal_form).into(),
        passage: (*normal_form).into(),
        start: at * 10,
        end: at * 10 + 5,
        fields: fields
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    }
}

struct Place {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("graph.sqlite");
    Place {
        _folder: folder,
        file,
    }
}

/// The fields of an entity, as `a=b,c=d`; none where no reader sees it.
async fn fields(graph: &SqlGraph, normal_form: &str) -> Option<String> {
    let lines = graph.dump().await.unwrap();
    let nodes = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let found = nodes
        .map(|node| node["properties"].clone())
        .find(|it| it["normal_form"] == normal_form)?;
    let fields = found["fields"].as_object().unwrap().iter();
    Some(
        fields
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect::<Vec<_>>()
            .join(","),
    )
}

const LOAD: &str = "LD-48213";

#[tokio::test]
async fn an_edition_is_seen_once_shown() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let one = edition(
        "a.md",
        1,
        &[
            &[
                ("Load", LOAD, "status=delayed,load_number=LD-48213"),
                ("Date", "2025-03-14", ""),
            ],
            &[("Customer", "Alder & Finch", "name=Alder & Finch")],
            &[("Load", LOAD, "status=delivered")],
        ],
    );
    one.put(&graph).await;
    assert_eq!(
        graph.dump().await.unwrap(),
        Vec::<String>::new(),
        "nothing is visible before show"
    );
    assert_eq!(
        graph.neighbours(&one.ids()).await.unwrap(),
        vec![vec![], vec![], vec![]]
    );
    let seen = graph.scroll(None, 10).await.unwrap();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter()
            .all(|chunk| !chunk.visible && chunk.edition == one.lineage.edition)
    );
    // Source, document, section, 3 chunks, 3 entities; FROM, 1 + 3 PART_OF, 4 MENTIONS.
    let counts = GraphCounts {
        nodes: 9,
        edges: 9,
        dangling: 0,
        entities: 0,
    };
    assert_eq!(graph.counts().await.unwrap(), counts);

    one.show(&graph).await;
    let counts = GraphCounts {
        nodes: 9,
        edges: 11,
        dangling: 0,
        entities: 3,
    };
    assert_eq!(graph.counts().await.unwrap(), counts, "two NEXT more");
    assert_eq!(graph.dump().await.unwrap().len(), 20);
    assert_eq!(
        fields(&graph, LOAD).await.unwrap(),
        "load_number=LD-48213,status=delayed",
        "the first place wins"
    );

    let ids = one.ids();
    let around = graph.neighbours(&[ids[1], Uuid::nil()]).await.unwrap();
    let around: Vec<Vec<String>> = around
        .iter()
        .map(|found| {
            found
                .iter()
                .map(|it| format!("{} {} {}", it.relation, it.label, it.name))
                .collect()
        })
        .collect();
    assert_eq!(
        around,
        vec![
            vec![
                "PART_OF Section Guide > Loading".to_owned(),
                format!(
                    "PART_OF Document {}",
                    one.rows[0].chunk.about.title.clone().unwrap()
                ),
                "FROM Source docs".into(),
                format!(
                    "NEXT Chunk {}…",
                    one.rows[0].chunk.text.chars().take(80).collect::<String>()
                ),
                format!("NEXT Chunk {}", one.rows[2].chunk.text),
                "MENTIONS Customer Alder & Finch".into(),
            ],
            vec![]
        ]
    );
}

#[tokio::test]
async fn doing_a_thing_again_changes_nothing_and_it_outlives_the_process() {
    let place = place();
    let one = edition("a.md", 1, &[&[("Load", LOAD, "status=delayed")], &[]]);
    let two = edition("b.md", 2, &[&[("Load", LOAD, "status=delivered")]]);
    let graph = SqlGraph::open(&place.file).unwrap();
    for it in [&one, &two] {
        it.put(&graph).await;
        it.show(&graph).await;
    }
    let before = (graph.dump().await.unwrap(), graph.counts().await.unwrap());
    drop(graph);
    let graph = SqlGraph::open(&place.file).unwrap();
    assert_eq!(
        (graph.dump().await.unwrap(), graph.counts().await.unwrap()),
        before
    );
    for it in [&two, &one] {
        it.put(&graph).await;
        assert_eq!(
            (graph.dump().await.unwrap(), graph.counts().await.unwrap()),
            before,
            "a write lowers no visibility"
        );
        it.show(&graph).await;
        assert_eq!(
            (graph.dump().await.unwrap(), graph.counts().await.unwrap()),
            before
        );
    }
}

#[tokio::test]
async fn the_newest_version_states_a_field_in_any_order() {
    let old = edition(
        "a.md",
        1,
        &[&[("Load", LOAD, "status=planned,pickup_location=Ulm")]],
    );
    let new = edition("b.md", 2, &[&[("Load", LOAD, "status=delivered")]]);
    for order in [[&old, &new], [&new, &old]] {
        let place = place();
        let graph = SqlGraph::open(&place.file).unwrap();
        for it in order {
            it.put(&graph).await;
        }
        for it in order {
            it.show(&graph).await;
        }
        assert_eq!(
            fields(&graph, LOAD).await.unwrap(),
            "pickup_location=Ulm,status=delivered"
        );
        graph
            .retain_editions(new.lineage.document_guid, &[])
            .await
            .unwrap();
        assert_eq!(
            fields(&graph, LOAD).await.unwrap(),
            "pickup_location=Ulm,status=planned"
        );
        graph
            .retain_editions(old.lineage.document_guid, &[])
            .await
            .unwrap();
        assert_eq!(
            graph.counts().await.unwrap(),
            GraphCounts::default(),
            "nothing is left behind"
        );
    }
}

#[tokio::test]
async fn a_newer_edition_replaces_an_older_one_and_never_the_other_way() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let old = edition(
        "a.md",
        1,
        &[
            &[
                ("Driver", "Maria Keller", "status=active"),
                ("Load", LOAD, ""),
            ],
            &[],
            &[],
        ],
    );
    let new = edition(
        "a.md",
        2,
        &[&[("Driver", "Maria Keller", "employee_id=EMP-1042")], &[]],
    );
    old.put(&graph).await;
    old.show(&graph).await;
    new.put(&graph).await;
    assert_eq!(
        fields(&graph, "Maria Keller").await.unwrap(),
        "status=active",
        "an invisible mention states nothing"
    );

    let document = new.lineage.document_guid;
    graph
        .show(document, new.lineage.edition, &new.ids())
        .await
        .unwrap();
    let visible: Vec<Uuid> = graph
        .scroll(None, 100)
        .await
        .unwrap()
        .iter()
        .filter(|it| it.visible)
        .map(|it| it.edition)
        .collect();
    assert_eq!(
        visible,
        vec![new.lineage.edition; 2],
        "never two editions at once"
    );
    assert_eq!(
        fields(&graph, "Maria Keller").await.unwrap(),
        "employee_id=EMP-1042"
    );
    assert_eq!(fields(&graph, LOAD).await, None);

    let before = graph.dump().await.unwrap();
    graph
        .show(document, old.lineage.edition, &old.ids())
        .await
        .unwrap();
    assert_eq!(
        graph.dump().await.unwrap(),
        before,
        "an older edition is not shown over a newer one"
    );
    graph
        .retain_editions(document, &[new.lineage.edition])
        .await
        .unwrap();
    assert_eq!(graph.dump().await.unwrap(), before);
    // Source, document, section, 2 chunks, 1 entity.
    assert_eq!(graph.counts().await.unwrap().nodes, 6);
}

#[tokio::test]
async fn what_the_last_run_does_not_name_is_swept() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let it = edition(
        "a.md",
        1,
        &[
            &[("Load", LOAD, "status=open")],
            &[("Load", "LD-00001", "")],
            &[],
        ],
    );
    it.put(&graph).await;
    let (document, edition, ids) = (it.lineage.document_guid, it.lineage.edition, it.ids());
    graph.show(document, edition, &ids).await.unwrap();
    for _ in 0..2 {
        graph
            .retain_chunks(document, edition, &ids[1..])
            .await
            .unwrap();
        assert_eq!(fields(&graph, LOAD).await, None, "its only mention is gone");
        let counts = graph.counts().await.unwrap();
        // Source, document, section, 2 chunks, 1 entity; FROM, 1 + 2 PART_OF, NEXT, MENTIONS.
        assert_eq!(
            counts,
            GraphCounts {
                nodes: 6,
                edges: 6,
                dangling: 0,
                entities: 1
            }
        );
    }
    graph.retain_chunks(document, edition, &[]).await.unwrap();
    assert_eq!(graph.counts().await.unwrap(), GraphCounts::default());
    graph.show(document, edition, &ids).await.unwrap();
    assert_eq!(
        graph.counts().await.unwrap(),
        GraphCounts::default(),
        "showing what is gone brings nothing back"
    );
}

#[tokio::test]
async fn next_follows_the_order_and_passes_over_what_is_missing() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let it = edition("a.md", 1, &[&[], &[], &[]]);
    it.put(&graph).await;
    let ids = it.ids();
    let order = [ids[2], Uuid::from_u128(7), ids[0], ids[2], ids[1]];
    graph
        .show(it.lineage.document_guid, it.lineage.edition, &order)
        .await
        .unwrap();
    let lines = graph.dump().await.unwrap();
    let next: Vec<String> = lines
        .iter()
        .filter(|line| line.contains("\"NEXT\""))
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["properties"]["ids"]
                .to_string()
        })
        .collect();
    assert_eq!(
        next,
        [[ids[0], ids[1]], [ids[2], ids[0]]].map(|pair| serde_json::to_string(&pair).unwrap())
    );
}

#[tokio::test]
async fn runs_over_the_same_documents_differ_only_in_what_depends_on_the_version() {
    let mentions: &[&[(&str, &str, &str)]] = &[
        &[("Load", LOAD, "status=a")],
        &[("Load", LOAD, "status=b")],
        &[("Load", LOAD, "status=c")],
    ];
    let mut dumps = Vec::new();
    for version in 1..6 {
        let place = place();
        let graph = SqlGraph::open(&place.file).unwrap();
        let it = edition("a.md", version, mentions);
        it.put(&graph).await;
        it.show(&graph).await;
        let lines = graph.dump().await.unwrap();
        dumps.push(lines.iter().map(|line| stable(line)).collect::<Vec<_>>());
    }
    assert!(
        dumps.windows(2).all(|pair| pair[0] == pair[1]),
        "{dumps:#?}"
    );
}

fn stable(line: &str) -> String {
    let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
    let properties = line["properties"].as_object_mut().unwrap();
    for name in ["ids", "edition", "version", "stamped"] {
        properties.remove(name);
    }
    if let Some(about) = properties.get_mut("about") {
        about["title"] = "".into();
    }
    line.to_string()
}

#[tokio::test]
async fn two_editions_of_one_version_do_not_mix() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let first = edition_by("small chunks", "a.md", 1, &[&[("Load", LOAD, "status=a")]]);
    let mut second = edition_by("large chunks", "a.md", 1, &[&[("Load", LOAD, "status=b")]]);
    for row in &mut second.rows {
        row.chunk.lineage.stamped = 2;
    }
    first.put(&graph).await;
    second.put(&graph).await;
    second.show(&graph).await;
    assert_eq!(fields(&graph, LOAD).await.unwrap(), "status=b");
    // Late writes of the superseded edition stay unseen, and are swept.
    first.put(&graph).await;
    graph
        .show(
            first.lineage.document_guid,
            first.lineage.edition,
            &first.ids(),
        )
        .await
        .unwrap();
    assert_eq!(fields(&graph, LOAD).await.unwrap(), "status=b");
    graph
        .retain_editions(second.lineage.document_guid, &[second.lineage.edition])
        .await
        .unwrap();
    assert_eq!(graph.scroll(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn groups_never_meet() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let ours = edition("a.md", 1, &[&[("Load", LOAD, "")]]);
    ours.put(&graph).await;
    let mut theirs = edition("a.md", 2, &[&[("Load", LOAD, "")]]);
    for row in &mut theirs.rows {
        row.chunk.lineage.group = "other".into();
    }
    let refused = graph.write(theirs.rows.clone()).await.unwrap_err();
    assert_eq!(refused.class(), "poison", "{refused}");
    assert_eq!(
        graph.counts().await.unwrap().nodes,
        4,
        "a refused write leaves nothing"
    );
    // With an id of its own it is another document, and its load another entity.
    for row in &mut theirs.rows {
        row.chunk.lineage.document_guid = document_guid("other", "docs", "a.md");
    }
    graph.write(theirs.rows).await.unwrap();
    assert_eq!(graph.counts().await.unwrap().nodes, 8);
}

#[tokio::test]
async fn pages_of_the_scroll_join_up() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let it = edition("a.md", 1, [&[] as &[_]; 7].as_slice());
    it.put(&graph).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = graph.scroll(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_guid);
        seen.extend(page.iter().map(|chunk| chunk.chunk_guid));
    }
    let mut expected = it.ids();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_dangles_is_counted() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let it = edition(
        "a.md",
        1,
        &[&[("Load", LOAD, "")], &[("Date", "2025-01-01", "")], &[]],
    );
    it.put(&graph).await;
    it.show(&graph).await;
    // Damage done behind the graph's back.
    let check = |sql: &str| {
        Db::open(&place.file)
            .unwrap()
            .batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
            .unwrap()
    };
    for (damage, dangling) in [
        (
            "DELETE FROM mentions WHERE start_char = 0 AND chunk = (SELECT chunk FROM chunks WHERE ordinal = 0)",
            1,
        ),
        ("DELETE FROM entities WHERE label = 'Date'", 2),
        ("DELETE FROM chunks WHERE ordinal = 2", 3),
        ("DELETE FROM sections", 4),
        ("DELETE FROM sources", 5),
    ] {
        check(damage);
        assert_eq!(
            graph.counts().await.unwrap().dangling,
            dangling,
            "after {damage}"
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_the_graph_as_it_was() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let small = edition("a.md", 1, &[&[("Load", LOAD, "")]]);
    small.put(&graph).await;
    small.show(&graph).await;
    let before = graph.dump().await.unwrap();
    let limit =
        |pages: &'static str| graph.call(move |db| db.rows(pages, (), |row| row.integer(0)));
    limit("PRAGMA max_page_count = 60").await.unwrap();
    let mentions: &[(&str, &str, &str)] = &[("Load", LOAD, ""), ("Date", "2025-01-01", "")];
    let large = edition("b.md", 1, vec![mentions; 2000].as_slice());
    let failure = graph.write(large.rows.clone()).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::Transient { reason, .. } if reason.contains("free space")),
        "{failure:?}"
    );
    assert_eq!(graph.dump().await.unwrap(), before);
    limit("PRAGMA max_page_count = 100000").await.unwrap();
    large.put(&graph).await;
    assert_eq!(graph.scroll(None, 3000).await.unwrap().len(), 2001);
}

#[test]
fn files_that_are_not_ours_are_refused() {
    let check = |prepare: &dyn Fn(&std::path::Path), expect: &str| {
        let place = place();
        prepare(&place.file);
        let refused = SqlGraph::open(&place.file)
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default();
        assert!(
            refused.contains(expect),
            "{refused:?} does not say {expect:?}"
        );
    };
    check(
        &|file| {
            drop(SqlGraph::open(file).unwrap());
            Db::open(file)
                .unwrap()
                .batch("UPDATE layout SET version = 7")
                .unwrap();
        },
        "has layout 7, this program knows 1: use a newer penstock",
    );
    check(
        &|file| {
            Db::open(file)
                .unwrap()
                .batch("CREATE TABLE other (a)")
                .unwrap()
        },
        "a database of something else",
    );
    check(
        &|file| std::fs::write(file, vec![b'x'; 9000]).unwrap(),
        "move it away and replay link",
    );
    check(
        &|file| std::fs::create_dir(file).unwrap(),
        "cannot open graph",
    );
    let nowhere = SqlGraph::open(std::path::Path::new("/nonexistent/folder/graph"))
        .err()
        .unwrap();
    assert_eq!(nowhere.class(), "fatal");
}

#[tokio::test]
async fn health_is_one_line() {
    let place = place();
    let health = SqlGraph::open(&place.file).unwrap().health().await.unwrap();
    assert!(
        health.contains("0 chunks") && !health.contains('\n'),
        "{health}"
    );
}
