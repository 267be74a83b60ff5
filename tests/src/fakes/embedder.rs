use std::sync::Mutex;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_schemas::content_hash;
use penstock_stages::embed::{Embedder, ModelInfo};

use super::{Faults, lock};

/// A model without a model: the vector of a text follows from its digest.
#[derive(Debug)]
pub struct FakeEmbedder {
    pub faults: Faults,
    info: ModelInfo,
    refused: Mutex<Option<String>>,
    embedded: Mutex<Vec<String>>,
}

impl Default for FakeEmbedder {
    fn default() -> Self {
        Self {
            faults: Faults::default(),
            info: ModelInfo {
                name: "fake@000000000000".to_owned(),
                dimension: DIMENSION,
                max_tokens: 256,
            },
            refused: Mutex::default(),
            embedded: Mutex::default(),
        }
    }
}

const DIMENSION: usize = 8;

impl FakeEmbedder {
    /// Texts with this word are poison; none: no text is.
    pub fn refuse(&self, word: Option<&str>) {
        *lock(&self.refused) = word.map(str::to_owned);
    }

    /// Every text that was given a vector, in order.
    pub fn embedded(&self) -> Vec<String> {
        lock(&self.embedded).clone()
    }
}

#[async_trait]
impl Embedder for FakeEmbedder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Failure> {
        self.faults.begin("embed").await?;
        let refused = lock(&self.refused).clone();
        if refused.is_some_and(|word| texts.iter().any(|text| text.contains(&word))) {
            return Err(Failure::poison("its vector has a NaN or an infinity"));
        }
        let vectors = texts.iter().map(|text| vector_of(text)).collect();
        lock(&self.embedded).extend(texts);
        self.faults.end("embed").await?;
        Ok(vectors)
    }
}

fn vector_of(text: &str) -> Vec<f32> {
    let digest = content_hash(text.as_bytes());
    // Never all zero: each number is at least one before they are made unit length.
    let numbers: Vec<f32> = digest.bytes().take(DIMENSION).map(f32::from).collect();
    let length = numbers.iter().map(|it| it * it).sum::<f32>().sqrt();
    numbers.iter().map(|it| it / length).collect()
}
