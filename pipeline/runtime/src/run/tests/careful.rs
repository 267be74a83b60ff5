//! What kills its process is found, and nothing else suffers for it.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock_schemas::{Outcome, Progress};

use super::world::*;
use crate::policy::{ThrottlePolicy, WindowPolicy};

/// Time enough for all that does not hang.
const LIFE: Duration = Duration::from_secs(60);

fn world(partitions: i32) -> World {
    let mut world = World::new(partitions);
    world.remembers = true;
    world
}

/// Lets processes live and be killed until one gets through; how many it took, and the calls of each.
async fn live(world: &World) -> Vec<Vec<Vec<i32>>> {
    let mut lives = Vec::new();
    for _ in 0..20 {
        let consumer = world.start();
        let through = tokio::time::timeout(LIFE, world.bus.caught_up(GROUP, FROM)).await;
        lives.push(std::mem::take(&mut *world.script.calls.lock().unwrap()));
        if through.is_ok() {
            consumer.finish().await.unwrap();
            return lives;
        }
        consumer.crash().await;
    }
    panic!("never through: {lives:?}");
}

fn trails_left(world: &World) -> usize {
    let records = world.bus.records(ATTEMPTS);
    let mut last = BTreeMap::new();
    for record in records {
        last.insert(record.key, record.value);
    }
    last.values().filter(|value| value.is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn what_kills_the_process_dies_and_its_neighbours_live() {
    let world = world(1);
    world.feed(1, &vec![Deed::Emit(1); 5]);
    world.feed(1, &[Deed::Hang]);
    world.feed(1, &[Deed::Transient(2), Deed::Poison, Deed::Filter]);
    world.garbage(0, Some(9));
    world.feed(1, &vec![Deed::Emit(2); 5]);
    let lives = live(&world).await;

    // The first kill makes suspicious; three follow while it runs alone.
    assert_eq!(lives.len(), 5, "{lives:?}");
    assert!(lives[0].iter().any(|call| call.len() > 1), "{lives:?}");
    for life in &lives[1..4] {
        assert!(life.iter().all(|call| call.len() == 1), "{life:?}");
        assert_eq!(life.last(), Some(&vec![5]), "{life:?}");
    }
    // What was closed is committed before the next runs alone: no life does it again.
    assert_eq!(lives[2].len(), 1, "{lives:?}");
    let dead = [(5, "killed"), (7, "poison"), (9, "undecodable")];
    let dead = dead.map(|(offset, class)| (offset, class.to_owned()));
    let mut found = world.dead();
    // What died behind the killer before the first kill dies again.
    found.dedup();
    assert_eq!(found, dead);
    let letters = world.bus.records(DLQ);
    let letter = letters
        .iter()
        .find(|it| header(it, "dlq.class") == "killed");
    let reason = header(letter.unwrap(), "dlq.reason");
    assert!(reason.contains("killed the process 3 times"), "{reason}");
    assert_eq!(world.outputs().len(), 11, "{:?}", world.outputs());
    let told = world.progress();
    let dead = |it: &Progress| it.part == Some(5) && it.outcome == Outcome::Dead;
    assert!(told.iter().any(dead), "{told:?}");
    assert_eq!(trails_left(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn two_killers_in_two_partitions_are_both_found() {
    let world = world(2);
    let mut deeds = vec![Deed::Emit(1); 20];
    deeds[4] = Deed::Hang;
    deeds[9] = Deed::Hang;
    world.feed(2, &deeds);
    live(&world).await;
    let letters = world.bus.records(DLQ);
    assert!(letters.iter().all(|it| header(it, "dlq.class") == "killed"));
    let mut parts: Vec<String> = letters
        .iter()
        .map(|it| header(it, "penstock.part"))
        .collect();
    parts.sort();
    assert_eq!(parts, ["4", "9"]);
    assert_eq!(world.outputs().len(), 18);
}

/// A process that was killed while it got on is no reason to go slow.
#[tokio::test(start_paused = true)]
async fn who_got_on_before_the_kill_goes_on_as_fast() {
    let mut world = world(1);
    world.policy.window = WindowPolicy {
        count: 4,
        ..WindowPolicy::default()
    };
    world.policy.throttle = ThrottlePolicy {
        start: 4,
        max: 4,
        ..ThrottlePolicy::default()
    };
    *world.script.delay.lock().unwrap() = Duration::from_secs(1);
    world.feed(1, &vec![Deed::Emit(1); 40]);
    for _ in 0..3 {
        let consumer = world.start();
        let before = world.bus.lag(GROUP, FROM);
        while world.bus.lag(GROUP, FROM) == before {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        consumer.crash().await;
    }
    world.script.calls.lock().unwrap().clear();
    world.run_dry().await.unwrap();
    let calls = world.script.calls.lock().unwrap();
    assert!(calls.iter().any(|call| call.len() == 4), "{calls:?}");
    assert_eq!(world.dead(), []);
}

/// Stopped in good order with nothing done: no suspicion.
#[tokio::test(start_paused = true)]
async fn who_lets_go_leaves_no_trail() {
    let world = world(1);
    world.feed(1, &vec![Deed::Emit(1); 8]);
    *world.script.outage.lock().unwrap() = Some(crate::Failure::transient("store is down"));
    let consumer = world.start();
    while world.script.calls.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(trails_left(&world), 1);
    consumer.finish().await.unwrap();
    assert_eq!(trails_left(&world), 0);
    *world.script.outage.lock().unwrap() = None;
    world.script.calls.lock().unwrap().clear();
    world.run_dry().await.unwrap();
    let calls = world.script.calls.lock().unwrap();
    assert!(calls.iter().any(|call| call.len() > 1), "{calls:?}");
}

/// One that fails for long does not keep the others waiting for it.
#[tokio::test(start_paused = true)]
async fn what_fails_while_it_runs_alone_is_no_killer() {
    let mut world = world(1);
    world.policy.retry.exhausted_after = 3;
    world.feed(1, &[Deed::Hang, Deed::Transient(u32::MAX)]);
    world.feed(1, &vec![Deed::Emit(1); 20]);
    live(&world).await;
    let dead = [(0, "killed"), (1, "exhausted")];
    assert_eq!(world.dead(), dead.map(|(at, class)| (at, class.to_owned())));
    assert_eq!(world.outputs().len(), 20);
}

/// What is suspect in one partition does not keep another waiting.
#[tokio::test(start_paused = true)]
async fn partitions_take_turns() {
    let world = world(2);
    // The first partition has them all before the second has one.
    for part in 0..40 {
        world.publish(part, i32::from(part >= 20));
    }
    *world.script.delay.lock().unwrap() = 2 * LIFE;
    let consumer = world.start();
    tokio::time::sleep(LIFE).await;
    consumer.crash().await;
    world.script.calls.lock().unwrap().clear();
    *world.script.delay.lock().unwrap() = Duration::ZERO;
    world.run_dry().await.unwrap();
    let calls = world.script.calls.lock().unwrap();
    assert!(calls.iter().all(|call| call.len() == 1), "{calls:?}");
    let second = |call: &&Vec<i32>| call[0] >= 20;
    assert_eq!(calls[..10].iter().filter(second).count(), 5, "{calls:?}");
}

/// A partition moves with its first record, not an interval later: a kill after that is no reason to go slow.
#[tokio::test(start_paused = true)]
async fn the_first_record_is_committed_at_once() {
    let mut world = world(1);
    world.policy.commit_every = 10 * LIFE;
    world.feed(1, &[Deed::Emit(1)]);
    let consumer = world.start();
    let through = tokio::time::timeout(LIFE, world.bus.caught_up(GROUP, FROM)).await;
    assert!(through.is_ok());
    consumer.crash().await;
}

/// The log may refuse what is about to run: then nothing runs, and later it does.
#[tokio::test(start_paused = true)]
async fn nothing_runs_before_the_log_knows() {
    let world = world(1);
    let down = || crate::bus::ProduceFault::Refused(crate::Failure::transient("no leader"));
    world.feed(1, &[Deed::Hang]);
    let consumer = world.start();
    tokio::time::sleep(LIFE).await;
    consumer.crash().await;
    world.script.calls.lock().unwrap().clear();
    world.bus.fail_produce([down(), down(), down()]);
    let consumer = world.start();
    let alone = || {
        let trails = world.bus.records(ATTEMPTS);
        trails.iter().any(|it| header(it, "attempt.alone") == "0:1")
    };
    while !alone() {
        assert!(world.script.calls.lock().unwrap().is_empty());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(LIFE).await;
    assert_eq!(*world.script.calls.lock().unwrap(), [vec![0]]);
    consumer.crash().await;
}

/// In one process two records do not run alone at once: who of them killed it could not be told.
#[tokio::test(start_paused = true)]
async fn alone_in_the_whole_process() {
    let world = world(1);
    let attempts = world.attempts();
    let first = attempts.alone().await.unwrap();
    let short = Duration::from_secs(1);
    let second = tokio::time::timeout(short, attempts.alone()).await;
    assert!(second.is_err());
    drop(first);
    drop(attempts.alone().await.unwrap());
}
