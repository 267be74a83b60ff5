use std::collections::BTreeMap;

use penstock_schemas::{About, Chunk, Lineage, chunk_guid, content_hash};
use penstock_stages::index::bm25;
use tempfile::TempDir;

use super::*;

const DIMENSION: usize = 4;

fn spec() -> CollectionSpec {
    let mut spec = CollectionSpec::declared().unwrap();
    spec.vectors.dense.size = DIMENSION;
    spec
}

fn open(dir: &Path) -> QdrantEdge {
    QdrantEdge::open(dir, &spec(), DIMENSION).unwrap()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Document and edition by number; the version is the edition's number unless changed.
pub(super) fn point(document: u128, edition: u128, ordinal: i32, text: &str) -> Point {
    let hash = content_hash(text.as_bytes());
    let angle = ordinal as f32 * 0.1;
    Point {
        chunk: Chunk {
            lineage: Lineage {
                group: "freight".into(),
                document_guid: id(document),
                version: id(edition),
                edition: id(edition),
                stamped: 0,
            },
            part: 0,
            chunk_guid: chunk_guid(id(document), id(edition), 0, ordinal, &hash),
            ordinal,
            text: text.to_owned(),
            start_char: 0,
            end_char: text.chars().count() as i64,
            page_first: Some(1),
            page_last: Some(2),
            heading_path: vec!["Loads".into()],
            content_hash: hash,
            tokens: 4,
            about: About {
                source: "files".into(),
                key: document.to_string(),
                path: format!("docs/{document}.md"),
                title: Some(format!("Document {document}")),
                author: None,
                language: Some("en".into()),
                created_at: Some(1_700_000_000_000),
                attributes: BTreeMap::from([("impact_score".into(), "0.5".into())]),
            },
        },
        model: "tiny@000000000000".into(),
        dense: vec![angle.cos(), angle.sin(), 0.0, 0.0],
        bm25: bm25::encode_document(text),
        entity_types: vec!["Load".into()],
    }
}

fn ids(points: &[Point]) -> Vec<Uuid> {
    points.iter().map(|point| point.chunk.chunk_guid).collect()
}

fn question(text: &str, dense: [f32; DIMENSION]) -> Search {
    Search {
        dense: dense.to_vec(),
        bm25: bm25::encode_query(text),
        limit: 10,
        group: "freight".into(),
        source: None,
        language: None,
    }
}

async fn found(store: &QdrantEdge, search: &Search) -> Vec<Uuid> {
    let hits = store.search(search).await.unwrap();
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    hits.iter().map(|hit| hit.chunk_guid).collect()
}

/// Everything in the store, by id.
async fn content(store: &QdrantEdge) -> BTreeMap<Uuid, bool> {
    let points = store.scroll(None, 10_000).await.unwrap();
    let content: BTreeMap<Uuid, bool> = points
        .iter()
        .map(|point| (point.chunk_guid, point.visible))
        .collect();
    assert_eq!(content.len() as u64, store.count().await.unwrap());
    content
}

/// A copy of the folder as a process killed now would leave it.
fn as_if_killed(store: &QdrantEdge, dir: &TempDir) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let copied = tempfile::tempdir().unwrap();
    store.engine.frozen(|| copy(dir.path(), copied.path()));
    copied
}

#[tokio::test]
async fn what_is_inserted_shown_or_swept_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let points: Vec<Point> = (0..20).map(|n| point(1, 1, n, "brake")).collect();
    let other = point(2, 1, 0, "axle");

    store.insert(points.clone()).await.unwrap();
    store.insert(vec![other.clone()]).await.unwrap();
    let inserted = content(&open(as_if_killed(&store, &dir).path())).await;
    assert_eq!(inserted.len(), 21);
    assert!(inserted.values().all(|visible| !visible));

    store.show(id(1), id(1)).await.unwrap();
    let shown = content(&open(as_if_killed(&store, &dir).path())).await;
    for point in &points {
        assert!(shown[&point.chunk.chunk_guid]);
    }
    assert!(!shown[&other.chunk.chunk_guid]);

    store.drop_editions(id(1), &[id(1)]).await.unwrap();
    let copied = as_if_killed(&store, &dir);
    let swept = open(copied.path());
    assert_eq!(
        content(&swept).await,
        BTreeMap::from([(other.chunk.chunk_guid, false)])
    );
    // And it goes on from there.
    swept.insert(points.clone()).await.unwrap();
    swept.show(id(1), id(1)).await.unwrap();
    assert_eq!(content(&swept).await.len(), 21);
    assert_eq!(swept.dump(id(1)).await.unwrap().len(), 20);
}

#[tokio::test]
async fn inserting_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let points: Vec<Point> = (0..5).map(|n| point(1, 1, n, "brake")).collect();
    store.insert(points.clone()).await.unwrap();
    store.show(id(1), id(1)).await.unwrap();
    let before = store.dump(id(1)).await.unwrap();
    assert_eq!(before.len(), 5);

    let mut again = points.clone();
    for point in &mut again {
        point.dense = vec![0.0, 0.0, 0.0, 1.0];
        point.chunk.about.title = Some("another".into());
    }
    again.push(point(1, 1, 5, "brake"));
    // The same point twice in one batch is one point.
    again.push(point(1, 1, 5, "brake"));
    store.insert(again).await.unwrap();

    assert_eq!(store.dump(id(1)).await.unwrap(), before);
    assert_eq!(store.count().await.unwrap(), 6);
    store.insert(Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_dump_is_ordered_and_complete() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut points: Vec<Point> = (0..3).map(|n| point(1, 1, n, "brake")).collect();
    points[0].chunk.part = 1;
    points.reverse();
    store.insert(points.clone()).await.unwrap();
    store.insert(vec![point(2, 1, 0, "axle")]).await.unwrap();
    assert!(store.dump(id(1)).await.unwrap().is_empty());
    store.show(id(1), id(1)).await.unwrap();

    let dump = store.dump(id(1)).await.unwrap();
    let order: Vec<_> = dump
        .iter()
        .map(|point| {
            let payload = &point["payload"];
            (payload["part"].as_i64(), payload["chunk_index"].as_i64())
        })
        .collect();
    assert_eq!(
        order,
        [(Some(0), Some(1)), (Some(0), Some(2)), (Some(1), Some(0))]
    );
    let mut expect = penstock_stages::index::payload(&points[1]);
    expect["visible"] = json!(true);
    assert_eq!(dump[0]["payload"], expect);
    let dense: Vec<f32> = serde_json::from_value(dump[0]["dense"].clone()).unwrap();
    for (read, written) in dense.iter().zip(&points[1].dense) {
        assert!((read - written).abs() < 1e-6);
    }
}

#[tokio::test]
async fn show_touches_one_edition_of_one_document() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (old, new) = (point(1, 1, 0, "brake"), point(1, 2, 0, "brake"));
    let other = point(2, 2, 0, "brake");
    store
        .insert(vec![old.clone(), new.clone(), other.clone()])
        .await
        .unwrap();
    for _ in 0..2 {
        store.show(id(1), id(2)).await.unwrap();
        let content = content(&store).await;
        assert!(!content[&old.chunk.chunk_guid]);
        assert!(content[&new.chunk.chunk_guid]);
        assert!(!content[&other.chunk.chunk_guid]);
    }
    // Nothing to show is no error.
    store.show(id(9), id(9)).await.unwrap();
}

#[tokio::test]
async fn sweeps_keep_exactly_what_they_are_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first: Vec<Point> = (0..4).map(|n| point(1, 1, n, "brake")).collect();
    let second: Vec<Point> = (0..4).map(|n| point(1, 2, n, "brake")).collect();
    let third: Vec<Point> = (0..2).map(|n| point(1, 3, n, "brake")).collect();
    let other: Vec<Point> = (0..2).map(|n| point(2, 1, n, "brake")).collect();
    for points in [&first, &second, &third, &other] {
        store.insert(points.clone()).await.unwrap();
    }
    let expect = |points: &[&[Uuid]]| -> Vec<Uuid> {
        let mut ids = points.concat();
        ids.sort_unstable();
        ids
    };
    let now = async || -> Vec<Uuid> { content(&store).await.into_keys().collect() };

    let kept = &ids(&first)[1..3];
    store.retain_chunks(id(1), id(1), kept).await.unwrap();
    let rest = [ids(&second), ids(&third), ids(&other)].concat();
    assert_eq!(now().await, expect(&[kept, &rest]));

    store.drop_editions(id(1), &[]).await.unwrap();
    assert_eq!(now().await, expect(&[kept, &rest]));
    store.drop_editions(id(1), &[id(1), id(9)]).await.unwrap();
    assert_eq!(now().await, expect(&[&rest]));

    store.drop_editions(id(1), &[id(2)]).await.unwrap();
    assert_eq!(now().await, expect(&[&ids(&third), &ids(&other)]));

    store.retain_chunks(id(1), id(3), &[]).await.unwrap();
    assert_eq!(now().await, expect(&[&ids(&other)]));

    store.drop_editions(id(2), &[id(1)]).await.unwrap();
    store.drop_editions(id(2), &[id(1)]).await.unwrap();
    assert_eq!(now().await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn pages_go_through_every_point_in_order_of_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(store.scroll(None, 5).await.unwrap().is_empty());
    let points: Vec<Point> = (0..23).map(|n| point(1, 1, n, "brake")).collect();
    store.insert(points.clone()).await.unwrap();
    for size in [1, 5, 23, 100] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.scroll(after, size).await.unwrap();
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = Some(last.chunk_guid);
            seen.extend(page.iter().map(|point| point.chunk_guid));
        }
        let mut expect = ids(&points);
        expect.sort_unstable();
        assert_eq!(seen, expect, "pages of {size}");
    }
    let page = store.scroll(None, 1).await.unwrap();
    assert_eq!(
        (page[0].document_guid, page[0].edition, page[0].visible),
        (id(1), id(1), false)
    );
    assert!(store.scroll(None, 0).await.unwrap().is_empty());
    // An id that has gone meanwhile is still a place to go on from.
    let first = page[0].chunk_guid;
    let rest: Vec<Uuid> = ids(&points).into_iter().filter(|i| *i != first).collect();
    store.retain_chunks(id(1), id(1), &rest).await.unwrap();
    assert_eq!(store.scroll(Some(first), 100).await.unwrap().len(), 22);
}

#[tokio::test]
async fn writers_at_once_are_all_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let mut writes = tokio::task::JoinSet::new();
    for document in 1..=40 {
        let store = Arc::clone(&store);
        writes.spawn(async move {
            store
                .insert(vec![point(document, 1, 0, "brake")])
                .await
                .unwrap();
            store.show(id(document), id(1)).await.unwrap();
        });
    }
    while let Some(done) = writes.join_next().await {
        done.unwrap();
    }
    let content = content(&open(as_if_killed(&store, &dir).path())).await;
    assert_eq!(content.len(), 40);
    assert!(content.values().all(|visible| *visible));
}

mod kill;
mod opening;
mod searching;
