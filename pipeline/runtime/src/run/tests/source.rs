//! Sources that behave as real ones do: records already on their way, failures, stray partitions.

use std::time::Duration;

use async_trait::async_trait;
use penstock_schemas::Codec;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::world::*;
use crate::{Assignment, Event, Failure, Partition, Position, Record, RevokeAck, Source};

/// Says what it is told to say, whatever is paused.
struct Fed {
    events: UnboundedReceiver<Result<Event, Failure>>,
    commits: UnboundedSender<Vec<Position>>,
}

#[async_trait]
impl Source for Fed {
    async fn next(&mut self) -> Result<Event, Failure> {
        self.events.recv().await.unwrap_or(Ok(Event::End))
    }

    fn pause(&mut self, _partitions: &[Partition]) -> Result<(), Failure> {
        Ok(())
    }

    fn resume(&mut self, _partitions: &[Partition]) -> Result<(), Failure> {
        Ok(())
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Failure> {
        self.commits.send(positions.to_vec()).unwrap();
        Ok(())
    }

    async fn close(&mut self) {}
}

struct Feed {
    world: World,
    consumer: Consumer,
    events: UnboundedSender<Result<Event, Failure>>,
    commits: UnboundedReceiver<Vec<Position>>,
}

impl Feed {
    fn new() -> Self {
        let world = World::new(1);
        let (events, heard) = unbounded_channel();
        let (said, commits) = unbounded_channel();
        let consumer = world.start_on(Box::new(Fed {
            events: heard,
            commits: said,
        }));
        Self {
            world,
            consumer,
            events,
            commits,
        }
    }

    fn say(&self, event: Event) {
        self.events.send(Ok(event)).unwrap();
    }

    fn assign(&self, number: i32, start: i64) {
        let partition = partition(number);
        self.say(Event::Assigned(vec![Assignment { partition, start }]));
    }

    /// The part is numbered as the offset.
    fn record(&self, number: i32, offset: i32) {
        let value = Codec::default().encode(&section(offset)).unwrap();
        self.say(Event::Record(Record {
            partition: partition(number),
            offset: i64::from(offset),
            timestamp: 0,
            key: None,
            value: Some(value),
            headers: Vec::new(),
        }));
    }

    fn done(&self) -> Vec<i32> {
        self.world.outputs().into_keys().collect()
    }
}

fn partition(number: i32) -> Partition {
    let topic = FROM.into();
    Partition { topic, number }
}

async fn after(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_revoke_is_left_alone() {
    let mut feed = Feed::new();
    *feed.world.script.delay.lock().unwrap() = Duration::from_millis(200);
    feed.assign(0, 0);
    feed.record(0, 0);
    after(10).await;
    let (ack, acknowledged) = RevokeAck::new();
    feed.say(Event::Revoked(vec![partition(0)], ack));
    feed.record(0, 1);
    acknowledged.await.unwrap();
    feed.record(0, 2);
    let commit = feed.commits.recv().await.unwrap();
    assert_eq!((commit.len(), commit[0].offset), (1, 1));
    after(5_000).await;
    assert_eq!(feed.done(), [0]);
    assert!(
        feed.commits.try_recv().is_err(),
        "nothing is committed after"
    );
    feed.consumer.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_soft_stop_is_left_alone() {
    let mut feed = Feed::new();
    *feed.world.script.delay.lock().unwrap() = Duration::from_millis(200);
    feed.assign(0, 0);
    feed.record(0, 0);
    after(10).await;
    feed.consumer.stop.soft();
    after(10).await;
    feed.record(0, 1);
    let summary = feed.consumer.ended().await.unwrap();
    assert_eq!(summary.processed, 1);
    let last = feed.commits.recv().await.unwrap();
    assert_eq!(last[0].offset, 1);
}

#[tokio::test(start_paused = true)]
async fn strays_and_repeats_are_passed_over() {
    let feed = Feed::new();
    feed.record(0, 0);
    feed.assign(0, 5);
    feed.record(1, 1);
    feed.record(0, 4);
    feed.record(0, 5);
    feed.record(0, 5);
    feed.record(0, 9);
    after(2_000).await;
    assert_eq!(feed.done(), [5, 9]);
    assert_eq!(feed.consumer.finish().await.unwrap().processed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_partition_assigned_again_starts_anew() {
    let mut feed = Feed::new();
    feed.assign(0, 0);
    feed.record(0, 0);
    feed.record(0, 1);
    after(1_500).await;
    feed.assign(0, 0);
    feed.record(0, 0);
    after(1_500).await;
    let offsets: Vec<i64> = std::iter::from_fn(|| feed.commits.try_recv().ok())
        .map(|positions| positions[0].offset)
        .collect();
    assert_eq!(offsets, [2, 1], "the source says where it stands");
    feed.consumer.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_partition_given_back_before_it_was_let_go_is_kept() {
    let feed = Feed::new();
    *feed.world.script.delay.lock().unwrap() = Duration::from_secs(5);
    feed.assign(0, 0);
    feed.record(0, 0);
    after(10).await;
    let (ack, acknowledged) = RevokeAck::new();
    feed.say(Event::Revoked(vec![partition(0)], ack));
    feed.assign(0, 0);
    feed.record(0, 0);
    acknowledged.await.unwrap();
    after(20_000).await;
    assert_eq!(feed.consumer.finish().await.unwrap().processed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_for_a_while_is_asked_again() {
    let feed = Feed::new();
    feed.assign(0, 0);
    for _ in 0..3 {
        let failure = Failure::transient("no broker");
        feed.events.send(Err(failure)).unwrap();
    }
    feed.record(0, 0);
    after(30_000).await;
    assert_eq!(feed.done(), [0]);
    let failure = Failure::fatal("authentication refused");
    feed.events.send(Err(failure.clone())).unwrap();
    assert_eq!(feed.consumer.ended().await.unwrap_err(), failure);
}
