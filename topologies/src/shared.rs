//! Bytes that processes share: those of documents, and the vectors of texts that were seen.

use std::sync::Arc;

use penstock_adapters::objects::{BlobVectorCache, Objects};
use penstock_runtime::Failure;
use penstock_stages::blobs::Blobs;
use penstock_stages::embed::VectorCache;

use crate::config::Config;

/// Outside of any data folder. The cache lies there too: settle forgets a document's vectors, wherever it runs.
pub struct Shared {
    pub blobs: Arc<dyn Blobs>,
    pub cache: Arc<dyn VectorCache>,
}

impl Shared {
    /// Opens it and sees that it answers.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        let blobs = open_checked(config).await?;
        let cache = Arc::new(BlobVectorCache::new(blobs.clone()));
        Ok(Self { blobs, cache })
    }
}

/// Where `ingest` puts what it reads.
pub fn open_blobs(config: &Config) -> Result<Arc<dyn Blobs>, Failure> {
    Ok(Arc::new(open_objects(config)?))
}

/// The same, and sees that it answers.
pub async fn open_checked(config: &Config) -> Result<Arc<dyn Blobs>, Failure> {
    let objects = open_objects(config)?;
    objects.check().await?;
    Ok(Arc::new(objects))
}

/// The store itself, as configured.
pub fn open_objects(config: &Config) -> Result<Objects, Failure> {
    match config.objects.url.as_str() {
        "" => Objects::in_folder(&config.data.join("objects")),
        url => Objects::at(url, &config.objects.properties.0),
    }
}
