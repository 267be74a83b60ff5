//! Replay is nothing special: doing it all again changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use penstock::pipeline::{Pipeline, group_of, topology};
use penstock::replay::{Plan, Span, Versions, again};
use penstock_runtime::Stop;
use penstock_runtime::bus::Happened;
use penstock_schemas::{Codec, topics};
use penstock_stages::blobs::{Blobs, version_of};
use uuid::Uuid;

use super::world::{Paper, World, close, papers};

#[tokio::test(start_paused = true)]
async fn replaying_everything_changes_nothing_and_embeds_nothing() {
    let mut all = papers(3);
    all.push(Paper::about("rules.md", 1, "berth four"));
    all.push(Paper::about("rules.md", 2, "berth nine"));
    let world = World::undisturbed(&all).await;
    let before = world.contents();
    let embedded = world.embedder.embedded().len();
    let told = world.completions().len();
    let parts = world.bus.read(topics::PARTS).unwrap().len();

    for stage in topology() {
        world.bus.rewind(&group_of(stage.name));
    }
    let pipeline = world.start();
    world.quiet().await;
    close(pipeline).await;

    assert_eq!(
        world.bus.read(topics::PARTS).unwrap().len(),
        2 * parts,
        "all was done again"
    );
    assert_eq!(world.contents(), before);
    assert_eq!(world.embedder.embedded().len(), embedded);
    assert_eq!(world.completions().len(), told, "nobody is told twice");
    world.assert_no_letters();
    world.sound().await;
}

/// A replay of the first stage alone, while a newer version of a document is visible.
#[tokio::test(start_paused = true)]
async fn replaying_split_leaves_nothing_of_older_versions() {
    let old = Paper::about("rules.md", 1, "berth four");
    let new = Paper::about("rules.md", 2, "berth nine");
    let world = World::undisturbed(&[old, new.clone()]).await;
    let before = world.contents();
    world.bus.rewind(&group_of("split"));
    let pipeline = world.start();
    world.quiet().await;
    close(pipeline).await;
    assert_eq!(world.contents(), before);
    assert_eq!(world.visible(&new), Some(2));
    world.sound().await;
}

/// All that split has done up to now.
pub fn plan(world: &World, span: Span) -> Plan {
    let topic = topics::DOCUMENTS.name();
    let (codec, mut versions) = (Codec::default(), Versions::default());
    let mut ranges = BTreeMap::from([(0, (0, 0)), (1, (0, 0))]);
    let mut superseded = HashSet::new();
    for record in world.bus.records(topic) {
        ranges.insert(record.partition.number, (0, record.offset + 1));
        superseded.extend(versions.hear(&codec, &record));
    }
    Plan {
        id: "1".to_owned(),
        stage: "split".to_owned(),
        topic: topic.to_owned(),
        span,
        ranges,
        superseded,
    }
}

/// Starts the replay as its command does, in a process of its own; how many records it has done can be asked.
pub fn start(world: &World, plan: &Plan) -> (Pipeline, Arc<penstock_runtime::Gauges>) {
    let parts = again(&world.parts(), plan).unwrap();
    let gauges = parts.gauges["split"].clone();
    let stage = [plan.stage.clone()];
    let pipeline = Pipeline::start(Arc::new(parts), &stage, Stop::new()).unwrap();
    (pipeline, gauges)
}

/// Offsets a group committed on a partition, in order.
fn commits(world: &World, group: &str) -> BTreeMap<i32, Vec<i64>> {
    let mut all: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for it in world.bus.history() {
        if let Happened::Committed {
            group: of,
            partition,
            offset,
            ..
        } = it
            && of == group
        {
            all.entry(partition).or_default().push(offset);
        }
    }
    all
}

/// A replay beside live traffic: it ends where the log ended when it began, and live offsets never go back.
#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_beside_the_live_group() {
    let old = papers(6);
    let world = World::undisturbed(&old).await;
    let plan = plan(&world, Span::Beginning);
    let parts = world.bus.read(topics::PARTS).unwrap().len();
    let live = world.start();
    let (mut replay, gauges) = start(&world, &plan);
    let new = Paper::about("late.md", 1, "what came during the replay");
    world.send(&new).await;
    replay.ended().await.unwrap();
    close(replay).await;
    world.quiet().await;
    close(live).await;

    assert_eq!(gauges.processed.get(), 6);
    // Each of the old once more, and the new one once: the replay did not take it.
    let again = world.bus.read(topics::PARTS).unwrap();
    assert_eq!(again.len(), parts + 6 + 1);
    for (partition, committed) in commits(&world, &group_of("split")) {
        assert!(committed.is_sorted(), "{partition}: {committed:?}");
    }
    let of_replay = world.bus.committed(&plan.group(), &plan.topic);
    for (partition, (_, end)) in &plan.ranges {
        assert_eq!(of_replay.get(partition), Some(end));
    }
    assert_eq!(world.visible(&new), Some(1));
    world.assert_no_letters();
    let mut all = old;
    all.push(new);
    let calm = World::undisturbed(&all).await;
    assert_eq!(world.contents().len(), calm.contents().len());
    assert_eq!(world.sound().await, 7);
}

/// What a newer version lies behind is not done again: nobody keeps its bytes.
#[tokio::test(start_paused = true)]
async fn a_replay_does_the_newest_version_only() {
    let mut all = papers(2);
    all.push(Paper::about("rules.md", 1, "berth four"));
    all.push(Paper::about("rules.md", 2, "berth nine"));
    all.push(Paper::deletion("paper-0.md", 2));
    let world = World::undisturbed(&all).await;
    let before = world.contents();
    for key in world.blobs.keys("") {
        if version_of(&key) == Some(Uuid::from_u128(1)) && !key.contains(&all[1].id().to_string()) {
            world.blobs.delete(&key).await.unwrap();
        }
    }
    let (mut replay, gauges) = start(&world, &plan(&world, Span::Beginning));
    replay.ended().await.unwrap();
    close(replay).await;
    assert_eq!(gauges.processed.get(), 3);
    let live = world.start();
    world.quiet().await;
    close(live).await;
    world.assert_no_letters();
    assert_eq!(world.contents(), before);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_a_document_does_that_one_only() {
    let all = papers(5);
    let world = World::undisturbed(&all).await;
    let before = world.bus.read(topics::PARTS).unwrap().len();
    let (mut replay, gauges) = start(&world, &plan(&world, Span::Document(all[3].id())));
    replay.ended().await.unwrap();
    close(replay).await;
    assert_eq!(gauges.processed.get(), 1);
    let parts = world.bus.read(topics::PARTS).unwrap();
    let again: Vec<_> = parts.iter().skip(before).collect();
    assert_eq!(parts.len(), before + 1);
    assert!(
        parts
            .iter()
            .filter(|it| it.lineage.document_guid == all[3].id())
            .count()
            == 2,
        "{again:?}"
    );
}

/// Live records come first: while they wait, the replay does nothing.
#[tokio::test(start_paused = true)]
async fn a_replay_waits_for_the_live_group() {
    let world = World::undisturbed(&papers(4)).await;
    let plan = plan(&world, Span::Beginning);
    for number in 0..3 {
        world
            .send(&Paper::about(
                &format!("new-{number}.md"),
                1,
                "nobody is at work",
            ))
            .await;
    }
    let mut parts = again(&world.parts(), &plan).unwrap();
    parts.policies.split.throttle.lag_low = 0;
    parts.policies.split.throttle.lag_high = 1;
    let gauges = parts.gauges["split"].clone();
    let stage = ["split".to_owned()];
    let mut replay = Pipeline::start(Arc::new(parts), &stage, Stop::new()).unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(gauges.processed.get(), 0);
    assert_eq!(gauges.in_flight_limit.get(), 0);

    let live = world.start();
    replay.ended().await.unwrap();
    assert_eq!(gauges.processed.get(), 4);
    close(replay).await;
    world.quiet().await;
    close(live).await;
    assert_eq!(world.sound().await, 7);
}

/// Killed in the middle and gone on with: in the end all is done, and what was committed is not done again.
#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_where_it_was_killed() {
    let mut world = World::undisturbed(&papers(12)).await;
    world.policies.split.commit_every = Duration::from_millis(10);
    world.blobs.faults.set_delay(Duration::from_millis(200));
    let plan = plan(&world, Span::Beginning);
    let before = world.bus.read(topics::PARTS).unwrap().len();
    let (replay, first) = start(&world, &plan);
    let committed = |world: &World| -> i64 {
        world
            .bus
            .committed(&plan.group(), &plan.topic)
            .values()
            .sum()
    };
    world
        .until("a part of it is done", |world| committed(world) >= 3)
        .await;
    drop(replay);
    let done = committed(&world) as u64;
    assert!(done < 12, "all of it was done before the kill");
    let (mut replay, second) = start(&world, &plan);
    replay.ended().await.unwrap();
    close(replay).await;
    assert_eq!(
        second.processed.get(),
        12 - done,
        "{}",
        first.processed.get()
    );
    let parts = world.bus.read(topics::PARTS).unwrap().len() - before;
    assert!((12..24).contains(&parts), "{parts}");
}
