//! Commits: on an interval, on revoke, at the end.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::consumer::{Consumer, Leaving};
use crate::{BatchStage, Event, Failure, Partition, Position, Route, Source};

/// Between two tries of a commit that must not be given up lightly.
const PAUSE: Duration = Duration::from_millis(50);

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
            if let Ok(false) = committed
                && now < leaving.last
            {
                // Given up now, the new owner would do again what is done.
                leaving.not_before = Instant::now() + PAUSE;
                self.leaving.push(leaving);
                continue;
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
        // While a tick is on nothing is committed; then it is at once, not an interval later.
        if self.commit_at > now || self.tick.pending {
            return Ok(());
        }
        self.commit_at = now + self.policy.commit_every;
        let positions = self.offsets.committable();
        // What is refused, the next one covers.
        self.commit_these(source, positions).await?;
        Ok(())
    }

    /// False where it is refused for now, as while the group rebalances.
    async fn commit_these(
        &mut self,
        source: &mut dyn Source,
        positions: Vec<Position>,
    ) -> Result<bool, Failure> {
        // What a tick emits is in the log before anything that was closed after it is committed.
        if positions.is_empty() || self.tick.pending {
            return Ok(true);
        }
        // Nothing is heard while the log is asked, so not for long.
        let patience = self.policy.revoke_deadline / 4;
        let answer = timeout(patience, source.commit(&positions)).await;
        let no_answer = || Err(Failure::transient("no answer from the log"));
        match answer.unwrap_or_else(|_| no_answer()) {
            Ok(()) => {
                self.offsets.committed(&positions);
                self.gauges.commits.add(1);
                Ok(true)
            }
            Err(Failure::Transient { reason, .. }) => {
                tracing::warn!(
                    stage = self.name(),
                    reason,
                    "commit failed; the next one covers it"
                );
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The last commit, and the acknowledgement of what is being taken from us. While the group rebalances the commit is
    /// refused, and it may need an answer of ours to get on: so it is listened to between one try and the next. What is
    /// not committed in the end is done again by others.
    pub async fn leave(&mut self, source: &mut dyn Source) {
        self.tasks.abort_all();
        let deadline = Instant::now() + self.policy.revoke_deadline;
        let failure = loop {
            let now = Instant::now();
            match self.commit_last(source, now).await {
                Ok(true) => break None,
                Ok(false) if now < deadline => {}
                Ok(false) => break Some(Failure::transient("the log refuses it")),
                Err(failure) => break Some(failure),
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
    ) -> Result<bool, Failure> {
        for leaving in &mut self.leaving {
            // Nothing that is in flight gets through any more.
            leaving.deadline = now;
        }
        self.let_go(source, now).await?;
        let positions = self.offsets.committable();
        Ok(self.commit_these(source, positions).await? && self.leaving.is_empty())
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
