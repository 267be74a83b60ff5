//! Avro on the wire: single-object encoding, or Confluent framing where a registry is configured.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;
use thiserror::Error;

use crate::topic::Message;

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
    #[error("unknown registry schema id {0} for {1}")]
    UnknownId(u32, &'static str),
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

/// How a record names its schema.
#[derive(Debug, Clone, Default)]
pub enum Framing {
    /// Magic C3 01 and the schema's CRC-64-AVRO fingerprint, little-endian.
    #[default]
    SingleObject,
    /// Magic 0 and the registry's id, big-endian. `own` maps record names to the id to write;
    /// `known` maps ids to writers' schemas.
    Confluent {
        own: HashMap<&'static str, u32>,
        known: HashMap<u32, &'static Schema>,
    },
}

/// CRC-64-AVRO of the schema's parsing canonical form.
pub fn fingerprint(schema: &Schema) -> u64 {
    let digest = schema.fingerprint::<Rabin>();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.bytes[..8]);
    u64::from_le_bytes(bytes)
}

/// Encodes and decodes records of any `Message`. Cheap to clone; resolved schemas are shared by the whole process.
#[derive(Debug, Clone, Default)]
pub struct Codec {
    framing: Framing,
}

impl Codec {
    pub fn new(framing: Framing) -> Self {
        Self { framing }
    }

    /// The record as bytes, framed. An error is a bug: the type and its schema disagree.
    pub fn encode<T: Message>(&self, record: &T) -> Result<Bytes, CodecError> {
        let schemas = ResolvedSchemas::of::<T>()?;
        let mut out = Vec::with_capacity(256);
        match &self.framing {
            Framing::SingleObject => {
                out.extend_from_slice(&SINGLE_OBJECT);
                out.extend_from_slice(&schemas.fingerprint.to_le_bytes());
            }
            Framing::Confluent { own, .. } => {
                let id = own.get(T::NAME).ok_or(CodecError::UnknownId(0, T::NAME))?;
                out.push(CONFLUENT);
                out.extend_from_slice(&id.to_be_bytes());
            }
        }
        schemas.writer.write_ser(&mut out, record)?;
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
                let writer = match &self.framing {
                    Framing::Confluent { known, .. } => known.get(&id),
                    Framing::SingleObject => None,
                };
                let writer = writer.ok_or(CodecError::UnknownId(id, T::NAME))?;
                (schemas.reader_of(writer)?, body)
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
}

static RESOLVED: LazyLock<Mutex<HashMap<&'static str, &'static ResolvedSchemas>>> =
    LazyLock::new(Mutex::default);

impl ResolvedSchemas {
    /// The schemas of `T`: the newest, and every older one that was made known.
    pub fn of<T: Message>() -> Result<&'static Self, CodecError> {
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
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        if mark != self.fingerprint && !older.contains_key(&mark) {
            let reader = GenericDatumReader::builder(writer)
                .reader_schema(self.schema)
                .human_readable(true)
                .build()?;
            older.insert(mark, Box::leak(Box::new(reader)));
        }
        Ok(mark)
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

    fn reader_of(&'static self, writer: &'static Schema) -> Result<Reader, CodecError> {
        let mark = self.know(writer)?;
        self.reader_for(mark, "registry schema")
    }
}

#[cfg(test)]
mod tests;
