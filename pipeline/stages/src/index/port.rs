use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_schemas::Chunk;
use uuid::Uuid;

use crate::scope::Scope;

/// A sparse vector: ascending, distinct indices, one value each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sparse {
    pub indices: Vec<u32>,
    pub values: Vec<f32>,
}

/// A chunk as it stands in the vector store. Its id is the chunk's.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub chunk: Chunk,
    pub model: String,
    /// Unit length.
    pub dense: Vec<f32>,
    pub bm25: Sparse,
    /// Kinds of entities the text mentions, by the same rules as link's.
    pub entity_types: Vec<String>,
}

/// What to look for, and where.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Search {
    pub dense: Vec<f32>,
    pub bm25: Sparse,
    pub limit: usize,
    pub group: String,
    pub source: Option<String>,
    pub language: Option<String>,
}

/// A chunk found. Only visible editions are found, and of two editions of one document only the newer.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub chunk_guid: Uuid,
    pub document_guid: Uuid,
    pub edition: Uuid,
    pub version: Uuid,
    /// Fused rank score (reciprocal rank fusion of dense and BM25).
    pub score: f32,
    pub path: String,
    pub title: Option<String>,
    pub page_first: Option<i32>,
    pub page_last: Option<i32>,
    pub heading_path: Vec<String>,
    pub text: String,
}

/// A point as `audit` sees it. What its payload lacks, or has as something else than it should be, is nil, empty, false or
/// -1 here: a point is never left out because it is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct PointRef {
    pub chunk_guid: Uuid,
    pub document_guid: Uuid,
    pub edition: Uuid,
    pub version: Uuid,
    pub group: String,
    pub visible: bool,
    pub part: i32,
    /// `chunk_index` of the payload.
    pub ordinal: i32,
    pub content_hash: String,
    pub model: String,
    /// Empty where the point has none.
    pub dense: Vec<f32>,
}

/// Where vectors live. Every call is idempotent.
#[async_trait]
pub trait VectorStore: Send + Sync {
    /// Inserts points that are not there; those that are stay as they are, visibility included. Durable when it returns.
    async fn insert(&self, points: Vec<Point>) -> Result<(), Failure>;
    /// Deletes the edition's points whose chunk is not in `chunks`.
    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure>;
    /// Makes every point of the edition visible.
    async fn show(&self, document: Uuid, edition: Uuid) -> Result<(), Failure>;
    /// Deletes the document's points of these editions, and of no other: one that nobody has named yet may be on its way.
    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure>;
    /// Deletes these points, whatever their payloads say.
    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure>;
    /// Visible chunks, best first: dense and BM25 ranks fused.
    async fn search(&self, search: &Search) -> Result<Vec<Hit>, Failure>;
    /// Every point in the order of ids, `limit` at a time: start with none, go on with the last id of the page before.
    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<PointRef>, Failure>;
    /// Payload and dense vector of the visible points of a document, as JSON, ordered by part and chunk_index. For comparisons.
    async fn dump(&self, document: Uuid) -> Result<Vec<serde_json::Value>, Failure>;
    /// The model of the points that are there; none while there are none.
    async fn model(&self) -> Result<Option<String>, Failure>;
    /// Points, all editions and documents.
    async fn count(&self) -> Result<u64, Failure>;
    /// Points of a document or a group, visible or not.
    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure>;
    /// One line on how it is, or what is wrong.
    async fn health(&self) -> Result<String, Failure>;
}
