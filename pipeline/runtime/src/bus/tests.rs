use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{Event, Partition, Position, Sink, Source};

fn outgoing(topic: &str, key: &'static str) -> Outgoing {
    Outgoing {
        topic: topic.to_owned().into(),
        key: Some(Bytes::from(key)),
        value: Some(Bytes::from_static(b"v")),
        headers: Headers::new(),
    }
}

fn position(number: i32, offset: i64) -> Position {
    let topic = "t".into();
    Position {
        partition: Partition { topic, number },
        offset,
    }
}

/// The next event, or none where nothing comes.
async fn next(member: &mut Member) -> Option<Event> {
    let patience = Duration::from_millis(10);
    let event = tokio::time::timeout(patience, member.next()).await;
    event.ok().map(|event| event.unwrap())
}

async fn numbers(member: &mut Member) -> Vec<i32> {
    match next(member).await {
        Some(Event::Assigned(given)) => given.iter().map(|one| one.partition.number).collect(),
        other => panic!("expected an assignment, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_in_its_partition_and_keys_spread() {
    let bus = Bus::new();
    bus.create("t", 4);
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        for _ in 0..3 {
            bus.append(outgoing("t", key)).unwrap();
        }
    }
    let places: BTreeSet<(Option<Bytes>, i32)> = bus
        .records("t")
        .into_iter()
        .map(|record| (record.key, record.partition.number))
        .collect();
    assert_eq!(places.len(), 8, "one partition for each key");
    let used: BTreeSet<i32> = places.iter().map(|(_, number)| *number).collect();
    assert!(used.len() > 1);
    assert_eq!(bus.append(outgoing("u", "a")).unwrap_err().class(), "fatal");
}

#[tokio::test(start_paused = true)]
async fn a_partition_moves_only_once_it_is_let_go() {
    let bus = Bus::new();
    bus.create("t", 2);
    let mut first = bus.join("g", "t");
    assert_eq!(numbers(&mut first).await, [0, 1]);
    let mut second = bus.join("g", "t");
    assert!(next(&mut second).await.is_none(), "not yet");
    let Some(Event::Revoked(partitions, ack)) = next(&mut first).await else {
        panic!("expected a revoke");
    };
    assert_eq!(partitions, [position(1, 0).partition]);
    first.commit(&[position(1, 7)]).await.unwrap();
    ack.done();
    let Some(Event::Assigned(given)) = next(&mut second).await else {
        panic!("expected an assignment");
    };
    assert_eq!((given[0].partition.number, given[0].start), (1, 7));
    let late = first.commit(&[position(1, 9), position(0, 3)]).await;
    assert_eq!(late.unwrap_err().class(), "transient");
    let committed = bus.committed("g", "t");
    assert_eq!(committed.into_iter().collect::<Vec<_>>(), [(0, 3), (1, 7)]);
}

#[tokio::test(start_paused = true)]
async fn what_crashed_or_dawdles_loses_its_partitions() {
    let bus = Bus::new();
    bus.create("t", 1);
    let mut first = bus.join("g", "t");
    assert_eq!(numbers(&mut first).await, [0]);
    drop(first);
    let mut second = bus.join("g", "t");
    assert_eq!(numbers(&mut second).await, [0]);
    bus.set_revoke_timeout(Duration::from_millis(5));
    bus.rebalance("g");
    let Some(Event::Revoked(_, ack)) = next(&mut second).await else {
        panic!("expected a revoke");
    };
    assert_eq!(numbers(&mut second).await, [0], "its time is up");
    ack.done();
}

#[tokio::test(start_paused = true)]
async fn pauses_hold_and_a_bounded_source_ends() {
    let bus = Bus::new();
    bus.create("t", 1);
    bus.append(outgoing("t", "a")).unwrap();
    let mut member = bus.join("g", "t").bounded();
    bus.append(outgoing("t", "b")).unwrap();
    numbers(&mut member).await;
    let partition = [position(0, 0).partition];
    member.pause(&partition).unwrap();
    assert!(next(&mut member).await.is_none());
    member.resume(&partition).unwrap();
    assert!(matches!(next(&mut member).await, Some(Event::Record(_))));
    assert!(matches!(next(&mut member).await, Some(Event::End)));
}

#[tokio::test(start_paused = true)]
async fn faults_strike_in_turn() {
    let bus = Bus::new();
    bus.create("t", 1);
    let busy = || Failure::transient("busy");
    bus.fail_produce([
        ProduceFault::None,
        ProduceFault::Refused(busy()),
        ProduceFault::Partly(1, busy()),
        ProduceFault::AckLost(busy()),
    ]);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let two = vec![outgoing("t", "a"), outgoing("t", "b")];
        let result = bus.sink().produce(two).await;
        seen.push((result.is_ok(), bus.records("t").len()));
    }
    assert_eq!(
        seen,
        [(true, 2), (false, 2), (false, 3), (false, 5), (true, 7)]
    );
}
