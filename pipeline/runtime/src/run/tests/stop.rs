//! How it ends.

use std::time::Duration;

use tokio::time::Instant;

use super::world::*;
use crate::{Backlog, Failure};

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn slow(world: &World) {
    *world.script.delay.lock().unwrap() = Duration::from_secs(10);
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_finishes_what_was_taken() {
    let mut world = World::new(1);
    world.policy.cap.records = 5;
    world.policy.window.count = 1;
    world.policy.throttle.start = 2;
    world.policy.throttle.max = 2;
    slow(&world);
    world.feed(1, &vec![Deed::Emit(1); 30]);
    let consumer = world.start();
    after(1).await;
    let summary = consumer.finish().await.unwrap();
    assert_eq!(summary.processed, 5, "the cap was taken");
    assert_eq!(world.bus.committed(GROUP, FROM).get(&0), Some(&5));
    world.run_dry().await.unwrap();
    assert_eq!(world.bus.records(TO).len(), 30, "nothing was done twice");
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_does_not_wait_for_what_fails() {
    let world = World::new(2);
    let outage = Failure::transient("store is down");
    *world.script.outage.lock().unwrap() = Some(outage);
    world.feed(2, &vec![Deed::Emit(1); 10]);
    let consumer = world.start();
    after(5).await;
    let begun = Instant::now();
    let summary = consumer.finish().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(summary.processed, 0);
    assert_eq!(world.bus.lag(GROUP, FROM), 10, "all is read again");
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_waits_for_nobody_else() {
    let held_up: [fn(&mut World); 3] = [
        |world| *world.script.outage.lock().unwrap() = Some(Failure::transient("down")),
        |world| world.gauges.set_downstream(Backlog::of(u64::MAX - 1)),
        |world| {
            let never = (0..1_000).map(|_| Failure::transient("ledger cannot be read"));
            world.script.assign_failures.lock().unwrap().extend(never);
        },
    ];
    for hold_up in held_up {
        let mut world = World::new(1);
        world.policy.window.count = 1;
        hold_up(&mut world);
        world.feed(1, &vec![Deed::Emit(1); 100]);
        let consumer = world.start();
        after(30).await;
        let begun = Instant::now();
        let summary = consumer.finish().await.unwrap();
        assert_eq!(summary.processed, 0);
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hard_stop_abandons_but_commits_what_is_closed() {
    let mut world = World::new(1);
    world.policy.window.count = 1;
    world.policy.throttle.start = 1;
    world.policy.throttle.max = 1;
    world.policy.commit_every = Duration::from_secs(3_600);
    slow(&world);
    world.feed(1, &vec![Deed::Emit(1); 4]);
    let consumer = world.start();
    after(25).await;
    consumer.stop.hard();
    let begun = Instant::now();
    consumer.ended().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(world.bus.committed(GROUP, FROM).get(&0), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_source_waits_for_what_fails() {
    let world = World::new(2);
    let mut deeds = vec![Deed::Emit(1); 10];
    deeds[2] = Deed::Transient(3);
    world.feed(2, &deeds);
    let bounded = world.bus.join(GROUP, FROM).bounded();
    let consumer = world.start_on(Box::new(bounded));
    let summary = consumer.ended().await.unwrap();
    assert_eq!(summary.processed, 10);
    assert_eq!(world.bus.lag(GROUP, FROM), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_verdict_stops_and_commits_only_what_is_closed() {
    let mut world = World::new(1);
    world.policy.window.count = 1;
    world.policy.throttle.start = 1;
    world.policy.throttle.max = 1;
    let mut deeds = vec![Deed::Emit(1); 10];
    deeds[4] = Deed::Fatal;
    world.feed(1, &deeds);
    let failure = world.start().ended().await.unwrap_err();
    assert_eq!(failure, Failure::fatal("wrong collection"));
    assert_eq!(world.bus.committed(GROUP, FROM).get(&0), Some(&4));
    assert_eq!(world.dead(), []);
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_is_fatal_and_commits_nothing() {
    let mut world = World::new(1);
    world.bus = crate::bus::Bus::new();
    world.bus.create(FROM, 1);
    world.feed(1, &[Deed::Emit(1)]);
    let failure = world.start().ended().await.unwrap_err();
    assert!(failure.reason().contains("rag.chunks.v1"), "{failure}");
    assert!(world.bus.committed(GROUP, FROM).is_empty());
}

/// A group that rebalances refuses commits: whoever stops just then tries again, or others do its work once more.
#[tokio::test(start_paused = true)]
async fn the_last_commit_is_tried_until_the_group_takes_it() {
    async fn check(refusals: usize, expect: u64) {
        let mut world = World::new(1);
        world.policy.commit_every = Duration::from_secs(3_600);
        world.feed(1, &vec![Deed::Emit(1); 4]);
        let consumer = world.start();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let refused = (0..refusals).map(|_| Failure::transient("rebalance in progress"));
        world.bus.fail_commit(refused);
        consumer.finish().await.unwrap();
        assert_eq!(world.bus.lag(GROUP, FROM), expect, "{refusals} refusals");
    }
    check(0, 0).await;
    check(20, 0).await;
    // A group that never takes it does not keep the process from its end.
    check(100_000, 4).await;
}

/// It may be our own answer that the group waits for.
#[tokio::test(start_paused = true)]
async fn a_revoke_is_answered_while_the_last_commit_is_refused() {
    let mut world = World::new(2);
    world.policy.commit_every = Duration::from_secs(3_600);
    world.feed(2, &vec![Deed::Emit(1); 8]);
    let first = world.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    world
        .bus
        .fail_commit((0..5).map(|_| Failure::transient("rebalance in progress")));
    let second = world.start();
    first.finish().await.unwrap();
    world.caught_up().await;
    second.finish().await.unwrap();
    assert_eq!(world.bus.records(TO).len(), 8, "nothing was done twice");
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_is_made_up_for() {
    let world = World::new(1);
    let failures = [(); 3].map(|()| Failure::transient("no coordinator"));
    world.bus.fail_commit(failures);
    world.feed(1, &[Deed::Emit(1)]);
    world.run_dry().await.unwrap();
    let world = World::new(1);
    world.bus.fail_commit([Failure::fatal("not authorised")]);
    world.feed(1, &[Deed::Emit(1)]);
    let failure = world.start().ended().await.unwrap_err();
    assert_eq!(failure, Failure::fatal("not authorised"));
}
