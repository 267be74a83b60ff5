//! The server goes away, and comes back.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::graph::tests::Edition;

fn documents() -> Vec<Edition> {
    let mentions: &[(&str, &str, &str)] =
        &[("Load", LOAD, "status=open"), ("Date", "2025-01-01", "")];
    (0..30)
        .map(|number| edition(&format!("{number}.md"), 1, vec![mentions; 20].as_slice()))
        .collect()
}

#[derive(Clone, Copy)]
enum Step {
    Write,
    Show,
}

/// Does again what failed as the world's fault, as the loop does; how often.
async fn insist(graph: &Neo4j, step: Step, it: &Edition) -> u32 {
    let (document, edition) = (it.lineage.document_guid, it.lineage.edition);
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut failures = 0;
    loop {
        let done = match step {
            Step::Write => graph.write(it.rows.clone()).await,
            Step::Show => graph.show(document, edition, &it.ids()).await,
        };
        let Err(failure) = done else {
            return failures;
        };
        assert_eq!(failure.class(), "transient", "{failure}");
        assert!(Instant::now() < deadline, "{failure}");
        failures += 1;
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_mid_batch_loses_nothing_and_doubles_nothing() {
    let mut world = world();
    let documents = documents();
    for it in &documents {
        it.put(&world.graph).await;
        it.show(&world.graph).await;
    }
    let expected = world.graph.dump().await.unwrap();
    world.empty().await;

    let graph = Arc::new(Neo4j::open(&config(&world.server.address())).unwrap());
    let writer = tokio::spawn({
        let graph = graph.clone();
        async move {
            let mut failures = 0;
            for it in &documents {
                for step in [Step::Write, Step::Show] {
                    failures += insist(&graph, step, it).await;
                }
            }
            failures
        }
    });
    // In the midst of it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.graph.counts().await.unwrap().nodes < 100 {
        assert!(Instant::now() < deadline, "nothing is written");
    }
    world.server.kill();
    let failure = world.graph.counts().await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    assert!(
        failure.reason().contains(&world.server.address()),
        "{failure}"
    );
    world.server.restart();
    let failures = writer.await.unwrap();
    assert!(failures > 0, "the server was away and nobody noticed");
    assert_eq!(graph.dump().await.unwrap(), expected);
    assert_eq!(graph.counts().await.unwrap().dangling, 0);
}

#[tokio::test]
async fn a_wrong_password_is_fatal_and_says_what_to_set() {
    let world = world();
    let mut wrong = config(&world.server.address());
    wrong.password = "another-secret-77".into();
    let failure = Neo4j::open(&wrong).unwrap().counts().await.unwrap_err();
    assert_eq!(failure.class(), "fatal", "{failure}");
    assert!(failure.reason().contains("neo4j.password"), "{failure}");
    assert!(!failure.reason().contains("another-secret-77"), "{failure}");

    let mut wrong = config(&world.server.address());
    wrong.database = "nowhere".into();
    let failure = Neo4j::open(&wrong).unwrap().counts().await.unwrap_err();
    assert_eq!(failure.class(), "fatal", "{failure}");
    assert!(failure.reason().contains("neo4j.database"), "{failure}");
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_half_read_connection() {
    let world = world();
    let it = edition(
        "a.md",
        1,
        vec![&[("Load", LOAD, "status=s")] as &[_]; 400].as_slice(),
    );
    let one = Neo4j::open(&Neo4jConfig {
        connections: 1,
        ..config(&world.server.address())
    })
    .unwrap();
    it.put(&one).await;
    it.show(&one).await;
    let expected = one.dump().await.unwrap();
    for patience in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
        // Some of these end before an answer, some in the middle of one.
        let _ = timeout(Duration::from_millis(patience), one.dump()).await;
        let _ = timeout(Duration::from_millis(patience), one.write(it.rows.clone())).await;
        assert_eq!(one.scroll(None, 500).await.unwrap().len(), 400);
    }
    assert_eq!(one.dump().await.unwrap(), expected);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let graph = Neo4j::open(&Neo4jConfig {
        timeout: Duration::from_millis(300),
        ..config(&address)
    })
    .unwrap();
    let failure = graph.counts().await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    assert!(
        failure.reason().contains("neo4j.timeout_seconds"),
        "{failure}"
    );
}

#[tokio::test]
async fn what_speaks_no_bolt_is_said() {
    for (answer, class) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), "fatal"),
        // The version, and then the beginning of a message.
        (&[0, 0, 1, 4, 0, 2, 0xB1], "transient"),
        // A message that is none, and a refusal without a reason, at which the driver panics.
        (&[0, 0, 1, 4, 0, 1, 0xB1, 0, 0], "fatal"),
        (&[0, 0, 1, 4, 0, 3, 0xB1, 0x7F, 0xA0, 0, 0], "fatal"),
    ] {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let serve = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = server.accept().await.unwrap();
            let mut greeting = [0; 20];
            stream.read_exact(&mut greeting).await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let graph = Neo4j::open(&Neo4jConfig {
            timeout: Duration::from_secs(2),
            ..config(&address)
        })
        .unwrap();
        let failure = graph.counts().await.unwrap_err();
        assert_eq!(failure.class(), class, "{failure} of {answer:?}");
        assert!(failure.reason().contains("neo4j"), "{failure}");
        serve.await.unwrap();
    }
}
