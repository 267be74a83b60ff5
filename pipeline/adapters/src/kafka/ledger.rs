use std::collections::HashMap;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_schemas::{Codec, LedgerEntry, topics};
use penstock_stages::settle::LedgerLog;

use super::config::KafkaConfig;
use super::read::{entry, fold_topic};

/// The ledger topic, as settle reads it back.
pub struct LedgerReader {
    config: KafkaConfig,
    codec: Codec,
}

impl LedgerReader {
    pub fn new(config: KafkaConfig, codec: Codec) -> Self {
        Self { config, codec }
    }
}

#[async_trait]
impl LedgerLog for LedgerReader {
    async fn restore(&self, partition: i32) -> Result<Vec<LedgerEntry>, Failure> {
        let mut newest = HashMap::new();
        fold_topic(
            &self.config,
            topics::LEDGER.name(),
            Some(&[partition]),
            |record| {
                let Some(key) = record.key.clone() else {
                    return Ok(());
                };
                match entry::<LedgerEntry>(&self.codec, &record)?.value {
                    Some(value) => newest.insert(key, value),
                    None => newest.remove(&key),
                };
                Ok(())
            },
        )
        .await?;
        Ok(newest.into_values().collect())
    }
}
