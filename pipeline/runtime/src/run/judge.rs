//! What comes back from off the loop, and what follows from it.

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::consumer::{Consumer, Phase, Waiting};
use super::work::{Done, Ending, Finished, Item, Resolved, Trouble, Work};
use crate::dead_letters::Cause;
use crate::{BatchStage, Failure, Input, Route};

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    pub fn judge(&mut self, done: Result<Done<S::In>, JoinError>) -> Result<(), Failure> {
        let now = Instant::now();
        let done = done.map_err(|error| {
            Failure::fatal(format!("a task of stage {} broke: {error}", self.name()))
        })?;
        match done {
            Done::Attempted {
                work,
                verdict,
                latency,
            } => {
                self.put_down(work.items.iter());
                match verdict {
                    Ok(verdicts) => self.each(work, verdicts, latency, now),
                    Err(trouble) => self.whole(work, trouble, now),
                }
            }
            Done::Delivered {
                delivery,
                result,
                latency,
            } => self.delivered(delivery, result, latency, now),
            Done::Assigned(result) => self.stage_assigned(result, now),
            Done::Ticked(result) => self.ticked(result, now),
            Done::Entered(partitions, result) => self.entered(&partitions, result, now),
            Done::Announced(raw, result) => self.announced(*raw, result, now),
        }
    }

    /// A verdict on each record.
    fn each(
        &mut self,
        work: Work<S::In>,
        verdicts: Vec<Result<Finished, Failure>>,
        latency: Duration,
        now: Instant,
    ) -> Result<(), Failure> {
        let cost = work.cost();
        let were_in_flight = self.in_flight + work.len();
        let mut resolved = Vec::with_capacity(work.len());
        let mut again = Work::default();
        let mut push_back = None;
        let mut succeeded = 0_usize;
        let records = work.items.into_iter().zip(work.inputs).zip(verdicts);
        for ((mut item, input), verdict) in records {
            self.floods.processed(&item.ticket.partition);
            let ending = match verdict {
                Ok(finished) => {
                    succeeded += 1;
                    Ending::Done(finished)
                }
                Err(Failure::Poison(reason)) => Ending::Dead(Cause {
                    class: "poison",
                    reason,
                }),
                Err(Failure::Transient {
                    reason,
                    retry_after,
                }) => {
                    let known: &mut PushBack = push_back.get_or_insert_default();
                    known.heed(retry_after, &reason);
                    if !self.is_exhausted(&mut item) {
                        again.push(item, input);
                        continue;
                    }
                    Ending::Dead(exhausted(&item, &reason))
                }
                Err(fatal @ Failure::Fatal(_)) => return Err(fatal),
            };
            resolved.push(Resolved {
                item,
                headers: input.headers,
                ending,
            });
        }
        self.successes += succeeded as u64;
        if succeeded > 0 && !self.breaker.is_closed() {
            self.throttle.recovered();
        }
        self.throttle
            .attempted(latency, cost, succeeded, were_in_flight, now);
        if succeeded > 0 {
            self.breaker.succeeded();
        }
        match push_back {
            Some(push_back) => self.push_back(again, &push_back, succeeded == 0, now),
            None if succeeded == 0 => self.breaker.inconclusive(now),
            None => {}
        }
        self.deliver(resolved);
        Ok(())
    }

    /// A verdict on the batch as a whole.
    fn whole(
        &mut self,
        mut work: Work<S::In>,
        trouble: Trouble,
        now: Instant,
    ) -> Result<(), Failure> {
        let cause = match trouble {
            Trouble::Failed(Failure::Transient {
                reason,
                retry_after,
            }) => {
                let mut push_back = PushBack::default();
                push_back.heed(retry_after, &reason);
                let mut exhausted_any = false;
                for item in &mut work.items {
                    exhausted_any |= self.is_exhausted(item);
                }
                if exhausted_any && work.len() == 1 {
                    return self.die(work, |item| exhausted(item, &reason));
                }
                if exhausted_any {
                    // One of them is at fault: apart, the others get through.
                    let behind = work.split_off(work.len() / 2);
                    self.push_back(behind, &push_back, false, now);
                }
                self.push_back(work, &push_back, true, now);
                return Ok(());
            }
            Trouble::Failed(Failure::Poison(reason)) => Cause {
                class: "poison",
                reason,
            },
            Trouble::Panicked(said) => Cause {
                class: "panic",
                reason: format!("stage {} panicked: {said}", self.name()),
            },
            Trouble::Failed(fatal) => return Err(fatal),
        };
        self.breaker.inconclusive(now);
        if work.len() > 1 {
            let behind = work.split_off(work.len() / 2);
            for half in [behind, work] {
                let half = half.retain(|item| self.is_ours(&item.ticket));
                if !half.is_empty() {
                    self.halves.push_front(half);
                }
            }
            return Ok(());
        }
        if let ("panic", Some(item)) = (cause.class, work.items.first()) {
            let place = &item.ticket.partition;
            let counted = self.floods.panicked(place);
            counted.map_err(|tripped| {
                Failure::fatal(format!(
                    "too many records of {place} make stage {} panic ({tripped}; at offset {}: {}); \
                     mend the stage or go back a release, then start again",
                    self.name(),
                    item.ticket.offset,
                    cause.reason
                ))
            })?;
        } else if let Some(item) = work.items.first() {
            self.floods.processed(&item.ticket.partition);
        }
        self.die(work, |_| cause.clone())
    }

    fn die(&mut self, work: Work<S::In>, cause: impl Fn(&Item) -> Cause) -> Result<(), Failure> {
        let pairs = work.items.into_iter().zip(work.inputs);
        let resolved = pairs.map(|(item, Input { headers, .. })| Resolved {
            ending: Ending::Dead(cause(&item)),
            item,
            headers,
        });
        let resolved = resolved.collect();
        self.deliver(resolved);
        Ok(())
    }

    /// Puts records by for another attempt. `nothing_worked` counts against the other side.
    fn push_back(
        &mut self,
        work: Work<S::In>,
        push_back: &PushBack,
        nothing_worked: bool,
        now: Instant,
    ) {
        self.throttle.pushed_back(push_back.retry_after, now);
        if nothing_worked {
            self.breaker.failed(push_back.retry_after, now);
            if !self.breaker.is_closed() {
                tracing::warn!(
                    stage = self.name(),
                    reason = push_back.reason,
                    "attempts fail one after another; only probes go through until one succeeds"
                );
            }
        }
        let mut work = work.retain(|item| self.is_ours(&item.ticket));
        if work.is_empty() || self.phase == Phase::Stopping {
            return;
        }
        let attempts = work.attempts();
        let wait = self.retry.wait(attempts, push_back.retry_after, now);
        tracing::debug!(
            stage = self.name(),
            records = work.len(),
            attempts,
            ?wait,
            reason = push_back.reason,
            "trying again later"
        );
        for item in &mut work.items {
            // One that fails for long lets its partition go on: only if others succeed meanwhile can it be told
            // from an outage. The cap bounds what gathers behind it.
            item.pausing = item.attempts <= self.policy.retry.pausing_attempts;
            if item.pausing {
                self.pauses.wait(&item.ticket.partition);
            } else {
                self.care.survived(&item.ticket);
            }
        }
        self.waiting.push(Waiting {
            due: now + wait,
            what: work,
        });
    }

    /// It goes on failing while others succeed. Never while the breaker is open: then everything fails.
    fn is_exhausted(&self, item: &mut Item) -> bool {
        let since = *item.failing_since.get_or_insert(self.successes);
        self.breaker.is_closed()
            && item.attempts >= self.policy.retry.min_attempts
            && self.successes - since >= self.policy.retry.exhausted_after
    }
}

/// Why, and until when, the other side refuses.
#[derive(Debug, Default)]
struct PushBack {
    reason: String,
    retry_after: Option<Duration>,
}

impl PushBack {
    fn heed(&mut self, retry_after: Option<Duration>, reason: &str) {
        self.retry_after = self.retry_after.max(retry_after);
        if self.reason.is_empty() {
            self.reason = reason.to_owned();
        }
    }
}

fn exhausted(item: &Item, reason: &str) -> Cause {
    Cause {
        class: "exhausted",
        reason: format!(
            "failed {} times while others succeeded: {reason}",
            item.attempts
        ),
    }
}
