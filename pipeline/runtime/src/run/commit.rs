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
            // A quarter of the deadline was kept for this commit.
            let patience = self.policy.revoke_deadline / 4;
            let committed = timeout(patience, self.commit_these(source, positions)).await;
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
            // Without an answer the records are read again by their new owner, which is safe.
            committed.unwrap_or(Ok(()))?;
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
        match source.commit(&positions).await {
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
        for leaving in std::mem::take(&mut self.leaving) {
            leaving.ack.done();
        }
    }
}
