//! rdkafka's types and ours, each made from the other.

use std::sync::Arc;

use bytes::Bytes;
use penstock_runtime::{Headers, Partition, Position, Record};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::{Offset, TopicPartitionList};

/// The message's bytes, copied out of librdkafka's memory.
pub(super) fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| {
                let value = header.value.map(Bytes::copy_from_slice).unwrap_or_default();
                (header.key.to_owned(), value)
            })
            .collect()
    });
    Record {
        partition: Partition {
            topic: topic.clone(),
            number: message.partition(),
        },
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
    }
}

/// What a record weighs in a queue: bytes.
pub(super) fn weight(record: &Record) -> usize {
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

pub(super) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements()
        .iter()
        .map(|element| Partition {
            topic: element.topic().into(),
            number: element.partition(),
        })
        .collect()
}
