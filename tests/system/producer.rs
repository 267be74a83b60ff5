//! `rag.documents.v1` is a public contract: a program in another language publishes a document, and it becomes an answer.

use std::process::Command;

use penstock::system::Owner;
use penstock_tests::{Bench, root, until};

#[test]
fn a_python_program_publishes_a_document() {
    let bench = Bench::new();
    let mut run = bench.spawn(&["run"]);
    let owner = bench.data().join("owner.json");
    until("the owner serves", || owner.exists() || run.has_ended());
    let text = std::fs::read_to_string(&owner).unwrap_or_else(|_| panic!("{}", run.output()));
    let owner: Owner = serde_json::from_str(&text).unwrap();
    let note = bench.path().join("note.md");
    std::fs::write(
        &note,
        "# Lighthouse\n\nThe lighthouse keeper counts seven ships at noon.\n",
    )
    .unwrap();

    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(Into::into)
        .unwrap_or_else(|| std::env::home_dir().unwrap().join(".cache"));
    let python = cache.join("penstock/python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `make test`, or scripts/setup.sh python",
        python.display()
    );
    let output = Command::new(python)
        .arg(root().join("samples/produce.py"))
        .arg(&owner.kafka)
        .arg(bench.data().join("objects"))
        .arg(root().join("schemas/avro/document.avsc"))
        .arg(&note)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    until("the document becomes an answer", || {
        let answer = bench.query("how many ships does the lighthouse keeper count", &[]);
        answer
            .hits
            .first()
            .is_some_and(|hit| hit.text.contains("seven ships") && hit.path.ends_with("note.md"))
    });
    assert_eq!(run.terminate(), Some(0), "{}", run.output());
    bench.sound();
}
