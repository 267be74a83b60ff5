//! Medians and ratios.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::contenders::Contender;
use crate::measure::Run;

/// Medians of one contender's runs. `bench` of the program prints rows of the same fields.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub unit: &'static str,
    /// Records a second.
    pub value: f64,
    /// To bare librdkafka in the same run.
    pub ratio: Option<f64>,
    pub cpu_seconds_per_million: f64,
    pub peak_mib: f64,
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Rows of one size and codec, in the order contenders are named.
pub fn rows(what: &str, runs: &BTreeMap<Contender, Vec<Run>>) -> Vec<Row> {
    let of = |runs: &[Run], field: fn(&Run) -> f64| median(runs.iter().map(field).collect());
    let bare = runs
        .get(&Contender::Bare)
        .map(|runs| of(runs, |it| it.rate));
    let row = |(who, runs): (&Contender, &Vec<Run>)| {
        let value = of(runs, |it| it.rate);
        Row {
            name: format!("{what}: {}", who.name()),
            unit: "records/s",
            value,
            ratio: bare.map(|bare| value / bare),
            cpu_seconds_per_million: of(runs, |it| it.cpu),
            peak_mib: of(runs, |it| it.memory),
        }
    };
    runs.iter().map(row).collect()
}

pub fn print(rows: &[Row], json: bool) {
    if json {
        println!("{}", serde_json::json!({ "rows": rows }));
        return;
    }
    println!(
        "{:<40}{:>12}{:>9}{:>14}{:>11}",
        "", "records/s", "to bare", "CPU s/million", "peak MiB"
    );
    for row in rows {
        let ratio = row.ratio.map_or(String::new(), |it| format!("{it:.2}"));
        println!(
            "{:<40}{:>12.0}{:>9}{:>14.2}{:>11.0}",
            row.name, row.value, ratio, row.cpu_seconds_per_million, row.peak_mib
        );
    }
}
