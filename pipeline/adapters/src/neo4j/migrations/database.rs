//! What migrations ask of the server.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use neo4rs::{Query, query};
use penstock_runtime::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::files::{Migration, Script};
use super::history::Applied;
use super::statement::Statement;
use crate::neo4j::Neo4jConfig;
use crate::neo4j::classify::Trouble;
use crate::neo4j::servers::Servers;
use crate::neo4j::transaction::{Transaction, Work, transact};

/// How long one statement may take: a constraint on a graph that is filled checks all of it.
const STATEMENT: Duration = Duration::from_secs(60 * 60);
/// How long indexes may take to be built.
const BUILT_WITHIN: Duration = Duration::from_secs(60 * 60);
const POLL: Duration = Duration::from_millis(200);

/// Of two that make the same at once, one is told so.
const MADE_BY_ANOTHER: [&str; 2] = [
    "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists",
    "Neo.ClientError.Schema.ConstraintAlreadyExists",
];

const APPLIED: &str = "\
    MATCH (v:SchemaVersion) RETURN v.version AS version, v.name AS name, v.checksum AS checksum, \
    toString(v.applied_at) AS applied_at, v.duration_ms AS duration_ms, v.skipped AS skipped, \
    coalesce(v.undoing, false) AS undoing ORDER BY version";

const NOT_BUILT: &str = "\
    SHOW INDEXES YIELD name, state, populationPercent WHERE state <> 'ONLINE' AND name IN $names \
    RETURN name, state, populationPercent AS percent";

/// The server, as migrations see it.
pub(super) struct Database {
    servers: Servers,
    retries: AtomicU64,
    pub(super) is_enterprise: bool,
}

#[derive(Deserialize)]
struct Edition {
    edition: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Unbuilt {
    name: String,
    state: String,
    percent: f64,
}

impl Database {
    /// To change the schema: with time for what takes long.
    pub(super) async fn open_to_change(config: &Neo4jConfig) -> Result<Self, Failure> {
        let patient = Neo4jConfig {
            timeout: config.timeout.max(STATEMENT),
            ..config.clone()
        };
        Self::open(&patient).await
    }

    pub(super) async fn open(config: &Neo4jConfig) -> Result<Self, Failure> {
        let mut database = Self {
            servers: Servers::new(config)?,
            retries: AtomicU64::new(0),
            is_enterprise: false,
        };
        let asked = query("CALL dbms.components() YIELD edition RETURN edition");
        let editions: Vec<Edition> = database.read(asked).await?;
        database.is_enterprise = editions.iter().any(|it| it.edition == "enterprise");
        Ok(database)
    }

    pub(super) fn edition(&self) -> &'static str {
        match self.is_enterprise {
            true => "enterprise",
            false => "community",
        }
    }

    /// Whether a statement is one for this edition.
    pub(super) fn understands(&self, statement: &Statement) -> bool {
        self.is_enterprise || !statement.enterprise_only
    }

    /// Every migration remembered, oldest first.
    pub(super) async fn applied(&self) -> Result<Vec<Applied>, Failure> {
        self.read(query(APPLIED)).await
    }

    /// Names of all indexes and constraints.
    pub(super) async fn names(&self) -> Result<BTreeSet<String>, Failure> {
        let mut names = BTreeSet::new();
        for asked in [
            "SHOW INDEXES YIELD name RETURN name",
            "SHOW CONSTRAINTS YIELD name RETURN name",
        ] {
            let named: Vec<Named> = self.read(query(asked)).await?;
            names.extend(named.into_iter().map(|it| it.name));
        }
        Ok(names)
    }

    /// Has the server read every statement of a script, and run none.
    pub(super) async fn explain(&self, script: &Script) -> Result<(), Failure> {
        for statement in script.statements.iter().filter(|it| self.understands(it)) {
            let explained = self
                .write(query(&format!("EXPLAIN {}", statement.text)))
                .await;
            explained.map_err(|failure| placed(&script.file, statement, failure))?;
        }
        Ok(())
    }

    /// Runs one statement in a transaction of its own.
    pub(super) async fn run(&self, file: &str, statement: &Statement) -> Result<(), Failure> {
        let done = self.write(query(&statement.text)).await;
        done.map_err(|failure| placed(file, statement, failure))
    }

    /// Runs what answers nothing.
    pub(super) async fn write(&self, asked: Query) -> Result<(), Failure> {
        match transact(&self.servers, &self.retries, &Told(asked)).await {
            Err(failure) if is_made_by_another(&failure) => Ok(()),
            outcome => outcome,
        }
    }

    /// Rows by their columns' names.
    pub(super) async fn read<T: DeserializeOwned + Send>(
        &self,
        asked: Query,
    ) -> Result<Vec<T>, Failure> {
        let asked = Asked {
            query: asked,
            rows: PhantomData,
        };
        transact(&self.servers, &self.retries, &asked).await
    }

    /// Waits until the indexes of these names are built. Those of others are not waited for.
    pub(super) async fn built(&self, names: Vec<String>) -> Result<(), Failure> {
        let deadline = Instant::now() + BUILT_WITHIN;
        loop {
            let asked = query(NOT_BUILT).param("names", names.clone());
            let open: Vec<Unbuilt> = self.read(asked).await?;
            if let Some(failed) = open.iter().find(|it| it.state == "FAILED") {
                return Err(Failure::fatal(format!(
                    "neo4j: index {} could not be built, and the server's log says why: drop it, then apply again",
                    failed.name
                )));
            }
            let Some(first) = open.first() else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Failure::transient(format!(
                    "neo4j: index {} is built to {:.0} % after {} minutes: it goes on by itself; apply again later",
                    first.name,
                    first.percent,
                    BUILT_WITHIN.as_secs() / 60
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A statement without an answer.
struct Told(Query);

#[async_trait]
impl Work for Told {
    const DOING: &'static str = "change the schema of";
    type Told = ();

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        transaction.run(self.0.clone()).await
    }
}

/// A question, and what its rows are.
struct Asked<T> {
    query: Query,
    rows: PhantomData<fn() -> T>,
}

#[async_trait]
impl<T: DeserializeOwned + Send> Work for Asked<T> {
    const DOING: &'static str = "ask for the schema of";
    type Told = Vec<T>;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Vec<T>, Trouble> {
        transaction.rows(self.query.clone()).await
    }
}

/// Names of what a migration makes here, and does not drop again itself.
pub(super) fn names_of(database: &Database, migration: &Migration) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let statements = migration.apply.statements.iter();
    for statement in statements.filter(|it| database.understands(it)) {
        names.extend(statement.makes().map(str::to_owned));
        if let Some(dropped) = statement.drops() {
            names.retain(|name| name != dropped);
        }
    }
    names
}

fn is_made_by_another(failure: &Failure) -> bool {
    MADE_BY_ANOTHER
        .iter()
        .any(|code| failure.reason().contains(code))
}

/// The failure with its place in the file.
fn placed(file: &str, statement: &Statement, failure: Failure) -> Failure {
    let line = statement.line + lines_below(failure.reason());
    let reason = format!("{file} line {line}: {}", failure.reason());
    match failure {
        Failure::Transient { retry_after, .. } => Failure::Transient {
            reason,
            retry_after,
        },
        Failure::Poison(_) | Failure::Fatal(_) => Failure::Fatal(reason),
    }
}

/// Lines below the statement's first, out of the server's `(line 2, column 5 (offset: 30))`.
fn lines_below(message: &str) -> usize {
    let number = message
        .rsplit_once("(line ")
        .and_then(|(_, rest)| rest.split_once(','))
        .and_then(|(number, _)| number.parse::<usize>().ok());
    number.map_or(0, |it| it.saturating_sub(1))
}
