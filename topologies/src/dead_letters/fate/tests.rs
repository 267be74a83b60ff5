use penstock_schemas::{About, Lineage, OpenEdition, Opened, Visible};

use super::super::records::tests::chunk;
use super::*;

const ID: Uuid = Uuid::from_u128(1);

fn lineage(version: u128) -> Lineage {
    Lineage {
        version: Uuid::from_u128(version),
        edition: Uuid::from_u128(version + 1),
        ..chunk().lineage
    }
}

fn entry(visible: Option<u128>, open: Option<(u128, Step)>, deleted: Option<u128>) -> LedgerEntry {
    let opened = Opened {
        about: chunk().about,
        blob: None,
        attributes_digest: String::new(),
        recipe: String::new(),
        parts: 1,
    };
    LedgerEntry {
        document_guid: ID,
        group: "g".to_owned(),
        visible: visible.map(|version| Visible {
            lineage: lineage(version),
            opened,
            chunks: 1,
            manifest: None,
            at: 0,
        }),
        open: open
            .into_iter()
            .map(|(version, step)| OpenEdition {
                lineage: lineage(version),
                opened: None,
                step,
                parts: Vec::new(),
                indexed: Bytes::new(),
                linked: Bytes::new(),
                dead: Vec::new(),
                last_progress_at: 0,
            })
            .collect(),
        deleted: deleted.map(Uuid::from_u128),
        removed_at: None,
        newest: visible
            .max(open.map(|(version, _)| version))
            .max(deleted)
            .map(Uuid::from_u128),
        fields_version: 1,
    }
}

fn document(version: u128) -> Document {
    let About {
        source,
        key,
        path,
        attributes,
        ..
    } = chunk().about;
    Document {
        document_guid: ID,
        group: "g".to_owned(),
        source,
        key,
        version: Uuid::from_u128(version),
        deleted: false,
        path,
        blob: None,
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes,
    }
}

/// A letter of a chunk of version 2.
fn of_chunk(redrives: &str) -> Record {
    let mut record = Codec::default().encode(&chunk()).map(|value| {
        let mut record = super::super::letter::tests::record(
            "rag.chunks.v1.dlq",
            0,
            &[
                ("kept", "yes"),
                ("dlq.reason", "why"),
                ("dlq.redrives", redrives),
            ],
        );
        record.value = Some(value);
        record
    });
    let record = record.as_mut().unwrap();
    let origin = penstock_runtime::lineage::Origin::of(&chunk());
    record.headers.extend(origin.headers());
    record.clone()
}

/// A letter of a document's version.
fn of_document(version: u128) -> Record {
    let mut record = super::super::letter::tests::record("rag.documents.v1.dlq", 0, &[]);
    record.key = Some(Bytes::from(ID.to_string()));
    record.value = Some(Codec::default().encode(&document(version)).unwrap());
    record
}

struct World {
    ledger: Option<LedgerEntry>,
    newest: Option<u128>,
}

fn fate(record: &Record, world: World, edit: Option<&str>) -> Fate {
    let codec = Codec::default();
    let known = Knowledge {
        ledger: world.ledger.map(|it| (ID, it)).into_iter().collect(),
        documents: world
            .newest
            .map(|it| (ID, document(it)))
            .into_iter()
            .collect(),
    };
    let edit = edit.map(|text| Edit::compile(text).unwrap());
    let mut judge = Judge::new(&codec, known, edit.as_ref(), 3);
    judge.judge(&Letter::of(record), record)
}

/// `expect`: the topic it goes to, or a word of why it is left.
fn check(record: &Record, world: World, expect: Result<&str, &str>) {
    match (fate(record, world, None), expect) {
        (Fate::PutBack(record) | Fate::Again { record, .. }, Ok(topic)) => {
            assert_eq!(&*record.topic, topic);
        }
        (Fate::Left(why), Err(word)) => assert!(why.contains(word), "{why}"),
        (fate, expect) => panic!("{fate:?}, expected {expect:?}"),
    }
}

fn world(ledger: Option<LedgerEntry>, newest: Option<u128>) -> World {
    World { ledger, newest }
}

#[test]
fn a_piece_goes_back_unless_it_is_of_no_use() {
    let chunks = Ok("rag.chunks.v1");
    let piece = || of_chunk("0");
    check(&piece(), world(None, None), chunks);
    check(
        &piece(),
        world(Some(entry(None, Some((2, Step::Failed)), None)), Some(2)),
        chunks,
    );
    check(
        &piece(),
        world(Some(entry(Some(1), Some((2, Step::Failed)), None)), None),
        chunks,
    );
    check(
        &piece(),
        world(Some(entry(Some(2), None, None)), None),
        Err("is visible"),
    );
    check(
        &piece(),
        world(Some(entry(Some(5), None, None)), None),
        Err("newer version"),
    );
    check(
        &piece(),
        world(Some(entry(None, None, Some(2))), None),
        Err("deleted"),
    );
    check(
        &piece(),
        world(Some(entry(None, None, Some(1))), None),
        chunks,
    );
    // Shown with its gaps named: this closes one.
    let with_gaps = entry(Some(2), Some((2, Step::Failed)), None);
    check(&piece(), world(Some(with_gaps), None), chunks);
    check(&of_chunk("2"), world(None, None), chunks);
    check(&of_chunk("3"), world(None, None), Err("put back 3 times"));
}

#[test]
fn what_was_given_up_is_produced_again_as_its_document() {
    let abandoned = || Some(entry(None, Some((2, Step::Abandoned)), None));
    check(
        &of_chunk("0"),
        world(abandoned(), Some(2)),
        Ok("rag.documents.v1"),
    );
    check(
        &of_chunk("0"),
        world(abandoned(), None),
        Err("ingest it again"),
    );
    let Fate::Again { record, version } = fate(&of_chunk("0"), world(abandoned(), Some(7)), None)
    else {
        panic!("not produced again");
    };
    let told: Document = Codec::default().decode(&record.value.unwrap()).unwrap();
    assert_eq!(told.version, version);
    assert!(version > Uuid::from_u128(7));
    let edited = fate(
        &of_chunk("0"),
        world(abandoned(), Some(2)),
        Some(".text = \"x\""),
    );
    assert!(matches!(edited, Fate::Left(why) if why.contains("--edit")));
}

#[test]
fn one_document_is_produced_again_once() {
    let codec = Codec::default();
    let known = Knowledge {
        ledger: HashMap::from([(ID, entry(None, Some((2, Step::Abandoned)), None))]),
        documents: HashMap::from([(ID, document(2))]),
    };
    let mut judge = Judge::new(&codec, known, None, 3);
    let record = of_chunk("0");
    let mut next = || judge.judge(&Letter::of(&record), &record);
    let (Fate::Again { version, .. }, Fate::Covered { version: same }) = (next(), next()) else {
        panic!("produced twice");
    };
    assert_eq!(version, same);
}

#[test]
fn an_older_document_never_lands_behind_a_newer_one() {
    let documents = Ok("rag.documents.v1");
    check(&of_document(4), world(None, Some(4)), documents);
    check(&of_document(4), world(None, Some(5)), Err("newer version"));
    check(
        &of_document(4),
        world(Some(entry(Some(5), None, None)), None),
        Err("newer version"),
    );
    check(
        &of_document(4),
        world(Some(entry(Some(4), None, None)), Some(4)),
        Err("visible"),
    );
    check(
        &of_document(4),
        world(Some(entry(Some(3), Some((4, Step::Failed)), None)), None),
        documents,
    );
    check(
        &of_document(4),
        world(Some(entry(None, None, Some(4))), None),
        Err("deleted"),
    );
    let mut undecodable = of_document(4);
    undecodable.value = Some(Bytes::from_static(b"junk"));
    check(&undecodable, world(None, None), documents);
    check(&undecodable, world(None, Some(1)), Err("cannot be decoded"));
    let abandoned = world(Some(entry(None, Some((4, Step::Abandoned)), None)), Some(4));
    assert!(matches!(
        fate(&of_document(4), abandoned, None),
        Fate::Again { .. }
    ));
}

#[test]
fn an_edit_changes_the_value_and_nothing_else() {
    let record = of_chunk("1");
    let plain = |edit: Option<&str>| match fate(&record, world(None, None), edit) {
        Fate::PutBack(record) => record,
        fate => panic!("{fate:?}"),
    };
    let (as_it_was, mended) = (plain(None), plain(Some(".text = \"x\"")));
    assert_eq!(as_it_was.value, record.value);
    assert_eq!(plain(Some(".")).value, record.value);
    assert_eq!(
        (&mended.key, &mended.headers),
        (&as_it_was.key, &as_it_was.headers)
    );
    let told: penstock_schemas::Chunk = Codec::default().decode(&mended.value.unwrap()).unwrap();
    assert_eq!(told.text, "x");
    let names: Vec<&str> = as_it_was.headers.iter().map(|(name, _)| &**name).collect();
    assert!(names.contains(&"kept") && !names.contains(&"dlq.reason"));
    assert_eq!(lineage_count(&as_it_was), "2");

    let refused = |edit: &str, word: &str| {
        let fate = fate(&record, world(None, None), Some(edit));
        assert!(
            matches!(&fate, Fate::Left(why) if why.contains(word)),
            "{fate:?}"
        );
    };
    refused(".text = 5", "no Chunk");
    refused(".txt = \"x\"", "no field txt");
    refused("empty", "yields nothing");
    refused(".ordinal = 9", "which piece");
}

fn lineage_count(record: &Outgoing) -> String {
    let (_, value) = record
        .headers
        .iter()
        .find(|(name, _)| name == "dlq.redrives")
        .unwrap();
    String::from_utf8_lossy(value).into_owned()
}
