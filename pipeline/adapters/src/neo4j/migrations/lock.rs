//! One at a time: a lock in the database, which outlives nobody for long.

use std::time::{Duration, Instant};

use neo4rs::{Query, query};
use penstock_runtime::Failure;
use serde::Deserialize;
use uuid::Uuid;

use super::database::Database;

/// How long the lock of a process that died stays.
const HELD_FOR: Duration = Duration::from_secs(30);
/// How often a live holder says so.
const RENEWED_EVERY: Duration = Duration::from_secs(8);
/// Longer than a lock nobody renews.
const WAIT: Duration = Duration::from_secs(10 * 60);
const POLL: Duration = Duration::from_millis(200);

/// Makes the node one of its kind; without it two at once would each make their own.
const CONSTRAINTS: [&str; 2] = [
    "CREATE CONSTRAINT schema_lock_name IF NOT EXISTS FOR (lock:SchemaLock) REQUIRE lock.name IS UNIQUE",
    "CREATE CONSTRAINT schema_version_version IF NOT EXISTS FOR (v:SchemaVersion) REQUIRE v.version IS UNIQUE",
];

/// Times are the server's. The first SET takes the node's write lock, so that what is read after it is the newest.
const TAKE: &str = "\
    MERGE (lock:SchemaLock {name: 'schema'}) \
    SET lock.asked_at = timestamp() \
    WITH lock, coalesce(lock.owner, '') AS holder, coalesce(lock.expires_at, 0) AS expires_at \
    FOREACH (_ IN CASE WHEN holder IN ['', $owner] OR expires_at < timestamp() THEN [1] ELSE [] END | \
        SET lock.owner = $owner, lock.expires_at = timestamp() + $held_for) \
    RETURN coalesce(lock.owner, '') AS owner";

/// Nobody takes the lock over before what follows is committed.
const FENCE: &str = "\
    MATCH (lock:SchemaLock {name: 'schema'}) SET lock.asked_at = timestamp() WITH lock WHERE lock.owner = $owner";

const RENEW: &str = "\
    MATCH (lock:SchemaLock {name: 'schema', owner: $owner}) \
    SET lock.expires_at = timestamp() + $held_for RETURN lock.owner AS owner";

const RELEASE: &str = "\
    MATCH (lock:SchemaLock {name: 'schema', owner: $owner}) REMOVE lock.owner, lock.expires_at";

#[derive(Deserialize)]
struct Owned {
    owner: String,
}

/// The right to change the schema.
pub(super) struct Lock<'a> {
    database: &'a Database,
    owner: String,
}

impl<'a> Lock<'a> {
    /// Waits until whoever has it is done, or is silent for too long.
    pub(super) async fn take(database: &'a Database) -> Result<Self, Failure> {
        for constraint in CONSTRAINTS {
            database.write(query(constraint)).await?;
        }
        let lock = Self {
            database,
            owner: format!("{}/{}", std::process::id(), Uuid::new_v4()),
        };
        let deadline = Instant::now() + WAIT;
        loop {
            let owners = lock.ask(TAKE).await?;
            let holder = owners.first().map_or("", String::as_str);
            if holder == lock.owner {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(Failure::transient(format!(
                    "neo4j: {holder} has been changing the schema for {} minutes: wait until it is done, then apply again",
                    WAIT.as_secs() / 60
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Does `work` and keeps the lock meanwhile.
    pub(super) async fn during<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::pin!(work);
        let mut renewal = tokio::time::interval(RENEWED_EVERY);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                _ = renewal.tick() => self.renew().await?,
            }
        }
    }

    /// Runs `text`, which ends in `RETURN lock.owner AS owner`, only where the lock is still ours.
    pub(super) async fn write(
        &self,
        text: &str,
        params: impl FnOnce(Query) -> Query,
    ) -> Result<(), Failure> {
        let asked = query(&format!("{FENCE} {text}")).param("owner", self.owner.clone());
        let rows: Vec<Owned> = self.database.read(params(asked)).await?;
        self.still_ours(!rows.is_empty())
    }

    pub(super) async fn release(self) -> Result<(), Failure> {
        let asked = query(RELEASE).param("owner", self.owner.clone());
        self.database.write(asked).await
    }

    async fn renew(&self) -> Result<(), Failure> {
        let owners = self.ask(RENEW).await?;
        self.still_ours(!owners.is_empty())
    }

    fn still_ours(&self, is_ours: bool) -> Result<(), Failure> {
        match is_ours {
            true => Ok(()),
            false => Err(Failure::transient(
                "neo4j: another process took over the schema because this one was silent: apply again",
            )),
        }
    }

    async fn ask(&self, text: &str) -> Result<Vec<String>, Failure> {
        let held_for = i64::try_from(HELD_FOR.as_millis()).unwrap_or(i64::MAX);
        let asked = query(text)
            .param("owner", self.owner.clone())
            .param("held_for", held_for);
        let owned: Vec<Owned> = self.database.read(asked).await?;
        Ok(owned.into_iter().map(|it| it.owner).collect())
    }
}
