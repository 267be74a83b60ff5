//! Killed at any moment, started again: the stores end as if nothing had happened.

use std::time::{Duration, Instant};

use penstock_tests::{Bench, assert_same, copy_samples, moments, until};

#[tokio::test]
async fn ten_kills_leave_no_trace() {
    let docs = tempfile::tempdir().unwrap();
    let docs = docs.path().join("docs");
    // One line of a megabyte is a minute of embedding and tells nothing more here.
    copy_samples(&docs, |key| {
        !key.starts_with("truth")
            && !key.starts_with("generate")
            && !key.ends_with("one-line.txt")
            && !key.ends_with(".py")
    });
    let calm = Bench::new();
    let start = Instant::now();
    let (_, report) = calm.ingest(&docs, &[]);
    let whole = start.elapsed();
    assert!(report.documents.complete >= 30);

    let shaken = Bench::new();
    let folder = docs.display().to_string();
    let args = ["ingest", folder.as_str(), "--source", "test"];
    // The seed is fixed, but the moments still differ with the machine's speed.
    for moment in moments(20_250_314).take(10) {
        let mut running = shaken.spawn(&args);
        let age = Duration::from_secs_f64(0.3 + moment * whole.as_secs_f64() / 3.0);
        let begun = Instant::now();
        until("the moment of the kill", || {
            begun.elapsed() >= age || running.has_ended()
        });
        running.kill();
    }
    let (code, _) = shaken.ingest(&docs, &[]);
    // Letters may have been told of by a run that was killed: then they are old ones by now.
    assert!(code == 0 || code == 2, "exit {code}");
    let (code, last) = shaken.ingest(&docs, &[]);
    assert_eq!(code, 0);
    assert_eq!(last.documents.unchanged, report.documents.complete);
    assert_eq!(
        last.documents.dead_lettered_before,
        report.documents.dead_lettered
    );
    calm.sound();
    shaken.sound();
    assert_same(&calm.stores().await, &shaken.stores().await);
}
