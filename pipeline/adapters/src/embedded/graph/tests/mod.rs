mod editions;
mod trouble;

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
        let others = graph.scroll(None, usize::MAX).await.unwrap();
        let others: Vec<Uuid> = others
            .iter()
            .filter(|it| it.document_guid == document && it.edition != edition)
            .map(|it| it.edition)
            .collect();
        graph.drop_editions(document, &others).await.unwrap();
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
