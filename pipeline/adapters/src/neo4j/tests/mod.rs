mod equal;
mod parallel;
mod reach;
mod trouble;

use std::sync::MutexGuard;
use std::time::Duration;

use async_trait::async_trait;
use neo4rs::{ConfigBuilder, Graph, Query};
use penstock_servers::{NEO4J_PASSWORD, NEO4J_USER, Neo4j as Server};
use penstock_stages::link::GraphStore;

use super::statements::changing;
use super::{Neo4j, Neo4jConfig};
use crate::graph::tests::{LOAD, World, behaviours, edition, fields};

behaviours!(world);

/// The server that tests take in turn, its database empty but for the schema.
struct Remote {
    server: MutexGuard<'static, Server>,
    graph: Neo4j,
}

fn world() -> Remote {
    let server = Server::shared();
    let address = server.address();
    // A runtime of its own, for the test's own is not in async code yet.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(wipe(&address));
    })
    .join()
    .unwrap();
    let graph = Neo4j::open(&config(&server.address())).unwrap();
    Remote { server, graph }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.server.keep_logs();
        }
    }
}

#[async_trait(?Send)]
impl World for Remote {
    fn graph(&self) -> &dyn GraphStore {
        &self.graph
    }

    async fn empty(&mut self) {
        wipe(&self.server.address()).await;
    }

    async fn reopen(&mut self) {
        self.graph = Neo4j::open(&config(&self.server.address())).unwrap();
    }

    fn rounds(&self) -> u64 {
        6
    }
}

fn config(address: &str) -> Neo4jConfig {
    Neo4jConfig {
        user: NEO4J_USER.into(),
        password: NEO4J_PASSWORD.into(),
        timeout: Duration::from_secs(60),
        ..Neo4jConfig::new(format!("bolt://{address}"))
    }
}

/// A connection beside the adapter.
async fn client(address: &str) -> Graph {
    let config = ConfigBuilder::default()
        .uri(format!("bolt://{address}"))
        .user(NEO4J_USER)
        .password(NEO4J_PASSWORD)
        .build()
        .unwrap();
    Graph::connect(config).await.unwrap()
}

/// Deletes all there is, and declares ids unique, as the schema does.
async fn wipe(address: &str) {
    let client = client(address).await;
    let mut statements =
        vec!["MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS".to_owned()];
    for label in ["Source", "Document", "Section", "Chunk", "Entity"] {
        let lower = label.to_lowercase();
        statements.push(format!(
            "CREATE CONSTRAINT {lower}_guid IF NOT EXISTS FOR (n:{label}) REQUIRE n.{lower}_guid IS UNIQUE"
        ));
    }
    statements.push("CALL db.awaitIndexes(60)".to_owned());
    for statement in statements {
        client.run(Query::new(statement)).await.unwrap();
    }
}

#[tokio::test]
async fn every_change_goes_by_an_index() {
    let mut world = world();
    for statement in changing() {
        let plan = world.server.plan(&statement);
        assert!(
            plan.iter().any(|operator| operator.contains("IndexSeek")),
            "{plan:?} of {statement}"
        );
        for scan in [
            "AllNodesScan",
            "LabelScan",
            "IndexScan",
            "RelationshipTypeScan",
        ] {
            assert!(
                !plan.iter().any(|operator| operator.contains(scan)),
                "{plan:?} of {statement}"
            );
        }
    }
    // So do the reads of query and audit, page by page.
    for statement in [super::statements::NEIGHBOURS, super::statements::SCROLL] {
        let plan = world.server.plan(statement);
        assert!(plan.iter().any(|it| it.contains("IndexSeek")), "{plan:?}");
        assert!(!plan.iter().any(|it| it.contains("Scan")), "{plan:?}");
    }
}

#[tokio::test]
async fn health_is_one_line_with_version_and_address() {
    let world = world();
    let health = world.graph.health().await.unwrap();
    let address = world.server.address();
    assert_eq!(health, format!("Neo4j 5.26.12 community at {address}"));
}

#[tokio::test]
async fn what_dangles_is_counted() {
    let world = world();
    let it = edition(
        "a.md",
        1,
        &[&[("Load", LOAD, "")], &[("Date", "2025-01-01", "")], &[]],
    );
    it.put(&world.graph).await;
    it.show(&world.graph).await;
    let client = client(&world.server.address()).await;
    // Damage done behind the graph's back.
    for (damage, dangling) in [
        (
            "MATCH (:Chunk {chunk_index: 0})-[m:MENTIONS]->() DELETE m",
            1,
        ),
        ("MATCH (:Document)-[f:FROM]->() DELETE f", 2),
        // Two chunks lose their section.
        ("MATCH (s:Section) DETACH DELETE s", 4),
        ("MATCH (c:Chunk) DETACH DELETE c", 4),
    ] {
        client.run(Query::new(damage.into())).await.unwrap();
        let counts = world.graph.counts().await.unwrap();
        assert_eq!(counts.dangling, dangling, "after {damage}");
    }
}

#[tokio::test]
async fn entities_carry_a_second_label_and_their_fields_as_properties() {
    let world = world();
    let client = client(&world.server.address()).await;
    let found = async |text: &str| {
        let query = format!(
            "MATCH (e:Load {{normal_form: '{LOAD}'}}) RETURN coalesce(e.status, 'none') + ' ' + \
             coalesce(e.pickup_location, 'none') AS text"
        );
        let mut rows = client.execute(Query::new(query)).await.unwrap();
        let row = rows.next().await.unwrap().unwrap();
        assert_eq!(row.get::<String>("text").unwrap(), text);
        // To the end, for the connection is used again.
        assert!(rows.next().await.unwrap().is_none());
    };
    let one = edition(
        "a.md",
        1,
        &[&[("Load", LOAD, "status=open,pickup_location=Ulm")]],
    );
    one.put(&world.graph).await;
    found("none none").await;
    one.show(&world.graph).await;
    found("open Ulm").await;
    let two = edition("a.md", 2, &[&[("Load", LOAD, "status=planned")]]);
    two.put(&world.graph).await;
    two.show(&world.graph).await;
    found("planned none").await;
    assert_eq!(fields(&world.graph, LOAD).await.unwrap(), "status=planned");

    let stranger = edition("b.md", 1, &[&[("Secret`) DETACH DELETE (n", LOAD, "")]]);
    let failure = world.graph.write(stranger.rows).await.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    assert!(failure.reason().contains("LABELS"), "{failure}");
}
