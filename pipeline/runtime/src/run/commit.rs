//! Commits: on an interval, on revoke, at the end.

use tokio::time::{Instant, timeout};

use super::consumer::{Consumer, Leaving};
use crate::{BatchStage, Failure, Partition, Position, Route, Source};

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    /// Lets go of revoked partitions whose records are through, or whose time is up: commit, forget, acknowledge.
    pub async fn let_go(&mut self, source: &mut dyn Source, now: Instant) -> Result<(), Failure> {
        let (ready, not_yet): (Vec<_>, Vec<_>) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|leaving| leaving.deadline <= now || self.is_through(leaving));
        self.leaving = not_yet;
        for leaving in ready {
            let positions = self.offsets.committable_of(&leaving.partitions);
            // Without an answer the records are read again by their new owner, which is safe.
            let committed = self.commit_these(source, positions).await;
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
        if self.commit_at > now {
            return Ok(());
        }
        self.commit_at = now + self.policy.commit_every;
        let positions = self.offsets.committable();
        self.commit_these(source, positions).await
    }

    async fn commit_these(
        &mut self,
        source: &mut dyn Source,
        positions: Vec<Position>,
    ) -> Result<(), Failure> {
        // What a tick emits is in the log before anything that was closed after it is committed.
        if positions.is_empty() || self.tick.pending {
            return Ok(());
        }
        // Nothing is heard while the log is asked, so not for long.
        let patience = self.policy.revoke_deadline / 4;
        let answer = timeout(patience, source.commit(&positions)).await;
        let no_answer = || Err(Failure::transient("no answer from the log"));
        match answer.unwrap_or_else(|_| no_answer()) {
            Ok(()) => {
                self.offsets.committed(&positions);
                self.gauges.commits.add(1);
                Ok(())
            }
            Err(Failure::Transient { reason, .. }) => {
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    "commit failed; the next one covers it"
                );
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// The last commit, and the acknowledgement of what is being taken from us.
    pub async fn leave(&mut self, source: &mut dyn Source) {
        self.tasks.abort_all();
        let positions = self.offsets.committable();
        if let Err(failure) = self.commit_these(source, positions).await {
            tracing::warn!(
                stage = self.name(),
                reason = failure.reason(),
                "last commit failed"
            );
        }
        self.withdraw_all().await;
        for leaving in std::mem::take(&mut self.leaving) {
            leaving.ack.done();
        }
    }
}
