//! A real process, really killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const FOLDER: &str = "PENSTOCK_TEST_FOLDER";
const CHILD: &str = "embedded::qdrant_edge::tests::kill::writes_until_it_is_killed";

/// The child: says which documents are written and shown, after each. On its own it does nothing.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = open(Path::new(&folder));
    let first = store.count().await.unwrap() as u128 / 10 + 1;
    for document in first.. {
        let points = (0..10).map(|n| point(document, 1, n, "brake")).collect();
        store.insert(points).await.unwrap();
        store.show(id(document), id(1)).await.unwrap();
        println!("\ndone {document}");
    }
}

#[tokio::test]
async fn what_a_killed_process_was_told_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = 0_u128;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut done = lines.map_while(Result::ok).filter_map(|line| {
            let number = line.strip_prefix("done ")?;
            number.parse::<u128>().ok()
        });
        // Each time at another place between flushes.
        told = done.nth(7 * round).unwrap();
        child.kill().unwrap();
        told = done.last().unwrap_or(told);
        child.wait().unwrap();

        let store = open(dir.path());
        for document in 1..=told {
            let dump = store.dump(id(document)).await.unwrap();
            assert_eq!(dump.len(), 10, "document {document} of {told}");
        }
        // What it was not told of is there or not, and is made whole.
        let rest = told + 1;
        let points = (0..10).map(|n| point(rest, 1, n, "brake")).collect();
        store.insert(points).await.unwrap();
        store.show(id(rest), id(1)).await.unwrap();
        assert_eq!(u128::from(store.count().await.unwrap()), rest * 10);
    }
    assert!(told >= 21);
}
