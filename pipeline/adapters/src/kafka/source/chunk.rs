use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use penstock_runtime::{Partition, Record, lineage};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

/// A value of so many bytes has memory of its own: what stays open longest keeps all that shares with it.
const LARGE: usize = 512;

/// Records of a partition that were read together, and the assignment they were read under. They share the partition, and
/// one piece of memory for all that is small: counted and allocated for each record, on two threads, these would cost as
/// much as its bytes.
pub(super) struct Chunk {
    pub(super) partition: Partition,
    pub(super) generation: u64,
    piece: Piece,
    places: VecDeque<Place>,
    /// Header names and values of all records, in order.
    headers: VecDeque<(Cow<'static, str>, Range<usize>)>,
    bytes: usize,
}

/// Keys, header values and small values of a chunk.
enum Piece {
    Growing(Vec<u8>),
    /// Its first record was taken.
    Whole(Bytes),
}

/// Where a record's bytes are.
struct Place {
    offset: i64,
    /// Milliseconds since the epoch.
    timestamp: i64,
    key: Option<Range<usize>>,
    value: Option<Value>,
    headers: usize,
}

enum Value {
    Small(Range<usize>),
    Large(Bytes),
}

impl Chunk {
    /// `room`: bytes that are likely to come.
    pub(super) fn of(partition: Partition, generation: u64, room: usize) -> Self {
        Self {
            partition,
            generation,
            piece: Piece::Growing(Vec::with_capacity(room)),
            places: VecDeque::new(),
            headers: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Bytes of its records.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those of them that share a piece.
    pub(super) fn shared_bytes(&self) -> usize {
        match &self.piece {
            Piece::Growing(piece) => piece.len(),
            Piece::Whole(piece) => piece.len(),
        }
    }

    /// Whether a record of this partition and assignment belongs here too.
    pub(super) fn takes(&self, partition: &Partition, generation: u64) -> bool {
        self.generation == generation
            && self.partition == *partition
            && matches!(self.piece, Piece::Growing(_))
    }

    /// Copies a message's bytes out of librdkafka's memory.
    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let Piece::Growing(piece) = &mut self.piece else {
            return;
        };
        let mut put = |part: &[u8]| {
            let from = piece.len();
            piece.extend_from_slice(part);
            self.bytes += part.len();
            from..piece.len()
        };
        let key = message.key().map(&mut put);
        let value = message.payload().map(|value| match value.len() {
            LARGE.. => Value::Large(Bytes::copy_from_slice(value)),
            _ => Value::Small(put(value)),
        });
        let before = self.headers.len();
        if let Some(headers) = message.headers() {
            self.headers.extend(headers.iter().map(|header| {
                let value = header.value.unwrap_or_default();
                (lineage::interned(header.key), put(value))
            }));
        }
        if let Some(Value::Large(value)) = &value {
            self.bytes += value.len();
        }
        self.places.push_back(Place {
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(0),
            key,
            value,
            headers: self.headers.len() - before,
        });
    }

    pub(super) fn pop(&mut self) -> Option<Record> {
        let place = self.places.pop_front()?;
        if let Piece::Growing(piece) = &mut self.piece {
            self.piece = Piece::Whole(std::mem::take(piece).into());
        }
        let Piece::Whole(piece) = &self.piece else {
            return None;
        };
        let headers = self.headers.drain(..place.headers);
        Some(Record {
            partition: self.partition.clone(),
            offset: place.offset,
            timestamp: place.timestamp,
            key: place.key.map(|it| piece.slice(it)),
            value: place.value.map(|it| match it {
                Value::Small(range) => piece.slice(range),
                Value::Large(bytes) => bytes,
            }),
            headers: headers
                .map(|(name, value)| (name, piece.slice(value)))
                .collect(),
        })
    }

    /// One past the last offset.
    pub(super) fn end(&self) -> i64 {
        self.places.back().map_or(0, |last| last.offset + 1)
    }
}
