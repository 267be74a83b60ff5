//! The shard with what the engine leaves to its user: opening and verifying, durability, trimming the log, containing
//! panics, starting over after one.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use penstock_runtime::Failure;
use penstock_stages::index::{CollectionSpec, DENSE};
use qdrant_edge::{EdgeConfig, EdgeShard, OperationResult, UpdateOperation};

use super::classify::{by_text, classify, panicked};
use super::config::{
    LOG_FILE, Search, distance, engine_config, hnsw_config, indexes, optimizers_config,
};
use super::journal::{Journal, operations};

/// The engine's log: written before each operation, never read again, never shortened.
const LOG: &str = "wal";
/// Where the engine builds segments; what is left here was interrupted.
const UNFINISHED: &str = "temp_segments";
/// Log files let be before the shard is opened anew to be rid of them. They are mapped into memory meanwhile.
const LOG_FILES: usize = 8;
/// Bytes of journal after which the engine is flushed (they are read again after a kill) and its segments put in order.
const JOURNAL: u64 = 6 * 1024 * 1024;
/// Free bytes below which nothing is written. The engine maps files before it fills them: on a full disk that ends the
/// process instead of failing a call.
const RESERVE: u64 = 128 * 1024 * 1024;

/// Bytes a batch may need beside the reserve: the engine starts a log file with its full size.
pub const GROWTH: u64 = LOG_FILE as u64;

pub struct Engine {
    dir: PathBuf,
    spec: CollectionSpec,
    indexes: Vec<UpdateOperation>,
    /// None after a failed start over.
    shard: RwLock<Option<EdgeShard>>,
    journal: Mutex<Journal>,
}

impl Engine {
    pub fn open(dir: &Path, spec: &CollectionSpec) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(|error| {
            Failure::fatal(format!(
                "vector store: folder {} cannot be made: {error}: choose another data folder or mend its permissions",
                dir.display()
            ))
        })?;
        let journal = Journal::open(dir).map_err(|error| io_failed(dir, &error))?;
        let engine = Self {
            dir: dir.to_owned(),
            spec: spec.clone(),
            indexes: indexes(spec).map_err(|error| classify(&error))?,
            shard: RwLock::new(None),
            journal: Mutex::new(journal),
        };
        engine.check_space(0)?;
        engine.verify(spec)?;
        engine.start_over()?;
        Ok(engine)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `work` on the shard; a panic of the engine is a failure. A call may block as long as the disk takes.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&EdgeShard) -> OperationResult<T>,
    ) -> Result<T, Failure> {
        let guard = self.shared();
        let Some(shard) = guard.as_ref() else {
            return Err(Failure::transient(format!(
                "vector store: {} could not be opened again after a failure: look at the log for its reason",
                self.dir.display()
            )));
        };
        guarded(|| work(shard))
    }

    /// Makes what was written durable: `lines` are its operations for the journal.
    pub fn record(&self, lines: &[u8]) -> Result<(), Failure> {
        let recorded = self.journal().append(lines);
        match recorded {
            Ok(()) => Ok(()),
            // The long way may still work.
            Err(_) => self.flush(),
        }
    }

    /// Writes all of the engine's files, so that the journal can start anew.
    pub fn flush(&self) -> Result<(), Failure> {
        self.read(|shard| {
            shard.flush();
            Ok(())
        })?;
        self.journal()
            .clear()
            .map_err(|error| io_failed(&self.dir, &error))
    }

    /// Moves what has grown large into segments that are read from disk, and merges small ones; says whether there was
    /// anything to do. Reads go on. It may take as long as a graph takes to build.
    pub fn optimise(&self) -> Result<bool, Failure> {
        self.read(|shard| {
            let search = Search::of(&self.spec, shard.info().points_count);
            shard.set_vector_hnsw_config(DENSE, hnsw_config(&self.spec, search))?;
            shard.set_optimizers_config(optimizers_config(&self.spec, search))?;
            shard.optimize()
        })
    }

    /// Whether the journal has grown enough to be worth a flush.
    pub fn journal_is_long(&self) -> bool {
        self.journal().length() > JOURNAL
    }

    /// Whether there is anything to flush.
    pub fn journal_is_empty(&self) -> bool {
        self.journal().length() == 0
    }

    /// Refuses when `bytes` more might fill the disk.
    pub fn check_space(&self, bytes: u64) -> Result<(), Failure> {
        // Where the system does not tell, the engine's own errors have to do.
        let Ok(free) = fs4::available_space(&self.dir) else {
            return Ok(());
        };
        if free >= RESERVE.saturating_add(bytes) {
            return Ok(());
        }
        Err(Failure::transient(format!(
            "vector store: {} MiB are free in {}, {} MiB are needed: free some space, or move the data folder to a larger disk",
            free >> 20,
            self.dir.display(),
            RESERVE.saturating_add(bytes) >> 20
        )))
    }

    /// Whether the log has grown enough to be worth opening the shard anew.
    pub fn log_is_long(&self) -> bool {
        self.closed_logs().len() > LOG_FILES
    }

    /// Opens the shard, after closing the one that is open, without what is not needed of its log, and with what only the
    /// journal holds. Reads wait.
    pub fn start_over(&self) -> Result<(), Failure> {
        let mut shard = self.shard.write().unwrap_or_else(PoisonError::into_inner);
        self.close(shard.take());
        *shard = Some(self.load()?);
        self.journal()
            .clear()
            .map_err(|error| io_failed(&self.dir, &error))
    }

    /// Closing flushes, which panics where it cannot: then the journal still holds all that was answered for.
    fn close(&self, shard: Option<EdgeShard>) {
        let Some(shard) = shard else { return };
        let closed = catch_unwind(AssertUnwindSafe(|| drop(shard)));
        match closed {
            Ok(()) => {
                if let Err(error) = self.journal().clear() {
                    tracing::warn!(%error, "vector store: the journal stays, and is done again");
                }
            }
            Err(panic) => {
                tracing::warn!(reason = %panicked(&*panic), "vector store did not close cleanly");
            }
        }
    }

    /// Starts over where the last attempt at it failed.
    pub fn make_ready(&self) -> Result<(), Failure> {
        if self.shared().is_some() {
            return Ok(());
        }
        self.start_over()
    }

    /// Runs `look` while no file changes.
    #[cfg(test)]
    pub fn frozen<T>(&self, look: impl FnOnce() -> T) -> T {
        let _shard = self.shard.write().unwrap_or_else(PoisonError::into_inner);
        look()
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> RwLockReadGuard<'_, Option<EdgeShard>> {
        self.shard.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Size and distance of the collection that is there, against the declared ones.
    fn verify(&self, spec: &CollectionSpec) -> Result<(), Failure> {
        let Some(found) = EdgeConfig::load(&self.dir) else {
            return Ok(());
        };
        let found = found.map_err(|error| classify(&error))?;
        let declared = &spec.vectors.dense;
        let Some(dense) = found.vectors.get(DENSE) else {
            return Err(Failure::fatal(format!(
                "vector store: the collection in {} has no vector named {DENSE}: it is not ours, choose another data folder",
                self.dir.display()
            )));
        };
        if dense.size == declared.size && dense.distance == distance(declared.distance) {
            return Ok(());
        }
        Err(Failure::fatal(format!(
            "vector store: the collection in {} holds vectors of {} numbers compared by {}, declared is {} by {}: use the \
             model it was built with, or ingest into an empty data folder",
            self.dir.display(),
            dense.size,
            format!("{:?}", dense.distance).to_lowercase(),
            declared.size,
            declared.distance.name()
        )))
    }

    /// Opens the shard, made if missing, with every declared index and all of the journal, flushed.
    fn load(&self) -> Result<EdgeShard, Failure> {
        self.lock()?;
        self.trim();
        let known = EdgeConfig::load(&self.dir).is_some();
        let config = engine_config(&self.spec);
        guarded(|| {
            let shard = if known {
                EdgeShard::load(&self.dir, Some(config))?
            } else {
                EdgeShard::new(&self.dir, config)?
            };
            for index in &self.indexes {
                shard.update(index.clone())?;
            }
            for operation in operations(&self.dir)? {
                shard.update(operation?)?;
            }
            shard.flush();
            Ok(shard)
        })
    }

    /// Finds out whether another process has the collection open: the engine locks its log while it runs.
    fn lock(&self) -> Result<(), Failure> {
        let log = self.dir.join(LOG);
        let Ok(file) = fs::File::open(log) else {
            // Not made yet.
            return Ok(());
        };
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => Err(Failure::fatal(format!(
                "vector store: {} is in use by another process: end it, or choose another data folder",
                self.dir.display()
            ))),
            // Given back when `file` goes. An error is the engine's to report when it locks for good.
            Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(()),
        }
    }

    /// Removes what the engine will not read: all closed log files but the last, which holds the count of operations, and
    /// segments it did not finish. What cannot be removed is removed next time.
    fn trim(&self) {
        let mut closed = self.closed_logs();
        closed.pop();
        for (_, path) in closed {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "vector store keeps an old log file");
            }
        }
        let unfinished = self.dir.join(UNFINISHED);
        if unfinished.exists()
            && let Err(error) = fs::remove_dir_all(&unfinished)
        {
            tracing::warn!(path = %unfinished.display(), %error, "vector store keeps an unfinished segment");
        }
    }

    /// Full log files by the number of their first operation.
    fn closed_logs(&self) -> Vec<(u64, PathBuf)> {
        let Ok(entries) = fs::read_dir(self.dir.join(LOG)) else {
            return Vec::new();
        };
        let mut closed: Vec<(u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let first = name.to_str()?.strip_prefix("closed-")?.parse().ok()?;
                Some((first, entry.path()))
            })
            .collect();
        closed.sort_unstable();
        closed
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let shard = self.shard.get_mut().unwrap_or_else(PoisonError::into_inner);
        let shard = shard.take();
        self.close(shard);
    }
}

/// Errors and panics of the engine as failures. What a panic leaves half done is dropped by starting over.
fn guarded<T>(work: impl FnOnce() -> OperationResult<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(&error)),
        Err(panic) => Err(panicked(&*panic)),
    }
}

fn io_failed(dir: &Path, error: &std::io::Error) -> Failure {
    by_text(&format!("{}: {error}", dir.display()))
}
