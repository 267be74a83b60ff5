use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryFutureExt};
use penstock_runtime::Failure;
use penstock_schemas::now_ms;
use penstock_stages::blobs::{Blobs, Stored};

use super::{Faults, lock};

/// An object store with a clock of its own.
#[derive(Debug, Default)]
pub struct FakeBlobs {
    pub faults: Faults,
    objects: Mutex<BTreeMap<String, (Bytes, i64)>>,
    /// How far its clock is ahead of ours, milliseconds.
    ahead: AtomicI64,
}

impl FakeBlobs {
    /// Keys below `prefix`.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let objects = lock(&self.objects);
        let below = objects.keys().filter(|key| key.starts_with(prefix));
        below.cloned().collect()
    }

    /// Its clock goes on by so much, and everything in it grows older.
    pub fn pass(&self, time: Duration) {
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.ahead.fetch_add(time, Ordering::Relaxed);
    }

    fn now(&self) -> i64 {
        now_ms() + self.ahead.load(Ordering::Relaxed)
    }

    fn below(&self, prefix: &str) -> Vec<Result<Stored, Failure>> {
        let objects = lock(&self.objects);
        let below = objects.iter().filter(|(key, _)| key.starts_with(prefix));
        below
            .map(|(key, (bytes, written))| {
                Ok(Stored {
                    key: key.clone(),
                    size: bytes.len() as u64,
                    written: *written,
                })
            })
            .collect()
    }
}

#[async_trait]
impl Blobs for FakeBlobs {
    async fn write(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        self.faults.begin("write object").await?;
        lock(&self.objects).insert(key.to_owned(), (bytes, self.now()));
        self.faults.end("write object").await
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        self.faults.begin("read object").await?;
        let found = lock(&self.objects).get(key).map(|it| it.0.clone());
        self.faults.end("read object").await?;
        Ok(found)
    }

    fn walk(&self, prefix: &str) -> BoxStream<'_, Result<Stored, Failure>> {
        let prefix = prefix.to_owned();
        let listing = async move {
            self.faults.begin("list objects").await?;
            let found = self.below(&prefix);
            self.faults.end("list objects").await?;
            Ok(futures::stream::iter(found))
        };
        listing.try_flatten_stream().boxed()
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.faults.begin("delete object").await?;
        lock(&self.objects).remove(key);
        self.faults.end("delete object").await
    }

    async fn clock(&self) -> Result<i64, Failure> {
        self.faults.begin("ask for the time").await?;
        self.faults.end("ask for the time").await?;
        Ok(self.now())
    }
}
