//! The contract: one Rust type per Avro record, topics that remember their record type, and identity.

mod codec;
mod identity;
mod records;
mod topic;

pub use codec::{Codec, CodecError, LookupError, ResolvedSchemas, SchemaRegistry, fingerprint};
pub use identity::{
    chunk_guid, content_hash, document_guid, edition_id, entity_guid, next_version, now_ms,
    source_guid,
};
pub use records::*;
pub use topic::{
    Message, Subject, Topic, TopicSpec, attempts_of, dead_letters_of, original_of, topics,
};
