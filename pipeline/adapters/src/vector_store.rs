//! What every `VectorStore` does: stated once, tried on each.

mod searching;

use std::collections::BTreeMap;

use penstock_schemas::{About, Chunk, Lineage, chunk_guid, content_hash};
use penstock_stages::index::{CollectionSpec, Point, Search, VectorStore, bm25, payload};
use penstock_stages::scope::Scope;
use serde_json::json;
use uuid::Uuid;

pub use self::searching::*;

/// A test for each behaviour, on the store that `$open` gives, with what has to live as long as it.
macro_rules! behaves {
    ($open:path) => {
        crate::vector_store::behaves! { $open:
            inserting_again_changes_nothing
            a_dump_is_ordered_and_complete
            show_touches_one_edition_of_one_document
            sweeps_keep_exactly_what_they_are_told_to
            pages_go_through_every_point_in_order_of_id
            points_are_told_counted_and_removed_by_name
            writers_at_once_are_all_there
            both_kinds_of_likeness_count
            rare_words_weigh_more
            groups_sources_and_languages_are_apart
            of_two_visible_editions_only_the_newer_is_found
            old_editions_do_not_crowd_out_what_is_current
        }
    };
    ($open:path: $($behaviour:ident)*) => {
        $(#[tokio::test]
        async fn $behaviour() {
            let (store, _alive) = $open().await;
            crate::vector_store::$behaviour(&store).await;
        })*
    };
}
pub(crate) use behaves;

pub const DIMENSION: usize = 4;

pub fn spec() -> CollectionSpec {
    let mut spec = CollectionSpec::declared().unwrap();
    spec.vectors.dense.size = DIMENSION;
    spec
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Document and edition by number; the version is the edition's number unless changed.
pub fn point(document: u128, edition: u128, ordinal: i32, text: &str) -> Point {
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

pub fn ids(points: &[Point]) -> Vec<Uuid> {
    points.iter().map(|point| point.chunk.chunk_guid).collect()
}

pub fn question(text: &str, dense: [f32; DIMENSION]) -> Search {
    Search {
        dense: dense.to_vec(),
        bm25: bm25::encode_query(text),
        limit: 10,
        group: "freight".into(),
        source: None,
        language: None,
    }
}

pub async fn found(store: &dyn VectorStore, search: &Search) -> Vec<Uuid> {
    let hits = store.search(search).await.unwrap();
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    hits.iter().map(|hit| hit.chunk_guid).collect()
}

/// Everything in the store, by id.
pub async fn content(store: &dyn VectorStore) -> BTreeMap<Uuid, bool> {
    let points = store.scroll(None, 10_000).await.unwrap();
    let content: BTreeMap<Uuid, bool> = points
        .iter()
        .map(|point| (point.chunk_guid, point.visible))
        .collect();
    assert_eq!(content.len() as u64, store.count().await.unwrap());
    content
}

pub async fn inserting_again_changes_nothing(store: &dyn VectorStore) {
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

pub async fn a_dump_is_ordered_and_complete(store: &dyn VectorStore) {
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
    let mut expect = payload(&points[1]);
    expect["visible"] = json!(true);
    assert_eq!(dump[0]["payload"], expect);
    let dense: Vec<f32> = serde_json::from_value(dump[0]["dense"].clone()).unwrap();
    for (read, written) in dense.iter().zip(&points[1].dense) {
        assert!((read - written).abs() < 1e-6);
    }
}

pub async fn show_touches_one_edition_of_one_document(store: &dyn VectorStore) {
    let (old, new) = (point(1, 1, 0, "brake"), point(1, 2, 0, "brake"));
    let other = point(2, 2, 0, "brake");
    store
        .insert(vec![old.clone(), new.clone(), other.clone()])
        .await
        .unwrap();
    for _ in 0..2 {
        store.show(id(1), id(2)).await.unwrap();
        let content = content(store).await;
        assert!(!content[&old.chunk.chunk_guid]);
        assert!(content[&new.chunk.chunk_guid]);
        assert!(!content[&other.chunk.chunk_guid]);
    }
    // Nothing to show is no error.
    store.show(id(9), id(9)).await.unwrap();
}

pub async fn sweeps_keep_exactly_what_they_are_told_to(store: &dyn VectorStore) {
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
    let now = async || -> Vec<Uuid> { content(store).await.into_keys().collect() };

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

pub async fn pages_go_through_every_point_in_order_of_id(store: &dyn VectorStore) {
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

pub async fn writers_at_once_are_all_there(store: &dyn VectorStore) {
    let writes = (1..=40).map(|document| async move {
        let points = vec![point(document, 1, 0, "brake")];
        store.insert(points).await.unwrap();
        store.show(id(document), id(1)).await.unwrap();
    });
    futures::future::join_all(writes).await;
    let content = content(store).await;
    assert_eq!(content.len(), 40);
    assert!(content.values().all(|visible| *visible));
}

pub async fn points_are_told_counted_and_removed_by_name(store: &dyn VectorStore) {
    let points: Vec<Point> = (0..4).map(|n| point(1, 1, n, "brake")).collect();
    store.insert(points.clone()).await.unwrap();
    store.insert(vec![point(2, 1, 0, "brake")]).await.unwrap();
    let count = async |scope: Scope| store.count_of(&scope).await.unwrap();
    let group = Scope::Group(points[0].chunk.lineage.group.clone());
    assert_eq!(count(Scope::Document(id(1))).await, 4);
    assert_eq!(count(group.clone()).await, 5);
    assert_eq!(count(Scope::Group("nobody".to_owned())).await, 0);
    for told in store.scroll(None, 10).await.unwrap() {
        let known = |it: &&Point| it.chunk.chunk_guid == told.chunk_guid;
        let Some(it) = points.iter().find(known) else {
            continue;
        };
        let chunk = &it.chunk;
        assert_eq!(
            (told.version, &told.group, &told.content_hash, &told.model),
            (
                chunk.lineage.version,
                &chunk.lineage.group,
                &chunk.content_hash,
                &it.model
            )
        );
        assert_eq!((told.part, told.ordinal), (chunk.part, chunk.ordinal));
        assert_eq!(told.dense.len(), it.dense.len());
    }
    store.remove_chunks(&ids(&points[..3])).await.unwrap();
    store.remove_chunks(&[]).await.unwrap();
    assert_eq!(count(Scope::Document(id(1))).await, 1);
    assert_eq!(count(group).await, 2);
}
