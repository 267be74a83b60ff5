//! One Rust type per Avro record; field docs stand in `avro/*.avsc`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A reference to bytes in the object store. Readers verify size and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub key: String,
    pub sha256: String,
    pub size: i64,
}

/// What is known of a document beside its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub source: String,
    pub key: String,
    pub path: String,
    pub title: Option<String>,
    pub author: Option<String>,
    pub language: Option<String>,
    pub created_at: Option<i64>,
    pub attributes: BTreeMap<String, String>,
}

/// Which document, which version of it and which processing of that version a record belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    pub group: String,
    pub document_guid: Uuid,
    pub version: Uuid,
    pub edition: Uuid,
    pub stamped: i64,
}

/// A document, a new version of one, or its deletion. A public contract: any program may produce it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub document_guid: Uuid,
    pub group: String,
    pub source: String,
    pub key: String,
    pub version: Uuid,
    pub deleted: bool,
    pub path: String,
    pub blob: Option<Blob>,
    pub title: Option<String>,
    pub author: Option<String>,
    pub language: Option<String>,
    pub created_at: Option<i64>,
    pub attributes: BTreeMap<String, String>,
}

/// A cut of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub unit: Unit,
    pub first: i64,
    pub last: i64,
}

/// A piece of a document that one worker parses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub lineage: Lineage,
    pub part: i32,
    pub parts: i32,
    pub kind: String,
    pub blob: Blob,
    pub range: Option<Range>,
    pub about: About,
}

/// Where a page or section begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageStart {
    pub page: i32,
    pub start_char: i64,
}

/// The parsed text of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub lineage: Lineage,
    pub part: i32,
    pub parts: i32,
    pub text: Blob,
    pub pages: Vec<PageStart>,
    pub about: About,
}

/// A passage of one part, small enough for the embedding model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    pub lineage: Lineage,
    pub part: i32,
    pub chunk_guid: Uuid,
    pub ordinal: i32,
    pub text: String,
    pub start_char: i64,
    pub end_char: i64,
    pub page_first: Option<i32>,
    pub page_last: Option<i32>,
    pub heading_path: Vec<String>,
    pub content_hash: String,
    pub tokens: i32,
    pub about: About,
}

/// A chunk with its vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    pub chunk: Chunk,
    pub model: String,
    pub vector: Vec<f32>,
}

/// A chunk that is in the vector store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    pub chunk: Chunk,
    pub model: String,
}

/// What did not make it, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadRef {
    pub stage: String,
    pub part: Option<i32>,
    pub chunk: Option<Uuid>,
    pub class: String,
    pub reason: String,
}

/// What split learned of an edition when it opened it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub about: About,
    pub blob: Option<Blob>,
    pub attributes_digest: String,
    pub recipe: String,
    pub parts: i32,
}

/// What became of a stage's input. Facts, folded as sets: hearing one twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub lineage: Lineage,
    pub stage: String,
    pub part: Option<i32>,
    pub run: Option<Uuid>,
    pub outcome: Outcome,
    pub ids: Vec<Uuid>,
    pub opened: Option<Opened>,
    pub dead: Option<DeadRef>,
    pub at: i64,
}

/// What became of one part of an open edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    pub part: i32,
    pub run: Uuid,
    pub outcome: PartOutcome,
    pub chunks: Bytes,
    pub indexed: Bytes,
    pub linked: Bytes,
}

/// An edition on its way to being visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEdition {
    pub lineage: Lineage,
    pub opened: Option<Opened>,
    pub step: Step,
    pub parts: Vec<PartState>,
    pub indexed: Bytes,
    pub linked: Bytes,
    pub dead: Vec<DeadRef>,
    pub last_progress_at: i64,
}

/// The edition readers see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visible {
    pub lineage: Lineage,
    pub opened: Opened,
    pub chunks: i32,
    pub manifest: Option<String>,
    pub at: i64,
}

/// All that settle knows of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    pub document_guid: Uuid,
    pub group: String,
    pub visible: Option<Visible>,
    pub open: Vec<OpenEdition>,
    pub deleted: Option<Uuid>,
    pub removed_at: Option<i64>,
    pub newest: Option<Uuid>,
    pub fields_version: i32,
}

/// A document reached an end: readers see it, it failed, or it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    pub lineage: Lineage,
    pub outcome: Completion,
    pub path: String,
    pub parts: i32,
    pub chunks: i32,
    pub dead: Vec<DeadRef>,
    pub manifest: Option<String>,
    pub at: i64,
}

/// One stage in this process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageGauges {
    pub stage: String,
    pub records_per_second: f64,
    pub in_flight: i64,
    pub in_flight_limit: i64,
    pub paused_share: f64,
    pub retries: i64,
    pub dead_letters: i64,
}

/// One store as seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHealth {
    pub store: String,
    pub healthy: bool,
    pub detail: String,
}

/// A process says how it is, every five seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub instance: String,
    pub at: i64,
    pub stages: Vec<StageGauges>,
    pub stores: Vec<StoreHealth>,
}

/// Somebody did something by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub detail: BTreeMap<String, String>,
}

/// pages count from 1; bytes from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Pages,
    Bytes,
}

/// outputs: done, ids are named; filtered: nothing came of it, on purpose; dead: a dead letter; deleted: a deletion was read; reopened: count the stores anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Outputs,
    Filtered,
    Dead,
    Deleted,
    Reopened,
}

/// pending: not heard of; listed: chunks are known; filtered: no text, on purpose; dead: a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartOutcome {
    Pending,
    Listed,
    Filtered,
    Dead,
}

/// How far the flip has come: gathering progress, settled (all is accounted for), swept (what the last runs do not name is gone), shown in the vector store, shown in the graph, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Gathering,
    Settled,
    Swept,
    ShownVectors,
    ShownGraph,
    Failed,
    Abandoned,
}

/// visible, failed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    Visible,
    Failed,
    Removed,
}
