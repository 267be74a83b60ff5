//! Both stores are lost, and built again from the log: the same, to the id.

use std::fs;

use penstock::audit::Repaired;
use penstock::replay::Replayed;
use penstock_tests::{Bench, assert_same, copy_samples};

/// The files of both stores, and the vectors that were kept.
fn wipe(bench: &Bench) {
    fs::remove_dir_all(bench.data().join("vectors")).unwrap();
    for name in ["graph.db", "vectors.db"] {
        for tail in ["", "-wal", "-shm"] {
            let file = bench.data().join(format!("{name}{tail}"));
            if file.exists() {
                fs::remove_file(file).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_were_lost_are_built_again_from_the_log() {
    let bench = Bench::new();
    let docs = bench.path().join("docs");
    copy_samples(&docs, |key| key.starts_with("loads/"));
    fs::write(docs.join("twice.md"), "# Tide\n\nHigh water was at six.\n").unwrap();
    fs::write(
        docs.join("torn.md"),
        "# Pilot\n\nThe pilot boards at the buoy.\n",
    )
    .unwrap();
    fs::write(
        docs.join("gone.md"),
        "# Gone\n\nNobody is to read this again.\n",
    )
    .unwrap();
    let (code, _) = bench.ingest(&docs, &[]);
    assert_eq!(code, 0);
    // Changed; changed into what cannot be read, so that the older version stays; and removed.
    fs::write(
        docs.join("twice.md"),
        "# Tide\n\nHigh water was at seven.\n",
    )
    .unwrap();
    fs::write(docs.join("torn.md"), [0x00, 0xFE, 0x07, 0x90, 0x81]).unwrap();
    fs::remove_file(docs.join("gone.md")).unwrap();
    let (code, report) = bench.ingest(&docs, &["--prune"]);
    assert_eq!((code, report.documents.dead_lettered), (2, 1), "{report:?}");
    let audit = bench.sound();
    let before = bench.exact().await;
    assert!(before.iter().any(|it| it.contains("boards at the buoy")));

    wipe(&bench);
    let lost = bench.audit();
    assert_eq!((lost.points, lost.nodes), (0, 0));
    assert_eq!(lost.missing, 2 * audit.chunks, "{lost:#?}");
    // Without reopening, settle takes what is done again for known.
    let ran = bench.run(&["replay", "split", "--beginning", "--reopen", "--json"]);
    let replayed: Replayed = ran.json();
    assert_eq!((ran.code, replayed.dead_letters), (2, 1), "{replayed:?}");
    assert_eq!(replayed.unfinished, 0);
    bench.sound();
    assert_same(&before, &bench.exact().await);

    // The same by what is missing.
    wipe(&bench);
    let ran = bench.run(&["audit", "--repair", "--json"]);
    let repaired: Repaired = ran.json();
    assert_eq!(ran.code, 0, "{repaired:#?}{}", ran.stderr);
    assert_eq!(repaired.repaired.done_again, audit.documents);
    bench.sound();
    assert_same(&before, &bench.exact().await);

    for (args, word) in [
        (
            vec!["replay", "parse", "--beginning", "--reopen"],
            "only split",
        ),
        (
            vec!["replay", "split", "--since", "1d", "--reopen"],
            "--beginning",
        ),
    ] {
        bench.run(&args).could_not_run(&[word]);
    }
}
