//! Avro on the wire: single-object encoding, or Confluent framing where a registry is configured.

mod registered;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;
use thiserror::Error;

use crate::topic::{Message, Subject};
use registered::{Registered, Writer};

pub use registered::{LookupError, SchemaRegistry};

/// First bytes of Avro single-object encoding, version 1.
const SINGLE_OBJECT: [u8; 2] = [0xC3, 0x01];
/// First byte of Confluent framing.
const CONFLUENT: u8 = 0;

#[derive(Debug, Error)]
pub enum CodecError {
    #[error("not an Avro record: starts with {0}, expected c3 01 (single object) or 00 (registry)")]
    Magic(String),
    #[error("record is only {0} bytes long")]
    Short(usize),
    #[error(
        "unknown schema fingerprint {0:016x} for {1}: it was written by a release that this one does not know; use that one, \
         or a newer one"
    )]
    UnknownFingerprint(u64, &'static str),
    #[error("schema {0} of a registry is named, and none is configured: set registry.url")]
    NoRegistry(u32),
    #[error("unknown schema {id} of the registry for {name}: {why}")]
    UnknownId {
        id: u32,
        name: &'static str,
        why: String,
    },
    #[error("no id of the registry for {0}: it is not among those looked up")]
    NoId(&'static str),
    #[error("{0} bytes are left behind the record")]
    Trailing(usize),
    #[error("{0}")]
    Avro(Box<apache_avro::Error>),
}

impl From<apache_avro::Error> for CodecError {
    fn from(error: apache_avro::Error) -> Self {
        Self::Avro(Box::new(error))
    }
}

/// CRC-64-AVRO of the schema's parsing canonical form.
pub fn fingerprint(schema: &Schema) -> u64 {
    let digest = schema.fingerprint::<Rabin>();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.bytes[..8]);
    u64::from_le_bytes(bytes)
}

/// Encodes and decodes records of any `Message`. Cheap to clone; resolved schemas are shared by the whole process.
///
/// By default a record names its schema by fingerprint (magic C3 01, CRC-64-AVRO little-endian), with a registry by the
/// registry's id (magic 0, big-endian). Either reads both.
#[derive(Debug, Clone, Default)]
pub struct Codec {
    registered: Option<Arc<Registered>>,
}

impl Codec {
    /// Writes the ids under which these subjects' schemas are registered.
    pub fn registered(
        own: impl IntoIterator<Item = (Subject, u32)>,
        registry: Arc<dyn SchemaRegistry>,
    ) -> Result<Self, CodecError> {
        Ok(Self {
            registered: Some(Arc::new(Registered::new(own, registry)?)),
        })
    }

    /// Whether there is a registry: then a record may name a schema that has to be learned first.
    pub fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    /// Whether the schema that `bytes` name is to be learned before they can be decoded.
    pub fn lacks(&self, bytes: &[u8]) -> bool {
        match (&self.registered, id_of(bytes)) {
            (Some(registered), Some(id)) => registered.lacks(id),
            _ => false,
        }
    }

    /// Asks the registry for the schema that `bytes` name, where it is not known yet. An error says nothing of the record:
    /// the registry gave no answer.
    pub async fn learn(&self, bytes: &[u8]) -> Result<(), LookupError> {
        match (&self.registered, id_of(bytes)) {
            (Some(registered), Some(id)) if registered.lacks(id) => registered.learn(id).await,
            _ => Ok(()),
        }
    }

    /// The record as bytes, framed. An error is a bug: the type and its schema disagree.
    pub fn encode<T: Message>(&self, record: &T) -> Result<Bytes, CodecError> {
        let schemas = ResolvedSchemas::of::<T>()?;
        // As the one before, and an eighth: growing would copy most of it more than once.
        let before = schemas.room.load(Ordering::Relaxed);
        let mut out = Vec::with_capacity(before + before / 8);
        match &self.registered {
            None => {
                out.extend_from_slice(&SINGLE_OBJECT);
                out.extend_from_slice(&schemas.fingerprint.to_le_bytes());
            }
            Some(registered) => {
                let id = registered.own(T::NAME).ok_or(CodecError::NoId(T::NAME))?;
                out.push(CONFLUENT);
                out.extend_from_slice(&id.to_be_bytes());
            }
        }
        schemas.writer.write_ser(&mut out, record)?;
        schemas.room.store(out.len(), Ordering::Relaxed);
        Ok(out.into())
    }

    /// The record in `bytes`, whichever framing and released schema version it was written with.
    pub fn decode<T: Message>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        let schemas = ResolvedSchemas::of::<T>()?;
        let (reader, body) = match bytes {
            [0xC3, 0x01, rest @ ..] => {
                let (mark, body) = rest
                    .split_first_chunk::<8>()
                    .ok_or(CodecError::Short(bytes.len()))?;
                (
                    schemas.reader_for(u64::from_le_bytes(*mark), T::NAME)?,
                    body,
                )
            }
            [CONFLUENT, rest @ ..] => {
                let (id, body) = rest
                    .split_first_chunk::<4>()
                    .ok_or(CodecError::Short(bytes.len()))?;
                let id = u32::from_be_bytes(*id);
                let registered = self.registered.as_ref();
                let writer = registered
                    .ok_or(CodecError::NoRegistry(id))?
                    .writer(id)
                    .map_err(|why| CodecError::UnknownId {
                        id,
                        name: T::NAME,
                        why,
                    })?;
                (schemas.reader_of(writer, T::NAME)?, body)
            }
            [] => return Err(CodecError::Short(0)),
            _ => {
                let head: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
                return Err(CodecError::Magic(head.join(" ")));
            }
        };
        let mut rest = body;
        let record = match reader {
            Reader::Same(reader) => reader.read_deser(&mut rest)?,
            Reader::Older(reader) => {
                // Resolved to our schema and written by it: only so are ids read as the text they are.
                let value = reader.read_value(&mut rest)?;
                let mut newest = Vec::new();
                schemas.writer.write_value_ref(&mut newest, &value)?;
                schemas.same.read_deser(&mut newest.as_slice())?
            }
        };
        if !rest.is_empty() {
            return Err(CodecError::Trailing(rest.len()));
        }
        Ok(record)
    }
}

/// The registry's id that `bytes` name their schema by.
fn id_of(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [CONFLUENT, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Reader {
    Same(&'static GenericDatumReader<'static>),
    Older(&'static GenericDatumReader<'static>),
}

/// The schemas of one record type, parsed and resolved once for the process: resolving on each call is
/// most of the cost of Avro.
pub struct ResolvedSchemas {
    schema: &'static Schema,
    fingerprint: u64,
    writer: GenericDatumWriter<'static>,
    same: GenericDatumReader<'static>,
    older: Mutex<HashMap<u64, &'static GenericDatumReader<'static>>>,
    /// Bytes of the last record that was encoded.
    room: AtomicUsize,
}

static RESOLVED: LazyLock<Mutex<HashMap<&'static str, &'static ResolvedSchemas>>> =
    LazyLock::new(Mutex::default);

thread_local! {
    /// What this thread has asked `RESOLVED` for: a handful. Every record asks, twice.
    static NEAR: RefCell<Vec<(&'static str, &'static ResolvedSchemas)>> = const { RefCell::new(Vec::new()) };
}

impl ResolvedSchemas {
    /// The schemas of `T`: the newest, and every older one that was made known.
    pub fn of<T: Message>() -> Result<&'static Self, CodecError> {
        NEAR.with_borrow_mut(|near| {
            let same = |name: &str| std::ptr::eq(name, T::NAME);
            if let Some((_, found)) = near.iter().find(|(name, _)| same(name)) {
                return Ok(*found);
            }
            let resolved = Self::resolve::<T>()?;
            near.push((T::NAME, resolved));
            Ok(resolved)
        })
    }

    fn resolve<T: Message>() -> Result<&'static Self, CodecError> {
        let mut all = RESOLVED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(T::NAME) {
            return Ok(found);
        }
        // A handful of schemas live as long as the process, so leaking them is simpler than owning them.
        let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(T::SCHEMA)?));
        let resolved: &'static Self = Box::leak(Box::new(Self {
            schema,
            fingerprint: fingerprint(schema),
            writer: GenericDatumWriter::builder(schema)
                .human_readable(true)
                .build()?,
            same: GenericDatumReader::builder(schema)
                .human_readable(true)
                .build()?,
            older: Mutex::default(),
            room: AtomicUsize::new(256),
        }));
        all.insert(T::NAME, resolved);
        Ok(resolved)
    }

    /// The newest schema.
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// Makes an older writer's schema known, so that its records can be read. An error names what does not resolve.
    pub fn know(&self, writer: &'static Schema) -> Result<u64, CodecError> {
        let mark = fingerprint(writer);
        self.know_as(mark, writer)?;
        Ok(mark)
    }

    fn know_as(&self, mark: u64, writer: &'static Schema) -> Result<(), CodecError> {
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        if mark != self.fingerprint && !older.contains_key(&mark) {
            let reader = GenericDatumReader::builder(writer)
                .reader_schema(self.schema)
                .human_readable(true)
                .build()?;
            older.insert(mark, Box::leak(Box::new(reader)));
        }
        Ok(())
    }

    fn reader_for(&'static self, mark: u64, name: &'static str) -> Result<Reader, CodecError> {
        if mark == self.fingerprint {
            return Ok(Reader::Same(&self.same));
        }
        let older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        older
            .get(&mark)
            .map(|reader| Reader::Older(reader))
            .ok_or(CodecError::UnknownFingerprint(mark, name))
    }

    fn reader_of(&'static self, writer: Writer, name: &'static str) -> Result<Reader, CodecError> {
        if let Ok(reader) = self.reader_for(writer.mark, name) {
            return Ok(reader);
        }
        self.know_as(writer.mark, writer.schema)?;
        self.reader_for(writer.mark, name)
    }
}

#[cfg(test)]
mod tests;
