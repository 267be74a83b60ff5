//! The collection as declared in `schemas/qdrant/chunks.yaml`: one file for every adapter of `VectorStore`.

mod check;
mod lines;
mod spec;
#[cfg(test)]
mod tests;

use penstock_runtime::Failure;

pub use spec::{
    CollectionSpec, Compression, DenseVector, Distance, Hnsw, IndexType, Modifier, PayloadIndex,
    Quantization, QuantizationKind, SparseVector, SparseVectors, StrictMode, Vectors,
};

/// Name of the dense vector.
pub const DENSE: &str = "dense";
/// Name of the sparse vector.
pub const BM25: &str = "bm25";

const DECLARED: &str = include_str!("../../../../../schemas/qdrant/chunks.yaml");
const FILE: &str = "schemas/qdrant/chunks.yaml";

impl CollectionSpec {
    /// The collection of this build.
    pub fn declared() -> Result<Self, Failure> {
        Self::parse(FILE, DECLARED)
    }

    /// Reads and checks a declaration; a refusal names `file`, the line, and the reason.
    pub fn parse(file: &str, yaml: &str) -> Result<Self, Failure> {
        let refused =
            |line: usize, reason: &str| Failure::fatal(format!("{file} line {line}: {reason}"));
        let mut spec: Self = serde_yaml_ng::from_str(yaml).map_err(|error| {
            let line = error.location().map_or(1, |place| place.line());
            let text = error.to_string();
            // The place stands before the reason, as for every other refusal.
            let reason = text.rsplit_once(" at line ").map_or(&*text, |(it, _)| it);
            refused(line, reason)
        })?;
        check::check(&spec)
            .map_err(|wrong| refused(lines::line_of(yaml, &wrong.path), &wrong.reason))?;
        file.clone_into(&mut spec.file);
        Ok(spec)
    }

    /// Refuses a model whose vectors do not fit.
    pub fn check_dimension(&self, model: &str, dimension: usize) -> Result<(), Failure> {
        let size = self.vectors.dense.size;
        if size == dimension {
            return Ok(());
        }
        Err(Failure::fatal(format!(
            "model {model} gives vectors of {dimension} numbers, collection {} is declared with {size} in {}: \
             use a model of {size} dimensions, or change `size` and ingest into an empty data folder",
            self.collection, self.file
        )))
    }
}
