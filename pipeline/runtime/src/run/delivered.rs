//! What the log says to what is produced.

use std::time::Duration;

use tokio::time::Instant;

use super::consumer::{Consumer, Waiting};
use super::work::{Delivery, Ending};
use crate::dead_letters::Cause;
use crate::{BatchStage, Failure, Route};

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    pub(super) fn delivered(
        &mut self,
        delivery: Delivery,
        result: Result<(), Failure>,
        latency: Duration,
        now: Instant,
    ) -> Result<(), Failure> {
        self.delivering = self.delivering.saturating_sub(1);
        match result {
            Ok(()) => {
                let records = delivery.resolved.len() + delivery.ticked.len();
                self.throttle.produced(latency, records, now);
                self.close(delivery, now);
                Ok(())
            }
            Err(Failure::Transient {
                reason,
                retry_after,
            }) => {
                self.throttle.sink_failed(now);
                let mut delivery = delivery;
                delivery.attempts += 1;
                let wait = self.retry.wait(delivery.attempts, retry_after, now);
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    ?wait,
                    "the log refuses; trying again"
                );
                self.undelivered.push(Waiting {
                    due: now + wait,
                    what: delivery,
                });
                Ok(())
            }
            Err(Failure::Poison(reason)) => self.undeliverable(delivery, reason),
            Err(fatal) => Err(fatal),
        }
    }

    /// All of it is in the log.
    fn close(&mut self, delivery: Delivery, now: Instant) {
        for finished in &delivery.ticked {
            self.gauges.outputs.add(finished.outputs.len());
        }
        if !delivery.ticked.is_empty() {
            self.tick_over(now);
        }
        let (mut outputs, mut filtered, mut dead, mut closed) = (0, 0, 0, 0);
        for resolved in &delivery.resolved {
            let item = &resolved.item;
            match &resolved.ending {
                Ending::Done(finished) => {
                    outputs += finished.outputs.len();
                    filtered += usize::from(finished.filtered);
                }
                Ending::Dead(cause) => {
                    dead += 1;
                    tracing::warn!(
                        stage = self.name(),
                        topic = %item.ticket.partition.topic,
                        partition = item.ticket.partition.number,
                        offset = item.ticket.offset,
                        class = cause.class,
                        reason = cause.reason,
                        "dead letter"
                    );
                }
            }
            closed += usize::from(self.offsets.close(&item.ticket));
            self.care.closed(&item.ticket);
            let partition = &item.ticket.partition;
            if self.pauses.is_full(partition) && self.offsets.has_room(partition) {
                self.pauses.set_full(partition, false);
            }
        }
        self.gauges.outputs.add(outputs);
        self.gauges.filtered.add(filtered);
        self.gauges.dead_letters.add(dead);
        self.gauges.processed.add(closed);
        self.put_down(delivery.resolved.iter().map(|resolved| &resolved.item));
        // Once a partition has moved, a kill is no longer taken for its records' fault.
        if self.crew.attempts.is_some()
            && self.care.has_unmoved()
            && self.care.hurries(&self.offsets.committable())
        {
            self.commit_at = now;
        }
    }

    /// The log will never take one of these (too large, say): the record it came of is dead.
    fn undeliverable(&mut self, delivery: Delivery, reason: String) -> Result<(), Failure> {
        if !delivery.ticked.is_empty() {
            return Err(Failure::fatal(format!(
                "the log refuses what a tick of stage {} emits: {reason}",
                self.name()
            )));
        }
        let alone = delivery.resolved.len() == 1;
        for mut resolved in delivery.resolved {
            if alone {
                if let Ending::Dead(_) = resolved.ending {
                    let item = &resolved.item;
                    return Err(Failure::fatal(format!(
                        "the dead letter of {} offset {} is refused: {reason}; \
                         let its topic take records as large as the original's does",
                        item.ticket.partition, item.ticket.offset
                    )));
                }
                let reason = format!("the log refuses what came of it: {reason}");
                resolved.ending = Ending::Dead(Cause {
                    class: "poison",
                    reason,
                });
            }
            let delivery = Delivery {
                resolved: vec![resolved],
                ticked: Vec::new(),
                attempts: 0,
            };
            self.begin_delivery(delivery);
        }
        Ok(())
    }
}
