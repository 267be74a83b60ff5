//! What the source says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use penstock_schemas::{Lineage, Message};
use tokio::time::Instant;

use super::consumer::{Consumer, Leaving, Phase};
use super::work::{Ending, Item, Raw, Resolved, panic_text};
use crate::dead_letters::Cause;
use crate::lineage::Origin;
use crate::offsets::Ticket;
use crate::{
    Assignment, BatchStage, Event, Failure, Input, Partition, Record, RevokeAck, Route, Source,
};

/// Records taken in one turn of the loop: a turn for each would cost more than most records do.
const BURST: usize = 256;

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    /// Takes records that are here already.
    pub fn take_ready(&mut self, source: &mut dyn Source) -> Result<(), Failure> {
        let now = Instant::now();
        for _ in 0..BURST {
            // A partition that is full is paused before it is asked again: the cap holds to the record.
            if !self.takes_more() || self.pauses.are_overdue() {
                break;
            }
            let Some(record) = source.ready() else {
                break;
            };
            self.take(record, now)?;
        }
        Ok(())
    }

    pub fn hear(&mut self, event: Result<Event, Failure>) -> Result<(), Failure> {
        let now = Instant::now();
        match event {
            Ok(event) => {
                self.deaf_times = 0;
                match event {
                    Event::Record(record) => self.take(record, now)?,
                    Event::Assigned(assignments) => self.assigned(&assignments, now),
                    Event::Revoked(partitions, ack) => self.revoked(partitions, ack, now),
                    Event::End => self.ended(),
                }
            }
            Err(Failure::Transient {
                reason,
                retry_after,
            }) => {
                self.deaf_times += 1;
                self.listen_at = now + self.retry.wait(self.deaf_times, retry_after, now);
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    "the log cannot be read; trying again"
                );
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn take(&mut self, record: Record, now: Instant) -> Result<(), Failure> {
        let leaving = self
            .leaving
            .iter()
            .any(|leaving| leaving.partitions.contains(&record.partition));
        if leaving || !self.takes_more() {
            return Ok(());
        }
        let bytes = record.value.as_ref().map_or(0, |value| value.len());
        let opened = self.offsets.open(&record.partition, record.offset, bytes);
        let Some(ticket) = opened else {
            // A partition that is no longer ours, or a record that was read before.
            return Ok(());
        };
        if self.offsets.is_full(&record.partition) {
            self.pauses.set_full(&record.partition, true);
        }
        if self.waits_unread(&record.partition) {
            self.care.raw.push_back(Raw { ticket, record });
            return Ok(());
        }
        self.look_at(ticket, record, now)
    }

    /// Decodes an open record, for the next batch to take.
    pub(super) fn look_at(
        &mut self,
        ticket: Ticket,
        mut record: Record,
        now: Instant,
    ) -> Result<(), Failure> {
        let bytes = record.value.as_ref().map_or(0, |value| value.len());
        let headers = std::mem::take(&mut record.headers);
        let decoded = self.decode(&record);
        let (key, value) = (record.key, record.value);
        let open = |origin: Origin, cost: u64| {
            Box::new(Item {
                ticket,
                key,
                value,
                origin,
                cost,
                attempts: 0,
                failing_since: None,
                pausing: false,
            })
        };
        match decoded {
            Ok((message, lineage, cost)) => {
                // Headers tell less, and reading them takes longer.
                let origin = Origin {
                    lineage: lineage.or_else(|| Origin::from_headers(&headers).lineage),
                    ..Origin::of(&message)
                };
                let item = open(origin, cost);
                self.floods.decoded(&item.ticket.partition);
                let input = Input {
                    record: message,
                    headers,
                    partition: item.ticket.partition.number,
                    offset: item.ticket.offset,
                };
                self.window.push((item, input), bytes, cost, now);
            }
            Err(reason) => {
                let item = open(Origin::from_headers(&headers), 1);
                self.floods
                    .undecodable(&item.ticket.partition)
                    .map_err(|tripped| {
                        Failure::fatal(format!(
                            "too many records of {} cannot be decoded ({tripped}; at offset {}: {reason}); \
                             check that producers and {} are of the same release, then start again",
                            item.ticket.partition,
                            item.ticket.offset,
                            self.name(),
                        ))
                    })?;
                let cause = Cause {
                    class: "undecodable",
                    reason,
                };
                self.deliver(vec![Resolved {
                    item,
                    headers,
                    ending: Ending::Dead(cause),
                }]);
            }
        }
        Ok(())
    }

    /// The record, whose it is and what it costs. The bytes come from outside: whatever decoding does with them is the
    /// record's fault.
    pub(super) fn decode(&self, record: &Record) -> Result<(S::In, Option<Lineage>, u64), String> {
        let Some(value) = &record.value else {
            return Err(format!("record has no value, expected a {}", S::In::NAME));
        };
        let decode = || {
            let decoded = S::In::decode(&self.crew.codec, value);
            decoded.map(|message| {
                let lineage = self.crew.stage.lineage(&message);
                let cost = self.crew.stage.cost(&message);
                (message, lineage, cost)
            })
        };
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(decoded) => decoded.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("decoder panicked: {}", panic_text(panic.as_ref()))),
        }
    }

    fn assigned(&mut self, assignments: &[Assignment], now: Instant) {
        self.offsets.assign(assignments);
        self.care.assigned(assignments);
        let partitions: Vec<Partition> = assignments
            .iter()
            .map(|assignment| assignment.partition.clone())
            .collect();
        // Given back before we had let go: it is ours again, from where the new assignment says.
        for leaving in &mut self.leaving {
            leaving
                .partitions
                .retain(|partition| !partitions.contains(partition));
        }
        self.floods.forget(&partitions);
        self.pauses.revoked(&partitions);
        self.pauses.assigned();
        self.held.extend(partitions);
        self.drop_foreign();
        self.assigning.stale = true;
        self.assigning.not_before = now;
    }

    pub(super) fn revoked(&mut self, partitions: Vec<Partition>, ack: RevokeAck, now: Instant) {
        // A quarter of the time is kept for the commit.
        let deadline = now + self.policy.revoke_deadline * 3 / 4;
        self.leaving.push(Leaving {
            partitions,
            ack,
            deadline,
            not_before: now,
            refusals: 0,
            last: now + self.policy.revoke_deadline,
        });
        self.drop_foreign();
    }

    fn ended(&mut self) {
        if self.phase == Phase::Taking {
            self.phase = Phase::Ended;
        }
    }
}
