//! Commits: on an interval, on revoke, at the end.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::consumer::{Consumer, Leaving};
use super::work::Done;
use crate::{BatchStage, Event, Failure, Partition, Position, Route, Source};

/// Between two tries of a commit that must not be given up lightly.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a commit.
enum Committed {
    All,
    /// For now, as while the group rebalances.
    Refused(String),
}

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    /// Lets go of revoked partitions whose records are through, or whose time is up: commit, forget, acknowledge.
    pub async fn let_go(&mut self, source: &mut dyn Source, now: Instant) -> Result<(), Failure> {
        let (ready, not_yet): (Vec<_>, Vec<_>) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|leaving| {
                leaving.not_before <= now && (leaving.deadline <= now || self.is_through(leaving))
            });
        self.leaving = not_yet;
        for mut leaving in ready {
            let positions = self.offsets.committable_of(&leaving.partitions);
            let committed = self.commit_these(source, positions).await;
            if let Ok(Committed::Refused(reason)) = &committed {
                if now < leaving.last {
                    // Given up now, the new owner would do again what is done.
                    self.insist(&mut leaving.refusals, reason);
                    leaving.not_before = Instant::now() + PAUSE;
                    self.leaving.push(leaving);
                    continue;
                }
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    "partitions are let go of without their last commit: what it told of is done again"
                );
            }
            let patience = self.policy.revoke_deadline / 8;
            self.withdraw(&leaving.partitions, patience).await;
            self.offsets.revoke(&leaving.partitions);
            self.pauses.revoked(&leaving.partitions);
            self.floods.forget(&leaving.partitions);
            for partition in &leaving.partitions {
                self.held.remove(partition);
            }
            self.drop_foreign();
            leaving.ack.done();
            self.assigning.stale = true;
            self.assigning.not_before = now;
            committed?;
        }
        Ok(())
    }

    fn is_through(&self, leaving: &Leaving) -> bool {
        let busy = |partition: &Partition| self.busy.contains_key(partition);
        !self.tick.pending && !leaving.partitions.iter().any(busy)
    }

    /// Commits what is closed, once an interval.
    pub async fn commit(&mut self, source: &mut dyn Source, now: Instant) -> Result<(), Failure> {
        // Put off until the tick is over, but no longer: a stage may tick with hardly a pause.
        if self.commit_at > now || self.tick.pending {
            return Ok(());
        }
        self.commit_at = now + self.policy.commit_every;
        let positions = self.offsets.committable();
        if let Committed::Refused(reason) = self.commit_these(source, positions).await? {
            tracing::warn!(
                stage = self.name(),
                reason,
                "commit failed; the next one covers it"
            );
        }
        Ok(())
    }

    async fn commit_these(
        &mut self,
        source: &mut dyn Source,
        positions: Vec<Position>,
    ) -> Result<Committed, Failure> {
        // What a tick emits is in the log before anything that was closed after it is committed.
        if positions.is_empty() || self.tick.pending {
            return Ok(Committed::All);
        }
        // Nothing is heard while the log is asked, so not for long.
        let patience = self.policy.revoke_deadline / 4;
        let answer = timeout(patience, source.commit(&positions)).await;
        let no_answer = || Err(Failure::transient("no answer from the log"));
        match answer.unwrap_or_else(|_| no_answer()) {
            Ok(()) => {
                self.offsets.committed(&positions);
                self.gauges.commits.add(1);
                Ok(Committed::All)
            }
            Err(Failure::Transient { reason, .. }) => Ok(Committed::Refused(reason)),
            Err(failure) => Err(failure),
        }
    }

    /// Tells of a commit that is tried until it is taken: once, however long a rebalance keeps refusing it.
    fn insist(&self, refusals: &mut u32, reason: &str) {
        *refusals += 1;
        let stage = self.name();
        match refusals {
            1 => tracing::warn!(
                stage,
                reason,
                "the log does not take the last commit, as while a group rebalances; trying until it does"
            ),
            _ => tracing::debug!(
                stage,
                reason,
                refusals,
                "the last commit is still not taken"
            ),
        }
    }

    /// Waits for what is on its way to the log, for a while: broken off it may arrive all the same, and be sent again by
    /// whoever comes next.
    pub async fn see_through(&mut self) {
        let deadline = Instant::now() + self.policy.revoke_deadline / 4;
        while self.delivering > 0 {
            let Ok(Some(Ok(done))) = timeout_at(deadline, self.tasks.join_next()).await else {
                return;
            };
            match done {
                Done::Delivered {
                    delivery,
                    result: Ok(()),
                    latency,
                } => {
                    // What is in the log is closed; nothing can go wrong with it.
                    let _ = self.delivered(delivery, Ok(()), latency, Instant::now());
                }
                Done::Delivered { .. } => self.delivering = self.delivering.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// The last commit, and the acknowledgement of what is being taken from us. While the group rebalances the commit is
    /// refused, and it may need an answer of ours to get on: so it is listened to between one try and the next. What is
    /// not committed in the end is done again by others.
    pub async fn leave(&mut self, source: &mut dyn Source) {
        self.tasks.abort_all();
        let deadline = Instant::now() + self.policy.revoke_deadline;
        let mut refusals = 0;
        let failure = loop {
            let now = Instant::now();
            let refused = match self.commit_last(source, now).await {
                Ok(Committed::All) if self.leaving.is_empty() => break None,
                Ok(Committed::All) => None,
                Ok(Committed::Refused(reason)) => Some(reason),
                Err(failure) => break Some(failure),
            };
            if now >= deadline {
                let reason = refused.unwrap_or_else(|| "the log refuses it".to_owned());
                break Some(Failure::transient(reason));
            }
            if let Some(reason) = refused {
                self.insist(&mut refusals, &reason);
            }
            if let Err(failure) = self.hear_out(source).await {
                break Some(failure);
            }
        };
        if let Some(failure) = failure {
            tracing::warn!(
                stage = self.name(),
                reason = failure.reason(),
                "last commit failed: what it told of is done again"
            );
        }
        self.withdraw_all().await;
        for leaving in std::mem::take(&mut self.leaving) {
            leaving.ack.done();
        }
    }

    async fn commit_last(
        &mut self,
        source: &mut dyn Source,
        now: Instant,
    ) -> Result<Committed, Failure> {
        for leaving in &mut self.leaving {
            // Nothing that is in flight gets through any more.
            leaving.deadline = now;
        }
        self.let_go(source, now).await?;
        let positions = self.offsets.committable();
        self.commit_these(source, positions).await
    }

    /// What the source says within a pause, as far as it still matters.
    async fn hear_out(&mut self, source: &mut dyn Source) -> Result<(), Failure> {
        let until = Instant::now() + PAUSE;
        while let Ok(event) = timeout_at(until, source.next()).await {
            if let Event::Revoked(partitions, ack) = event? {
                self.revoked(partitions, ack, Instant::now());
            }
        }
        Ok(())
    }
}
