//! Which of a document's objects go, where those stay that were written behind day 100.

use penstock_schemas::Blob;

use super::super::collect::superfluous;
use super::super::manifest::manifest_key;
use super::*;
use crate::blobs::{Stored, version_prefix};

fn key(version: u128, name: &str) -> String {
    format!(
        "{}{name}",
        version_prefix("g", DOCUMENT, Uuid::from_u128(version))
    )
}

fn stored(key: String, day: i64) -> Stored {
    Stored {
        key,
        size: 1,
        written: day,
    }
}

fn manifest(version: u128, day: i64) -> Stored {
    stored(manifest_key(&lineage(version)), day)
}

fn sourced(version: u128, parts: i32, key: String) -> Progress {
    let mut progress = opened(version, parts);
    if let Some(opened) = &mut progress.opened {
        opened.blob = Some(Blob {
            key,
            sha256: String::new(),
            size: 1,
        });
    }
    progress
}

/// A version of one chunk that is done in both stores.
fn done(version: u128) -> Vec<Progress> {
    vec![
        sourced(version, 1, key(version, "source")),
        listed(version, 0, 1, &[version]),
        stored_in_both(version, "index"),
        stored_in_both(version, "link"),
    ]
}

fn stored_in_both(version: u128, stage: &str) -> Progress {
    super::stored(version, stage, &[version])
}

/// What the ledger says once `shown` is visible, and `more` was heard behind it.
fn entry(shown: u128, more: &[Progress]) -> LedgerEntry {
    let document = folded(&done(shown));
    let open = document.entry().open.remove(0);
    let mut entry = document.entry();
    entry.open.clear();
    entry.visible = Some(penstock_schemas::Visible {
        lineage: open.lineage,
        opened: open.opened.unwrap(),
        chunks: 1,
        manifest: Some(manifest_key(&lineage(shown))),
        at: 0,
    });
    let mut document = Document::from(entry);
    for progress in more {
        document.fold(progress, Partial::Hide);
    }
    document.entry()
}

fn check(entry: &LedgerEntry, found: &[Stored], expect: &[&Stored]) {
    let gone: Vec<&Stored> = superfluous(entry, found, 100).collect();
    assert_eq!(gone, expect, "{entry:#?}");
}

#[test]
fn what_the_visible_edition_is_made_of_stays_and_its_old_text_goes() {
    let found = [
        stored(key(1, "source"), 1),
        manifest(1, 2),
        stored(key(1, "text"), 3),
        stored(key(1, "young text"), 101),
    ];
    check(&entry(1, &[]), &found, &[&found[2]]);
}

/// Age alone does not tell how long ago a version was superseded: records name it until then.
#[test]
fn a_superseded_source_goes_when_it_is_superseded_for_long() {
    let mut found = [
        stored(key(1, "source"), 1),
        manifest(1, 2),
        stored(key(2, "source"), 3),
        manifest(2, 101),
    ];
    check(&entry(2, &[]), &found, &[]);
    found[3].written = 100;
    check(&entry(2, &[]), &found, &[&found[0], &found[1]]);
    // A document that changes often gets rid of its old versions all the same.
    let often = [
        stored(key(1, "source"), 1),
        manifest(2, 90),
        manifest(3, 120),
    ];
    check(&entry(3, &[]), &often, &[&often[0]]);
}

/// Its record waits in `rag.documents.v1`, or nobody produced it: that cannot be told here.
#[test]
fn a_version_nobody_has_heard_of_stays() {
    let found = [
        stored(key(1, "source"), 1),
        manifest(1, 2),
        stored(key(2, "source"), 3),
    ];
    check(&entry(1, &[]), &found, &[]);
}

/// The record that died at split stays in `rag.documents.v1`, and may name bytes below an older version: a redrive of
/// a document that was given up leaves them where they are.
#[test]
fn bytes_of_a_document_that_died_at_split_stay() {
    let died = dead(3, "split", None, None);
    let found = [
        stored(key(2, "source"), 1),
        stored(key(3, "source"), 1),
        manifest(1, 2),
    ];
    check(&entry(1, std::slice::from_ref(&died)), &found, &[]);
    let mut given_up = Document::from(entry(1, &[died]));
    given_up.abandon_older_than(1_000);
    check(&given_up.entry(), &found, &[]);
    // Once a newer version came through, nothing names them.
    let found = [found[0].clone(), found[1].clone(), manifest(4, 5)];
    check(&entry(4, &[]), &found, &[&found[0], &found[1]]);
}

/// Its letters may be put back, and die again, for longer than any of them is kept.
#[test]
fn the_text_of_an_edition_that_may_go_on_stays() {
    let failed = [
        sourced(2, 1, key(2, "source")),
        dead(2, "shard", Some(0), None),
    ];
    let found = [stored(key(2, "text"), 1), manifest(1, 2)];
    let mut document = Document::from(entry(1, &failed));
    check(&document.entry(), &found, &[]);
    // Given up, its letters go another way: its document is produced again.
    document.abandon_older_than(1_000);
    check(&document.entry(), &found, &[&found[0]]);
}

#[test]
fn what_comes_late_of_what_was_deleted_goes() {
    let deleted = progress(2, "split", Outcome::Deleted);
    let found = [
        stored(key(1, "text"), 1),
        stored(key(2, "text"), 1),
        stored(key(3, "source"), 1),
    ];
    check(&folded(&[deleted]).entry(), &found, &[&found[0], &found[1]]);
}
