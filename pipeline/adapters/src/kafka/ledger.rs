use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_schemas::{Codec, topics};
use penstock_stages::settle::{Claim, LedgerLog, Newest, document_of, term_of};
use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

use super::config::KafkaConfig;
use super::read::fold_readable;
use super::tail::Tail;

/// The ledger topic, as settle reads it back.
pub struct LedgerReader {
    config: KafkaConfig,
    codec: Codec,
    /// By partition. Entries of lesser terms are not the owner's.
    terms: Arc<Mutex<HashMap<i32, i64>>>,
    /// Such entries, from the first claim on.
    tail: AsyncMutex<Option<Tail>>,
    overtaken: Mutex<Vec<(i32, Uuid)>>,
}

impl LedgerReader {
    pub fn new(config: KafkaConfig, codec: Codec) -> Self {
        Self {
            config,
            codec,
            terms: Arc::default(),
            tail: AsyncMutex::default(),
            overtaken: Mutex::default(),
        }
    }

    async fn follow(&self) -> Result<(), Failure> {
        let mut tail = self.tail.lock().await;
        if tail.is_none() {
            let terms = self.terms.clone();
            let foreign = move |number: i32, term: i64| {
                locked(&terms).get(&number).is_some_and(|ours| term < *ours)
            };
            let started = Tail::start_where(&self.config, topics::LEDGER.name(), move |record| {
                foreign(record.partition.number, term_of(record))
            });
            *tail = Some(started.await?);
        }
        Ok(())
    }
}

#[async_trait]
impl LedgerLog for LedgerReader {
    async fn claim(&self, partition: i32) -> Result<Claim, Failure> {
        // Whatever is written from here on is somebody else's until our term is known.
        locked(&self.terms).insert(partition, i64::MAX);
        self.follow().await?;
        let mut newest = Newest::default();
        fold_readable(
            &self.config,
            &self.codec,
            topics::LEDGER.name(),
            Some(&[partition]),
            |record| {
                newest.hear(&record);
                Ok(())
            },
        )
        .await?;
        let claim = newest.claim(&self.codec)?;
        locked(&self.terms).insert(partition, claim.term);
        let overtaken = claim.overtaken.iter().map(|id| (partition, *id));
        locked(&self.overtaken).extend(overtaken);
        Ok(claim)
    }

    async fn overtaken(&self) -> Result<Vec<(i32, Uuid)>, Failure> {
        let mut overtaken = std::mem::take(&mut *locked(&self.overtaken));
        if let Some(tail) = self.tail.lock().await.as_mut() {
            while let Some(record) = tail.try_next()? {
                overtaken.extend(document_of(&record).map(|id| (record.partition.number, id)));
            }
        }
        overtaken.sort_unstable();
        overtaken.dedup();
        Ok(overtaken)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
