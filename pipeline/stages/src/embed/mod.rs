//! Chunks to vectors.

mod port;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use penstock_runtime::{Batch, BatchStage, Emit, Failure, Verdict};
use penstock_schemas::{Chunk, Embedding};
use uuid::Uuid;

pub use port::{Embedder, ModelInfo, VectorCache};

/// What the stage has done since it started.
#[derive(Debug, Default)]
pub struct EmbedCounters {
    embedded: AtomicU64,
    cached: AtomicU64,
    tokens: AtomicU64,
}

impl EmbedCounters {
    /// Texts that went through the model.
    pub fn embedded(&self) -> u64 {
        self.embedded.load(Relaxed)
    }

    /// Texts whose vector was known.
    pub fn cached(&self) -> u64 {
        self.cached.load(Relaxed)
    }

    /// Tokens that went through the model, special tokens included.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Relaxed)
    }
}

/// A batch of chunks in, their vectors out. A text whose vector is in the cache does not go through the model.
pub struct Embed {
    embedder: Arc<dyn Embedder>,
    cache: Arc<dyn VectorCache>,
    counters: Arc<EmbedCounters>,
}

/// A text once, however many chunks of a document share it.
type Text = (String, Uuid, String);

fn text_of(chunk: &Chunk) -> Text {
    let lineage = &chunk.lineage;
    (
        lineage.group.clone(),
        lineage.document_guid,
        chunk.content_hash.clone(),
    )
}

impl Embed {
    pub fn new(
        embedder: Arc<dyn Embedder>,
        cache: Arc<dyn VectorCache>,
        counters: Arc<EmbedCounters>,
    ) -> Self {
        Self {
            embedder,
            cache,
            counters,
        }
    }

    /// Vectors the cache has for the batch. An entry that is no vector of this model counts as none.
    async fn cached(&self, batch: &Batch<Chunk>) -> Result<BTreeMap<Text, Vec<f32>>, Failure> {
        let mut by_document: BTreeMap<(String, Uuid), Vec<String>> = BTreeMap::new();
        for input in batch {
            let (group, document, hash) = text_of(&input.record);
            by_document.entry((group, document)).or_default().push(hash);
        }
        let mut known = BTreeMap::new();
        for ((group, document), hashes) in by_document {
            let model = &self.embedder.info().name;
            let found = self.cache.get(&group, document, model, &hashes).await?;
            for (hash, vector) in hashes.into_iter().zip(found) {
                if let Some(vector) = vector.filter(|it| self.defect(it).is_none()) {
                    known.insert((group.clone(), document, hash), vector);
                }
            }
        }
        Ok(known)
    }

    async fn embed_unknown(
        &self,
        batch: &Batch<Chunk>,
        known: &mut BTreeMap<Text, Vec<f32>>,
    ) -> Result<(), Failure> {
        let mut asked = HashSet::new();
        let unknown: Vec<&Chunk> = batch
            .iter()
            .map(|input| &input.record)
            .filter(|chunk| {
                let text = text_of(chunk);
                !known.contains_key(&text) && asked.insert(text)
            })
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let texts = unknown.iter().map(|chunk| chunk.text.clone()).collect();
        let vectors = self.embedder.embed(texts).await?;
        if vectors.len() != unknown.len() {
            return Err(Failure::fatal(format!(
                "model {} made {} vectors of {} texts",
                self.embedder.info().name,
                vectors.len(),
                unknown.len()
            )));
        }
        let mut fresh: BTreeMap<(String, Uuid), Vec<(String, Vec<f32>)>> = BTreeMap::new();
        let mut tokens = 0;
        for (chunk, vector) in unknown.iter().zip(vectors) {
            tokens += u64::try_from(chunk.tokens).unwrap_or(0);
            let (group, document, hash) = text_of(chunk);
            if self.defect(&vector).is_none() {
                fresh
                    .entry((group.clone(), document))
                    .or_default()
                    .push((hash.clone(), vector.clone()));
            }
            known.insert((group, document, hash), vector);
        }
        for ((group, document), vectors) in fresh {
            let model = &self.embedder.info().name;
            self.cache.put(&group, document, model, &vectors).await?;
        }
        self.counters
            .embedded
            .fetch_add(unknown.len() as u64, Relaxed);
        self.counters.tokens.fetch_add(tokens, Relaxed);
        Ok(())
    }

    /// What is wrong with a vector, if anything.
    fn defect(&self, vector: &[f32]) -> Option<String> {
        let dimension = self.embedder.info().dimension;
        if vector.len() != dimension {
            return Some(format!(
                "its vector has {} numbers, the model {} has {dimension}",
                vector.len(),
                self.embedder.info().name
            ));
        }
        if vector.iter().any(|it| !it.is_finite()) {
            return Some("its vector holds a value that is not a number".to_owned());
        }
        if vector.iter().all(|it| *it == 0.0) {
            return Some("its vector is all zeros".to_owned());
        }
        None
    }

    fn verdict(&self, chunk: &Chunk, known: &BTreeMap<Text, Vec<f32>>) -> Verdict<Embedding> {
        let Some(vector) = known.get(&text_of(chunk)) else {
            return Err(Failure::fatal("a chunk of the batch was not embedded"));
        };
        if let Some(defect) = self.defect(vector) {
            return Err(Failure::poison(format!(
                "chunk {} cannot be embedded: {defect}",
                chunk.chunk_guid
            )));
        }
        Ok(Emit::outputs(vec![Embedding {
            chunk: chunk.clone(),
            model: self.embedder.info().name.clone(),
            vector: vector.clone(),
        }]))
    }
}

#[async_trait]
impl BatchStage for Embed {
    type In = Chunk;
    type Out = Embedding;

    /// Tokens.
    fn cost(&self, chunk: &Chunk) -> u64 {
        u64::try_from(chunk.tokens).unwrap_or(0)
    }

    async fn process(&self, batch: &Batch<Chunk>) -> Result<Vec<Verdict<Embedding>>, Failure> {
        let mut known = self.cached(batch).await?;
        let hits = batch
            .iter()
            .filter(|input| known.contains_key(&text_of(&input.record)));
        self.counters.cached.fetch_add(hits.count() as u64, Relaxed);
        self.embed_unknown(batch, &mut known).await?;
        Ok(batch
            .iter()
            .map(|input| self.verdict(&input.record, &known))
            .collect())
    }
}

#[cfg(test)]
mod tests;
