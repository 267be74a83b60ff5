//! Dead letters are found, shown, mended, put back and skipped.

mod by_hand;
mod put_back;

use std::collections::BTreeMap;
use std::path::PathBuf;

use penstock::config::Config;
use penstock::dead_letters::{Listed, Place, Redriven};
use penstock::system::Log;
use penstock_adapters::kafka::{lags, read_topic};
use penstock_schemas::{Audit, topics};
use penstock_tests::{Bench, Ran, Running, until};
use serde_json::Value;

const GOOD: &[u8] = b"# Crane log\n\nThe crane lifted twelve tonnes of salt at noon.\n";
/// No type anybody knows.
const NOISE: &[u8] = &[
    0x00, 0xFE, 0x07, 0x90, 0x81, 0x00, 0x00, 0xC3, 0x28, 0xFF, 0x13,
];
const DOCUMENTS: &str = "rag.documents.v1";
const DEAD_DOCUMENTS: &str = "rag.documents.v1.dlq";

fn folder(bench: &Bench, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = bench.path().join("docs");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    folder
}

fn list(bench: &Bench, more: &[&str]) -> Listed {
    let mut args = vec!["dead-letters", "list", "--json"];
    args.extend(more);
    bench.run(&args).json()
}

fn redrive(bench: &Bench, more: &[&str]) -> (i32, Redriven) {
    let mut args = vec!["dead-letters", "redrive", "--json"];
    args.extend(more);
    let ran = bench.run(&args);
    (ran.code, ran.json())
}

fn at(command: &str, place: &Place) -> Vec<String> {
    let place = [
        place.topic.clone(),
        place.partition.to_string(),
        place.offset.to_string(),
    ];
    let words = ["dead-letters", command].map(str::to_owned);
    words.into_iter().chain(place).collect()
}

fn run_at(bench: &Bench, command: &str, place: &Place, more: &[&str]) -> Ran {
    let args = at(command, place);
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(more);
    bench.run(&args)
}

fn show(bench: &Bench, place: &Place) -> Value {
    run_at(bench, "show", place, &["--json"]).json()
}

/// All stages, serving.
fn start(bench: &Bench, more: &[&str]) -> Running {
    let mut args = vec!["run"];
    args.extend(more);
    let mut running = bench.spawn(&args);
    until("the owner serves", || {
        // Asking a command would not do: where nobody owns the folder yet, it takes it.
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:")
    });
    running
}

/// An answer may come a moment before the ledger knows that its document is visible.
fn visible(bench: &Bench, documents: u64) {
    until("the ledger knows", || bench.audit().documents == documents);
}

fn stop(mut running: Running) {
    assert_eq!(running.terminate(), Some(0), "{}", running.output());
}

/// The log while nobody owns the folder.
async fn log(bench: &Bench) -> Log {
    Log::open(&Config::default(), &bench.data()).await.unwrap()
}

/// Records ever written, by topic.
async fn ends(bench: &Bench) -> BTreeMap<String, i64> {
    let log = log(bench).await;
    let mut ends = BTreeMap::new();
    for topic in topics::all() {
        let lags = lags(&log.kafka, "nobody", &topic.name).await.unwrap();
        ends.insert(topic.name, lags.iter().map(|lag| lag.end).sum());
    }
    log.close().await;
    ends
}

async fn audits(bench: &Bench) -> Vec<Audit> {
    let log = log(bench).await;
    let entries = read_topic(&log.kafka, &log.codec, topics::AUDIT)
        .await
        .unwrap();
    log.close().await;
    entries.into_iter().filter_map(|it| it.value).collect()
}
