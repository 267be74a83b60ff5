//! Partitions that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tracing::{Level, Metadata, Subscriber, span};

use super::world::*;
use crate::Failure;
use crate::bus::Happened;

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn trespasses(world: &World) -> usize {
    let history = world.bus.history();
    let trespassed = |happened: &&Happened| matches!(happened, Happened::Trespassed { .. });
    history.iter().filter(trespassed).count()
}

#[tokio::test(start_paused = true)]
async fn a_revoke_waits_for_what_is_in_flight_and_commits_it() {
    let mut world = World::new(2);
    world.policy.commit_every = Duration::from_secs(3_600);
    *world.script.delay.lock().unwrap() = Duration::from_secs(3);
    world.feed(2, &vec![Deed::Emit(1); 8]);
    let first = world.start();
    after(1).await;
    let second = world.start();
    after(1).await;
    assert!(world.bus.committed(GROUP, FROM).is_empty());
    after(2).await;
    assert_eq!(world.bus.committed(GROUP, FROM).len(), 1, "one moved");
    first.finish().await.unwrap();
    second.finish().await.unwrap();
    assert_eq!(world.bus.records(TO).len(), 8, "nothing was done twice");
    assert_eq!(trespasses(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_revoke_waits_until_its_commit_is_taken() {
    let mut world = World::new(2);
    world.policy.commit_every = Duration::from_secs(3_600);
    world.feed(2, &vec![Deed::Emit(1); 8]);
    let first = world.start();
    after(1).await;
    let refused = (0..3).map(|_| Failure::transient("rebalance in progress"));
    world.bus.fail_commit(refused);
    let second = world.start();
    after(1).await;
    first.finish().await.unwrap();
    second.finish().await.unwrap();
    assert_eq!(world.bus.records(TO).len(), 8, "nothing was done twice");
    assert_eq!(trespasses(&world), 0);
}

/// A rebalance of a minute refuses twenty commits a second: who reads the log is told once.
#[tokio::test(start_paused = true)]
async fn a_commit_that_is_insisted_on_is_told_once() {
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    let mut world = World::new(2);
    world.policy.commit_every = Duration::from_secs(3_600);
    world.feed(2, &vec![Deed::Emit(1); 8]);
    let first = world.start();
    after(1).await;
    let refusals = |count: usize| (0..count).map(|_| Failure::transient("rebalance in progress"));
    world.bus.fail_commit(refusals(30));
    let second = world.start();
    after(5).await;
    assert_eq!(warnings.heard(), 1, "partitions are taken away");
    world.bus.fail_commit(refusals(30));
    first.finish().await.unwrap();
    second.finish().await.unwrap();
    assert!(
        (2..=5).contains(&warnings.heard()),
        "two processes stop: {}",
        warnings.heard()
    );
}

/// Invariants 2 and 4 of the late verdict: closes nothing, commits nothing, still reports.
#[tokio::test(start_paused = true)]
async fn a_late_verdict_closes_nothing_but_is_reported() {
    let mut world = World::new(1);
    world.policy.revoke_deadline = Duration::from_secs(4);
    *world.script.delay.lock().unwrap() = Duration::from_secs(60);
    world.feed(1, &[Deed::Emit(1)]);
    let first = world.start();
    after(1).await;
    world.bus.rebalance(GROUP);
    after(10).await;
    // Given back: the record is read and worked on again, while the first verdict is still to come.
    assert_eq!(world.script.calls.lock().unwrap().len(), 2);
    after(51).await;
    assert_eq!(world.progress().len(), 1, "the late verdict is told");
    assert_eq!(world.bus.lag(GROUP, FROM), 1, "but closes nothing");
    world.caught_up().await;
    let summary = first.finish().await.unwrap();
    assert_eq!(summary.processed, 1);
    assert_eq!(world.progress().len(), 2);
    assert_eq!(trespasses(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_left_to_the_new_owner() {
    let world = World::new(2);
    let outage = Failure::transient("store is down");
    *world.script.outage.lock().unwrap() = Some(outage);
    world.feed(2, &vec![Deed::Emit(1); 6]);
    let first = world.start();
    after(10).await;
    let second = world.start();
    after(1).await;
    *world.script.outage.lock().unwrap() = None;
    world.caught_up().await;
    first.finish().await.unwrap();
    second.finish().await.unwrap();
    assert_eq!(world.outputs().len(), 6);
    assert_eq!(trespasses(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_produce_and_commit_is_done_again() {
    let mut world = World::new(1);
    world.policy.commit_every = Duration::from_secs(3_600);
    world.feed(1, &[Deed::Emit(1), Deed::Poison, Deed::Filter]);
    let first = world.start();
    after(5).await;
    assert_eq!(world.outputs().len(), 1);
    first.crash().await;
    assert_eq!(world.bus.lag(GROUP, FROM), 3, "nothing was committed");
    world.policy.commit_every = Duration::from_secs(1);
    world.run_dry().await.unwrap();
    assert_eq!(world.bus.records(TO).len(), 2, "at least once");
    assert_eq!(world.dead().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_stage_knows_its_partitions_before_their_records() {
    let world = World::new(4);
    let retry = || Failure::transient("ledger cannot be read");
    world
        .script
        .assign_failures
        .lock()
        .unwrap()
        .extend([retry(), retry()]);
    world.feed(4, &vec![Deed::Emit(1); 8]);
    let first = world.start();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.script.calls.lock().unwrap().len(), 0);
    world.caught_up().await;
    assert_eq!(*world.script.assigned.lock().unwrap(), [[0, 1, 2, 3]]);
    let second = world.start();
    after(5).await;
    let mut told = world.script.assigned.lock().unwrap().split_off(1);
    told.sort();
    assert_eq!(told, [[0, 2], [1, 3]], "both hear of it, in full");
    first.finish().await.unwrap();
    second.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_cannot_take_its_partitions_is_fatal() {
    let world = World::new(1);
    let failures = &world.script.assign_failures;
    failures
        .lock()
        .unwrap()
        .push(Failure::fatal("ledger is damaged"));
    world.feed(1, &[Deed::Emit(1)]);
    let failure = world.start().ended().await.unwrap_err();
    assert!(failure.reason().contains("ledger is damaged"));
    assert_eq!(world.script.calls.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn gaps_in_the_offsets_are_passed() {
    let world = World::new(1);
    world.bus.skip_offsets(FROM, 0, 5).unwrap();
    world.feed(1, &[Deed::Emit(1)]);
    world.bus.skip_offsets(FROM, 0, 7).unwrap();
    world.feed(1, &[Deed::Emit(1)]);
    world.run_dry().await.unwrap();
    assert_eq!(world.bus.committed(GROUP, FROM).get(&0), Some(&14));
}

/// Counts what is logged as a warning while it is set as the subscriber.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Warnings {
    fn heard(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
