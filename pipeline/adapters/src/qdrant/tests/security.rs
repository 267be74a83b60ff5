//! Keys, TLS, addresses.

use penstock_servers::Certificates;
use penstock_servers::qdrant::Fault;

use super::*;
use crate::vector_store::point;

fn says(failure: &Failure, class: &str, words: &[&str]) {
    assert_eq!(failure.class(), class, "{failure}");
    for word in words {
        assert!(failure.reason().contains(word), "{failure} lacks {word}");
    }
}

#[tokio::test]
async fn a_key_is_brought_and_a_wrong_one_is_named() {
    let server = server().await;
    server.guard("key-secret-51ab");
    let with = |key: &str| {
        let config = QdrantConfig {
            api_key: key.to_owned(),
            ..QdrantConfig::new(server.url())
        };
        Qdrant::open(&config).unwrap()
    };
    let right = with("key-secret-51ab");
    right.insert(vec![point(1, 1, 0, "brake")]).await.unwrap();
    assert_eq!(right.count().await.unwrap(), 1);
    for wrong in ["", "key-secret-51ac"] {
        let store = with(wrong);
        let failure = store.insert(vec![point(2, 1, 0, "x")]).await.unwrap_err();
        says(&failure, "fatal", &["qdrant.api_key", "Points/Upsert"]);
        assert!(!failure.reason().contains("51ab"), "{failure}");
        // Who asks for health is not let in by the key that everybody has.
        says(
            &store.health().await.unwrap_err(),
            "fatal",
            &["qdrant.api_key"],
        );
    }
    assert_eq!(right.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_alone() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path().to_owned());
    let server = Server::over_tls(&certificates).await.unwrap();
    let authority = certificates.authority_file();
    create(channel(&server.url(), Some(&authority)).await).await;
    let trusting = |ca: &str| {
        let config = QdrantConfig {
            ca: ca.to_owned(),
            ..QdrantConfig::new(server.url())
        };
        Qdrant::open(&config)
    };
    let store = trusting(&authority.display().to_string()).unwrap();
    store.insert(vec![point(1, 1, 0, "brake")]).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 1);
    let stranger = certificates.stranger_file().display().to_string();
    for other in [stranger.as_str(), ""] {
        let failure = trusting(other).unwrap().count().await.unwrap_err();
        says(
            &failure,
            "fatal",
            &["qdrant.ca", "invalid peer certificate"],
        );
    }
    let Err(failure) = trusting("/nowhere/ca.pem") else {
        panic!("an authority that is not there was taken");
    };
    says(&failure, "fatal", &["qdrant.ca", "/nowhere/ca.pem"]);
}

#[tokio::test]
async fn a_node_that_is_down_is_left_out() {
    let server = server().await;
    let gone = Server::start().await.unwrap();
    let nobody = gone.url();
    drop(gone);
    for url in [
        format!("{nobody},{}", server.url()),
        format!("{}, {nobody}", server.url()),
    ] {
        let store = Qdrant::open(&QdrantConfig::new(url)).unwrap();
        for n in 0..5 {
            store.insert(vec![point(1, 1, n, "brake")]).await.unwrap();
        }
        assert_eq!(store.count().await.unwrap(), 5);
        let health = store.health().await.unwrap();
        assert!(health.contains("1 of 2 nodes up"), "{health}");
    }
    let store = Qdrant::open(&QdrantConfig::new(nobody)).unwrap();
    let failure = store.count().await.unwrap_err();
    says(&failure, "transient", &["refused"]);
}

#[tokio::test]
async fn both_nodes_are_asked_in_turn_and_one_takes_over() {
    // Two addresses of one server stand for two nodes of a cluster.
    let server = server().await;
    let other = server.url().replace("127.0.0.1", "localhost");
    let store = Qdrant::open(&QdrantConfig::new(format!("{},{other}", server.url()))).unwrap();
    for _ in 0..4 {
        store.count().await.unwrap();
    }
    // Each was asked for its version, once.
    assert_eq!(server.calls("Qdrant/HealthCheck"), 2);
    // What one node does not answer, the other does.
    for fault in [Fault::CutBefore, Fault::CutAfter, Fault::Unavailable] {
        server.fail("Points/Upsert", fault, 1);
        store.insert(vec![point(1, 1, 0, "brake")]).await.unwrap();
        assert_eq!(store.count().await.unwrap(), 1);
    }
    assert_eq!(server.faults_left(), 0);
}

#[test]
fn only_servers_that_insert_without_overwriting_are_new_enough() {
    for (version, expect) in [
        ("1.17.0", true),
        ("1.18.2", true),
        ("1.20.0-dev", true),
        ("2.0.0", true),
        ("1.16.9", false),
        ("0.99.0", false),
        ("", false),
        ("latest", false),
    ] {
        assert_eq!(super::cluster::is_new_enough(version), expect, "{version}");
    }
}

#[test]
fn without_a_runtime_it_says_so() {
    let Err(failure) = Qdrant::open(&QdrantConfig::new("http://127.0.0.1:1")) else {
        panic!("it was opened");
    };
    says(&failure, "fatal", &["runtime"]);
}
