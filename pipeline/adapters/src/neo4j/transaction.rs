//! Transactions that are done again where they met another one, or where another server may serve them.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use neo4rs::{Error, Query, Txn};
use penstock_runtime::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::classify::{Remedy, Trouble, classify};
use super::servers::{Lease, Servers};
use super::statements::WRITERS;

/// How often a transaction is begun that meets others. Beyond, the loop waits longer than we do.
const ATTEMPTS: u32 = 10;
/// Before the second attempt; doubles.
const PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// What one transaction does. It may be done again from the start.
#[async_trait]
pub(super) trait Work: Sync {
    /// What was tried, for errors: "write to".
    const DOING: &'static str;
    type Told: Send;
    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Self::Told, Trouble>;
}

/// An open transaction on a connection of its own. Dropped before the end, it takes the connection with it, and the
/// server rolls back.
pub(super) struct Transaction<'a> {
    // Before the lease: the driver must find the pool to which it gives the connection back.
    open: Txn,
    lease: Lease<'a>,
    deadline: Instant,
    timeout: Duration,
    address: String,
    doing: String,
}

/// What the timeout is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Whole,
    Record,
}

#[derive(Deserialize)]
struct Writers {
    addresses: Vec<String>,
}

/// Does `work` in one transaction, and counts in `retries` how often it was begun again.
pub(super) async fn transact<W: Work>(
    servers: &Servers,
    retries: &AtomicU64,
    work: &W,
) -> Result<W::Told, Failure> {
    let mut attempt = 1;
    let mut passed_over = 1;
    loop {
        // The driver takes what a server sends for well-formed, and panics where it is not.
        let done = AssertUnwindSafe(once(servers, work)).catch_unwind().await;
        let trouble = match done {
            Ok(Ok(told)) => return Ok(told),
            Ok(Err(trouble)) => trouble,
            Err(_) => {
                return Err(Failure::fatal(format!(
                    "{} neo4j: the driver cannot read what the server sends; check neo4j.url",
                    W::DOING
                )));
            }
        };
        match trouble.remedy {
            Remedy::Again if attempt < ATTEMPTS => {
                sleep(pause(attempt)).await;
                attempt += 1;
            }
            Remedy::NextServer if passed_over < servers.count() => passed_over += 1,
            _ => return Err(trouble.failure),
        }
        retries.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            reason = trouble.failure.reason(),
            "the graph transaction is begun again"
        );
    }
}

/// Exponential, with full jitter: two that met must not meet again.
fn pause(attempt: u32) -> Duration {
    let most = PAUSE
        .saturating_mul(2_u32.saturating_pow(attempt))
        .min(LONGEST_PAUSE);
    most.mul_f64(rand::random::<f64>())
}

async fn once<W: Work>(servers: &Servers, work: &W) -> Result<W::Told, Trouble> {
    if servers.is_to_be_asked() {
        ask_for_writers(servers, W::DOING).await?;
    }
    let lease = servers.lease().await?;
    let server = lease.server;
    let done = on(lease, servers, work).await;
    if let Err(trouble) = &done
        && matches!(trouble.remedy, Remedy::NextServer | Remedy::Later)
    {
        servers.pass_over(server);
    }
    done
}

async fn on<W: Work>(lease: Lease<'_>, servers: &Servers, work: &W) -> Result<W::Told, Trouble> {
    let mut transaction = Transaction::begin(lease, servers, W::DOING).await?;
    match work.run(&mut transaction).await {
        Ok(told) => {
            transaction.commit().await?;
            Ok(told)
        }
        Err(trouble) => {
            // Such an answer was read to its end.
            if trouble.remedy == Remedy::Again {
                drop(transaction.open);
                transaction.lease.give_back();
            }
            Err(trouble)
        }
    }
}

/// Moves on to the server that takes writes, where the one in use knows it and it is one of ours. A server that does
/// not tell is used: a write will show what it is.
async fn ask_for_writers(servers: &Servers, doing: &str) -> Result<(), Trouble> {
    let lease = servers.lease().await?;
    let server = lease.server;
    let mut transaction = match Transaction::begin(lease, servers, doing).await {
        Ok(transaction) => transaction,
        Err(trouble) => {
            if matches!(trouble.remedy, Remedy::NextServer | Remedy::Later) {
                servers.pass_over(server);
            }
            return Err(trouble);
        }
    };
    let question = Query::new(WRITERS.into()).param("database", servers.database());
    let told: Result<Vec<Writers>, Trouble> = transaction.rows(question).await;
    let writers = told.unwrap_or_default();
    let writers: Vec<String> = writers.into_iter().flat_map(|it| it.addresses).collect();
    if servers.told_of_writers(server, &writers) {
        tracing::info!(
            server = servers.address(server),
            "another server of neo4j.url takes the writes"
        );
    }
    Ok(())
}

impl<'a> Transaction<'a> {
    async fn begin(lease: Lease<'a>, servers: &Servers, doing: &str) -> Result<Self, Trouble> {
        let address = servers.address(lease.server);
        let doing = format!("{doing} neo4j at {address}");
        let timeout = servers.timeout();
        let deadline = Instant::now() + timeout;
        let open = within(deadline, &doing, lease.graph.start_txn()).await?;
        Ok(Self {
            open,
            lease,
            deadline,
            timeout,
            address,
            doing,
        })
    }

    /// Runs a statement that answers nothing.
    pub async fn run(&mut self, query: Query) -> Result<(), Trouble> {
        within(self.deadline, &self.doing, self.open.run(query)).await
    }

    /// All records of an answer that is small.
    pub async fn rows<T: DeserializeOwned + Send>(
        &mut self,
        query: Query,
    ) -> Result<Vec<T>, Trouble> {
        let mut rows = Vec::new();
        self.each(query, |row| {
            rows.push(row);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// The first record of an answer.
    pub async fn one<T: DeserializeOwned + Send>(
        &mut self,
        query: Query,
    ) -> Result<Option<T>, Trouble> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// Every record of an answer, in turn.
    pub async fn each<T: DeserializeOwned>(
        &mut self,
        query: Query,
        take: impl FnMut(T) -> Result<(), Failure> + Send,
    ) -> Result<(), Trouble> {
        self.stream(query, Pace::Whole, take).await
    }

    /// The same of a long answer: each record may take as long as a transaction.
    pub async fn long_each<T: DeserializeOwned>(
        &mut self,
        query: Query,
        take: impl FnMut(T) -> Result<(), Failure> + Send,
    ) -> Result<(), Trouble> {
        self.stream(query, Pace::Record, take).await
    }

    async fn stream<T: DeserializeOwned>(
        &mut self,
        query: Query,
        pace: Pace,
        mut take: impl FnMut(T) -> Result<(), Failure> + Send,
    ) -> Result<(), Trouble> {
        self.keep(pace);
        let mut records = within(self.deadline, &self.doing, self.open.execute(query)).await?;
        loop {
            self.keep(pace);
            let next = records.next(self.open.handle());
            let Some(row) = within(self.deadline, &self.doing, next).await? else {
                return Ok(());
            };
            let row = row.to::<T>().map_err(|error| {
                Failure::fatal(format!(
                    "{}: a record is not as it should be ({error}): who wrote to the graph? rebuild it",
                    self.doing
                ))
            })?;
            take(row)?;
        }
    }

    fn keep(&mut self, pace: Pace) {
        if pace == Pace::Record {
            self.deadline = Instant::now() + self.timeout;
        }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// What the transaction found makes it begin again, with this reason.
    pub fn again(&self, what: &str) -> Trouble {
        Trouble::again(format!("{}: {what}", self.doing))
    }

    async fn commit(self) -> Result<(), Trouble> {
        let Self {
            open,
            lease,
            deadline,
            doing,
            ..
        } = self;
        within(deadline, &doing, open.commit()).await?;
        lease.give_back();
        Ok(())
    }
}

async fn within<T>(
    deadline: Instant,
    doing: &str,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    match timeout_at(deadline, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(classify(&error, doing)),
        Err(_) => Err(Trouble::later(format!(
            "{doing}: no answer in time; allow more with neo4j.timeout_seconds"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        for attempt in 1..40 {
            assert!(pause(attempt) <= LONGEST_PAUSE);
        }
        assert!(pause(1) <= PAUSE * 2);
    }
}
