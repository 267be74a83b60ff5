use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use penstock_runtime::Failure;
use penstock_schemas::now_ms;
use penstock_stages::blobs::Blobs;

use super::{Faults, lock};

/// An object store.
#[derive(Debug, Default)]
pub struct FakeBlobs {
    pub faults: Faults,
    objects: Mutex<BTreeMap<String, (Bytes, i64)>>,
}

impl FakeBlobs {
    /// Keys below `prefix`.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let objects = lock(&self.objects);
        let below = objects.keys().filter(|key| key.starts_with(prefix));
        below.cloned().collect()
    }
}

#[async_trait]
impl Blobs for FakeBlobs {
    async fn write(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        self.faults.begin("write object").await?;
        lock(&self.objects).insert(key.to_owned(), (bytes, now_ms()));
        self.faults.end("write object").await
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        self.faults.begin("read object").await?;
        let found = lock(&self.objects).get(key).map(|it| it.0.clone());
        self.faults.end("read object").await?;
        Ok(found)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, i64)>, Failure> {
        self.faults.begin("list objects").await?;
        let found = lock(&self.objects)
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, (_, written))| (key.clone(), *written))
            .collect();
        self.faults.end("list objects").await?;
        Ok(found)
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.faults.begin("delete object").await?;
        lock(&self.objects).remove(key);
        self.faults.end("delete object").await
    }
}
