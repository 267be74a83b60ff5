//! rdkafka's types and ours, each made from the other.

use std::sync::Arc;

use bytes::Bytes;
use penstock_runtime::{Headers, Partition, Position, Record, lineage};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::{Offset, TopicPartitionList};

/// The message's bytes, copied out of librdkafka's memory.
pub(super) fn record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    let owned = |part: &[u8]| Bytes::copy_from_slice(part);
    let named = |header: Header<'_, &[u8]>| {
        let value = header.value.unwrap_or_default();
        (lineage::interned(header.key), owned(value))
    };
    let headers = message.headers();
    Record {
        partition: Partition {
            topic: topic.clone(),
            number: message.partition(),
        },
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(owned),
        value: message.payload().map(owned),
        headers: headers.map_or_else(Vec::new, |it| it.iter().map(named).collect()),
    }
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
