//! Time reaches a stage as a tick, answered like a record.

use std::time::Duration;

use super::world::*;
use crate::Failure;
use crate::bus::ProduceFault;

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn ticking() -> World {
    let mut world = World::new(1);
    world.policy.tick_every = Some(Duration::from_secs(10));
    world
}

#[tokio::test(start_paused = true)]
async fn what_a_tick_emits_is_produced() {
    let world = ticking();
    let emitted = vec![chunk(&section(7), 0), chunk(&section(7), 1)];
    world.script.ticks.lock().unwrap().push(Ok(emitted));
    let consumer = world.start();
    after(9).await;
    assert!(world.outputs().is_empty());
    after(2).await;
    assert_eq!(world.outputs().into_iter().collect::<Vec<_>>(), [(7, 2)]);
    consumer.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_fails_is_followed_by_another() {
    let world = ticking();
    let emitted = Ok(vec![chunk(&section(7), 0)]);
    let busy = Failure::Transient {
        reason: "busy".to_owned(),
        retry_after: Some(Duration::from_secs(60)),
    };
    world
        .script
        .ticks
        .lock()
        .unwrap()
        .extend([emitted, Err(busy)]);
    let consumer = world.start();
    after(60).await;
    assert!(world.outputs().is_empty());
    after(12).await;
    assert_eq!(world.outputs().len(), 1);
    consumer.finish().await.unwrap();
    for failure in [Failure::fatal("broken"), Failure::poison("nonsense")] {
        let world = ticking();
        world
            .script
            .ticks
            .lock()
            .unwrap()
            .push(Err(failure.clone()));
        let ended = world.start().ended().await.unwrap_err();
        assert_eq!(ended.class(), "fatal");
        assert!(ended.reason().contains(failure.reason()), "{ended}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_later_is_committed_before_a_tick_is_in_the_log() {
    let world = ticking();
    let emitted = vec![chunk(&section(7), 0)];
    world.script.ticks.lock().unwrap().push(Ok(emitted));
    let consumer = world.start();
    after(9).await;
    let refused = ProduceFault::Refused(Failure::Transient {
        reason: "leader election".to_owned(),
        retry_after: Some(Duration::from_secs(100)),
    });
    world.bus.fail_produce([refused]);
    after(2).await;
    world.feed(1, &[Deed::Emit(1)]);
    after(50).await;
    assert_eq!(world.outputs().len(), 1, "the record is done");
    assert_eq!(world.bus.lag(GROUP, FROM), 1, "but not committed");
    world.caught_up().await;
    assert_eq!(world.outputs().len(), 2);
    consumer.finish().await.unwrap();
}

/// As where a tick has a step to do for each of many documents.
#[tokio::test(start_paused = true)]
async fn ticks_with_hardly_a_pause_do_not_keep_commits_waiting() {
    let mut world = ticking();
    world.policy.tick_every = Some(Duration::from_millis(20));
    *world.script.tick_delay.lock().unwrap() = Duration::from_secs(3);
    let consumer = world.start();
    for _ in 0..10 {
        world.feed(1, &[Deed::Emit(1)]);
        after(5).await;
    }
    assert!(world.bus.lag(GROUP, FROM) <= 1);
    assert!(world.gauges.commits.get() >= 9);
    consumer.finish().await.unwrap();
}
