//! `penstock smoke`, alone with its data folder and beside the process that owns it.

use penstock::smoke::Verdict;
use penstock_tests::{Bench, until};

fn passed(bench: &Bench) -> Verdict {
    let ran = bench.run(&["smoke", "--json"]);
    let verdict: Verdict = ran.json();
    assert_eq!(ran.code, 0, "{verdict:#?}");
    assert!(
        verdict.passed && verdict.failures.is_empty(),
        "{verdict:#?}"
    );
    assert_eq!((verdict.documents, verdict.left), (25, 0));
    assert!(verdict.chunks >= 25, "{verdict:?}");
    // At least 20 of each chunk, and four questions of two checks for each document.
    let least = 20 * verdict.chunks as u64 + 8 * 25;
    assert!(verdict.checks >= least, "{verdict:?}");
    verdict
}

fn nothing_is_left(bench: &Bench) {
    let audit = bench.sound();
    assert_eq!(
        (audit.documents, audit.points, audit.nodes, audit.edges),
        (0, 0, 0, 0)
    );
}

#[test]
fn smoke_passes_and_leaves_nothing() {
    let bench = Bench::new();
    let first = passed(&bench);
    nothing_is_left(&bench);

    let mut running = bench.spawn(&["run"]);
    until("the process runs", || {
        assert!(!running.has_ended(), "{}", running.output());
        running.output().contains("running:")
    });
    let beside = passed(&bench);
    assert_ne!(beside.group, first.group);
    assert_eq!((beside.chunks, beside.checks), (first.chunks, first.checks));
    nothing_is_left(&bench);
    assert_eq!(running.terminate(), Some(0), "{}", running.output());

    // No time at all: every document is named with what it waits for, and what is left with how to remove it.
    let ran = bench.run(&["smoke", "--timeout", "0s"]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let verdict = ran.stdout.lines().next().unwrap();
    assert!(verdict.starts_with("smoke FAILED: "), "{}", ran.stdout);
    for words in [
        "visible smoke-orders/",
        "not in 0 s: it waits for",
        "documents are left",
    ] {
        assert!(ran.stdout.contains(words), "{} lacks {words}", ran.stdout);
    }
    let hint = ran.stdout.split("penstock forget --group ").nth(1).unwrap();
    let group = hint.split_whitespace().next().unwrap();
    assert_eq!(bench.run(&["forget", "--group", group]).code, 0);
    nothing_is_left(&bench);
}
