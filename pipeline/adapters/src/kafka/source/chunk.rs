use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use penstock_runtime::{Partition, Record, lineage};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

/// Records of a partition that were read together, and the assignment they were read under. They share the partition and
/// one piece of memory: counted and allocated for each record, on two threads, these would cost as much as its bytes.
/// A record that stays open keeps the whole piece, so a turn on the poll thread is small.
pub(super) struct Chunk {
    pub(super) partition: Partition,
    pub(super) generation: u64,
    piece: Piece,
    places: VecDeque<Place>,
    /// Header names and values of all records, in order.
    headers: VecDeque<(Cow<'static, str>, Range<usize>)>,
}

/// Keys, values and header values of a chunk.
enum Piece {
    Growing(Vec<u8>),
    /// Its first record was taken.
    Whole(Bytes),
}

/// Where in the piece a record's bytes are.
struct Place {
    offset: i64,
    /// Milliseconds since the epoch.
    timestamp: i64,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: usize,
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
        }
    }

    /// Bytes of its records.
    pub(super) fn bytes(&self) -> usize {
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
            from..piece.len()
        };
        let key = message.key().map(&mut put);
        let value = message.payload().map(&mut put);
        let before = self.headers.len();
        if let Some(headers) = message.headers() {
            self.headers.extend(headers.iter().map(|header| {
                let value = header.value.unwrap_or_default();
                (lineage::interned(header.key), put(value))
            }));
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
            value: place.value.map(|it| piece.slice(it)),
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
