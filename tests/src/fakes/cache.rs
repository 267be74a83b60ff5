use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::embed::VectorCache;
use uuid::Uuid;

use super::{Faults, lock};

/// Group, document, model, text hash.
type Key = (String, Uuid, String, String);

/// Vectors of texts seen before.
#[derive(Debug, Default)]
pub struct FakeCache {
    pub faults: Faults,
    vectors: Mutex<BTreeMap<Key, Vec<f32>>>,
}

impl FakeCache {
    /// How many vectors of a document are kept.
    pub fn kept(&self, document: Uuid) -> usize {
        let vectors = lock(&self.vectors);
        vectors.keys().filter(|key| key.1 == document).count()
    }
}

#[async_trait]
impl VectorCache for FakeCache {
    async fn get(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Vec<f32>>>, Failure> {
        self.faults.begin("read cache").await?;
        let found = {
            let vectors = lock(&self.vectors);
            let key = |hash: &String| (group.to_owned(), document, model.to_owned(), hash.clone());
            hashes
                .iter()
                .map(|it| vectors.get(&key(it)).cloned())
                .collect()
        };
        self.faults.end("read cache").await?;
        Ok(found)
    }

    async fn put(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), Failure> {
        self.faults.begin("write cache").await?;
        lock(&self.vectors).extend(vectors.iter().map(|(hash, vector)| {
            let key = (group.to_owned(), document, model.to_owned(), hash.clone());
            (key, vector.clone())
        }));
        self.faults.end("write cache").await
    }

    async fn count(&self, group: &str, document: Uuid) -> Result<u64, Failure> {
        self.faults.begin("count cache").await?;
        let vectors = lock(&self.vectors);
        let of_it = vectors
            .keys()
            .filter(|it| it.0 == group && it.1 == document);
        Ok(of_it.count() as u64)
    }

    async fn forget(&self, group: &str, document: Uuid) -> Result<(), Failure> {
        self.faults.begin("forget in cache").await?;
        lock(&self.vectors).retain(|key, _| key.0 != group || key.1 != document);
        self.faults.end("forget in cache").await
    }
}
