mod registry;
mod schemas;

use super::*;
use crate::records::*;
use crate::topic::topics;

/// Examples and their bytes, written by another implementation of Avro (see `examples/generate.py`).
fn check<T: Message + PartialEq + std::fmt::Debug>(json: &str) {
    let examples: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    assert_eq!(examples.len(), 3);
    let codec = Codec::default();
    for example in examples {
        let name = format!("{} {}", T::NAME, example["name"]);
        let record: T = serde_json::from_value(example["record"].clone()).expect(&name);
        let bytes = codec.encode(&record).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, example["bytes"].as_str().unwrap(), "{name}");
        assert_eq!(codec.decode::<T>(&bytes).unwrap(), record, "{name}");
        for end in 0..bytes.len() {
            assert!(
                codec.decode::<T>(&bytes[..end]).is_err(),
                "{name} cut at {end}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(
            matches!(codec.decode::<T>(&longer), Err(CodecError::Trailing(1))),
            "{name}"
        );
    }
}

macro_rules! golden {
    ($($type:ident $file:literal),* $(,)?) => {
        #[test]
        fn golden_bytes_of_every_record() {
            $(check::<$type>(include_str!(concat!("../../examples/", $file, ".json")));)*
        }

        #[test]
        fn schemas_parse_and_document_every_field() {
            $(documented(&serde_json::from_str($type::SCHEMA).unwrap(), $file);)*
            $(ResolvedSchemas::of::<$type>().unwrap();)*
        }
    };
}

golden!(
    Audit "audit",
    Chunk "chunk",
    Completed "completed",
    Document "document",
    Embedding "embedding",
    Heartbeat "heartbeat",
    Indexed "indexed",
    LedgerEntry "ledger_entry",
    Part "part",
    Progress "progress",
    Section "section",
);

fn documented(schema: &serde_json::Value, place: &str) {
    match schema {
        serde_json::Value::Object(fields) => {
            if fields.contains_key("name") {
                let doc = fields.get("doc").and_then(|doc| doc.as_str());
                assert!(
                    doc.is_some_and(|doc| doc.len() > 3),
                    "{place}: {} has no doc",
                    fields["name"]
                );
            }
            fields.values().for_each(|it| documented(it, place));
        }
        serde_json::Value::Array(all) => all.iter().for_each(|it| documented(it, place)),
        _ => {}
    }
}

fn audit() -> Audit {
    Audit {
        at: 1,
        actor: "a".to_owned(),
        action: "b".to_owned(),
        detail: Default::default(),
    }
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let codec = Codec::default();
    let refused = |bytes: &[u8], word: &str| {
        let error = codec.decode::<Chunk>(bytes).unwrap_err().to_string();
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    };
    refused(b"", "0 bytes");
    refused(b"{\"a\":1}", "7b 22");
    refused(&[0xC3, 1, 2], "3 bytes");
    refused(
        &[0xC3, 1, 9, 9, 9, 9, 9, 9, 9, 9, 0],
        "unknown schema fingerprint",
    );
    refused(&[0, 0, 0, 0, 7, 1], "schema 7 of a registry");
    refused(&[0, 0, 0, 7], "4 bytes");
    let whole = codec.encode(&audit()).unwrap();
    for place in 10..whole.len() {
        for value in 0..=255 {
            let mut bytes = whole.to_vec();
            bytes[place] = value;
            // Some changes give another valid record; none may panic or take memory by the gigabyte.
            let _ = codec.decode::<Audit>(&bytes);
        }
    }
}

/// `Completed` before it named what died and where the manifest lies.
#[derive(serde::Serialize)]
struct Older {
    lineage: Lineage,
    outcome: Completion,
    path: String,
    parts: i32,
    chunks: i32,
    at: i64,
}

const OLDER: &str = r#"{"type":"record","name":"Completed","namespace":"org.penstock.v1","fields":[
    {"name":"lineage","type":{"type":"record","name":"Lineage","fields":[
        {"name":"group","type":"string"},{"name":"document_guid","type":"string"},{"name":"version","type":"string"},
        {"name":"edition","type":"string"},{"name":"stamped","type":"long"}]}},
    {"name":"outcome","type":{"type":"enum","name":"Completion","symbols":["visible","failed","removed"]}},
    {"name":"path","type":"string"},{"name":"parts","type":"int"},{"name":"chunks","type":"int"},{"name":"at","type":"long"}]}"#;

fn completed() -> Completed {
    Completed {
        lineage: Lineage {
            group: "g".to_owned(),
            document_guid: uuid::Uuid::from_u128(1),
            version: uuid::Uuid::from_u128(2),
            edition: uuid::Uuid::from_u128(3),
            stamped: 4,
        },
        outcome: Completion::Removed,
        path: "p".to_owned(),
        parts: 1,
        chunks: 2,
        dead: Vec::new(),
        manifest: None,
        at: 5,
    }
}

/// The same record by an older writer, behind `head`.
fn by_older_writer(writer: &Schema, head: &[u8]) -> Vec<u8> {
    let record = completed();
    let older = Older {
        lineage: record.lineage,
        outcome: record.outcome,
        path: record.path,
        parts: record.parts,
        chunks: record.chunks,
        at: record.at,
    };
    let datum = GenericDatumWriter::builder(writer)
        .human_readable(true)
        .build()
        .unwrap();
    let mut bytes = head.to_vec();
    datum.write_ser(&mut bytes, &older).unwrap();
    bytes
}

#[test]
fn older_writers_stay_readable() {
    let writer: &'static Schema = Box::leak(Box::new(Schema::parse_str(OLDER).unwrap()));
    let mut head = SINGLE_OBJECT.to_vec();
    head.extend(fingerprint(writer).to_le_bytes());
    let bytes = by_older_writer(writer, &head);
    let codec = Codec::default();
    assert!(matches!(
        codec.decode::<Completed>(&bytes),
        Err(CodecError::UnknownFingerprint(..))
    ));
    ResolvedSchemas::of::<Completed>()
        .unwrap()
        .know(writer)
        .unwrap();
    assert_eq!(codec.decode::<Completed>(&bytes).unwrap(), completed());
}

#[test]
fn every_topic_that_is_read_has_dead_letters() {
    let names: Vec<String> = topics::all().into_iter().map(|it| it.name).collect();
    for topic in [
        topics::DOCUMENTS.dead_letters(),
        topics::PROGRESS.dead_letters(),
    ] {
        assert!(names.contains(&topic), "{topic}");
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn every_topic_of_records_is_a_subject() {
    let subjects: Vec<String> = topics::subjects().iter().map(Subject::name).collect();
    let of_records = |name: &String| !name.ends_with(".dlq") && !name.ends_with(".attempts");
    let names = topics::all().into_iter().map(|it| it.name);
    let expect: Vec<String> = names
        .filter(of_records)
        .map(|name| format!("{name}-value"))
        .collect();
    assert_eq!(subjects, expect);
}
