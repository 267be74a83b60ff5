use std::collections::VecDeque;

use penstock_runtime::{Partition, Record};

use crate::kafka::convert::{self, Content};

/// Records of a partition that were read together, and the assignment they were read under. They share the partition until
/// the loop takes them: counted once for each of them, on two threads, its name would cost as much as their bytes.
pub(super) struct Chunk {
    pub(super) partition: Partition,
    pub(super) generation: u64,
    /// In the channel: what the records weigh.
    pub(super) bytes: usize,
    contents: VecDeque<Content>,
}

impl Chunk {
    pub(super) fn of(partition: Partition, generation: u64) -> Self {
        Self {
            partition,
            generation,
            bytes: 0,
            contents: VecDeque::new(),
        }
    }

    /// Whether a record of this partition and assignment belongs here too.
    pub(super) fn takes(&self, partition: &Partition, generation: u64) -> bool {
        self.generation == generation && self.partition == *partition
    }

    pub(super) fn push(&mut self, content: Content) {
        self.bytes += convert::weight(&content);
        self.contents.push_back(content);
    }

    pub(super) fn pop(&mut self) -> Option<Record> {
        let content = self.contents.pop_front()?;
        Some(content.record(self.partition.clone()))
    }

    /// One past the last offset.
    pub(super) fn end(&self) -> i64 {
        self.contents.back().map_or(0, |last| last.offset + 1)
    }
}
