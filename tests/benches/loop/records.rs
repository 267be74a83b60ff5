//! What is copied: records of a fixed size, with a key and the one header that every record of the pipeline has.

use bytes::Bytes;
use penstock_runtime::lineage::CORRELATION;
use penstock_schemas::{Codec, CodecError, Message};
use serde::{Deserialize, Serialize};

/// Bytes of key and correlation id.
const KEY: usize = 8;

/// Name of the header.
pub const HEADER: &str = CORRELATION;

/// Starts the payload of a record that the stage refuses.
pub const POISON: &str = "poison";

/// Passed on as it came. Its first bytes are its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Raw {
    bytes: Bytes,
}

impl Message for Raw {
    const NAME: &'static str = "Raw";
    const SCHEMA: &'static str = "\"bytes\"";

    fn key(&self) -> String {
        String::from_utf8_lossy(self.bytes.get(..KEY).unwrap_or_default()).into_owned()
    }

    fn encode(&self, _codec: &Codec) -> Result<Bytes, CodecError> {
        Ok(self.bytes.clone())
    }

    fn decode(_codec: &Codec, bytes: &Bytes) -> Result<Self, CodecError> {
        Ok(Self {
            bytes: bytes.clone(),
        })
    }
}

/// Decoded and encoded again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    pub number: i64,
    pub payload: String,
}

impl Message for Sample {
    const NAME: &'static str = "Sample";
    const SCHEMA: &'static str = r#"{"type": "record", "name": "Sample", "namespace": "penstock.bench", "fields": [
        {"name": "id", "type": "string"}, {"name": "number", "type": "long"}, {"name": "payload", "type": "string"}]}"#;

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// Whether a stage of the bench refuses this record.
pub trait Refused {
    fn is_poison(&self) -> bool;
}

impl Refused for Raw {
    fn is_poison(&self) -> bool {
        self.bytes
            .get(KEY..)
            .is_some_and(|it| it.starts_with(POISON.as_bytes()))
    }
}

impl Refused for Sample {
    fn is_poison(&self) -> bool {
        self.payload.starts_with(POISON)
    }
}

/// Makes record values of `size` bytes. The text halves under lz4, as that of documents does.
pub struct Maker {
    size: usize,
    words: Vec<u8>,
}

impl Maker {
    pub fn new(size: usize) -> Self {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
        let mut state: u64 = 0x2545_F491_4F6C_DD1D;
        let mut words = Vec::with_capacity(1 << 20);
        while words.len() < 1 << 20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let letter = |shift: u32| LETTERS[(state >> shift) as usize & 63];
            // A word of eight letters, and half of it once more.
            let word = [0, 6, 12, 18, 24, 30, 36, 42].map(letter);
            words.extend_from_slice(&word);
            words.extend_from_slice(&word[..4]);
        }
        Self { size, words }
    }

    pub fn key(number: u64) -> String {
        format!("{:0KEY$x}", number & 0xFFFF_FFFF)
    }

    /// `size` bytes of text, from a place that differs from record to record.
    fn text(&self, number: u64, size: usize) -> &str {
        let from = (number.wrapping_mul(7919) as usize) % (self.words.len() - size);
        let bytes = self.words.get(from..from + size).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// A raw value, which begins with its key.
    pub fn raw(&self, number: u64, poison: bool) -> Bytes {
        let mark = if poison { POISON } else { "" };
        let head = format!("{}{mark}", Self::key(number));
        let rest = self.size.saturating_sub(head.len());
        let mut value = head.into_bytes();
        value.extend_from_slice(self.text(number, rest).as_bytes());
        value.into()
    }

    /// An Avro value of about `size` bytes, framed.
    pub fn avro(&self, codec: &Codec, number: u64) -> Result<Bytes, CodecError> {
        /// Frame, id, number and lengths.
        const REST: usize = 10 + KEY + 1 + 5 + 2;
        let sample = Sample {
            id: Self::key(number),
            number: number as i64,
            payload: self.text(number, self.size.saturating_sub(REST)).to_owned(),
        };
        codec.encode(&sample)
    }
}
