//! Every way in which a call can go wrong, and that what is done again ends where it should.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_servers::qdrant::Fault;
use qdrant_client::qdrant::DeleteFieldIndexCollection;

use super::*;
use crate::vector_store::{content, id, point};

const WRITES: [&str; 3] = ["Points/Upsert", "Points/SetPayload", "Points/Delete"];

#[tokio::test]
async fn each_fault_has_its_class() {
    let (store, server) = fresh().await;
    for (fault, class, says) in [
        (Fault::Unavailable, "transient", "unavailable"),
        (Fault::Exhausted(None), "transient", "Rate limiting"),
        (Fault::ReadOnly, "transient", "unlock"),
        (Fault::DiskFull, "transient", "free some space"),
        (Fault::NoConsensus, "transient", "consensus"),
        (Fault::CutBefore, "transient", "Points/Upsert"),
        (Fault::CutAfter, "transient", "Points/Upsert"),
        (Fault::Odd, "fatal", "DataLoss"),
    ] {
        server.fail("Points/Upsert", fault.clone(), 1);
        let failure = store.insert(vec![point(1, 1, 0, "x")]).await.unwrap_err();
        assert_eq!(failure.class(), class, "{fault:?}: {failure}");
        assert!(failure.reason().contains(says), "{fault:?}: {failure}");
        assert_eq!(failure.reason().lines().count(), 1, "{failure}");
    }
    server.fail("Points/Count", Fault::Exhausted(Some(7)), 1);
    let Err(Failure::Transient { retry_after, .. }) = store.count().await else {
        panic!("a rate limit is not transient");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    // And then all is well.
    store.insert(vec![point(1, 1, 0, "x")]).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_not_waited_for() {
    let server = server().await;
    let config = QdrantConfig {
        timeout: Duration::from_millis(700),
        ..QdrantConfig::new(server.url())
    };
    let store = Qdrant::open(&config).unwrap();
    let slow = Fault::Slow(Duration::from_secs(3600));
    server.fail("Points/Count", slow.clone(), 1);
    server.fail("Points/Upsert", slow, 1);
    for failure in [
        store.count().await.unwrap_err(),
        store.insert(vec![point(1, 1, 0, "x")]).await.unwrap_err(),
    ] {
        assert_eq!(failure.class(), "transient", "{failure}");
        assert!(
            failure.reason().contains("no answer within 700ms"),
            "{failure}"
        );
    }
}

/// Two editions, the first shown, swept in part and dropped; the second shown. Each step until it is done.
async fn live(store: &Qdrant) -> (BTreeMap<Uuid, bool>, Vec<serde_json::Value>) {
    let first: Vec<Point> = (0..10).map(|n| point(1, 1, n, "brake")).collect();
    let second: Vec<Point> = (0..10).map(|n| point(1, 2, n, "axle")).collect();
    let kept: Vec<Uuid> = second[..7].iter().map(|it| it.chunk.chunk_guid).collect();
    macro_rules! until_done {
        ($step:expr) => {
            while let Err(failure) = $step.await {
                assert_eq!(failure.class(), "transient", "{failure}");
            }
        };
    }
    until_done!(store.insert(first.clone()));
    until_done!(store.show(id(1), id(1)));
    until_done!(store.insert(second.clone()));
    until_done!(store.retain_chunks(id(1), id(2), &kept));
    until_done!(store.show(id(1), id(2)));
    until_done!(store.drop_editions(id(1), &[id(1)]));
    (content(store).await, store.dump(id(1)).await.unwrap())
}

#[tokio::test]
async fn a_lost_answer_leaves_what_would_be_there_without() {
    let (undisturbed, _server) = fresh().await;
    let expect = live(&undisturbed).await;
    assert_eq!(expect.0.len(), 7);
    for fault in [Fault::CutAfter, Fault::CutBefore, Fault::Unavailable] {
        for times in [1, 3] {
            let (store, server) = fresh().await;
            for call in WRITES {
                server.fail(call, fault.clone(), times);
            }
            assert_eq!(live(&store).await, expect, "{fault:?} {times}");
            assert_eq!(server.faults_left(), 0);
        }
    }
}

#[tokio::test]
async fn a_restart_in_mid_batch_loses_nothing() {
    let mut server = server().await;
    let store = std::sync::Arc::new(store(&server));
    let points: Vec<Point> = (0..3000).map(|n| point(1, 1, n, "brake")).collect();
    let inserting = {
        let (store, points) = (store.clone(), points.clone());
        tokio::spawn(async move { store.insert(points).await })
    };
    let begun = async {
        while server.calls("Points/Upsert") < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun)
        .await
        .unwrap();
    server.stop().await;
    let failure = inserting.await.unwrap().unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    let failure = store.count().await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");

    server.start_again().await.unwrap();
    let before = store.count().await.unwrap();
    assert!(before < 3000, "{before}");
    store.insert(points).await.unwrap();
    store.show(id(1), id(1)).await.unwrap();
    let there = content(&*store).await;
    assert_eq!(there.len(), 3000);
    assert!(there.values().all(|visible| *visible));

    server.start_again().await.unwrap();
    assert_eq!(content(&*store).await, there);
}

#[tokio::test]
async fn what_is_not_as_declared_is_named() {
    let (store, server) = fresh().await;
    let check = |failure: Failure, words: &[&str]| {
        assert_eq!(failure.class(), "fatal", "{failure}");
        for word in words {
            assert!(failure.reason().contains(word), "{failure} lacks {word}");
        }
    };
    let mut short = point(1, 1, 0, "brake");
    short.dense.pop();
    let both = vec![point(1, 1, 1, "brake"), short];
    check(
        store.insert(both).await.unwrap_err(),
        &["expected dim: 4, got 3", "collection chunks"],
    );
    let mut search = crate::vector_store::question("brake", [1.0; 4]);
    search.dense.pop();
    check(store.search(&search).await.unwrap_err(), &["got 3"]);
    let mut odd = point(1, 1, 2, "brake");
    odd.dense[0] = f32::NAN;
    let failure = store.insert(vec![odd]).await.unwrap_err();
    assert_eq!(failure.class(), "poison", "{failure}");
    assert_eq!(store.count().await.unwrap(), 0);

    let request = DeleteFieldIndexCollection {
        collection_name: "chunks".to_owned(),
        field_name: "edition".to_owned(),
        wait: Some(true),
        ..DeleteFieldIndexCollection::default()
    };
    let mut points = PointsClient::new(channel(&server.url(), None).await);
    points.delete_field_index(request).await.unwrap();
    check(
        store.show(id(1), id(1)).await.unwrap_err(),
        &["\"edition\"", "penstock schema apply"],
    );

    let elsewhere = QdrantConfig {
        collection: "elsewhere".to_owned(),
        ..QdrantConfig::new(server.url())
    };
    let store = Qdrant::open(&elsewhere).unwrap();
    for failure in [
        store.insert(vec![point(1, 1, 0, "x")]).await.unwrap_err(),
        store.show(id(1), id(1)).await.unwrap_err(),
        store
            .search(&crate::vector_store::question("x", [1.0; 4]))
            .await
            .unwrap_err(),
        store.scroll(None, 1).await.unwrap_err(),
        store.health().await.unwrap_err(),
    ] {
        check(failure, &["`elsewhere`", "penstock schema apply"]);
    }
}

#[tokio::test]
async fn many_points_go_in_requests_of_bounded_size() {
    let (store, server) = fresh().await;
    let long = "x".repeat(400_000);
    let mut points: Vec<Point> = (0..20).map(|n| point(1, 1, n, &long)).collect();
    points.extend((0..1500).map(|n| point(2, 1, n, "brake")));
    let count = points.len() as u64;
    store.insert(points.clone()).await.unwrap();
    assert_eq!(store.count().await.unwrap(), count);
    // 8 MB in at least three, and none of more than 380 of the others.
    let calls = server.calls("Points/Upsert");
    assert!((6..=9).contains(&calls), "{calls}");

    let mut seen = 0;
    for batch in Batches::new(points, 4) {
        let batch = batch.unwrap();
        let bytes: usize = batch.iter().map(Message::encoded_len).sum();
        assert!(batch.len() <= 512 && bytes <= 3 << 20, "{bytes}");
        seen += batch.len() as u64;
    }
    assert_eq!(seen, count);
    // One that alone is larger goes alone.
    let huge = "x".repeat(5 << 20);
    let points = (0..3).map(|n| point(3, 1, n, &huge)).collect();
    let sizes: Vec<usize> = Batches::new(points, 4)
        .map(|batch| batch.unwrap().len())
        .collect();
    assert_eq!(sizes, [1, 1, 1]);
}
