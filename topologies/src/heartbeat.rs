//! A process says how it is, every five seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_runtime::{Route, Stop};
use penstock_schemas::{Heartbeat, StageGauges, StoreHealth, now_ms, topics};
use tokio::time::Instant;
use uuid::Uuid;

use crate::pipeline::Parts;
use crate::status::store_status;

/// Counters of a stage at the beat before.
#[derive(Clone, Copy, Default)]
struct Before {
    processed: u64,
    paused_us: u64,
}

/// Beats until stopped. A beat that cannot be sent is left out.
pub async fn beat(parts: Arc<Parts>, stop: Stop) {
    const EVERY: Duration = Duration::from_secs(5);
    let instance = Uuid::new_v4().to_string();
    let mut before: BTreeMap<&str, Before> = BTreeMap::new();
    let mut since = Instant::now();
    loop {
        tokio::select! {
            () = stop.softly() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let seconds = since.elapsed().as_secs_f64().max(0.001);
        since = Instant::now();
        let beat = Heartbeat {
            instance: instance.clone(),
            at: now_ms(),
            stages: gauges(&parts, &mut before, seconds),
            stores: store_status(&parts.stores)
                .await
                .into_iter()
                .map(|it| StoreHealth {
                    store: it.store,
                    healthy: it.healthy,
                    detail: it.detail,
                })
                .collect(),
        };
        match topics::HEARTBEATS.encode(parts.streams.codec(), &beat) {
            Ok(record) => {
                if let Err(failure) = parts.sink.produce(vec![record]).await {
                    tracing::warn!(%failure, "heartbeat was not sent");
                }
            }
            Err(error) => tracing::error!(%error, "heartbeat cannot be encoded"),
        }
    }
}

fn gauges<'a>(
    parts: &'a Parts,
    before: &mut BTreeMap<&'a str, Before>,
    seconds: f64,
) -> Vec<StageGauges> {
    let mut all = Vec::new();
    for (name, gauges) in &parts.gauges {
        let now = Before {
            processed: gauges.processed.get(),
            paused_us: gauges.paused_us.get(),
        };
        let last = before.insert(name, now).unwrap_or_default();
        let paused = now.paused_us.saturating_sub(last.paused_us) as f64 / 1e6;
        all.push(StageGauges {
            stage: (*name).to_owned(),
            records_per_second: now.processed.saturating_sub(last.processed) as f64 / seconds,
            in_flight: gauges.in_flight.get() as i64,
            in_flight_limit: gauges.in_flight_limit.get() as i64,
            paused_share: (paused / seconds).min(1.0),
            retries: gauges.retries.get() as i64,
            dead_letters: gauges.dead_letters.get() as i64,
        });
    }
    all
}
