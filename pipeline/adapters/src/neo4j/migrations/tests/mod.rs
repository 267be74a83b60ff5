mod files;
mod history;
mod server;
mod statements;
mod trouble;

use std::future::Future;

use neo4rs::query;
use penstock_servers::{NEO4J_PASSWORD, NEO4J_USER, Neo4j};
use serde::Deserialize;

use super::Migration;
use super::database::Database;
use super::files::{File, pair};
use crate::neo4j::Neo4jConfig;

/// The server with nothing in it: no nodes, no constraints, no indexes but those it comes with.
struct Emptied {
    config: Neo4jConfig,
    database: Database,
}

/// Runs a test on the shared server.
fn on_neo4j<T: Future<Output = ()>>(test: impl FnOnce(Emptied) -> T) {
    let server = Neo4j::shared();
    let config = Neo4jConfig {
        user: NEO4J_USER.to_owned(),
        password: NEO4J_PASSWORD.to_owned(),
        ..Neo4jConfig::new(format!("bolt://{}", server.address()))
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move {
        let database = Database::open(&config).await.unwrap();
        let emptied = Emptied { config, database };
        emptied.empty().await;
        test(emptied).await;
    });
}

#[derive(Deserialize)]
struct Line {
    line: String,
}

impl Emptied {
    async fn empty(&self) {
        self.run("MATCH (n) DETACH DELETE n").await;
        let constraints =
            "SHOW CONSTRAINTS YIELD name RETURN 'DROP CONSTRAINT `' + name + '` IF EXISTS' AS line";
        let indexes = "SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' \
                       RETURN 'DROP INDEX `' + name + '` IF EXISTS' AS line";
        for asked in [constraints, indexes] {
            for drop in self.lines(asked).await {
                self.run(&drop).await;
            }
        }
    }

    async fn run(&self, text: &str) {
        self.database.write(query(text)).await.expect(text);
    }

    /// Values of the column `line`.
    async fn lines(&self, asked: &str) -> Vec<String> {
        let rows: Vec<Line> = self.database.read(query(asked)).await.expect(asked);
        rows.into_iter().map(|it| it.line).collect()
    }

    /// Constraints and indexes but those of the migrations' own bookkeeping.
    async fn schema(&self) -> Vec<String> {
        let asked = [
            "SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties WHERE NOT name STARTS WITH 'schema_' \
             RETURN name + type + labelsOrTypes[0] + toString(size(properties)) AS line",
            "SHOW INDEXES YIELD name, type, state, labelsOrTypes, properties WHERE NOT name STARTS WITH 'schema_' \
             AND type <> 'LOOKUP' \
             RETURN name + type + state + labelsOrTypes[0] + toString(size(properties)) AS line",
        ];
        let mut schema = Vec::new();
        for asked in asked {
            schema.extend(self.lines(asked).await);
        }
        schema.sort();
        schema
    }

    /// Every node, of the bookkeeping too.
    async fn nodes(&self) -> Vec<String> {
        self.lines(
            "MATCH (n) WITH labels(n) AS labels, keys(n) AS keys, elementId(n) AS id ORDER BY id \
             RETURN id + reduce(text = '', it IN labels + keys | text + ' ' + it) AS line",
        )
        .await
    }
}

/// Migrations by the text that applies each; all are undone by dropping index `a`.
fn of_texts(texts: &[&str]) -> Vec<Migration> {
    let file = |letter: char, version: usize, text: &str| File {
        folder: "folder".to_owned(),
        name: format!("{letter}{version:03}__m.cypher"),
        text: text.to_owned(),
    };
    let files = (1..).zip(texts).flat_map(|(version, text)| {
        [
            file('V', version, text),
            file('U', version, "DROP INDEX a IF EXISTS;"),
        ]
    });
    pair(files.collect()).unwrap()
}
