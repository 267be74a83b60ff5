//! Vectors into the vector store.

pub mod bm25;
mod collection;
mod fuse;
mod payload;
mod port;
#[cfg(test)]
mod testing;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Batch, BatchStage, Emit, Failure, Verdict};
use penstock_schemas::{Embedding, Indexed};

pub use collection::{
    BM25, CollectionSpec, Compression, DENSE, DenseVector, Distance, Hnsw, IndexType, Modifier,
    PayloadIndex, Quantization, QuantizationKind, SparseVector, SparseVectors, StrictMode, Vectors,
};
pub use fuse::fuse;
pub use payload::payload;
pub use port::{Hit, Point, PointRef, Search, Sparse, VectorStore};

use crate::embed::ModelInfo;

/// Labels of the entities a text mentions, by link's rules.
pub type EntityTypes = Arc<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// Embeddings into points: a batch is one insert.
pub struct Index {
    store: Arc<dyn VectorStore>,
    entity_types: EntityTypes,
    model: ModelInfo,
}

impl Index {
    /// `model` is the one the collection is filled with; embeddings of another are refused.
    pub fn new(store: Arc<dyn VectorStore>, entity_types: EntityTypes, model: ModelInfo) -> Self {
        Self {
            store,
            entity_types,
            model,
        }
    }

    /// Whose fault it is that this embedding cannot become a point.
    fn check(&self, embedding: &Embedding) -> Result<(), Failure> {
        let (name, dimension) = (&self.model.name, self.model.dimension);
        if weights(&embedding.model) != weights(name) {
            return Err(Failure::fatal(format!(
                "embedding of chunk {} is of model {}, this collection is filled with {name}: run embed with {name}, \
                 or ingest everything with {} into an empty data folder",
                embedding.chunk.chunk_guid, embedding.model, embedding.model
            )));
        }
        if embedding.vector.len() != dimension {
            return Err(Failure::fatal(format!(
                "embedding of chunk {} has {} numbers, model {name} gives {dimension}: embed and index run different \
                 builds or configurations, make them the same",
                embedding.chunk.chunk_guid,
                embedding.vector.len()
            )));
        }
        if !embedding.vector.iter().all(|number| number.is_finite()) {
            return Err(Failure::poison(format!(
                "vector of chunk {} holds NaN or infinity",
                embedding.chunk.chunk_guid
            )));
        }
        if embedding.vector.iter().all(|number| *number == 0.0) {
            return Err(Failure::poison(format!(
                "vector of chunk {} is all zero",
                embedding.chunk.chunk_guid
            )));
        }
        Ok(())
    }

    fn point(&self, embedding: &Embedding) -> Point {
        let text = &embedding.chunk.text;
        let mut entity_types = (self.entity_types)(text);
        entity_types.sort_unstable();
        entity_types.dedup();
        Point {
            chunk: embedding.chunk.clone(),
            model: embedding.model.clone(),
            dense: embedding.vector.clone(),
            bm25: bm25::encode_document(text),
            entity_types,
        }
    }
}

/// The digest of a model's weights, by its name: the same weights in a folder of another name are the same model.
fn weights(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(_, digest)| digest)
}

/// Refuses to search or fill, with vectors of `model`, a store that another model has filled: the two do not compare.
pub async fn check_model(store: &dyn VectorStore, model: &ModelInfo) -> Result<(), Failure> {
    match store.model().await? {
        Some(found) if weights(&found) != weights(&model.name) => Err(Failure::fatal(format!(
            "the vector store is filled with vectors of model {found}, this is model {}: use {found}, or ingest \
             everything into an empty store (another --data)",
            model.name
        ))),
        _ => Ok(()),
    }
}

#[async_trait]
impl BatchStage for Index {
    type In = Embedding;
    type Out = Indexed;

    async fn process(&self, batch: &Batch<Embedding>) -> Result<Vec<Verdict<Indexed>>, Failure> {
        let mut points = Vec::with_capacity(batch.len());
        let mut verdicts = Vec::with_capacity(batch.len());
        for input in batch {
            let embedding = &input.record;
            verdicts.push(match self.check(embedding) {
                Ok(()) => {
                    points.push(self.point(embedding));
                    Ok(Emit::outputs(vec![Indexed {
                        chunk: embedding.chunk.clone(),
                        model: embedding.model.clone(),
                    }]))
                }
                Err(fatal @ Failure::Fatal(_)) => return Err(fatal),
                Err(failure) => Err(failure),
            });
        }
        if !points.is_empty() {
            self.store.insert(points).await?;
        }
        Ok(verdicts)
    }

    async fn assigned(&self, _partitions: &[i32]) -> Result<(), Failure> {
        check_model(self.store.as_ref(), &self.model).await
    }
}

#[cfg(test)]
mod tests;
