//! Opening, refusing, putting in order.

use penstock_stages::index::Distance;

use super::*;

fn refused(dir: &Path, spec: &CollectionSpec, dimension: usize) -> Failure {
    match QdrantEdge::open(dir, spec, dimension) {
        Ok(_) => panic!("it was opened"),
        Err(failure) => failure,
    }
}

fn says(failure: &Failure, parts: &[&str]) {
    assert_eq!(failure.class(), "fatal", "{failure}");
    for part in parts {
        assert!(failure.reason().contains(part), "{failure}: {part}");
    }
}

#[test]
fn a_model_of_another_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    says(&refused(dir.path(), &spec(), 768), &["768", "with 4"]);
}

#[tokio::test]
async fn a_collection_of_another_size_or_distance_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.insert(vec![point(1, 1, 0, "brake")]).await.unwrap();
    drop(store);

    let mut other = spec();
    other.vectors.dense.size = 8;
    says(
        &refused(dir.path(), &other, 8),
        &["vectors of 4", "declared is 8", "empty data folder"],
    );
    let mut other = spec();
    other.vectors.dense.distance = Distance::Dot;
    says(&refused(dir.path(), &other, DIMENSION), &["cosine", "dot"]);
    assert_eq!(open(dir.path()).count().await.unwrap(), 1);
}

#[test]
fn a_second_owner_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let failure = refused(dir.path(), &spec(), DIMENSION);
    says(&failure, &["in use by another process"]);
    drop(first);
    open(dir.path());
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let failure = refused(&file.join("vectors"), &spec(), DIMENSION);
    says(&failure, &["cannot be made", "data folder"]);
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("edge_config.json"), "{").unwrap();
    assert_eq!(refused(dir.path(), &spec(), DIMENSION).class(), "fatal");
}

#[tokio::test]
async fn every_declared_index_is_there_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    for _ in 0..2 {
        let store = open(dir.path());
        let info = store.read(|shard| Ok(shard.info())).await.unwrap();
        let mut indexed: Vec<String> = info
            .payload_schema
            .keys()
            .map(ToString::to_string)
            .collect();
        indexed.sort_unstable();
        let declared: Vec<String> = spec.payload_indexes.keys().cloned().collect();
        assert_eq!(indexed, declared);
    }
}

#[tokio::test]
async fn a_declaration_may_gain_an_index_and_change_the_graph() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.insert(vec![point(1, 1, 0, "brake")]).await.unwrap();
    drop(store);
    let mut changed = spec();
    changed.vectors.dense.hnsw.m = 32;
    let keyword = changed.payload_indexes["doc_type"].clone();
    changed
        .payload_indexes
        .insert("attributes.depot".into(), keyword);
    let store = QdrantEdge::open(dir.path(), &changed, DIMENSION).unwrap();
    let info = store.read(|shard| Ok(shard.info())).await.unwrap();
    assert!(
        info.payload_schema
            .keys()
            .any(|key| key.to_string() == "attributes.depot")
    );
    assert_eq!(store.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_vector_of_another_length_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut wrong = point(1, 1, 1, "brake");
    wrong.dense.push(0.0);
    let failure = store
        .insert(vec![point(1, 1, 0, "brake"), wrong])
        .await
        .unwrap_err();
    says(&failure, &["5 numbers", "vectors of 4"]);
    assert_eq!(store.count().await.unwrap(), 0);
    let mut search = question("brake", [1.0, 0.0, 0.0, 0.0]);
    search.dense.pop();
    let failure = store.search(&search).await.unwrap_err();
    says(&failure, &["3 numbers", "vectors of 4"]);
}

#[tokio::test]
async fn putting_in_order_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec();
    // Some 16 bytes a vector: a graph from 64 vectors on.
    spec.vectors.dense.hnsw.embedded_indexing_threshold = 1;
    let store = QdrantEdge::open(dir.path(), &spec, DIMENSION).unwrap();
    let points: Vec<Point> = (0..3000)
        .map(|n| point(1 + n as u128 / 10, 1, n % 10, "brake"))
        .collect();
    store.insert(points.clone()).await.unwrap();
    for document in 1..=300 {
        store.show(id(document), id(1)).await.unwrap();
    }
    for document in 1..=100 {
        store.drop_editions(id(document), &[id(1)]).await.unwrap();
    }
    let before = content(&store).await;
    assert_eq!(before.len(), 2000);

    assert!(store.optimise().await.unwrap());
    let indexed = async |store: &QdrantEdge| {
        let info = store.read(|shard| Ok(shard.info())).await.unwrap();
        info.indexed_vectors_count
    };
    // Of each point two vectors, of which the sparse one always counts.
    assert!(indexed(&store).await >= 4000);
    assert_eq!(content(&store).await, before);
    assert!(
        !store.optimise().await.unwrap(),
        "there is nothing left to do"
    );

    // What is there can still be written to, and is found.
    store.insert(points[..1000].to_vec()).await.unwrap();
    store.show(id(1), id(1)).await.unwrap();
    store.drop_editions(id(300), &[id(1)]).await.unwrap();
    let copied = as_if_killed(&store, &dir);
    let reopened = QdrantEdge::open(copied.path(), &spec, DIMENSION).unwrap();
    assert_eq!(content(&reopened).await.len(), 2990);
    assert_eq!(reopened.dump(id(1)).await.unwrap().len(), 10);
    let search = question("brake", [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(found(&reopened, &search).await.len(), 10);
}

#[tokio::test]
async fn the_engines_log_does_not_grow_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // No words, so that only the size counts.
    let text = "x".repeat(300_000);
    let size = || -> u64 {
        let files = std::fs::read_dir(dir.path().join("wal")).unwrap();
        // Old ones are removed while we look.
        files
            .filter_map(|file| file.unwrap().metadata().ok())
            .map(|file| file.len())
            .sum()
    };
    let mut largest = 0;
    for n in 0..60 {
        let points = (0..10).map(|m| point(n, 1, m, &text)).collect();
        store.insert(points).await.unwrap();
        largest = largest.max(size());
    }
    // 180 MB were written.
    assert!(largest < 110 << 20, "{largest}");
    assert_eq!(store.count().await.unwrap(), 600);
    drop(store);
    assert_eq!(open(dir.path()).count().await.unwrap(), 600);
}

#[tokio::test]
async fn an_unfinished_segment_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let unfinished = dir.path().join("temp_segments").join("half");
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("vectors"), "half").unwrap();
    let store = open(dir.path());
    assert!(!unfinished.exists());
    assert_eq!(store.count().await.unwrap(), 0);
}

#[test]
fn a_disk_about_to_be_full_is_the_worlds_fault() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let failure = store.engine.check_space(u64::MAX).unwrap_err();
    assert_eq!(failure.class(), "transient");
    assert!(failure.reason().contains("free some space"), "{failure}");
    assert!(store.engine.check_space(0).is_ok());
}

#[tokio::test]
async fn health_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.insert(vec![point(1, 1, 0, "brake")]).await.unwrap();
    let health = store.health().await.unwrap();
    assert!(health.starts_with("1 points in 1 segments"), "{health}");
    assert_eq!(health.lines().count(), 1);
}
