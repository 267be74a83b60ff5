use std::collections::BTreeSet;

use penstock_runtime::Failure;

use super::super::files::{File, Migration, declared, pair, read};

const UP: &str = "CREATE INDEX a IF NOT EXISTS FOR (n:N) ON (n.x);";
const DOWN: &str = "DROP INDEX a IF EXISTS;";

fn paired(names: &[&str]) -> Result<Vec<Migration>, Failure> {
    let files = names.iter().map(|name| File {
        folder: "folder".to_owned(),
        name: (*name).to_owned(),
        text: if name.starts_with('V') { UP } else { DOWN }.to_owned(),
    });
    pair(files.collect())
}

#[test]
fn what_is_made_is_taken_back_by_the_file_beside_it() {
    let migrations = declared().unwrap();
    assert_eq!(migrations[0].label(), "V001__initial_schema");
    assert_eq!(migrations[1].label(), "V002__entity_indexes");
    let mut all = BTreeSet::new();
    for migration in &migrations {
        let of = |statements: &[super::super::Statement],
                  name: fn(&super::super::Statement) -> Option<&str>| {
            let named = statements
                .iter()
                .filter_map(|it| Some((name(it)?.to_owned(), it.enterprise_only)));
            named.collect::<BTreeSet<_>>()
        };
        let made = of(&migration.apply.statements, |it| it.makes());
        let dropped = of(&migration.undo.statements, |it| it.drops());
        assert_eq!(made, dropped, "{}", migration.label());
        assert_eq!(made.len(), migration.apply.statements.len());
        for (name, _) in made {
            assert!(all.insert(name.clone()), "{name} is made twice");
        }
        assert_eq!(migration.checksum.len(), 64);
    }
}

#[test]
fn names_are_numbered_in_pairs_without_gaps() {
    let good = [
        "V001__a.cypher",
        "U001__a.cypher",
        "V002__b_2.cypher",
        "U002__b_2.cypher",
    ];
    let labels: Vec<String> = paired(&good)
        .unwrap()
        .iter()
        .map(Migration::label)
        .collect();
    assert_eq!(labels, ["V001__a", "V002__b_2"]);

    let check = |names: &[&str], file: &str, says: &str| {
        let failure = paired(names).expect_err(file);
        assert_eq!(failure.class(), "fatal");
        let place = format!("folder/{file} line 1: ");
        assert!(
            failure.reason().starts_with(&place),
            "{failure}: not {place}"
        );
        assert!(failure.reason().contains(says), "{failure} lacks {says:?}");
    };
    for odd in [
        "V1__a.cypher",
        "V000__a.cypher",
        "X001__a.cypher",
        "V001_a.cypher",
        "V001__.cypher",
        "V001__A.cypher",
        "V001__a-b.cypher",
        "Vx01__a.cypher",
        "V99999999999__a.cypher",
        "é001__a.cypher",
    ] {
        check(&[odd], odd, "its name is none of a migration");
    }
    check(
        &["V001__a.cypher"],
        "V001__a.cypher",
        "U001__a.cypher is missing",
    );
    check(
        &["U001__a.cypher"],
        "U001__a.cypher",
        "its V file is missing",
    );
    check(
        &["V002__a.cypher", "U002__a.cypher"],
        "V002__a.cypher",
        "V001 is missing",
    );
    check(
        &[
            "V001__a.cypher",
            "U001__a.cypher",
            "V003__c.cypher",
            "U003__c.cypher",
        ],
        "V003__c.cypher",
        "V002 is missing",
    );
    check(
        &["V001__a.cypher", "V001__b.cypher"],
        "V001__b.cypher",
        "has the version of V001__a.cypher",
    );
    check(
        &["V001__a.cypher", "U001__b.cypher"],
        "U001__b.cypher",
        "must be named like it",
    );
}

#[test]
fn a_folder_is_read_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let refused = |says: &[&str]| {
        let failure = read(folder.path()).unwrap_err();
        for says in says {
            assert!(failure.reason().contains(says), "{failure} lacks {says}");
        }
    };
    refused(&["holds no migration"]);
    write("README.md", b"not ours");
    write("V001__a.cypher", UP.as_bytes());
    write("U001__a.cypher", DOWN.as_bytes());
    let unix = read(folder.path()).unwrap();
    assert_eq!(unix.len(), 1);
    write("V001__a.cypher", UP.replace(" FOR", "\nFOR").as_bytes());
    let lines = read(folder.path()).unwrap();
    write("V001__a.cypher", UP.replace(" FOR", "\r\nFOR").as_bytes());
    let windows = read(folder.path()).unwrap();
    assert_eq!(lines[0].checksum, windows[0].checksum);
    assert_ne!(unix[0].checksum, windows[0].checksum);
    write("V001__a.cypher", b"MATCH (n)\nRETURN '\xff';");
    refused(&["V001__a.cypher line 2: is not UTF-8"]);
    write("V001__a.cypher", &vec![b'/'; 1024 * 1024 + 1]);
    refused(&["V001__a.cypher", "is larger than"]);
    let nowhere = read(&folder.path().join("nowhere")).unwrap_err();
    assert!(nowhere.reason().contains("nowhere"), "{nowhere}");
}
