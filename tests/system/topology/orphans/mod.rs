//! Objects that no record names are collected, and no others: whatever the log holds, whatever is done again afterwards.

mod deeds;
mod records;

use std::time::Duration;

use bytes::Bytes;
use penstock::objects::{Collector, Heard, Named, Orphan, Removal, naming};
use penstock_runtime::bus::Bus;
use penstock_schemas::{Codec, Lineage};
use penstock_stages::blobs::{Blobs, version_prefix};
use penstock_stages::settle::manifest_key;
use penstock_tests::fakes::FakeBlobs;
use uuid::Uuid;

use super::world::{World, papers};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What was written later stays.
const LIMIT: u32 = 7;

fn named(bus: &Bus) -> Named {
    let (codec, mut heard) = (Codec::default(), Heard::default());
    for topic in naming() {
        for record in bus.records(&topic) {
            heard.hear(&codec, &record).unwrap();
        }
    }
    heard.named()
}

/// A dry run, then the same in earnest: both tell the same.
async fn collect(blobs: &FakeBlobs, bus: &Bus) -> Vec<Orphan> {
    let (named, sink, codec) = (named(bus), bus.sink(), Codec::default());
    let now = blobs.clock().await.unwrap();
    let mut collector = Collector {
        named: &named,
        now,
        before: now - (LIMIT * DAY).as_millis() as i64,
        removal: None,
    };
    let all = blobs.keys("");
    let (mut dry, mut wet) = (Vec::new(), Vec::new());
    let would = collector.collect(blobs, |it| dry.push(it.clone())).await;
    assert_eq!(blobs.keys(""), all, "a dry run removes nothing");
    collector.removal = Some(Removal {
        sink: &sink,
        codec: &codec,
        actor: "ann@desk",
    });
    let did = collector.collect(blobs, |it| wet.push(it.clone())).await;
    assert_eq!((would.unwrap(), &dry), (did.unwrap(), &wet));
    wet
}

/// Which of a version's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Source,
    Text,
    Manifest,
}

const WHATS: [What; 3] = [What::Source, What::Text, What::Manifest];

fn id(document: u128) -> Uuid {
    Uuid::from_u128(100 + document)
}

fn lineage(document: u128, version: u128) -> Lineage {
    Lineage {
        group: "g".to_owned(),
        document_guid: id(document),
        version: Uuid::from_u128(version),
        edition: Uuid::from_u128(1000 + version),
        stamped: 0,
    }
}

fn key(document: u128, version: u128, what: What) -> String {
    let prefix = version_prefix("g", id(document), Uuid::from_u128(version));
    match what {
        What::Source => format!("{prefix}{}", "5c".repeat(32)),
        What::Text => format!("{prefix}{}", "7e".repeat(32)),
        What::Manifest => manifest_key(&lineage(document, version)),
    }
}

/// The store's clock alone tells ages: whatever ours says, what was just written is young.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_removes_nothing_young() {
    let blobs = FakeBlobs::default();
    // Ours is two weeks behind the store's; then a copy of it is two weeks ahead.
    blobs.pass(14 * DAY);
    let key = key(0, 1, What::Source);
    blobs.write(&key, Bytes::new()).await.unwrap();
    let bus = Bus::with_all_topics(1);
    assert!(collect(&blobs, &bus).await.is_empty());
    blobs.pass((LIMIT - 1) * DAY);
    assert!(collect(&blobs, &bus).await.is_empty());
    blobs.pass(DAY);
    assert_eq!(collect(&blobs, &bus).await.len(), 1);
}

/// What is written again between the listing and the removal stays.
#[tokio::test(start_paused = true)]
async fn what_is_written_again_meanwhile_stays() {
    let world = World::undisturbed(&papers(1)).await;
    let key = key(0, 1, What::Text);
    world.blobs.write(&key, Bytes::new()).await.unwrap();
    world.blobs.pass(2 * LIMIT * DAY);
    let (named, sink, codec) = (named(&world.bus), world.bus.sink(), Codec::default());
    let now = world.blobs.clock().await.unwrap();
    let collector = Collector {
        named: &named,
        now,
        before: now - (LIMIT * DAY).as_millis() as i64,
        removal: Some(Removal {
            sink: &sink,
            codec: &codec,
            actor: "ann@desk",
        }),
    };
    // The listing takes a while: in its midst the object is written.
    world.blobs.faults.set_delay(Duration::from_secs(10));
    let writing = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        world.blobs.write(&key, Bytes::new()).await.unwrap();
    };
    let (tally, ()) = tokio::join!(collector.collect(world.blobs.as_ref(), |_| ()), writing);
    let tally = tally.unwrap();
    assert!(world.blobs.keys(&key) == [key.clone()], "{tally:?}");
    assert_eq!(tally.kept.young, 1, "{tally:?}");
}
