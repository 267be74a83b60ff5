//! The knowledge graph on SQLite, for one machine.

mod dump;
mod layout;
mod read;
mod show;
mod sql;
mod sweep;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::link::{ChunkRef, GraphCounts, GraphStore, Linked, Neighbour};
use tokio::sync::oneshot;
use uuid::Uuid;

use self::sql::Db;

/// A `GraphStore` in one SQLite file. The file belongs to a thread of its own, and every call is a job and one
/// transaction there: dropping a call's future does not undo or halve it.
pub struct SqlGraph {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce(&Db) + Send>;

impl SqlGraph {
    /// Opens the graph in `file`, and makes it if there is none. A file written by a newer Penstock is refused.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let db = Db::open(file)?;
        layout::prepare(&db)?;
        let (jobs, inbox) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("graph".into())
            .spawn(move || {
                for job in inbox {
                    job(&db);
                }
            })
            .map_err(|error| Failure::fatal(format!("cannot start the graph's thread: {error}")))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            // Nobody listens where the caller has gone; the work is done all the same.
            let _ = answer.send(db.transaction(work));
        });
        let sent = match &self.jobs {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        let ended = || Failure::fatal("the graph's thread has ended: restart");
        if !sent {
            return Err(ended());
        }
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for SqlGraph {
    fn drop(&mut self) {
        // Closing the channel ends the thread; waiting for it leaves the file closed.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl GraphStore for SqlGraph {
    async fn write(&self, rows: Vec<Linked>) -> Result<(), Failure> {
        self.call(move |db| write::write(db, &rows)).await
    }

    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure> {
        let chunks = chunks.to_vec();
        self.call(move |db| sweep::retain_chunks(db, document, edition, &chunks))
            .await
    }

    async fn show(&self, document: Uuid, edition: Uuid, order: &[Uuid]) -> Result<(), Failure> {
        let order = order.to_vec();
        self.call(move |db| show::show(db, document, edition, &order))
            .await
    }

    async fn retain_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
        let editions = editions.to_vec();
        self.call(move |db| sweep::retain_editions(db, document, &editions))
            .await
    }

    async fn neighbours(&self, chunks: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure> {
        let chunks = chunks.to_vec();
        self.call(move |db| read::neighbours(db, &chunks)).await
    }

    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ChunkRef>, Failure> {
        self.call(move |db| read::scroll(db, after, limit)).await
    }

    async fn dump(&self) -> Result<Vec<String>, Failure> {
        self.call(dump::dump).await
    }

    async fn counts(&self) -> Result<GraphCounts, Failure> {
        self.call(read::counts).await
    }

    async fn health(&self) -> Result<String, Failure> {
        self.call(read::health).await
    }
}
