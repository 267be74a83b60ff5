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

    store.retain_editions(id(1), &[]).await.unwrap();
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

    store.retain_editions(id(1), &[id(2), id(3)]).await.unwrap();
    assert_eq!(now().await, expect(&[&rest]));

    store.retain_editions(id(1), &[id(3)]).await.unwrap();
    assert_eq!(now().await, expect(&[&ids(&third), &ids(&other)]));

    store.retain_chunks(id(1), id(3), &[]).await.unwrap();
    assert_eq!(now().await, expect(&[&ids(&other)]));

    store.retain_editions(id(2), &[]).await.unwrap();
    store.retain_editions(id(2), &[]).await.unwrap();
    assert_eq!(now().await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn both_kinds_of_likeness_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut both = point(1, 1, 0, "load LD-48213 to Kiel");
    let mut near = point(2, 1, 0, "nothing in common");
    let mut words = point(3, 1, 0, "LD-48213");
    let mut neither = point(4, 1, 0, "unrelated");
    both.dense = vec![1.0, 0.0, 0.0, 0.0];
    near.dense = vec![0.9, 0.435_889_9, 0.0, 0.0];
    words.dense = vec![0.0, 0.0, 1.0, 0.0];
    neither.dense = vec![0.0, 0.0, 0.0, 1.0];
    let points = vec![both.clone(), near.clone(), words.clone(), neither.clone()];
    store.insert(points).await.unwrap();
    let search = question("where is load LD-48213", [1.0, 0.0, 0.0, 0.0]);
    assert!(
        found(&store, &search).await.is_empty(),
        "nothing is visible"
    );
    for document in 1..=4 {
        store.show(id(document), id(1)).await.unwrap();
    }

    let hits = store.search(&search).await.unwrap();
    let order: Vec<Uuid> = hits.iter().map(|hit| hit.document_guid).collect();
    assert_eq!(order[0], id(1));
    assert_eq!(order[3], id(4));
    let best = &hits[0];
    assert_eq!(best.chunk_guid, both.chunk.chunk_guid);
    assert_eq!((best.edition, best.version), (id(1), id(1)));
    assert_eq!(best.path, "docs/1.md");
    assert_eq!(best.title.as_deref(), Some("Document 1"));
    assert_eq!((best.page_first, best.page_last), (Some(1), Some(2)));
    assert_eq!(best.heading_path, ["Loads"]);
    assert_eq!(best.text, both.chunk.text);

    // Either kind alone.
    let mut only = search.clone();
    only.dense.clear();
    assert_eq!(found(&store, &only).await.len(), 2);
    let mut only = search.clone();
    only.bm25 = Sparse::default();
    assert_eq!(
        found(&store, &only).await[..2],
        ids(&[both.clone(), near.clone()])
    );
    only.dense.clear();
    assert!(found(&store, &only).await.is_empty());
    let mut none = search.clone();
    none.limit = 0;
    assert!(found(&store, &none).await.is_empty());
    let mut two = search.clone();
    two.limit = 2;
    assert_eq!(found(&store, &two).await, ids(&[both, words]));
}

#[tokio::test]
async fn rare_words_weigh_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut points: Vec<Point> = (1..=20).map(|n| point(n, 1, 0, "brake load")).collect();
    points.push(point(21, 1, 0, "brake kingpin"));
    store.insert(points).await.unwrap();
    for document in 1..=21 {
        store.show(id(document), id(1)).await.unwrap();
    }
    let mut search = question("load kingpin", [1.0, 0.0, 0.0, 0.0]);
    search.dense.clear();
    let hits = store.search(&search).await.unwrap();
    assert_eq!(hits[0].document_guid, id(21));
}

#[tokio::test]
async fn groups_sources_and_languages_are_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ours = point(1, 1, 0, "brake");
    let mut group = point(2, 1, 0, "brake");
    group.chunk.lineage.group = "other".into();
    let mut source = point(3, 1, 0, "brake");
    source.chunk.about.source = "mail".into();
    let mut language = point(4, 1, 0, "brake");
    language.chunk.about.language = Some("de".into());
    let mut unknown = point(5, 1, 0, "brake");
    unknown.chunk.about.language = None;
    let points = [&ours, &group, &source, &language, &unknown];
    store
        .insert(points.map(Clone::clone).to_vec())
        .await
        .unwrap();
    for document in 1..=5 {
        store.show(id(document), id(1)).await.unwrap();
    }
    let check = async |change: fn(&mut Search), expect: &[&Point]| {
        let mut search = question("brake", [1.0, 0.0, 0.0, 0.0]);
        change(&mut search);
        let mut found = found(&store, &search).await;
        found.sort_unstable();
        let mut expect: Vec<Uuid> = expect.iter().map(|p| p.chunk.chunk_guid).collect();
        expect.sort_unstable();
        assert_eq!(found, expect, "{search:?}");
    };
    check(|_| {}, &[&ours, &source, &language, &unknown]).await;
    check(|search| search.group = "other".into(), &[&group]).await;
    check(|search| search.group = String::new(), &[]).await;
    check(|search| search.source = Some("mail".into()), &[&source]).await;
    check(|search| search.language = Some("de".into()), &[&language]).await;
    check(
        |search| {
            search.source = Some("files".into());
            search.language = Some("en".into());
        },
        &[&ours],
    )
    .await;
}

#[tokio::test]
async fn of_two_visible_editions_only_the_newer_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // Document 1 has three editions, the newest of which says nothing about brakes; the order of insertion is not
    // the order of versions.
    let mut newest = point(1, 2, 0, "wheels");
    newest.chunk.lineage.version = id(30);
    newest.dense = vec![0.0, 0.0, 0.0, 1.0];
    let mut middle = point(1, 9, 0, "brake");
    middle.chunk.lineage.version = id(20);
    let mut oldest = point(1, 5, 0, "brake");
    oldest.chunk.lineage.version = id(10);
    // Of one version the edition decides.
    let mut same = point(2, 3, 0, "brake");
    same.chunk.lineage.version = id(10);
    let mut recast = point(2, 4, 0, "brake");
    recast.chunk.lineage.version = id(10);
    let mut hidden = point(2, 6, 0, "brake");
    hidden.chunk.lineage.version = id(11);
    let all = [&middle, &newest, &oldest, &recast, &same, &hidden];
    store.insert(all.map(Clone::clone).to_vec()).await.unwrap();
    for point in [&middle, &newest, &oldest, &recast, &same] {
        let lineage = &point.chunk.lineage;
        store
            .show(lineage.document_guid, lineage.edition)
            .await
            .unwrap();
    }
    let mut search = question("brake", [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(
        found(&store, &search).await,
        ids(&[recast.clone(), newest.clone()])
    );
    // Also where the newer edition is in no ranking.
    search.dense.clear();
    assert_eq!(found(&store, &search).await, ids(&[recast.clone()]));
}

#[tokio::test]
async fn old_editions_do_not_crowd_out_what_is_current() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let old: Vec<Point> = (0..300).map(|n| point(1, 1, n, "brake")).collect();
    let mut new = point(1, 2, 0, "axle");
    new.dense = vec![0.0, 0.0, 0.0, 1.0];
    let mut other = point(2, 3, 0, "brake drum of a trailer");
    other.dense = vec![0.0, 0.0, 1.0, 0.0];
    store.insert(old).await.unwrap();
    store
        .insert(vec![new.clone(), other.clone()])
        .await
        .unwrap();
    for (document, edition) in [(1, 1), (1, 2), (2, 3)] {
        store.show(id(document), id(edition)).await.unwrap();
    }
    let mut search = question("brake", [1.0, 0.0, 0.0, 0.0]);
    search.limit = 1;
    assert_eq!(found(&store, &search).await, ids(&[other]));
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

mod opening;
