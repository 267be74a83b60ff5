//! Too much at once: pause, keep polling.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::*;
use crate::Backlog;
use crate::policy::{Cap, ThrottlePolicy, WindowPolicy};
use crate::{Failure, Policy};

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn narrow() -> World {
    let mut world = World::new(2);
    world.policy.window.count = 1;
    world.policy.throttle = ThrottlePolicy {
        start: 3,
        max: 3,
        ..ThrottlePolicy::default()
    };
    world.policy.cap = Cap {
        records: 6,
        ..Cap::default()
    };
    *world.script.delay.lock().unwrap() = Duration::from_secs(1);
    world
}

#[tokio::test(start_paused = true)]
async fn the_throttle_bounds_what_is_in_flight() {
    let world = narrow();
    world.feed(2, &vec![Deed::Emit(1); 40]);
    world.run_dry().await.unwrap();
    assert_eq!(world.script.most_at_work.load(Ordering::SeqCst), 3);
    assert_eq!(world.outputs().len(), 40);
    assert!(
        world.gauges.paused_us.get() > 1_000_000,
        "the cap paused it"
    );
    assert_eq!(world.gauges.in_flight.get(), 0);
}

/// Invariant 6.
#[tokio::test(start_paused = true)]
async fn a_full_buffer_does_not_keep_a_revoke_waiting() {
    let mut world = narrow();
    world.policy.revoke_deadline = Duration::from_secs(8);
    *world.script.delay.lock().unwrap() = Duration::from_secs(600);
    world.feed(2, &vec![Deed::Emit(1); 40]);
    let first = world.start();
    after(5).await;
    let second = world.start();
    after(9).await;
    // The second has one partition and works on it.
    let calls = world.script.calls.lock().unwrap().len();
    assert_eq!(calls, 6, "three each");
    first.stop.hard();
    first.ended().await.unwrap();
    second.stop.hard();
    second.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_lag_downstream_stops_the_intake() {
    let world = narrow();
    world.gauges.set_downstream(Backlog::of(1 << 40));
    world.feed(2, &vec![Deed::Emit(1); 40]);
    let consumer = world.start();
    after(60).await;
    assert_eq!(world.script.calls.lock().unwrap().len(), 0);
    assert_eq!(world.gauges.in_flight_limit.get(), 0);
    world.gauges.set_downstream(Backlog::of(0));
    world.caught_up().await;
    consumer.finish().await.unwrap();
    assert_eq!(world.outputs().len(), 40);
}

/// How fast records were done in the last five seconds before a store went down, and in the five after the fifteenth since
/// it is back: records a second.
async fn around_an_outage(policy: Policy, outage: Duration) -> (u64, u64) {
    let mut world = World::new(2);
    world.policy = policy;
    *world.script.delay.lock().unwrap() = Duration::from_millis(500);
    world.feed(2, &vec![Deed::Emit(1); 20_000]);
    let consumer = world.start();
    let rate = async || {
        let before = world.gauges.processed.get();
        after(5).await;
        (world.gauges.processed.get() - before) / 5
    };
    after(10).await;
    let before = rate().await;
    *world.script.outage.lock().unwrap() = Some(Failure::transient("store is down"));
    tokio::time::sleep(outage).await;
    *world.script.outage.lock().unwrap() = None;
    after(15).await;
    let later = rate().await;
    consumer.stop.hard();
    consumer.ended().await.unwrap();
    assert_eq!(world.dead(), []);
    (before, later)
}

#[tokio::test(start_paused = true)]
async fn the_full_rate_is_back_soon_after_an_outage() {
    let heavy = |policy: &mut Policy| {
        policy.window.count = 1;
        (policy.throttle.start, policy.throttle.max) = (4, 4);
        policy.cap.records = 16;
    };
    let light = |policy: &mut Policy| {
        policy.window = WindowPolicy {
            count: 64,
            age: Duration::from_millis(20),
            ..WindowPolicy::default()
        };
        policy.throttle.min = 64;
        (policy.throttle.start, policy.throttle.max) = (128, 128);
        policy.cap.records = 256;
    };
    // Wherever the end of it falls between two probes.
    for seconds in 60..=70 {
        for kind in [heavy, light] {
            let mut policy = Policy {
                jitter_seed: Some(seconds),
                ..Policy::default()
            };
            kind(&mut policy);
            let outage = Duration::from_secs(seconds);
            let (before, later) = around_an_outage(policy, outage).await;
            assert!(before > 0);
            assert!(
                later * 100 >= before * 95,
                "{seconds} s: {later} a second, {before} before"
            );
        }
    }
}
