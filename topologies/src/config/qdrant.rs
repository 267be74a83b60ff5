use std::time::Duration;

use penstock_adapters::qdrant::QdrantConfig;
use serde::{Deserialize, Serialize};

use super::Secret;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QdrantSettings {
    /// gRPC of a Qdrant cluster: https://HOST:6334, comma-separated; empty: vectors lie in the data folder.
    pub url: String,
    pub api_key: Secret,
    /// File (PEM) of authorities to trust instead of the system's.
    pub ca: String,
    /// Name of the collection or of an alias of it; empty: the declared one.
    pub collection: String,
    /// Longest time for one request, seconds.
    pub timeout_seconds: u64,
    /// Requests at once of one batch.
    pub streams: usize,
}

impl Default for QdrantSettings {
    fn default() -> Self {
        let config = QdrantConfig::new("");
        Self {
            url: config.url,
            api_key: Secret::default(),
            ca: config.ca,
            collection: config.collection,
            timeout_seconds: config.timeout.as_secs(),
            streams: config.streams,
        }
    }
}

impl QdrantSettings {
    pub(super) fn config(&self) -> Option<QdrantConfig> {
        if self.url.is_empty() {
            return None;
        }
        Some(QdrantConfig {
            api_key: self.api_key.0.clone(),
            ca: self.ca.clone(),
            collection: self.collection.clone(),
            timeout: Duration::from_secs(self.timeout_seconds),
            streams: self.streams,
            ..QdrantConfig::new(self.url.clone())
        })
    }

    /// `qdrant`: what these come to.
    pub(super) fn check(&self, qdrant: &QdrantConfig) -> Result<(), String> {
        if !(1..=3600).contains(&self.timeout_seconds) {
            return Err(format!(
                "qdrant.timeout_seconds is {}, expected 1 to 3600",
                self.timeout_seconds
            ));
        }
        if !(1..=64).contains(&self.streams) {
            return Err(format!(
                "qdrant.streams is {}, expected 1 to 64",
                self.streams
            ));
        }
        qdrant
            .check()
            .map_err(|failure| failure.reason().to_owned())
    }
}
