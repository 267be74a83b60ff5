//! How every stage and store is doing: lag from the log, the rest from heartbeats.

use std::collections::BTreeMap;

use penstock_adapters::kafka::{lags, read_topic};
use penstock_runtime::Failure;
use penstock_schemas::{Heartbeat, StageGauges, now_ms, topics};
use penstock_stages::settle::Stores;
use serde::{Deserialize, Serialize};

use crate::life::Stopped;
use crate::pipeline::{group_of, topology};
use crate::system::Log;

/// Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub stages: Vec<StageStatus>,
    pub stores: Vec<StoreStatus>,
    /// Documents that stand half-way though every stage has done all there is.
    pub stopped: Stopped,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    pub stage: String,
    pub lag_records: i64,
    /// Lag over the rate of the last beat; none where nothing moves and something waits.
    pub lag_seconds: Option<f64>,
    pub records_per_second: f64,
    pub in_flight: i64,
    pub in_flight_limit: i64,
    pub paused_share: f64,
    pub retries: i64,
    pub dead_letters: i64,
    /// Processes that run the stage.
    pub instances: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    pub store: String,
    pub healthy: bool,
    pub detail: String,
}

/// Beats older than this are of processes that are gone, milliseconds.
const BEAT_LIMIT_MS: i64 = 20_000;

/// What the log tells of every stage.
pub async fn stage_status(log: &Log) -> Result<Vec<StageStatus>, Failure> {
    let mut beats: BTreeMap<String, Heartbeat> = BTreeMap::new();
    for entry in read_topic(&log.kafka, &log.codec, topics::HEARTBEATS).await? {
        if let Some(beat) = entry.value {
            beats.insert(beat.instance.clone(), beat);
        }
    }
    let limit = now_ms() - BEAT_LIMIT_MS;
    beats.retain(|_, beat| beat.at >= limit);
    let mut all = Vec::new();
    for stage in topology() {
        let lag: i64 = lags(&log.kafka, &group_of(stage.name), stage.from)
            .await?
            .iter()
            .map(|it| it.records().max(0))
            .sum();
        let here: Vec<&StageGauges> = beats
            .values()
            .flat_map(|beat| &beat.stages)
            .filter(|it| it.stage == stage.name)
            .collect();
        let sum = |of: fn(&StageGauges) -> i64| here.iter().map(|it| of(it)).sum();
        // The sum of nothing is minus zero.
        let rate = here.iter().map(|it| it.records_per_second).sum::<f64>() + 0.0;
        let paused = here.iter().map(|it| it.paused_share).sum::<f64>() + 0.0;
        all.push(StageStatus {
            stage: stage.name.to_owned(),
            lag_records: lag,
            lag_seconds: lag_seconds(lag, rate),
            records_per_second: rate,
            in_flight: sum(|it| it.in_flight),
            in_flight_limit: sum(|it| it.in_flight_limit),
            paused_share: paused / here.len().max(1) as f64,
            retries: sum(|it| it.retries),
            dead_letters: sum(|it| it.dead_letters),
            instances: here.len(),
        });
    }
    Ok(all)
}

fn lag_seconds(lag: i64, rate: f64) -> Option<f64> {
    match lag {
        0 => Some(0.0),
        lag if rate > 0.0 => Some(lag as f64 / rate),
        _ => None,
    }
}

pub async fn store_status(stores: &Stores) -> Vec<StoreStatus> {
    vec![
        health("vectors", stores.vectors.health().await),
        health("graph", stores.graph.health().await),
    ]
}

/// What a store says of itself.
pub fn health(store: &str, health: Result<String, Failure>) -> StoreStatus {
    StoreStatus {
        store: store.to_owned(),
        healthy: health.is_ok(),
        detail: health.unwrap_or_else(|failure| failure.reason().to_owned()),
    }
}

/// The status for a person.
pub fn print(status: &Status) -> String {
    let mut out = format!(
        "{:<8}{:>10}{:>9}{:>11}{:>16}{:>8}{:>9}{:>6}\n",
        "stage", "lag", "lag s", "records/s", "in flight", "paused", "retries", "dead"
    );
    for it in &status.stages {
        let seconds = it
            .lag_seconds
            .map_or("?".to_owned(), |lag| format!("{lag:.0}"));
        let in_flight = format!("{} of {}", it.in_flight, it.in_flight_limit);
        out.push_str(&format!(
            "{:<8}{:>10}{:>9}{:>11.1}{:>16}{:>7.0}%{:>9}{:>6}{}\n",
            it.stage,
            it.lag_records,
            seconds,
            it.records_per_second,
            in_flight,
            it.paused_share * 100.0,
            it.retries,
            it.dead_letters,
            if it.instances == 0 {
                "  not running"
            } else {
                ""
            },
        ));
    }
    for it in &status.stores {
        let word = if it.healthy { "healthy" } else { "NOT HEALTHY" };
        out.push_str(&format!("{}: {word}: {}\n", it.store, it.detail));
    }
    if status.stopped.count > 0 {
        out.push_str(&format!(
            "{} documents stand half-way though no stage has anything to do: replay the stage they wait for, or ingest them again\n",
            status.stopped.count
        ));
    }
    for it in &status.stopped.documents {
        out.push_str(&format!(
            "  {} {} since {}, waits for {}\n",
            it.document_guid, it.path, it.since, it.waits
        ));
    }
    out
}
