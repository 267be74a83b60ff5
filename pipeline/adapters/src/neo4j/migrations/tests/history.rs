use std::collections::BTreeSet;

use super::super::Applied;
use super::super::files::{File, Migration, pair};
use super::super::history::{made, missing, pending, to_undo};

/// Migrations 1 to `count`, each of which makes index `i<version>`.
fn migrations(count: u32) -> Vec<Migration> {
    let of = |letter: char, version: u32, text: String| File {
        folder: "folder".to_owned(),
        name: format!("{letter}{version:03}__m.cypher"),
        text,
    };
    let files = (1..=count).flat_map(|it| {
        [
            of(
                'V',
                it,
                format!("CREATE INDEX i{it} IF NOT EXISTS FOR (n:N) ON (n.p{it});"),
            ),
            of('U', it, format!("DROP INDEX i{it} IF EXISTS;")),
        ]
    });
    pair(files.collect()).unwrap()
}

fn applied(migrations: &[Migration], versions: &[u32]) -> Vec<Applied> {
    let remembered = |version: &u32| Applied {
        version: *version,
        name: "m".to_owned(),
        checksum: migrations
            .iter()
            .find(|it| it.version == *version)
            .map_or("unknown".to_owned(), |it| it.checksum.clone()),
        applied_at: "2026-01-01T00:00:00Z".to_owned(),
        duration_ms: 1,
        skipped: 0,
        undoing: false,
    };
    versions.iter().map(remembered).collect()
}

fn versions(found: Vec<&Migration>) -> Vec<u32> {
    found.into_iter().map(|it| it.version).collect()
}

#[test]
fn what_is_not_applied_is_pending_in_order() {
    let files = migrations(3);
    let check = |done: &[u32], expect: &[u32]| {
        let found = pending(&files, &applied(&files, done)).unwrap();
        assert_eq!(versions(found), expect, "{done:?}");
    };
    check(&[], &[1, 2, 3]);
    check(&[1], &[2, 3]);
    check(&[1, 2, 3], &[]);
    // A newer release was here.
    check(&[1, 2, 3, 4], &[]);

    let mut half_undone = applied(&files, &[1, 2, 3]);
    half_undone[2].undoing = true;
    assert_eq!(versions(pending(&files, &half_undone).unwrap()), [3]);
}

#[test]
fn a_past_that_is_not_what_the_files_say_is_refused() {
    let files = migrations(3);
    let check = |past: &[Applied], files: &[Migration], says: &[&str]| {
        let failure = pending(files, past).unwrap_err();
        assert_eq!(failure.class(), "fatal");
        for says in says {
            assert!(failure.reason().contains(says), "{failure} lacks {says}");
        }
    };
    let mut changed = applied(&files, &[1, 2]);
    changed[1].checksum = "abc".to_owned();
    check(
        &changed,
        &files,
        &[
            "V002__m",
            "abc",
            &files[1].checksum,
            "folder/V002__m.cypher",
        ],
    );
    check(
        &applied(&files, &[1, 3]),
        &files,
        &["V002__m", "out of order", "undo down to V001"],
    );
    let without_second: Vec<Migration> =
        files.iter().filter(|it| it.version != 2).cloned().collect();
    check(
        &applied(&files, &[1, 2]),
        &without_second,
        &["V002__m", "file is missing", &files[1].checksum],
    );
}

#[test]
fn undo_goes_back_newest_first() {
    let files = migrations(3);
    let check = |done: &[u32], to: Option<u32>, expect: &[u32]| {
        let past = applied(&files, done);
        assert_eq!(
            versions(to_undo(&files, &past, to).unwrap()),
            expect,
            "{done:?} {to:?}"
        );
    };
    check(&[], None, &[]);
    check(&[1, 2, 3], None, &[3]);
    check(&[1, 2], None, &[2]);
    check(&[1, 2, 3], Some(1), &[3, 2]);
    check(&[1, 2, 3], Some(0), &[3, 2, 1]);
    check(&[1], Some(1), &[]);
    let newer = applied(&files, &[1, 2, 3, 4]);
    let failure = to_undo(&files, &newer, None).unwrap_err();
    assert!(failure.reason().contains("another release"), "{failure}");
}

#[test]
fn what_was_dropped_by_hand_is_missed() {
    let files = migrations(3);
    let past = applied(&files, &[1, 2]);
    let names: BTreeSet<String> = ["i1".to_owned(), "of_others".to_owned()].into();
    let gone = missing(made(&files, &past, false), &names);
    let gone: Vec<&str> = gone.into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(gone, ["i2"]);
}
