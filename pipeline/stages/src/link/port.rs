use std::collections::BTreeMap;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_schemas::Chunk;
use uuid::Uuid;

use crate::scope::Scope;

/// An entity found in a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Customer, Equipment, Driver, Invoice, Load, Date, Money, Email or Organisation.
    pub label: String,
    /// The form that makes two mentions one entity; see the rule.
    pub normal_form: String,
    /// The passage as it was written.
    pub passage: String,
    /// Characters of the chunk's text: `start..end`.
    pub start: usize,
    pub end: usize,
    /// Fields read beside it, by the names of the schema.
    pub fields: BTreeMap<String, String>,
}

/// A chunk and the entities it mentions, on its way into the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Linked {
    pub chunk: Chunk,
    pub mentions: Vec<Mention>,
}

/// A neighbour of a chunk in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// MENTIONS, PART_OF, NEXT or FROM.
    pub relation: String,
    /// Label of the node at the other end.
    pub label: String,
    pub name: String,
    /// The entity's fields, where it is one.
    pub fields: BTreeMap<String, String>,
}

/// A chunk node as `audit` sees it. What it lacks, or has as something else than it should be, is nil, empty, false or -1
/// here: a node is never left out because it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRef {
    pub chunk_guid: Uuid,
    pub document_guid: Uuid,
    pub edition: Uuid,
    pub version: Uuid,
    pub group: String,
    pub visible: bool,
    pub part: i32,
    pub ordinal: i32,
    pub content_hash: String,
}

/// What is in the graph, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GraphCounts {
    pub nodes: u64,
    pub edges: u64,
    /// Edges with an end that does not exist, entities nobody mentions, and documents or sections without a chunk.
    pub dangling: u64,
    /// Entities with a visible mention.
    pub entities: u64,
}

/// Where the knowledge graph lives. Every call is idempotent and one transaction.
#[async_trait]
pub trait GraphStore: Send + Sync {
    /// Merges chunk nodes (invisible), their sections, document and source, and their mentions. Nodes that are there
    /// keep their visibility. Durable when it returns.
    async fn write(&self, rows: Vec<Linked>) -> Result<(), Failure>;
    /// Deletes the edition's chunk nodes, with their edges, that are not in `chunks`.
    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure>;
    /// Makes the edition the document's visible one: properties of the `:Document`, chunk nodes visible, NEXT along
    /// `order`, entities' fields derived from visible mentions.
    async fn show(&self, document: Uuid, edition: Uuid, order: &[Uuid]) -> Result<(), Failure>;
    /// Deletes the document's chunk nodes of these editions and of no other, sections and document nodes left without
    /// chunks, and entities nobody mentions any more.
    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure>;
    /// Deletes these chunk nodes, whatever they say of themselves, and what they alone held up, as `drop_editions` does.
    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure>;
    /// Deletes what `counts` calls dangling.
    async fn remove_dangling(&self) -> Result<(), Failure>;
    /// Neighbours of each chunk, in order of `chunks`: its section and document, the chunks before and after it, the entities it mentions.
    async fn neighbours(&self, chunks: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure>;
    /// Every chunk node in the order of ids, `limit` at a time: start with none, go on with the last id of the page before.
    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ChunkRef>, Failure>;
    /// Every visible node and edge in a canonical order, as JSON lines with ids; for comparisons.
    async fn dump(&self) -> Result<Vec<String>, Failure>;
    /// Nodes of a document (itself, its sections and chunks, visible or not); of a group, sources and entities as well.
    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure>;
    async fn counts(&self) -> Result<GraphCounts, Failure>;
    /// One line on how it is, or what is wrong.
    async fn health(&self) -> Result<String, Failure>;
}
