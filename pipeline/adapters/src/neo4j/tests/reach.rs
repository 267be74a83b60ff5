//! Several addresses, and TLS.

use super::*;

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn the_next_address_is_used_when_one_is_away_or_takes_no_writes() {
    let world = world();
    let it = edition("a.md", 1, &[&[("Load", LOAD, "status=open")]]);
    let mut follower = Server::start();
    wipe(&follower.address()).await;
    follower.stop();
    follower.restart_read_only();
    let several = Neo4jConfig {
        url: format!(
            "neo4j://{}, neo4j://{}, neo4j://{}",
            nobody(),
            follower.address(),
            world.server.address()
        ),
        ..config("")
    };
    let graph = Neo4j::open(&several).unwrap();
    it.put(&graph).await;
    it.show(&graph).await;
    assert!(graph.retries() >= 2, "{} retries", graph.retries());
    assert_eq!(
        graph.dump().await.unwrap(),
        world.graph.dump().await.unwrap()
    );
    assert_eq!(world.graph.counts().await.unwrap().entities, 1);
    let health = graph.health().await.unwrap();
    assert!(health.contains(&world.server.address()), "{health}");

    // Alone, the follower is the world's fault, and readable.
    let alone = Neo4j::open(&config(&follower.address())).unwrap();
    let failure = alone.write(it.rows.clone()).await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    assert_eq!(alone.counts().await.unwrap().nodes, 0);
}

#[tokio::test]
async fn tls_trusts_whom_it_is_told_to() {
    let world = world();
    let certificates = world.server.certificates();
    let check = async |scheme: &str, ca: String, expect: Result<(), &str>| {
        let config = Neo4jConfig {
            url: format!("{scheme}://{}", world.server.address()),
            ca,
            ..config("")
        };
        let health = Neo4j::open(&config).unwrap().health().await;
        match (health, expect) {
            (Ok(health), Ok(())) => assert!(health.contains("5.26"), "{health}"),
            (Err(failure), Err(says)) => {
                assert_eq!(failure.class(), "fatal", "{failure}");
                assert!(failure.reason().contains(says), "{failure}");
            }
            (found, _) => panic!("{scheme}: {found:?}"),
        }
    };
    let file = |path: std::path::PathBuf| path.display().to_string();
    for scheme in ["bolt+s", "neo4j+s"] {
        check(scheme, file(certificates.authority_file()), Ok(())).await;
        let stranger = file(certificates.stranger_file());
        check(scheme, stranger, Err("neo4j.ca")).await;
        check(scheme, String::new(), Err("neo4j.ca")).await;
    }
}
