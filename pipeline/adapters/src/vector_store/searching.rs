//! What is found, and in which order.

use penstock_stages::index::Sparse;

use super::*;

pub async fn both_kinds_of_likeness_count(store: &dyn VectorStore) {
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
    assert!(found(store, &search).await.is_empty(), "nothing is visible");
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
    assert_eq!(found(store, &only).await.len(), 2);
    let mut only = search.clone();
    only.bm25 = Sparse::default();
    assert_eq!(
        found(store, &only).await[..2],
        ids(&[both.clone(), near.clone()])
    );
    only.dense.clear();
    assert!(found(store, &only).await.is_empty());
    let mut none = search.clone();
    none.limit = 0;
    assert!(found(store, &none).await.is_empty());
    let mut two = search.clone();
    two.limit = 2;
    assert_eq!(found(store, &two).await, ids(&[both, words]));
}

pub async fn rare_words_weigh_more(store: &dyn VectorStore) {
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

pub async fn groups_sources_and_languages_are_apart(store: &dyn VectorStore) {
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
        let mut found = found(store, &search).await;
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

pub async fn of_two_visible_editions_only_the_newer_is_found(store: &dyn VectorStore) {
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
        found(store, &search).await,
        ids(&[recast.clone(), newest.clone()])
    );
    // Also where the newer edition is in no ranking.
    search.dense.clear();
    assert_eq!(found(store, &search).await, ids(&[recast.clone()]));
}

pub async fn old_editions_do_not_crowd_out_what_is_current(store: &dyn VectorStore) {
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
    assert_eq!(found(store, &search).await, ids(&[other]));
}
