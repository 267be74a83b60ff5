//! Whether the ledger has heard of all that is in the stores.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_adapters::kafka::{Lag, lags};
use penstock_runtime::Failure;

use crate::pipeline::{StageSpec, group_of, topology};
use crate::system::Log;

const EVERY: Duration = Duration::from_millis(100);

/// Waits until these stages have committed all that their topics hold now, one after the other as records flow: what index
/// and link wrote before, settle has then folded. False where that takes longer than `patience` without a step forward.
pub async fn worked_off(log: &Log, stages: &[&str], patience: Duration) -> Result<bool, Failure> {
    let chosen = |it: &StageSpec| stages.contains(&it.name);
    for stage in topology().into_iter().filter(chosen) {
        let group = group_of(stage.name);
        let mut stand = lags(&log.kafka, &group, stage.from).await?;
        let ends: BTreeMap<i32, i64> = stand.iter().map(|it| (it.partition, it.end)).collect();
        let left = |stand: &[Lag]| -> i64 {
            let left = |it: &Lag| ends.get(&it.partition).unwrap_or(&0) - it.position();
            stand.iter().map(|it| left(it).max(0)).sum()
        };
        let (mut least, mut since) = (left(&stand), Instant::now());
        while least > 0 {
            if since.elapsed() >= patience {
                return Ok(false);
            }
            tokio::time::sleep(EVERY).await;
            stand = lags(&log.kafka, &group, stage.from).await?;
            let now = left(&stand);
            if now < least {
                (least, since) = (now, Instant::now());
            }
        }
    }
    Ok(true)
}
