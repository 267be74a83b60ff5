//! How far a partition has come, and what its producers last wrote.

use std::collections::{HashMap, VecDeque};

use tansu_sans_io::ErrorCode;
use tansu_sans_io::record::deflated::Batch;

/// Batches a producer may have under way, and so repeat.
const REPEATABLE: usize = 5;

/// One partition, as it stands.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) id: i64,
    pub(super) number: i32,
    pub(super) first: i64,
    pub(super) high: i64,
    pub(super) compacted: i64,
    producers: HashMap<i64, Producer>,
}

/// What a producer last wrote to a partition, so that a batch it repeats is not written twice. Kept in memory only:
/// producers live in this process, or lose their connection with it.
#[derive(Debug, Clone)]
struct Producer {
    epoch: i16,
    next: i32,
    recent: VecDeque<(i32, i64)>,
}

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) base: i64,
    /// It was written before; the producer missed the answer.
    pub(super) repeated: bool,
}

impl Standing {
    /// An empty partition.
    pub(super) fn new(id: i64, number: i32) -> Self {
        Self {
            id,
            number,
            first: 0,
            high: 0,
            compacted: 0,
            producers: HashMap::new(),
        }
    }

    /// Gives the batch its place and moves the end; an idempotent producer's batches in their order and once.
    pub(super) fn place(&mut self, batch: &Batch) -> Result<Placed, ErrorCode> {
        let base = self.high;
        let count = batch.last_offset_delta.saturating_add(1);
        if count < 1 || batch.record_count == 0 {
            return Err(ErrorCode::InvalidRecord);
        }
        if batch.is_idempotent() {
            let sequence = batch.base_sequence;
            let fresh = || Producer {
                epoch: batch.producer_epoch,
                next: sequence,
                recent: VecDeque::new(),
            };
            let producer = self
                .producers
                .entry(batch.producer_id)
                .or_insert_with(fresh);
            if batch.producer_epoch < producer.epoch {
                return Err(ErrorCode::InvalidProducerEpoch);
            }
            if batch.producer_epoch > producer.epoch {
                *producer = fresh();
            }
            if let Some((_, before)) = producer.recent.iter().find(|(known, _)| *known == sequence)
            {
                return Ok(Placed {
                    base: *before,
                    repeated: true,
                });
            }
            if sequence != producer.next {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
            // Sequences wrap to zero.
            producer.next = sequence.wrapping_add(count) & i32::MAX;
            producer.recent.push_back((sequence, base));
            if producer.recent.len() > REPEATABLE {
                producer.recent.pop_front();
            }
        }
        self.high += i64::from(count);
        Ok(Placed {
            base,
            repeated: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotent_producer_is_held_to_its_order() {
        let mut standing = Standing::new(1, 0);
        let mut check = |(producer, epoch, sequence, count): (i64, i16, i32, i32),
                         expect: Result<i64, ErrorCode>| {
            let batch = Batch {
                producer_id: producer,
                producer_epoch: epoch,
                base_sequence: sequence,
                last_offset_delta: count - 1,
                record_count: count.max(0) as u32,
                ..Default::default()
            };
            let placed = standing.place(&batch).map(|placed| placed.base);
            assert_eq!(placed, expect, "{producer} {epoch} {sequence} {count}");
        };
        check((1, 0, 0, 3), Ok(0));
        check((1, 0, 3, 2), Ok(3));
        // Again: the same place, and no new one.
        check((1, 0, 0, 3), Ok(0));
        check((1, 0, 6, 1), Err(ErrorCode::OutOfOrderSequenceNumber));
        check((1, 0, 5, 1), Ok(5));
        // Another producer, whose beginning the broker did not see.
        check((2, 0, 70, 1), Ok(6));
        check((2, 0, 70, 1), Ok(6));
        // A newer epoch starts anew, an older is fenced.
        check((1, 1, 0, 1), Ok(7));
        check((1, 0, 6, 1), Err(ErrorCode::InvalidProducerEpoch));
        // Sequences wrap.
        check((3, 0, i32::MAX, 1), Ok(8));
        check((3, 0, 0, 1), Ok(9));
        // Without idempotence every batch is new.
        check((-1, -1, -1, 1), Ok(10));
        check((-1, -1, -1, 1), Ok(11));
        check((-1, -1, -1, 0), Err(ErrorCode::InvalidRecord));
    }
}
