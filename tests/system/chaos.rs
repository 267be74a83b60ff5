//! Three minutes of chaos: the long run is `make chaos`.

use std::process::{Command, Stdio};

use penstock_tests::binary;
use serde_json::Value;

/// Fixed: what goes wrong is the same each time.
const SEED: &str = "20261127";
const DOCUMENTS: &str = "150";
const FAULTS: &str = "8";
/// Those that are over soon; a minute's outage and records that kill have tests of their own.
const KINDS: &str = "kill,kill-owner,freeze,broker,cut,slow,disk-full,clock";

#[test]
fn nothing_is_lost_whatever_breaks() {
    let chaos = binary().with_file_name("chaos");
    assert!(
        chaos.exists(),
        "{} is missing: run `cargo build --workspace`, or `make test`",
        chaos.display()
    );
    let args = ["--seed", SEED, "--documents", DOCUMENTS, "--faults", FAULTS];
    let output = Command::new(chaos)
        .args(args)
        .args(["--kinds", KINDS, "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| table[name].as_u64().unwrap();
    for nothing in ["lost", "passed_unresolved", "duplicated_in_stores"] {
        assert_eq!(number(nothing), 0, "{said}");
    }
    assert!(number("sent") >= DOCUMENTS.parse::<u64>().unwrap());
    assert!(number("records") > 5_000, "{said}");
    assert!(number("looks") > 20, "{said}");
    let faults = table["faults"].as_array().unwrap();
    assert_eq!(faults.len(), FAULTS.parse::<usize>().unwrap());
    for fault in faults {
        assert!(fault["recovered"].as_f64().unwrap() < 30.0, "{fault}");
    }
}
