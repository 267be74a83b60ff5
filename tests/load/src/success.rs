//! What share of its records each stage did what it should with.

use std::collections::BTreeMap;

use penstock::pipeline::topology;
use penstock::system::Log;
use penstock_adapters::kafka::fold_topic;
use penstock_runtime::{Failure, Provenance};
use penstock_schemas::dead_letters_of;
use serde::Serialize;

use crate::watch::places;

/// Of one stage, since its topic was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Success {
    pub stage: &'static str,
    /// Records it has committed.
    pub records: u64,
    /// Dead letters by class. Those of the class poison are the records' own fault.
    pub letters: BTreeMap<String, u64>,
    /// Outputs and filters, of the records that are not poison.
    pub share: f64,
}

impl Success {
    fn of(stage: &'static str, records: u64, letters: BTreeMap<String, u64>) -> Self {
        let mut success = Self {
            stage,
            records,
            letters,
            share: 1.0,
        };
        let sound = records.saturating_sub(success.poison());
        if sound > 0 {
            success.share = sound.saturating_sub(success.others()) as f64 / sound as f64;
        }
        success
    }

    pub fn poison(&self) -> u64 {
        self.letters.get("poison").copied().unwrap_or_default()
    }

    /// Letters that are not the records' own fault.
    pub fn others(&self) -> u64 {
        self.letters.values().sum::<u64>() - self.poison()
    }
}

/// Every record that is committed is an output, a filter or a dead letter; the letters are counted on their topics.
pub async fn successes(log: &Log) -> Result<Vec<Success>, Failure> {
    let places = places(log).await?;
    let mut all = Vec::new();
    for stage in topology() {
        let place = places.iter().find(|it| it.stage == stage.name);
        let mut letters = BTreeMap::new();
        fold_topic(&log.kafka, &dead_letters_of(stage.from), None, |letter| {
            let class = Provenance::of(&letter.headers).class;
            *letters.entry(class.unwrap_or_default()).or_default() += 1;
            Ok(())
        })
        .await?;
        let records = place.map_or(0, |it| it.done());
        all.push(Success::of(stage.name, records, letters));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_nobodys_failure() {
        let check = |records, letters: &[(&str, u64)], share: f64| {
            let letters = letters.iter().map(|(class, it)| ((*class).to_owned(), *it));
            let success = Success::of("parse", records, letters.collect());
            assert_eq!(success.share, share, "{success:?}");
        };
        check(0, &[], 1.0);
        check(100, &[], 1.0);
        check(100, &[("poison", 20)], 1.0);
        check(100, &[("poison", 20), ("exhausted", 8)], 0.9);
        check(100, &[("panic", 100)], 0.0);
    }
}
