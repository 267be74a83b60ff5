use penstock_servers::qdrant::Fault;

use super::super::{Applied, Effect, Rebuild, apply, check, compare};
use super::{node, spec};
use crate::qdrant::QdrantConfig;

#[tokio::test]
async fn what_is_applied_is_as_declared_and_not_done_again() {
    let (server, config) = node().await;
    let planned = compare(&config, &spec()).await.unwrap();
    let fields: Vec<&str> = planned.iter().map(|it| &*it.field).collect();
    assert_eq!(fields, ["collection", "alias.chunks_current"]);
    assert!(planned.iter().all(|it| it.effect == Effect::InPlace));
    let changing = [
        "Collections/Create",
        "Collections/Update",
        "Collections/UpdateAliases",
        "Points/CreateFieldIndex",
    ];
    let calls = || changing.map(|call| server.calls(call));
    assert_eq!(calls(), [0; 4], "a plan changes nothing");

    let applied = apply(&config, &spec(), Rebuild::Never).await.unwrap();
    assert_eq!(applied.done[0].field, "collection");
    assert_eq!(applied.left, []);
    assert_eq!(compare(&config, &spec()).await.unwrap(), []);
    let made = calls();
    let again = apply(&config, &spec(), Rebuild::Never).await.unwrap();
    assert_eq!(again, Applied::default());
    assert_eq!(calls(), made);
}

#[tokio::test]
async fn several_at_once_end_as_declared() {
    let (_server, config) = node().await;
    let declared = spec();
    let one = || apply(&config, &declared, Rebuild::Never);
    let all = tokio::join!(one(), one(), one(), one());
    for outcome in [all.0, all.1, all.2, all.3] {
        assert_eq!(outcome.unwrap().left, []);
    }
    assert_eq!(compare(&config, &declared).await.unwrap(), []);
}

#[tokio::test]
async fn a_lost_answer_is_no_harm() {
    let (server, config) = node().await;
    let lost = ["Collections/Create", "Points/CreateFieldIndex"];
    for call in lost {
        server.fail(call, Fault::CutAfter, 1);
    }
    for _ in lost {
        let failure = apply(&config, &spec(), Rebuild::Never).await.err();
        assert!(failure.is_none_or(|it| it.class() == "transient"));
    }
    assert_eq!(server.faults_left(), 0);
    apply(&config, &spec(), Rebuild::Never).await.unwrap();
    assert_eq!(compare(&config, &spec()).await.unwrap(), []);
}

#[tokio::test]
async fn an_alias_is_moved_only_when_told() {
    let (server, config) = node().await;
    apply(&config, &spec(), Rebuild::Never).await.unwrap();
    let mut next = spec();
    next.collection = "chunks_2".to_owned();
    let applied = apply(&config, &next, Rebuild::Never).await.unwrap();
    assert_eq!(applied.left.len(), 1);
    assert_eq!(applied.left[0].field, "alias.chunks_current");
    assert_eq!(applied.left[0].live.as_deref(), Some("chunks"));
    assert_eq!(applied.left[0].effect, Effect::Rebuild);
    assert_eq!(
        compare(&config, &spec()).await.unwrap(),
        [],
        "readers still see the first"
    );

    let moved = apply(&config, &next, Rebuild::Allowed).await.unwrap();
    assert_eq!(moved.done.len(), 1);
    assert_eq!(compare(&config, &next).await.unwrap(), []);
    assert_eq!(server.calls("Collections/Delete"), 0);

    // By the name of the alias the same collection is meant; by another name there is no alias.
    let by_name = |name: &str| QdrantConfig {
        collection: name.to_owned(),
        ..config.clone()
    };
    check(&by_name("chunks_current"), &next).await.unwrap();
    check(&by_name("chunks"), &next).await.unwrap();
    assert_eq!(compare(&by_name("chunks"), &next).await.unwrap(), []);
    let failure = check(&by_name("other"), &next).await.unwrap_err();
    assert!(
        failure.reason().contains("no collection other"),
        "{failure}"
    );
}

#[tokio::test]
async fn shards_are_changed_by_making_the_collection_anew_when_told() {
    let (server, config) = node().await;
    apply(&config, &spec(), Rebuild::Never).await.unwrap();
    let mut declared = spec();
    declared.shard_number = 5;
    let applied = apply(&config, &declared, Rebuild::Never).await.unwrap();
    assert_eq!(applied.done, []);
    assert_eq!(applied.left[0].field, "shard_number");
    assert_eq!(server.calls("Collections/Delete"), 0);
    let applied = apply(&config, &declared, Rebuild::Allowed).await.unwrap();
    assert_eq!(applied.done[0].field, "shard_number");
    assert_eq!(server.calls("Collections/Delete"), 1);
    assert_eq!(compare(&config, &declared).await.unwrap(), []);
}

#[tokio::test]
async fn stages_are_told_what_is_missing_and_the_command() {
    let (_server, config) = node().await;
    let refused = async |says: &str| {
        let failure = check(&config, &spec()).await.unwrap_err();
        assert_eq!(failure.class(), "fatal");
        for says in [says, "penstock schema apply"] {
            assert!(failure.reason().contains(says), "{failure} lacks {says}");
        }
    };
    refused("there is no collection chunks").await;
    let mut partial = spec();
    partial.payload_indexes.remove("doc_type");
    partial.vectors.dense.hnsw.m = 8;
    apply(&config, &partial, Rebuild::Never).await.unwrap();
    refused("chunks lacks payload_indexes.doc_type").await;
    partial.payload_indexes = spec().payload_indexes;
    apply(&config, &partial, Rebuild::Never).await.unwrap();
    // How many edges its graph has is none of theirs.
    check(&config, &spec()).await.unwrap();

    let mut other = spec();
    other.vectors.dense.size = 768;
    let failure = check(&config, &other).await.unwrap_err();
    assert!(failure.reason().contains("768") && failure.reason().contains("384"));
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_the_worlds_fault() {
    let (mut server, config) = node().await;
    server.stop().await;
    let failure = check(&config, &spec()).await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
}
