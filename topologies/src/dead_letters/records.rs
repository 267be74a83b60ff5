//! What the records of each topic are, as JSON.

use bytes::Bytes;
use penstock_runtime::lineage::Origin;
use penstock_schemas::{Codec, Message, Topic, topics};
use serde_json::Value;

/// The record type of a topic that is read.
#[derive(Clone, Copy)]
pub struct RecordType {
    /// Its name in the schema.
    pub name: &'static str,
    topic: &'static str,
    decode: fn(&Codec, &[u8]) -> Result<Value, String>,
    mend: fn(&Codec, &[u8], &Value) -> Result<Bytes, String>,
    origin: fn(&Codec, &[u8]) -> Option<Origin>,
}

impl RecordType {
    /// None for a topic no stage reads.
    pub fn of_topic(topic: &str) -> Option<Self> {
        let all = [
            of(topics::DOCUMENTS),
            of(topics::PARTS),
            of(topics::SECTIONS),
            of(topics::CHUNKS),
            of(topics::EMBEDDINGS),
            of(topics::INDEXED),
            of(topics::PROGRESS),
        ];
        all.into_iter().find(|it| it.topic == topic)
    }

    pub fn decode(&self, codec: &Codec, bytes: &[u8]) -> Result<Value, String> {
        (self.decode)(codec, bytes)
    }

    /// Whose record it says it is; none where it cannot be decoded.
    pub fn origin(&self, codec: &Codec, bytes: &[u8]) -> Option<Origin> {
        (self.origin)(codec, bytes)
    }

    /// The bytes of the edited record, which decode to it. It must fit the schema, and be the same piece of the same
    /// document as the record in `before`: key and headers stay as they are.
    pub fn mend(&self, codec: &Codec, before: &[u8], edited: &Value) -> Result<Bytes, String> {
        (self.mend)(codec, before, edited)
    }
}

fn of<T: Message>(topic: Topic<T>) -> RecordType {
    RecordType {
        name: T::NAME,
        topic: topic.name(),
        decode: decode::<T>,
        mend: mend::<T>,
        origin: |codec, bytes| codec.decode::<T>(bytes).ok().map(|it| Origin::of(&it)),
    }
}

fn decode<T: Message>(codec: &Codec, bytes: &[u8]) -> Result<Value, String> {
    let record: T = codec.decode(bytes).map_err(|error| error.to_string())?;
    serde_json::to_value(&record).map_err(|error| error.to_string())
}

fn mend<T: Message>(codec: &Codec, before: &[u8], edited: &Value) -> Result<Bytes, String> {
    let before: T = codec.decode(before).map_err(|error| error.to_string())?;
    let record: T = serde_json::from_value(edited.clone())
        .map_err(|error| format!("the edited record is no {}: {error}", T::NAME))?;
    let told = serde_json::to_value(&record).map_err(|error| error.to_string())?;
    if let Some(path) = unknown(edited, &told) {
        return Err(format!(
            "the edited record is no {}: it has no field {path}",
            T::NAME
        ));
    }
    let identity = |it: &T| (it.key(), it.lineage(), it.part(), it.ordinal(), it.chunk());
    if identity(&before) != identity(&record) {
        return Err(
            "the edit changes which document or which piece of it the record is: that is not to be mended"
                .to_owned(),
        );
    }
    let bytes = codec.encode(&record).map_err(|error| error.to_string())?;
    if decode::<T>(codec, &bytes)? != told {
        return Err(format!(
            "the edited record does not survive its schema {}",
            T::NAME
        ));
    }
    Ok(bytes)
}

/// A field that was given and not taken: serde drops what it does not know.
fn unknown(given: &Value, taken: &Value) -> Option<String> {
    match (given, taken) {
        (Value::Object(given), Value::Object(taken)) => {
            given
                .iter()
                .find_map(|(name, value)| match taken.get(name) {
                    None => Some(name.clone()),
                    Some(taken) => unknown(value, taken).map(|path| format!("{name}.{path}")),
                })
        }
        (Value::Array(given), Value::Array(taken)) => {
            let pairs = given.iter().zip(taken).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (given, taken))| Some(format!("{at}.{}", unknown(given, taken)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
pub mod tests {
    use penstock_schemas::{About, Chunk, Lineage};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    pub fn chunk() -> Chunk {
        Chunk {
            lineage: Lineage {
                group: "g".to_owned(),
                document_guid: Uuid::from_u128(1),
                version: Uuid::from_u128(2),
                edition: Uuid::from_u128(3),
                stamped: 4,
            },
            part: 0,
            chunk_guid: Uuid::from_u128(5),
            ordinal: 6,
            text: "twelve tonnes".to_owned(),
            start_char: 0,
            end_char: 13,
            page_first: None,
            page_last: None,
            heading_path: vec!["Cranes".to_owned()],
            content_hash: "00".to_owned(),
            tokens: 3,
            about: About {
                source: "s".to_owned(),
                key: "k".to_owned(),
                path: "p".to_owned(),
                title: None,
                author: None,
                language: None,
                created_at: None,
                attributes: [("colour".to_owned(), "red".to_owned())].into(),
            },
        }
    }

    #[test]
    fn every_topic_that_is_read_has_a_type() {
        for stage in crate::pipeline::topology() {
            assert!(RecordType::of_topic(stage.from).is_some(), "{}", stage.from);
        }
        assert!(RecordType::of_topic("rag.ledger.v1").is_none());
    }

    #[test]
    fn edited_records_fit_the_schema_or_are_refused() {
        let codec = Codec::default();
        let bytes = codec.encode(&chunk()).unwrap();
        let record = RecordType::of_topic("rag.chunks.v1").unwrap();
        let check = |pointer: &str, value: Value, expect: Result<(), &str>| {
            let mut edited = record.decode(&codec, &bytes).unwrap();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let parent = edited.pointer_mut(parent).unwrap();
            parent[name] = value;
            match (record.mend(&codec, &bytes, &edited), expect) {
                (Ok(mended), Ok(())) => {
                    assert_eq!(record.decode(&codec, &mended).unwrap(), edited);
                }
                (Err(error), Err(word)) => assert!(error.contains(word), "{error}"),
                (result, _) => panic!("{pointer}: {result:?}"),
            }
        };
        check("/text", json!("thirteen tonnes"), Ok(()));
        check("/about/title", json!("Lifting"), Ok(()));
        check("/about/attributes/size", json!("large"), Ok(()));
        check("/text", json!(13), Err("no Chunk"));
        check("/text", Value::Null, Err("no Chunk"));
        check("/tokens", json!(1.5), Err("no Chunk"));
        check("/tokens", json!(1_u64 << 40), Err("no Chunk"));
        check("/txt", json!("x"), Err("no field txt"));
        check("/about/titel", json!("x"), Err("no field about.titel"));
        check("/ordinal", json!(7), Err("which piece"));
        check(
            "/lineage/document_guid",
            json!(Uuid::from_u128(9)),
            Err("which document"),
        );
    }
}
