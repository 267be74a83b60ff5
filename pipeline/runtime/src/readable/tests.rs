use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use penstock_schemas::{Audit, Message, SchemaRegistry, Topic, topics};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::Outgoing;
use crate::bus::Bus;

const TOPIC: Topic<Audit> = topics::AUDIT;
const OWN: u32 = 1;
/// An id that no record of ours has, and the registry knows.
const OTHER: u32 = 2;
const UNKNOWN: u32 = 3;
/// Nobody waits for longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Answers once it is there.
struct Registry {
    there: watch::Receiver<bool>,
    asked: AtomicUsize,
    refuses: bool,
}

#[async_trait]
impl SchemaRegistry for Registry {
    async fn schema(&self, id: u32) -> Result<Option<String>, LookupError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.refuses {
            return Err(LookupError::Refused("the login is refused".to_owned()));
        }
        match *self.there.borrow() {
            true => Ok((id == OTHER).then(|| Audit::SCHEMA.to_owned())),
            false => Err(LookupError::Away("nobody answers".to_owned())),
        }
    }
}

struct World {
    bus: Bus,
    registry: Arc<Registry>,
    door: watch::Sender<bool>,
    source: Readable,
}

fn world(refuses: bool) -> World {
    let bus = Bus::new();
    bus.create(TOPIC.name(), 2);
    let (door, there) = watch::channel(false);
    let registry = Arc::new(Registry {
        there,
        asked: AtomicUsize::new(0),
        refuses,
    });
    let codec = Codec::registered([(TOPIC.subject(), OWN)], registry.clone()).unwrap();
    let source = Readable::new(Box::new(bus.join("g", TOPIC.name()).bounded()), codec);
    World {
        bus,
        registry,
        door,
        source,
    }
}

impl World {
    fn append(&self, partition: i32, id: u32) {
        let audit = Audit {
            at: 0,
            actor: String::new(),
            action: String::new(),
            detail: Default::default(),
        };
        let mut value = self.source.codec.encode(&audit).unwrap().to_vec();
        value[1..5].copy_from_slice(&id.to_be_bytes());
        let value = Some(value.into());
        self.bus
            .append_to(TOPIC.name(), partition, value, Vec::new())
            .unwrap();
    }

    /// The source again, over what is in the topic now.
    fn join(&mut self) {
        let inner = self.bus.join("g", TOPIC.name()).bounded();
        self.source = Readable::new(Box::new(inner), self.source.codec.clone());
    }

    /// Partition and offset of the next record; none where nothing is said.
    async fn next(&mut self) -> Option<(i32, i64)> {
        loop {
            let event = timeout(Duration::from_secs(1), self.source.next()).await;
            match event.ok()?.unwrap() {
                Event::Record(record) => {
                    return Some((record.partition.number, record.offset));
                }
                Event::Revoked(_, ack) => ack.done(),
                Event::Assigned(_) => {}
                Event::End => return None,
            }
        }
    }

    async fn all(&mut self) -> Vec<(i32, i64)> {
        let mut all = Vec::new();
        while let Some(place) = self.next().await {
            all.push(place);
        }
        all.sort_unstable();
        all
    }

    fn asked(&self) -> usize {
        self.registry.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_waits_for_its_schema_and_others_go_on() {
    let mut world = world(false);
    for id in [OWN, OTHER, OWN, UNKNOWN, OTHER] {
        world.append(0, id);
    }
    for _ in 0..5 {
        world.append(1, OWN);
    }
    world.join();
    // The registry is away: nothing is lost, nothing passes the record that waits, nothing is given up.
    let others = world.all().await;
    assert_eq!(others, [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]);
    assert!(world.asked() > 0);

    world.door.send_replace(true);
    let began = tokio::time::Instant::now();
    while world.asked() == 0 || began.elapsed() < LAST_WAIT {
        if let Some(place) = world.next().await {
            assert_eq!(place, (0, 1), "in order");
            break;
        }
    }
    let asked = world.asked();
    assert_eq!(world.all().await, [(0, 2), (0, 3), (0, 4)]);
    assert_eq!(world.asked(), asked + 1, "each id is asked for once");
    // What it does not know is left to the decoder.
    assert!(matches!(
        timeout(LIMIT, world.source.next()).await.unwrap().unwrap(),
        Event::End
    ));
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_meanwhile_stays_paused() {
    let mut world = world(false);
    world.append(0, OTHER);
    world.append(0, OWN);
    world.join();
    assert_eq!(world.next().await, None);
    let partition = Partition {
        topic: TOPIC.name().into(),
        number: 0,
    };
    world
        .source
        .pause(std::slice::from_ref(&partition))
        .unwrap();
    world.door.send_replace(true);
    for _ in 0..60 {
        assert_eq!(world.next().await, None);
    }
    world
        .source
        .resume(std::slice::from_ref(&partition))
        .unwrap();
    assert_eq!(world.all().await, [(0, 0), (0, 1)]);
}

/// A rebalance is heard at once, and what was held comes again from where the group stands.
#[tokio::test(start_paused = true)]
async fn a_partition_that_waits_can_be_taken_away() {
    let mut world = world(false);
    world.append(0, OTHER);
    world.append(0, OWN);
    world.join();
    assert_eq!(world.next().await, None);
    world.bus.rebalance("g");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = timeout(LIMIT, world.source.next()).await.unwrap();
        match event.unwrap() {
            Event::Revoked(_, ack) => {
                ack.done();
                seen.push("revoked");
            }
            Event::Assigned(_) => seen.push("assigned"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["revoked", "assigned"]);
    assert_eq!(world.next().await, None);
    world.door.send_replace(true);
    let read = async {
        let mut read = Vec::new();
        while read.len() < 2 {
            read.extend(world.next().await);
        }
        read
    };
    assert_eq!(timeout(LIMIT, read).await.unwrap(), [(0, 0), (0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_refuses_is_fatal() {
    let mut world = world(true);
    world.append(0, OTHER);
    world.join();
    let failure = loop {
        match timeout(LIMIT, world.source.next()).await.unwrap() {
            Ok(Event::Revoked(_, ack)) => ack.done(),
            Ok(Event::Assigned(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure, Failure::fatal("the login is refused"));
}

/// Records without a registry's id cost nothing.
#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_what_is_known() {
    let mut world = world(true);
    world.append(0, OWN);
    let single = Outgoing {
        topic: TOPIC.name().into(),
        key: None,
        value: Some(Bytes::from_static(&[0xC3, 1, 2])),
        headers: Vec::new(),
    };
    world.bus.append(single).unwrap();
    world
        .bus
        .append_to(TOPIC.name(), 1, None, Vec::new())
        .unwrap();
    world.join();
    assert_eq!(world.all().await.len(), 3);
    assert_eq!(world.asked(), 0);
}
