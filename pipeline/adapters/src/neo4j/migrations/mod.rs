//! The schema of the graph as numbered migrations: `V001__name.cypher` with `U001__name.cypher` to take it back. What was
//! applied stands in `:SchemaVersion` nodes.
//!
//! In Neo4j a statement that changes the schema is a transaction of its own, so a migration that is broken off is half
//! done. Each statement can therefore be run again, the node is written last, and applying goes on from the start.

mod database;
mod files;
mod history;
mod lock;
mod statement;
#[cfg(test)]
mod tests;

use std::time::Instant;

use penstock_runtime::Failure;
use serde::{Deserialize, Serialize};

use self::database::{Database, names_of};
use self::history::{made, missing, pending, to_undo};
use self::lock::Lock;
use super::Neo4jConfig;

pub use files::{Migration, Script, declared, read};
pub use history::Applied;
pub use statement::Statement;

/// The database held against the migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// community or enterprise.
    pub edition: String,
    /// Oldest first.
    pub applied: Vec<Applied>,
    /// What is to be applied, in order.
    pub pending: Vec<Step>,
    /// Constraints and indexes of applied migrations that somebody dropped.
    pub missing: Vec<String>,
    /// Why nothing is applied: the past is not what the files say.
    pub refused: Option<String>,
}

/// A migration to be applied or taken back, or one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub version: u32,
    pub name: String,
    pub checksum: String,
    /// As they are, or would be, run.
    pub statements: Vec<String>,
    /// Those that only the enterprise edition understands.
    pub skipped: Vec<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub steps: Vec<Step>,
    /// Dropped constraints and indexes that were made again.
    pub repaired: Vec<String>,
}

impl State {
    /// True where nothing is to be done.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.missing.is_empty() && self.refused.is_none()
    }

    /// Fatal where the past is not what the files say.
    pub fn refuse(&self) -> Result<(), Failure> {
        match &self.refused {
            Some(reason) => Err(Failure::fatal(format!("neo4j: {reason}"))),
            None => Ok(()),
        }
    }
}

/// Compares, and changes nothing.
pub async fn state(config: &Neo4jConfig, migrations: &[Migration]) -> Result<State, Failure> {
    let database = Database::open(config).await?;
    state_of(&database, migrations).await
}

/// Applies what is pending, in order, and makes again what was dropped. The server reads every statement before the
/// first one is run. Two at once: the second waits, and finds nothing to do.
pub async fn apply(config: &Neo4jConfig, migrations: &[Migration]) -> Result<Done, Failure> {
    let database = Database::open_to_change(config).await?;
    let state = state_of(&database, migrations).await?;
    state.refuse()?;
    if state.is_current() {
        return Ok(Done::default());
    }
    let is_pending = |it: &&Migration| state.pending.iter().any(|step| step.version == it.version);
    for migration in migrations.iter().filter(is_pending) {
        database.explain(&migration.apply).await?;
        database.explain(&migration.undo).await?;
    }
    let lock = Lock::take(&database).await?;
    let outcome = lock
        .during(apply_locked(&database, &lock, migrations))
        .await;
    let released = lock.release().await;
    let done = outcome?;
    released?;
    Ok(done)
}

/// Takes back the last migration, or all above `to`, newest first. What they hold of data stays.
pub async fn undo(
    config: &Neo4jConfig,
    migrations: &[Migration],
    to: Option<u32>,
) -> Result<Done, Failure> {
    let database = Database::open_to_change(config).await?;
    if to_undo(migrations, &database.applied().await?, to)?.is_empty() {
        return Ok(Done::default());
    }
    let lock = Lock::take(&database).await?;
    let outcome = lock
        .during(undo_locked(&database, &lock, migrations, to))
        .await;
    let released = lock.release().await;
    let done = outcome?;
    released?;
    Ok(done)
}

/// What `undo` would do.
pub async fn plan_undo(
    config: &Neo4jConfig,
    migrations: &[Migration],
    to: Option<u32>,
) -> Result<Vec<Step>, Failure> {
    let database = Database::open(config).await?;
    let applied = database.applied().await?;
    let steps = to_undo(migrations, &applied, to)?;
    Ok(steps
        .into_iter()
        .map(|it| step(&database, it, &it.undo))
        .collect())
}

/// Refuses a database that lacks what this build needs, and names the command to run.
pub async fn check(config: &Neo4jConfig) -> Result<(), Failure> {
    let state = state(config, &declared()?).await?;
    state.refuse()?;
    let lacking = state
        .pending
        .iter()
        .map(|it| format!("migration {}", files::label(it.version, &it.name)))
        .chain(state.missing);
    let lacking: Vec<String> = lacking.collect();
    match lacking.as_slice() {
        [] => Ok(()),
        [first, others @ ..] => {
            let more = match others.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Err(Failure::fatal(format!(
                "neo4j lacks {first}{more}: run `penstock schema apply`"
            )))
        }
    }
}

async fn state_of(database: &Database, migrations: &[Migration]) -> Result<State, Failure> {
    let applied = database.applied().await?;
    let (pending, refused) = match pending(migrations, &applied) {
        Ok(pending) => (pending, None),
        Err(failure) => (Vec::new(), Some(failure.reason().to_owned())),
    };
    let pending = pending
        .into_iter()
        .map(|it| step(database, it, &it.apply))
        .collect();
    let made = made(migrations, &applied, database.is_enterprise);
    let missing = missing(made, &database.names().await?)
        .into_iter()
        .map(|(name, _, _)| name.to_owned())
        .collect();
    Ok(State {
        edition: database.edition().to_owned(),
        applied,
        pending,
        missing,
        refused,
    })
}

fn step(database: &Database, migration: &Migration, script: &Script) -> Step {
    let (run, skipped): (Vec<_>, Vec<_>) = script
        .statements
        .iter()
        .partition(|it| database.understands(it));
    let texts = |statements: Vec<&Statement>| -> Vec<String> {
        statements.into_iter().map(|it| it.text.clone()).collect()
    };
    Step {
        version: migration.version,
        name: migration.name.clone(),
        checksum: migration.checksum.clone(),
        statements: texts(run),
        skipped: texts(skipped),
    }
}

/// Reads again: another may have been here while the lock was waited for.
async fn apply_locked(
    database: &Database,
    lock: &Lock<'_>,
    migrations: &[Migration],
) -> Result<Done, Failure> {
    let mut done = Done::default();
    let applied = database.applied().await?;
    let made = made(migrations, &applied, database.is_enterprise);
    for (name, file, statement) in missing(made, &database.names().await?) {
        database.run(file, statement).await?;
        done.repaired.push(name.to_owned());
    }
    database.built(done.repaired.clone()).await?;
    all_made(database, &done.repaired).await?;
    for migration in pending(migrations, &applied)? {
        let started = Instant::now();
        let step = run_script(database, migration, &migration.apply).await?;
        let names = names_of(database, migration);
        database.built(names.clone()).await?;
        all_made(database, &names).await?;
        remember(lock, migration, started, step.skipped.len()).await?;
        done.steps.push(step);
    }
    Ok(done)
}

async fn undo_locked(
    database: &Database,
    lock: &Lock<'_>,
    migrations: &[Migration],
    to: Option<u32>,
) -> Result<Done, Failure> {
    let mut done = Done::default();
    let applied = database.applied().await?;
    for migration in to_undo(migrations, &applied, to)? {
        let version = i64::from(migration.version);
        // Broken off from here on, it counts as not applied.
        let begin = "\
            MATCH (v:SchemaVersion {version: $version}) SET v.undoing = true RETURN lock.owner AS owner";
        lock.write(begin, |asked| asked.param("version", version))
            .await?;
        let step = run_script(database, migration, &migration.undo).await?;
        let forget = "\
            MATCH (v:SchemaVersion {version: $version}) DELETE v RETURN lock.owner AS owner";
        lock.write(forget, |asked| asked.param("version", version))
            .await?;
        done.steps.push(step);
    }
    Ok(done)
}

/// IF NOT EXISTS says nothing where the same stands under another name, and nobody would find ours by its name.
async fn all_made(database: &Database, names: &[String]) -> Result<(), Failure> {
    let found = database.names().await?;
    match names.iter().find(|name| !found.contains(*name)) {
        None => Ok(()),
        Some(name) => Err(Failure::fatal(format!(
            "neo4j: {name} was not made: an index or a constraint of the same properties has another name; drop that one, \
             then apply again"
        ))),
    }
}

async fn run_script(
    database: &Database,
    migration: &Migration,
    script: &Script,
) -> Result<Step, Failure> {
    let step = step(database, migration, script);
    for statement in script
        .statements
        .iter()
        .filter(|it| database.understands(it))
    {
        database.run(&script.file, statement).await?;
    }
    Ok(step)
}

async fn remember(
    lock: &Lock<'_>,
    migration: &Migration,
    started: Instant,
    skipped: usize,
) -> Result<(), Failure> {
    let text = "\
        MERGE (v:SchemaVersion {version: $version}) \
        SET v.name = $name, v.checksum = $checksum, v.applied_at = datetime(), v.duration_ms = $duration_ms, \
            v.skipped = $skipped \
        REMOVE v.undoing RETURN lock.owner AS owner";
    let number = |it: u128| i64::try_from(it).unwrap_or(i64::MAX);
    lock.write(text, |asked| {
        asked
            .param("version", i64::from(migration.version))
            .param("name", migration.name.clone())
            .param("checksum", migration.checksum.clone())
            .param("duration_ms", number(started.elapsed().as_millis()))
            .param("skipped", number(skipped as u128))
    })
    .await
}
