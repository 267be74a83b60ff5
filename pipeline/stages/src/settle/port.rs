use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_schemas::LedgerEntry;

/// The compacted ledger, as settle reads it back.
#[async_trait]
pub trait LedgerLog: Send + Sync {
    /// The newest entry of every document of this partition, up to the end of the log as it is at the call.
    async fn restore(&self, partition: i32) -> Result<Vec<LedgerEntry>, Failure>;
}
