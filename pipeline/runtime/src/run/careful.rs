//! A record that kills its process is found: what was at work when a process was killed runs alone, and is announced.
//!
//! Before the first record of a partition is looked into, a trail says from where work on it begins; it is taken back when
//! the partition is let go. Whoever finds one that begins where he does himself knows that a process was killed and the
//! position did not move. Then the records that may have been open run one at a time, each announced in the trail.

use std::collections::BTreeMap;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, timeout};

use super::care::{Alone, Suspects};
use super::consumer::Consumer;
use super::work::{Ending, Item, Raw, Resolved};
use crate::dead_letters::Cause;
use crate::lineage::Origin;
use crate::{BatchStage, Failure, Partition, Record, Route, Trail};

/// Processes that a record may kill while it runs alone.
const KILLS: u32 = 3;
/// Between two looks at whether a commit went through.
const SOON: Duration = Duration::from_millis(5);

impl<S, R> Consumer<S, R>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    /// Whether a record of this partition has to wait before it is looked into.
    pub(super) fn waits_unread(&self, partition: &Partition) -> bool {
        if self.crew.attempts.is_none() {
            return false;
        }
        let watch = self.care.partitions.get(partition);
        !self.care.raw.is_empty()
            || self.care.is_careful()
            || !watch.is_some_and(|it| it.read && it.entered)
    }

    /// What processes before this one have left of the partitions held.
    pub(super) fn heed(&mut self, trails: &BTreeMap<i32, Trail>) {
        if self.assigning.stale {
            // More was assigned meanwhile: all is read again.
            return;
        }
        let cap = i64::try_from(self.policy.cap.records).unwrap_or(i64::MAX);
        for (partition, watch) in &mut self.care.partitions {
            if std::mem::replace(&mut watch.read, true) {
                continue;
            }
            let Some(trail) = trails.get(&partition.number) else {
                continue;
            };
            if trail.from != watch.start {
                continue;
            }
            tracing::warn!(
                stage = &*self.crew.name,
                %partition,
                from = watch.start,
                "a process was killed at work on this partition; its records run one at a time for a while"
            );
            watch.suspects = Some(Suspects {
                until: watch.start.saturating_add(cap),
                times: trail.alone.clone(),
            });
        }
    }

    /// Looks into what waits unread, as far as that is safe.
    pub(super) fn look_into(&mut self, now: Instant) -> Result<(), Failure> {
        let care = &self.care;
        if care.raw.is_empty() || care.writing || care.not_before > now {
            return Ok(());
        }
        let Some(attempts) = self.crew.attempts.clone() else {
            return Ok(());
        };
        if care.is_careful() {
            return self.next_alone(now);
        }
        let unentered = care.unentered();
        if unentered.is_empty() {
            while let Some(Raw { ticket, record }) = self.care.raw.pop_front() {
                self.look_at(ticket, record, now)?;
            }
            return Ok(());
        }
        self.care.writing = true;
        self.tasks
            .spawn(self.crew.clone().enter(attempts, unentered));
        Ok(())
    }

    /// One record at a time, with nothing else at work and all that is closed committed: what is closed and not committed
    /// would be done again, and the trail would no longer begin where the next process does.
    fn next_alone(&mut self, now: Instant) -> Result<(), Failure> {
        let idle = !self.care.is_alone()
            && self.tasks.is_empty()
            && self.window.is_empty()
            && self.halves.is_empty()
            && self.undelivered.is_empty()
            && self.throttle.limit(now) > 0;
        if !idle {
            return Ok(());
        }
        if !self.offsets.committable().is_empty() {
            self.commit_at = now;
            self.care.not_before = now + SOON;
            return Ok(());
        }
        let Some(raw) = self.care.next_raw() else {
            return Ok(());
        };
        let Some(from) = self.offsets.committed_of(&raw.ticket.partition) else {
            return Ok(());
        };
        let watch = self.care.partitions.get_mut(&raw.ticket.partition);
        let suspects = watch.and_then(|watch| {
            let passed = |it: &Suspects| raw.ticket.offset >= it.until;
            if watch.suspects.as_ref().is_some_and(passed) {
                watch.suspects = None;
            }
            watch.suspects.as_mut()
        });
        let (Some(suspects), Some(attempts)) = (suspects, self.crew.attempts.clone()) else {
            return self.look_at(raw.ticket, raw.record, now);
        };
        let times = suspects.times.entry(raw.ticket.offset).or_default();
        if *times > KILLS {
            // Not even looking into it went well.
            let kills = *times;
            self.give_up(raw, None, kills);
            return Ok(());
        }
        *times += 1;
        let trail = Trail {
            from,
            alone: suspects.times.clone(),
        };
        self.care.writing = true;
        self.tasks
            .spawn(self.crew.clone().announce(attempts, raw, trail));
        Ok(())
    }

    pub(super) fn entered(
        &mut self,
        partitions: &[Partition],
        result: Result<(), Failure>,
        now: Instant,
    ) -> Result<(), Failure> {
        self.care.writing = false;
        if let Err(failure) = result {
            return self.unwritten(failure, now);
        }
        self.care.failures = 0;
        for partition in partitions {
            if let Some(watch) = self.care.partitions.get_mut(partition) {
                watch.entered = true;
            }
        }
        Ok(())
    }

    pub(super) fn announced(
        &mut self,
        raw: Raw,
        result: Result<OwnedSemaphorePermit, Failure>,
        now: Instant,
    ) -> Result<(), Failure> {
        self.care.writing = false;
        if !self.is_ours(&raw.ticket) || !self.takes_more() {
            return Ok(());
        }
        let watch = self.care.partitions.get_mut(&raw.ticket.partition);
        let times = watch.and_then(|watch| {
            // Our own trail, as good as that of entering.
            watch.entered = true;
            watch.suspects.as_mut()?.times.get_mut(&raw.ticket.offset)
        });
        match result {
            Err(failure) => {
                if let Some(times) = times {
                    *times -= 1;
                }
                self.care.raw.push_front(raw);
                self.unwritten(failure, now)
            }
            Ok(permit) => {
                self.care.failures = 0;
                let times = times.map_or(1, |times| *times);
                if times > KILLS {
                    let told = self.origin_of(&raw.record);
                    self.give_up(raw, told, times - 1);
                    return Ok(());
                }
                self.care.alone = Some(Alone::new(raw.ticket.clone(), permit));
                self.look_at(raw.ticket, raw.record, now)
            }
        }
    }

    fn unwritten(&mut self, failure: Failure, now: Instant) -> Result<(), Failure> {
        let Failure::Transient {
            reason,
            retry_after,
        } = failure
        else {
            return Err(failure);
        };
        self.care.failures += 1;
        let wait = self.retry.wait(self.care.failures, retry_after, now);
        self.care.not_before = now + wait;
        tracing::warn!(
            stage = self.name(),
            reason,
            ?wait,
            "the log does not take what is about to run; trying again"
        );
        Ok(())
    }

    fn give_up(&mut self, raw: Raw, told: Option<Origin>, kills: u32) {
        let Raw { ticket, mut record } = raw;
        let headers = std::mem::take(&mut record.headers);
        let item = Box::new(Item {
            ticket,
            key: record.key,
            value: record.value,
            origin: told.unwrap_or_else(|| Origin::from_headers(&headers)),
            cost: 1,
            attempts: kills,
            failing_since: None,
            pausing: false,
        });
        let cause = Cause {
            class: "killed",
            reason: format!("killed the process {kills} times, running alone"),
        };
        self.deliver(vec![Resolved {
            item,
            headers,
            ending: Ending::Dead(cause),
        }]);
    }

    fn origin_of(&self, record: &Record) -> Option<Origin> {
        let (message, lineage, _) = self.decode(record).ok()?;
        let told = Origin::of(&message);
        Some(Origin {
            lineage: lineage.or_else(|| Origin::from_headers(&record.headers).lineage),
            ..told
        })
    }

    /// Takes our trails of these partitions back: they were let go in good order.
    pub(super) async fn withdraw(&mut self, partitions: &[Partition], patience: Duration) {
        let mut gone = Vec::new();
        for partition in partitions {
            if let Some(watch) = self.care.partitions.remove(partition)
                && watch.entered
            {
                gone.push((partition.number, None));
            }
        }
        let Some(attempts) = self.crew.attempts.clone() else {
            return;
        };
        if gone.is_empty() {
            return;
        }
        let no_answer = || Err(Failure::transient("no answer from the log"));
        let written = timeout(patience, attempts.write(&gone)).await;
        if let Err(failure) = written.unwrap_or_else(|_| no_answer()) {
            // At worst the next one is careful without need.
            tracing::warn!(
                stage = self.name(),
                reason = failure.reason(),
                "what was about to run is not taken back"
            );
        }
    }

    /// The same for all that is held.
    pub(super) async fn withdraw_all(&mut self) {
        let all: Vec<Partition> = self.care.partitions.keys().cloned().collect();
        // Nobody waits for it as in a rebalance.
        let patience = self.policy.revoke_deadline / 2;
        self.withdraw(&all, patience).await;
    }
}
