//! One collection: its configuration, the engine's shard, and the writes the shard has not flushed.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prost::Message;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionInfo, CollectionStatus, OptimizerStatus, PayloadSchemaInfo,
};
use qdrant_edge::{EdgeShard, OperationError, OperationResult, UpdateOperation};
use tonic::Status;

use super::convert::operation;
use super::engine::engine_config;
use super::index;
use super::journal::{Entry, Journal, entries};
use super::shelf::{missing, replace};

/// Bytes of journal after which the segments are put in order and the engine's log is shortened.
const JOURNAL: u64 = 64 * 1024 * 1024;
/// Where configuration and payload indexes stand.
const KEPT: &str = "collection";
/// The engine's log: written before each operation, never read again, never shortened by it.
const LOG: &str = "wal";

pub(super) struct Collection {
    name: String,
    folder: PathBuf,
    kept: RwLock<CollectionInfo>,
    /// None once it is closed.
    shard: RwLock<Option<EdgeShard>>,
    /// Held by whoever writes.
    journal: Mutex<Journal>,
    operations: AtomicU64,
}

impl Collection {
    pub fn create(name: &str, folder: &Path, config: CollectionConfig) -> Result<Self, Status> {
        fs::create_dir_all(folder).map_err(failed)?;
        let kept = CollectionInfo {
            config: Some(config),
            ..CollectionInfo::default()
        };
        replace(&folder.join(KEPT), &kept.encode_to_vec()).map_err(failed)?;
        Self::open(name, folder).inspect_err(|_| {
            // Nobody was told that there is one.
            let _ = fs::remove_dir_all(folder);
        })
    }

    pub fn open(name: &str, folder: &Path) -> Result<Self, Status> {
        let bytes = fs::read(folder.join(KEPT)).map_err(failed)?;
        let kept = CollectionInfo::decode(bytes.as_slice()).map_err(failed)?;
        let shard = load(folder, &kept)?;
        let mut journal = Journal::open(folder).map_err(failed)?;
        journal.clear().map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            kept: RwLock::new(kept),
            shard: RwLock::new(Some(shard)),
            journal: Mutex::new(journal),
            operations: AtomicU64::new(0),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn config(&self) -> CollectionConfig {
        self.kept().config.clone().unwrap_or_default()
    }

    /// Payload indexes by field.
    pub fn with_schema<T>(
        &self,
        look: impl FnOnce(&std::collections::HashMap<String, PayloadSchemaInfo>) -> T,
    ) -> T {
        look(&self.kept().payload_schema)
    }

    pub fn info(&self) -> Result<CollectionInfo, Status> {
        let shard = self.read(|shard| Ok(shard.info()))?;
        let mut info = self.kept().clone();
        info.status = CollectionStatus::Green.into();
        info.optimizer_status = Some(OptimizerStatus {
            ok: true,
            error: String::new(),
        });
        info.segments_count = shard.segments_count as u64;
        info.points_count = Some(shard.points_count as u64);
        info.indexed_vectors_count = Some(shard.indexed_vectors_count as u64);
        for (field, found) in shard.payload_schema {
            if let Some(known) = info.payload_schema.get_mut(&field.to_string()) {
                known.points = Some(found.points as u64);
            }
        }
        Ok(info)
    }

    /// Runs `work` on the shard.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&EdgeShard) -> OperationResult<T>,
    ) -> Result<T, Status> {
        let shard = self.shard.read().unwrap_or_else(PoisonError::into_inner);
        let Some(shard) = shard.as_ref() else {
            return Err(missing(&self.name));
        };
        guarded(|| work(shard))
    }

    /// Does a write; it is durable when this returns. The number of the operation.
    pub fn write(&self, entry: Entry) -> Result<u64, Status> {
        let frame = entry.encode();
        let operation = operation(entry)?;
        let mut journal = self.writing();
        self.read(|shard| shard.update(operation))?;
        journal.append(&frame).map_err(failed)?;
        if journal.length() > JOURNAL {
            self.tidy(&mut journal)?;
        }
        Ok(self.operations.fetch_add(1, Ordering::Relaxed))
    }

    /// Sets (or with none drops) the index of a field.
    pub fn set_index(&self, field: &str, schema: Option<PayloadSchemaInfo>) -> Result<u64, Status> {
        let operation = match &schema {
            Some(schema) => index::create(field, schema)?,
            None => index::delete(field)?,
        };
        let _journal = self.writing();
        self.read(|shard| shard.update(operation))?;
        let mut kept = self.keeping();
        let schemas = &mut kept.payload_schema;
        match schema {
            Some(schema) => schemas.insert(field.to_owned(), schema),
            None => schemas.remove(field),
        };
        self.keep(&kept)?;
        Ok(self.operations.fetch_add(1, Ordering::Relaxed))
    }

    /// Another configuration of the same vectors: the graph is built anew when segments are put in order.
    pub fn configure(
        &self,
        change: impl FnOnce(CollectionConfig) -> Result<CollectionConfig, Status>,
    ) -> Result<(), Status> {
        let mut journal = self.writing();
        {
            let mut kept = self.keeping();
            let config = change(kept.config.clone().unwrap_or_default())?;
            kept.config = Some(config);
            self.keep(&kept)?;
        }
        self.tidy(&mut journal)
    }

    pub fn optimise(&self) -> Result<(), Status> {
        let mut journal = self.writing();
        self.tidy(&mut journal)
    }

    pub fn close(&self) {
        let mut journal = self.writing();
        let mut open = self.shard.write().unwrap_or_else(PoisonError::into_inner);
        // Closing flushes, which panics where it cannot: then the journal holds what is missing.
        let closed = catch_unwind(AssertUnwindSafe(|| drop(open.take())));
        if closed.is_ok() {
            // What stays is done again.
            let _ = journal.clear();
        }
    }

    pub fn remove(&self) -> Result<(), Status> {
        self.close();
        fs::remove_dir_all(&self.folder).map_err(failed)
    }

    /// Builds what is to be built, and opens the shard anew: with the configuration as it is, indexes for new segments, and
    /// a short log. Reads wait while it is opened.
    fn tidy(&self, journal: &mut Journal) -> Result<(), Status> {
        let kept = self.kept().clone();
        let config = engine_config(&kept.config.clone().unwrap_or_default())?;
        self.read(|shard| {
            shard.flush();
            for (name, vector) in &config.vectors {
                if let Some(hnsw) = vector.hnsw_config {
                    shard.set_vector_hnsw_config(name, hnsw)?;
                }
            }
            shard.set_optimizers_config(config.optimizers.clone())?;
            shard.optimize()
        })?;
        let mut open = self.shard.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(shard) = open.take() {
            guarded(|| {
                drop(shard);
                Ok(())
            })?;
        }
        journal.clear().map_err(failed)?;
        *open = Some(load(&self.folder, &kept)?);
        Ok(())
    }

    fn keep(&self, kept: &CollectionInfo) -> Result<(), Status> {
        replace(&self.folder.join(KEPT), &kept.encode_to_vec()).map_err(failed)
    }

    fn writing(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> RwLockReadGuard<'_, CollectionInfo> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeping(&self) -> RwLockWriteGuard<'_, CollectionInfo> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shard with its indexes and all of the journal, flushed; made if missing.
fn load(folder: &Path, kept: &CollectionInfo) -> Result<EdgeShard, Status> {
    let config = engine_config(&kept.config.clone().unwrap_or_default())?;
    trim(folder);
    let mut operations: Vec<UpdateOperation> = Vec::new();
    for (field, schema) in &kept.payload_schema {
        operations.push(index::create(field, schema)?);
    }
    let shard = guarded(|| {
        if qdrant_edge::EdgeConfig::load(folder).is_some() {
            EdgeShard::load(folder, Some(config))
        } else {
            EdgeShard::new(folder, config)
        }
    })?;
    for entry in entries(folder).map_err(failed)? {
        operations.push(operation(entry)?);
    }
    guarded(|| {
        for operation in operations {
            shard.update(operation)?;
        }
        shard.flush();
        Ok(shard)
    })
}

/// Removes what the engine will not read of its log: all closed files but the last, which holds the count of operations.
fn trim(folder: &Path) {
    let Ok(files) = fs::read_dir(folder.join(LOG)) else {
        return;
    };
    let mut closed: Vec<(u64, PathBuf)> = files
        .flatten()
        .filter_map(|file| {
            let name = file.file_name();
            let first = name.to_str()?.strip_prefix("closed-")?.parse().ok()?;
            Some((first, file.path()))
        })
        .collect();
    closed.sort_unstable();
    closed.pop();
    for (_, path) in closed {
        // It is tried again next time.
        let _ = fs::remove_file(path);
    }
}

/// Errors and panics of the engine in the server's words.
fn guarded<T>(work: impl FnOnce() -> OperationResult<T>) -> Result<T, Status> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(Status::internal("Service internal error: task panicked")),
    }
}

/// What a server says to an error of the engine.
pub(super) fn refused(error: &OperationError) -> Status {
    match error {
        OperationError::WrongVectorDimension { .. }
        | OperationError::VectorNameNotExists { .. }
        | OperationError::WrongSparse
        | OperationError::WrongMulti
        | OperationError::TypeError { .. }
        | OperationError::TypeInferenceError { .. }
        | OperationError::MissingRangeIndexForOrderBy { .. }
        | OperationError::ValidationError { .. } => {
            Status::invalid_argument(format!("Wrong input: {error}"))
        }
        OperationError::PointIdError { .. } => Status::not_found(format!("Not found: {error}")),
        OperationError::Timeout { .. } => Status::deadline_exceeded(format!("Timeout: {error}")),
        _ => failed(error),
    }
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("Service internal error: {error}"))
}
