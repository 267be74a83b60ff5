//! rdkafka's types and ours, each made from the other.

use std::sync::Arc;

use bytes::Bytes;
use penstock_runtime::{Headers, Partition, Position, Record, lineage};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::{Offset, TopicPartitionList};

/// A record, but for the partition it is of.
pub(super) struct Content {
    pub(super) offset: i64,
    /// Milliseconds since the epoch.
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Headers,
}

impl Content {
    pub(super) fn record(self, partition: Partition) -> Record {
        Record {
            partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            headers: self.headers,
        }
    }
}

pub(super) fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    content(message).record(Partition {
        topic: topic.clone(),
        number: message.partition(),
    })
}

/// The message's bytes, copied out of librdkafka's memory into one piece.
pub(super) fn content(message: &BorrowedMessage<'_>) -> Content {
    /// Of header values: what most have.
    const ROOM: usize = 64;
    let (key, value) = (message.key(), message.payload());
    let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let mut piece = Vec::with_capacity(len(key) + len(value) + ROOM);
    let mut put = |part: &[u8]| {
        let from = piece.len();
        piece.extend_from_slice(part);
        from..piece.len()
    };
    let key = key.map(&mut put);
    let value = value.map(&mut put);
    let named = |header: Header<'_, &[u8]>| {
        let value = header.value.unwrap_or_default();
        (lineage::interned(header.key), put(value))
    };
    let headers = message.headers();
    let headers: Vec<_> = headers.map_or_else(Vec::new, |it| it.iter().map(named).collect());
    let piece = Bytes::from(piece);
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, piece.slice(value)))
        .collect();
    Content {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(0),
        key: key.map(|it| piece.slice(it)),
        value: value.map(|it| piece.slice(it)),
        headers,
    }
}

/// What a record weighs in a queue: bytes.
pub(super) fn weight(record: &Content) -> usize {
    let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers: usize = record
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    bytes(&record.key) + bytes(&record.value) + headers
}

pub(super) fn headers(headers: &Headers) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    Some(headers.iter().fold(empty, |all, (name, value)| {
        all.insert(Header {
            key: name,
            value: Some(value.as_ref()),
        })
    }))
}

pub(super) fn positions(
    positions: &[Position],
) -> Result<TopicPartitionList, rdkafka::error::KafkaError> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for position in positions {
        let offset = Offset::Offset(position.offset);
        list.add_partition_offset(&position.partition.topic, position.partition.number, offset)?;
    }
    Ok(list)
}

/// Names of topics, one piece of memory for each: what shares it is seen to be equal without being read.
#[derive(Default)]
pub(super) struct Names(Vec<Arc<str>>);

impl Names {
    pub(super) fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|it| ***it == *name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.0.push(new.clone());
        new
    }
}

pub(super) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let mut names = Names::default();
    list.elements()
        .iter()
        .map(|element| Partition {
            topic: names.shared(element.topic()),
            number: element.partition(),
        })
        .collect()
}
