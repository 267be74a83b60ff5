//! What fails for the world's fault.

use std::time::Duration;

use tokio::time::Instant;

use super::world::*;
use crate::Failure;
use crate::policy::{ThrottlePolicy, WindowPolicy};

fn one_at_a_time(world: &mut World) {
    world.policy.window.count = 1;
    world.policy.throttle = ThrottlePolicy {
        start: 4,
        max: 4,
        ..ThrottlePolicy::default()
    };
}

#[tokio::test(start_paused = true)]
async fn others_go_on_while_one_waits() {
    let mut world = World::new(2);
    one_at_a_time(&mut world);
    world.policy.retry.base = Duration::from_secs(20);
    world.policy.retry.max = Duration::from_secs(30);
    let mut deeds = vec![Deed::Emit(1); 41];
    deeds[0] = Deed::Transient(1);
    world.feed(2, &deeds);
    let consumer = world.start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let outputs = world.outputs();
    let odd = (1..41).step_by(2).all(|part| outputs.contains_key(&part));
    assert!(odd, "the other partition went on");
    assert!(!outputs.contains_key(&0));
    assert_eq!(world.bus.committed(GROUP, FROM).get(&0), None);
    assert_eq!(world.bus.committed(GROUP, FROM).get(&1), Some(&20));
    world.caught_up().await;
    consumer.finish().await.unwrap();
    assert_eq!(world.outputs().len(), 41);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_record_pauses_its_partition_for_a_while() {
    let mut world = World::new(2);
    one_at_a_time(&mut world);
    world.feed(2, &[Deed::Transient(1)]);
    world.policy.retry.base = Duration::from_secs(20);
    world.policy.retry.max = Duration::from_secs(30);
    let consumer = world.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Parts 1 and 2: the other partition, and the paused one.
    world.feed(2, &[Deed::Emit(1), Deed::Emit(1)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.outputs().keys().collect::<Vec<_>>(), [&1]);
    world.caught_up().await;
    consumer.finish().await.unwrap();
    assert!(world.gauges.paused_us.get() >= 8_000_000);
}

#[tokio::test(start_paused = true)]
async fn what_fails_while_others_succeed_is_exhausted() {
    for guilty in [Deed::Transient(u32::MAX), Deed::BatchTransient(u32::MAX)] {
        let mut world = World::new(1);
        world.policy.window = WindowPolicy {
            count: 8,
            ..WindowPolicy::default()
        };
        let mut deeds = vec![Deed::Emit(1); 400];
        deeds[3] = guilty;
        world.feed(1, &deeds);
        let consumer = world.start();
        // Traffic goes on, and so the culprit's company changes.
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.feed(1, &[Deed::Emit(1), Deed::Emit(1)]);
        }
        world.caught_up().await;
        consumer.finish().await.unwrap();
        assert_eq!(world.dead(), [(3, "exhausted".to_owned())]);
        assert_eq!(world.outputs().len(), 799);
        let attempts = header(&world.bus.records(DLQ)[0], "dlq.attempts");
        assert!(attempts.parse::<u32>().unwrap() >= world.policy.retry.min_attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_kills_nothing_and_is_only_probed() {
    let mut world = World::new(2);
    one_at_a_time(&mut world);
    world.feed(2, &vec![Deed::Emit(1); 60]);
    *world.script.outage.lock().unwrap() = Some(Failure::transient("store is down"));
    let consumer = world.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let calls_before = world.script.calls.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let probes = world.script.calls.lock().unwrap().len() - calls_before;
    assert!(
        (115..=125).contains(&probes),
        "{probes} in 600 s, one each 5 s"
    );
    assert_eq!(world.dead(), []);
    assert_eq!(world.bus.lag(GROUP, FROM), 60);
    *world.script.outage.lock().unwrap() = None;
    world.caught_up().await;
    consumer.finish().await.unwrap();
    assert_eq!((world.outputs().len(), world.dead().len()), (60, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_succeed_does_not_keep_the_breaker_open() {
    let mut world = World::new(1);
    one_at_a_time(&mut world);
    world.feed(1, &[Deed::Transient(u32::MAX)]);
    let consumer = world.start();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(world.dead(), [], "alone, it looks like an outage");
    for _ in 0..300 {
        world.feed(1, &[Deed::Emit(1)]);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    world.caught_up().await;
    consumer.finish().await.unwrap();
    assert_eq!(world.dead(), [(0, "exhausted".to_owned())]);
    assert_eq!(world.outputs().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn the_other_side_says_when_to_come_back() {
    let world = World::new(1);
    world.feed(1, &[Deed::Emit(1)]);
    let failure = Failure::Transient {
        reason: "429".to_owned(),
        retry_after: Some(Duration::from_secs(300)),
    };
    *world.script.outage.lock().unwrap() = Some(failure);
    let begun = Instant::now();
    let consumer = world.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    *world.script.outage.lock().unwrap() = None;
    world.caught_up().await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(300), "{waited:?}");
    assert_eq!(world.script.calls.lock().unwrap().len(), 2);
    consumer.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_fails_as_too_much_is_tried_in_smaller_pieces() {
    let mut world = World::new(1);
    world.policy.window.count = 32;
    world.policy.throttle.start = 32;
    world.feed(1, &vec![Deed::Emit(1); 32]);
    *world.script.outage.lock().unwrap() = Some(Failure::transient("out of memory"));
    let consumer = world.start();
    tokio::time::sleep(Duration::from_secs(3)).await;
    *world.script.outage.lock().unwrap() = None;
    world.caught_up().await;
    consumer.finish().await.unwrap();
    let calls = world.script.calls.lock().unwrap();
    let sizes: Vec<usize> = calls.iter().map(Vec::len).collect();
    assert_eq!(sizes[0], 32);
    assert!(sizes[1] <= 16 && sizes[2] <= 8, "{sizes:?}");
}

/// Whenever it comes back, the records that waited for it do not wait much longer.
#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_for_a_minute_is_taken_up_at_once() {
    for away in 55..65 {
        let world = World::new(4);
        world.feed(4, &vec![Deed::Emit(1); 400]);
        *world.script.outage.lock().unwrap() = Some(Failure::transient("store is down"));
        let consumer = world.start();
        tokio::time::sleep(Duration::from_secs(away)).await;
        *world.script.outage.lock().unwrap() = None;
        let caught_up = world.bus.caught_up(GROUP, FROM);
        let soon = tokio::time::timeout(Duration::from_secs(15), caught_up).await;
        assert!(soon.is_ok(), "away for {away} s");
        consumer.finish().await.unwrap();
        assert_eq!(world.dead(), []);
    }
}
