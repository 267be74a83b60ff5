//! The whole topology, with documents that come, change and go, and everything done again.

use std::collections::BTreeMap;

use bytes::Bytes;
use penstock::pipeline::group_of;
use penstock::replay::Span;
use penstock_stages::blobs::{Blobs, version_prefix};
use proptest::prelude::*;
use uuid::Uuid;

use super::super::replay::{plan, start};
use super::super::world::{Paper, World, close, header};
use super::{DAY, LIMIT, collect};

/// What is done to a document.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Send,
    /// split cannot count its pages.
    SendTorn,
    /// parse finds no text.
    SendBlank,
    Delete,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Send),
        1 => Just(Deed::SendTorn),
        1 => Just(Deed::SendBlank),
        1 => Just(Deed::Delete),
    ]
}

fn paper(number: usize, version: u128, deed: Deed) -> Paper {
    let key = format!("paper-{number}.md");
    match deed {
        Deed::Send => Paper::about(&key, version, &format!("matter {version}")),
        Deed::SendTorn => Paper::new(&key, version, format!("%PDF-1.7\nno more than {version}")),
        Deed::SendBlank => Paper::new(&key, version, " \n".repeat(version as usize)),
        Deed::Delete => Paper::deletion(&key, version),
    }
}

async fn history(deeds: &[(usize, Deed)]) -> World {
    let world = World::new();
    let pipeline = world.start();
    let mut versions = BTreeMap::new();
    for (number, deed) in deeds {
        let version = versions.entry(*number).or_insert(0_u128);
        *version += 1;
        world.send(&paper(*number, *version, *deed)).await;
        if *version % 2 == 0 {
            world.quiet().await;
        }
    }
    world.quiet().await;
    close(pipeline).await;
    world
}

/// But for bytes of what was deleted: those go at once, whatever is still on its way.
fn assert_nothing_is_missed(world: &World) {
    let ledger = world.ledger();
    for letter in world.letters() {
        let reason = header(&letter, "dlq.reason");
        let key = reason
            .strip_prefix("object ")
            .and_then(|it| it.strip_suffix(" is not in the object store"));
        let Some(key) = key else { continue };
        let mut above = key.rsplit('/').skip(1);
        let version: Uuid = above.next().unwrap().parse().unwrap();
        let document: Uuid = above.next().unwrap().parse().unwrap();
        assert!(ledger[&document].deleted >= Some(version), "{reason}");
    }
}

/// All that can be done again after `deeds` and a long time: no stage misses an object, and nothing changes.
async fn all_again(deeds: Vec<(usize, Deed)>) {
    let world = history(&deeds).await;
    let before = world.contents();
    // Not so long that settle would collect too: records of this log live for ever, and it counts on their retention.
    world.blobs.pass(20 * DAY);
    // As ingest leaves it that dies before it sends, and somebody else's.
    let lost = version_prefix("freight", Uuid::from_u128(7), Uuid::from_u128(8))
        + "0a".repeat(32).as_str();
    world.blobs.write(&lost, Bytes::new()).await.unwrap();
    world
        .blobs
        .write("notes/of/others.txt", Bytes::new())
        .await
        .unwrap();
    assert!(
        collect(&world.blobs, &world.bus)
            .await
            .iter()
            .all(|it| it.key != lost)
    );
    world.blobs.pass(LIMIT * DAY);
    collect(&world.blobs, &world.bus).await;
    assert_eq!(world.blobs.keys(&lost), Vec::<String>::new());
    assert_eq!(world.blobs.keys("notes").len(), 1);
    assert!(collect(&world.blobs, &world.bus).await.is_empty());

    let letters = world.letters();
    for stage in ["parse", "shard"] {
        world.bus.rewind(&group_of(stage));
    }
    let (mut replay, _) = start(&world, &plan(&world, Span::Beginning));
    let pipeline = world.start();
    replay.ended().await.unwrap();
    close(replay).await;
    for letter in &letters {
        world.redrive(letter);
    }
    world.quiet().await;
    close(pipeline).await;
    assert_nothing_is_missed(&world);
    assert_eq!(world.contents(), before);
    world.sound().await;
}

/// What settle collects by itself, once everything is older than any record is kept: what can be replayed then goes well.
async fn documents_again(deeds: Vec<(usize, Deed)>) {
    let world = history(&deeds).await;
    let before = world.contents();
    world.blobs.pass(100 * DAY);
    world.collect().await;
    let (mut replay, _) = start(&world, &plan(&world, Span::Beginning));
    let pipeline = world.start();
    replay.ended().await.unwrap();
    close(replay).await;
    world.quiet().await;
    close(pipeline).await;
    assert_nothing_is_missed(&world);
    assert_eq!(world.contents(), before);
    world.sound().await;
}

fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_again_finds_its_objects(
        deeds in proptest::collection::vec((0..3_usize, deed()), 1..8),
    ) {
        paused(all_again(deeds));
    }

    #[test]
    fn what_settle_collects_is_missed_by_no_replay(
        deeds in proptest::collection::vec((0..3_usize, deed()), 1..8),
    ) {
        paused(documents_again(deeds));
    }
}
