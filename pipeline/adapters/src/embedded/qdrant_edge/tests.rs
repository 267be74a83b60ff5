use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
pub(super) use crate::vector_store::point;
use crate::vector_store::{DIMENSION, content, found, id, question, spec};

fn open(dir: &Path) -> QdrantEdge {
    QdrantEdge::open(dir, &spec(), DIMENSION).unwrap()
}

async fn fresh() -> (QdrantEdge, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open(dir.path()), dir)
}

crate::vector_store::behaves!(fresh);

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
