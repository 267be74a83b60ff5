//! Topics remember their record type, so that wiring a stage to the wrong topic does not compile.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::codec::{Codec, CodecError};
use crate::records::*;

/// A record type that travels on a topic.
pub trait Message: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Name of the record in its schema, without the namespace.
    const NAME: &'static str;
    /// The newest schema, as JSON: what is written, and what older writers' records are resolved to.
    const SCHEMA: &'static str;
    /// The partition key: all that is ordered together shares it.
    fn key(&self) -> String;
    /// Whose record this is; none for records that belong to no document.
    fn lineage(&self) -> Option<Lineage> {
        None
    }
    /// The part of the document, where the record has one.
    fn part(&self) -> Option<i32> {
        None
    }
    /// The chunk, where the record is about exactly one.
    fn chunk(&self) -> Option<Uuid> {
        None
    }
    /// The chunk's place within its part.
    fn ordinal(&self) -> Option<i32> {
        None
    }
    /// The record as bytes. Records are Avro; one that is passed on as it came says so here.
    fn encode(&self, codec: &Codec) -> Result<Bytes, CodecError> {
        codec.encode(self)
    }
    /// The record in `bytes`; the other way round.
    fn decode(codec: &Codec, bytes: &Bytes) -> Result<Self, CodecError> {
        codec.decode(bytes)
    }
}

/// The name of a topic and the type of its records. Wiring a stage to a topic of another type does not compile:
///
/// ```compile_fail
/// use penstock_schemas::{Part, Topic, topics};
/// let parts: Topic<Part> = topics::DOCUMENTS;
/// ```
pub struct Topic<T> {
    name: &'static str,
    record: PhantomData<fn() -> T>,
}

impl<T: Message> Topic<T> {
    /// A topic of records of this type; those of the pipeline are in [`topics`].
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            record: PhantomData,
        }
    }

    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Where records go that cannot be processed.
    pub fn dead_letters(&self) -> String {
        dead_letters_of(self.name)
    }

    /// What its readers remember of records that may kill a process.
    pub fn attempts(&self) -> String {
        attempts_of(self.name)
    }

    /// What its records are to a registry.
    pub const fn subject(&self) -> Subject {
        Subject {
            topic: self.name,
            record: T::NAME,
            schema: T::SCHEMA,
        }
    }
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Topic<T> {}

const DEAD_LETTERS: &str = ".dlq";

/// Where records of `topic` go that cannot be processed.
pub fn dead_letters_of(topic: &str) -> String {
    format!("{topic}{DEAD_LETTERS}")
}

/// The topic whose dead letters these are; none where it is not a topic of dead letters.
pub fn original_of(dead_letters: &str) -> Option<&str> {
    dead_letters.strip_suffix(DEAD_LETTERS)
}

/// Where the readers of `topic` note which of its records may kill a process.
pub fn attempts_of(topic: &str) -> String {
    format!("{topic}.attempts")
}

/// The values of a topic, as a registry keeps their schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    pub topic: &'static str,
    /// Name of the record type.
    pub record: &'static str,
    /// The newest schema, as JSON.
    pub schema: &'static str,
}

impl Subject {
    /// By the strategy that Confluent's clients follow unless told otherwise (TopicNameStrategy).
    pub fn name(&self) -> String {
        format!("{}-value", self.topic)
    }
}

/// How a topic is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    /// Only the newest record of each key is kept, for ever.
    pub compacted: bool,
    /// How long a record is kept, in hours; none: for ever.
    pub retention_hours: Option<u32>,
    /// Partition counts of these are equal and fixed: settle's state is kept by partition.
    pub co_partitioned: bool,
    /// Holds only work in progress: may start again empty once all is settled.
    pub intermediate: bool,
}

/// Every topic of the pipeline.
pub mod topics {
    use super::*;

    pub const DOCUMENTS: Topic<Document> = Topic::new("rag.documents.v1");
    pub const PARTS: Topic<Part> = Topic::new("rag.parts.v1");
    pub const SECTIONS: Topic<Section> = Topic::new("rag.sections.v1");
    pub const CHUNKS: Topic<Chunk> = Topic::new("rag.chunks.v1");
    pub const EMBEDDINGS: Topic<Embedding> = Topic::new("rag.embeddings.v1");
    pub const INDEXED: Topic<Indexed> = Topic::new("rag.indexed.v1");
    pub const PROGRESS: Topic<Progress> = Topic::new("rag.progress.v1");
    pub const LEDGER: Topic<LedgerEntry> = Topic::new("rag.ledger.v1");
    pub const COMPLETED: Topic<Completed> = Topic::new("rag.completed.v1");
    pub const HEARTBEATS: Topic<Heartbeat> = Topic::new("rag.heartbeats.v1");
    pub const AUDIT: Topic<Audit> = Topic::new("rag.audit.v1");

    /// What a registry is to know: every topic of Avro records. Dead letters name the schemas they had.
    pub const fn subjects() -> [Subject; 11] {
        [
            DOCUMENTS.subject(),
            PARTS.subject(),
            SECTIONS.subject(),
            CHUNKS.subject(),
            EMBEDDINGS.subject(),
            INDEXED.subject(),
            PROGRESS.subject(),
            LEDGER.subject(),
            COMPLETED.subject(),
            HEARTBEATS.subject(),
            AUDIT.subject(),
        ]
    }

    /// What must exist before a stage starts, topics of dead letters and attempts included.
    pub fn all() -> Vec<TopicSpec> {
        const WEEK: Option<u32> = Some(7 * 24);
        const MONTH: Option<u32> = Some(30 * 24);
        let spec =
            |name: &str, compacted, retention_hours, co_partitioned, intermediate| TopicSpec {
                name: name.to_owned(),
                compacted,
                retention_hours,
                co_partitioned,
                intermediate,
            };
        let mut all = vec![
            spec(DOCUMENTS.name(), true, None, false, false),
            spec(PARTS.name(), false, WEEK, false, true),
            spec(SECTIONS.name(), false, WEEK, false, true),
            spec(CHUNKS.name(), false, WEEK, false, true),
            spec(EMBEDDINGS.name(), false, WEEK, false, true),
            spec(INDEXED.name(), false, WEEK, false, true),
            spec(PROGRESS.name(), false, WEEK, true, true),
            spec(LEDGER.name(), true, None, true, false),
            spec(COMPLETED.name(), false, MONTH, false, false),
            spec(HEARTBEATS.name(), true, Some(24), false, false),
            spec(AUDIT.name(), false, None, false, false),
        ];
        let consumed = [
            DOCUMENTS.name(),
            PARTS.name(),
            SECTIONS.name(),
            CHUNKS.name(),
            EMBEDDINGS.name(),
            INDEXED.name(),
            PROGRESS.name(),
        ];
        for name in consumed {
            all.push(spec(&dead_letters_of(name), false, MONTH, false, false));
            all.push(spec(&attempts_of(name), true, None, false, false));
        }
        all
    }
}

macro_rules! message {
    ($type:ident, $file:literal, |$it:ident| $key:expr $(, $method:ident -> $ret:ty = $value:expr)* $(,)?) => {
        impl Message for $type {
            const NAME: &'static str = stringify!($type);
            const SCHEMA: &'static str = include_str!(concat!("../avro/", $file, ".avsc"));
            fn key(&self) -> String {
                let $it = self;
                $key
            }
            $(fn $method(&self) -> $ret {
                let $it = self;
                $value
            })*
        }
    };
}

fn part_key(lineage: &Lineage, part: i32) -> String {
    format!("{}/{part}", lineage.document_guid)
}

message!(Document, "document", |it| it.document_guid.to_string());
message!(Part, "part", |it| part_key(&it.lineage, it.part),
    lineage -> Option<Lineage> = Some(it.lineage.clone()), part -> Option<i32> = Some(it.part));
message!(Section, "section", |it| part_key(&it.lineage, it.part),
    lineage -> Option<Lineage> = Some(it.lineage.clone()), part -> Option<i32> = Some(it.part));
message!(Chunk, "chunk", |it| part_key(&it.lineage, it.part),
    lineage -> Option<Lineage> = Some(it.lineage.clone()), part -> Option<i32> = Some(it.part),
    chunk -> Option<Uuid> = Some(it.chunk_guid), ordinal -> Option<i32> = Some(it.ordinal));
message!(Embedding, "embedding", |it| it.chunk.key(),
    lineage -> Option<Lineage> = it.chunk.lineage(), part -> Option<i32> = it.chunk.part(),
    chunk -> Option<Uuid> = it.chunk.chunk(), ordinal -> Option<i32> = it.chunk.ordinal());
message!(Indexed, "indexed", |it| it.chunk.key(),
    lineage -> Option<Lineage> = it.chunk.lineage(), part -> Option<i32> = it.chunk.part(),
    chunk -> Option<Uuid> = it.chunk.chunk(), ordinal -> Option<i32> = it.chunk.ordinal());
message!(Progress, "progress", |it| it.lineage.document_guid.to_string(),
    lineage -> Option<Lineage> = Some(it.lineage.clone()), part -> Option<i32> = it.part);
message!(LedgerEntry, "ledger_entry", |it| it
    .document_guid
    .to_string());
message!(Completed, "completed", |it| it.lineage.document_guid.to_string(),
    lineage -> Option<Lineage> = Some(it.lineage.clone()));
message!(Heartbeat, "heartbeat", |it| it.instance.clone());
message!(Audit, "audit", |it| it.at.to_string());
