//! What a stage says to its partitions and to the passing of time.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::consumer::Consumer;
use super::work::{Delivery, Finished, Trouble};
use crate::{BatchStage, Failure, Route, Trail};

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    pub(super) fn stage_assigned(
        &mut self,
        result: Result<BTreeMap<i32, Trail>, Trouble>,
        now: Instant,
    ) -> Result<(), Failure> {
        self.assigning.running = false;
        match result {
            Ok(trails) => {
                self.heed(&trails);
                self.assigning.attempts = 0;
                Ok(())
            }
            Err(Trouble::Failed(Failure::Transient {
                reason,
                retry_after,
            })) => {
                self.assigning.attempts += 1;
                let wait = self.retry.wait(self.assigning.attempts, retry_after, now);
                self.assigning.stale = true;
                self.assigning.not_before = now + wait;
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    ?wait,
                    "stage cannot take its partitions yet"
                );
                Ok(())
            }
            Err(trouble) => Err(self.fatal("taking its partitions", trouble)),
        }
    }

    pub(super) fn ticked(
        &mut self,
        result: Result<Vec<Finished>, Trouble>,
        now: Instant,
    ) -> Result<(), Failure> {
        match result {
            Ok(ticked) if ticked.is_empty() => {
                self.tick_over(now);
                Ok(())
            }
            Ok(ticked) => {
                let delivery = Delivery {
                    resolved: Vec::new(),
                    ticked,
                    attempts: 0,
                };
                self.begin_delivery(delivery);
                Ok(())
            }
            Err(Trouble::Failed(Failure::Transient {
                reason,
                retry_after,
            })) => {
                let failures = self.tick.failures + 1;
                let wait = self.retry.wait(failures, retry_after, now);
                self.tick_over(now);
                self.tick.failures = failures;
                self.tick.due = self.tick.due.max(now + wait);
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    "tick failed; the next one does its work"
                );
                Ok(())
            }
            Err(trouble) => Err(self.fatal("a tick", trouble)),
        }
    }

    pub(super) fn tick_over(&mut self, now: Instant) {
        self.tick.pending = false;
        self.tick.failures = 0;
        self.tick.due = now + self.policy.tick_every.unwrap_or_default();
    }

    fn fatal(&self, doing: &str, trouble: Trouble) -> Failure {
        let reason = match &trouble {
            Trouble::Failed(failure) => failure.reason(),
            Trouble::Panicked(said) => said.as_str(),
        };
        Failure::fatal(format!("stage {} failed at {doing}: {reason}", self.name()))
    }
}
