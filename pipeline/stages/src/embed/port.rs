use async_trait::async_trait;
use penstock_runtime::Failure;

/// The model and its tokenizer, as far as other stages need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Model and revision: `name@first 12 hex digits of the weights' SHA-256`.
    pub name: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Longest input in tokens, special tokens included.
    pub max_tokens: usize,
}

/// Texts to vectors.
#[async_trait]
pub trait Embedder: Send + Sync {
    fn info(&self) -> &ModelInfo;
    /// One vector of `info().dimension` `f32` of unit length per text, in order. Texts over `max_tokens` are cut at
    /// the limit. A NaN or all-zero vector is an error, never a result.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Failure>;
}

/// Vectors of texts seen before, so that unchanged text costs nothing.
#[async_trait]
pub trait VectorCache: Send + Sync {
    /// The vectors for `hashes` (of text), in order; none where the text was not seen.
    async fn get(
        &self,
        group: &str,
        document: uuid::Uuid,
        model: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Vec<f32>>>, Failure>;
    async fn put(
        &self,
        group: &str,
        document: uuid::Uuid,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), Failure>;
    /// Vectors kept of a document.
    async fn count(&self, group: &str, document: uuid::Uuid) -> Result<u64, Failure>;
    /// Forgets every vector of a document.
    async fn forget(&self, group: &str, document: uuid::Uuid) -> Result<(), Failure>;
}
