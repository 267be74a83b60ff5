//! When a document becomes visible, what is shown of it, and what is left when it goes.

use std::sync::Arc;
use std::time::Duration;

use penstock::config::PartialSetting;
use penstock::pipeline::{Pipeline, group_of, topology};
use penstock::streams::Streams;
use penstock_runtime::{BatchStage, Input, Outgoing, Route, Stop};
use penstock_schemas::{Codec, Completion, Progress, Step, now_ms, topics};
use penstock_stages::blobs::version_prefix;
use penstock_stages::settle::{Manifest, Settle, SettleConfig, TERM, manifest_key};
use penstock_tests::fakes::BusStreams;
use uuid::Uuid;

use super::world::{GROUP, Paper, World, close};

const BAD: &str = "part 2 waits for berth nine";

#[tokio::test(start_paused = true)]
async fn a_document_with_gaps_is_shown_and_its_gaps_are_named() {
    let old = Paper::about("rules.md", 1, "berth four");
    let new = Paper::about("rules.md", 2, "berth nine");
    let mut world = World::undisturbed(std::slice::from_ref(&old)).await;
    world.config.settle.partial = PartialSetting::Show;
    world.embedder.refuse(Some(BAD));
    let pipeline = world.start();
    world.send(&new).await;
    world.quiet().await;

    assert_eq!(world.visible(&new), Some(2));
    let told = world.completions().pop().unwrap();
    assert_eq!((told.outcome, told.dead.len()), (Completion::Visible, 1));
    let gap = told.dead[0].chunk.unwrap();
    let chunks = world.bus.read(topics::CHUNKS).unwrap();
    let missing = chunks.iter().find(|it| it.chunk_guid == gap).unwrap();
    assert!(missing.text.contains(BAD));
    let lineage = world.entry(&new).visible.unwrap().lineage;
    let manifest = world.blobs.keys(&manifest_key(&lineage));
    assert_eq!(manifest.len(), 1);
    let manifest: Manifest = read_json(&world, &manifest[0]).await;
    assert_eq!(manifest.gaps, told.dead);
    assert!(!manifest.parts[0].chunks.contains(&gap));
    // Readers see all of it but the gap, and nothing of the older edition.
    let of_new = chunks
        .iter()
        .filter(|it| it.lineage.edition == lineage.edition)
        .count();
    assert_eq!(world.graph.order(new.id()).len(), of_new - 1);
    world.sound().await;

    // The gap is closed by a redrive, as in an edition that failed.
    world.embedder.refuse(None);
    world.redrive(&world.letters()[0]);
    world.quiet().await;
    close(pipeline).await;
    let told = world.completions().pop().unwrap();
    assert_eq!((told.outcome, told.dead.len()), (Completion::Visible, 0));
    assert!(world.entry(&new).open.is_empty());
    world.sound().await;
    assert_eq!(
        world.contents(),
        World::undisturbed(&[old, new]).await.contents()
    );
}

async fn read_json<T: serde::de::DeserializeOwned>(world: &World, key: &str) -> T {
    let bytes = world.stores().blobs.read(key).await.unwrap().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Whenever the deletion comes, nothing of the document remains: no point, node, vector or byte.
#[tokio::test(start_paused = true)]
async fn a_deletion_in_the_middle_of_the_work_leaves_nothing() {
    let doomed = Paper::about("doomed.md", 1, "berth four");
    let kept = Paper::about("kept.md", 1, "cranes");
    let calm = World::undisturbed(std::slice::from_ref(&kept)).await;
    for moment in 0..12 {
        let world = World::new();
        for faults in [&world.vectors.faults, &world.graph.faults] {
            faults.set_delay(Duration::from_millis(60));
        }
        // Slower than a removal: what is embedded meanwhile is cached after it.
        world.embedder.faults.set_delay(Duration::from_secs(2));
        let pipeline = world.start();
        world.send_all(&[doomed.clone(), kept.clone()]).await;
        let age = world.age() + 3 * moment;
        world
            .until("a moment in the middle", |world| {
                world.age() >= age || world.is_quiet()
            })
            .await;
        world.send(&Paper::deletion("doomed.md", 2)).await;
        world.quiet().await;
        close(pipeline).await;

        let entry = world.entry(&doomed);
        assert!(
            entry.visible.is_none() && entry.open.is_empty(),
            "moment {moment}"
        );
        assert_eq!(
            world.outcomes(&doomed).last(),
            Some(&(2, Completion::Removed))
        );
        assert_eq!(world.contents(), calm.contents(), "moment {moment}");
        let prefix = format!("{GROUP}/{}/", doomed.id());
        assert_eq!(world.blobs.keys(&prefix), [""; 0], "moment {moment}");
        assert_eq!(world.cache.kept(doomed.id()), 0, "moment {moment}");
        assert!(world.cache.kept(kept.id()) > 0);
        world.sound().await;
    }
}

/// Deleted and sent again at once, as it was: the deletion takes what it was meant for and no more.
#[tokio::test(start_paused = true)]
async fn a_document_sent_again_while_it_is_deleted_keeps_its_bytes() {
    let again = |version| Paper::about("rules.md", version, "berth four");
    for moment in 0..12 {
        let world = World::undisturbed(&[again(1)]).await;
        for faults in [&world.vectors.faults, &world.graph.faults] {
            faults.set_delay(Duration::from_millis(60));
        }
        let pipeline = world.start();
        world.send(&Paper::deletion("rules.md", 2)).await;
        let age = world.age() + moment;
        world
            .until("a moment in the middle", |world| {
                world.age() >= age || world.is_quiet()
            })
            .await;
        world.send(&again(3)).await;
        world.quiet().await;
        close(pipeline).await;

        world.assert_no_letters();
        assert_eq!(world.visible(&again(3)), Some(3), "moment {moment}");
        let kept = world.collect().await;
        let of_new = version_prefix(GROUP, again(3).id(), Uuid::from_u128(3));
        assert!(kept.iter().all(|key| key.starts_with(&of_new)), "{kept:?}");
        let source = world.entry(&again(3)).visible.unwrap().opened.blob.unwrap();
        assert!(kept.contains(&source.key), "moment {moment}: {kept:?}");
        world.sound().await;
    }
}

/// settle lags: when it shows an edition, the chunks of a newer one lie in both stores already, and it has heard of none.
#[tokio::test(start_paused = true)]
async fn what_settle_has_not_heard_of_yet_is_not_swept() {
    let old = Paper::about("rules.md", 1, "berth four");
    let new = Paper::about("rules.md", 2, "berth nine");
    let world = World::new();
    let stages = topology().into_iter().map(|it| it.name.to_owned());
    let stages: Vec<String> = stages.filter(|it| it != "settle").collect();
    let pipeline = Pipeline::start(Arc::new(world.parts()), &stages, Stop::new()).unwrap();
    world.send_all(&[old.clone(), new.clone()]).await;
    let are_through = |world: &World| {
        let mut stages = topology().into_iter().filter(|it| it.name != "settle");
        stages.all(|it| world.bus.lag(&group_of(it.name), it.from) == 0)
    };
    world.until("both are in the stores", are_through).await;
    close(pipeline).await;

    let ledger = BusStreams::new(world.bus.clone()).ledger();
    let settle = Settle::new(world.stores(), ledger, SettleConfig::default());
    settle.assigned(&[0, 1]).await.unwrap();
    for version in [1, 2] {
        let mut heard: Vec<Input<Progress>> = Vec::new();
        for record in world.bus.records(topics::PROGRESS.name()) {
            let value = record.value.as_deref().unwrap();
            let progress: Progress = Codec::default().decode(value).unwrap();
            if progress.lineage.version == Uuid::from_u128(version) {
                heard.push(Input {
                    record: progress,
                    headers: Vec::new(),
                    partition: record.partition.number,
                    offset: record.offset,
                });
            }
        }
        assert!(!heard.is_empty());
        settle.process(&heard).await.unwrap();
        // A step of the flip with each, and one more.
        for _ in 0..5 {
            settle.tick().await.unwrap();
        }
    }
    assert_eq!(
        world.contents(),
        World::undisturbed(&[old, new]).await.contents()
    );
}

#[tokio::test(start_paused = true)]
async fn an_older_version_that_comes_late_is_never_shown() {
    let new = Paper::about("rules.md", 2, "berth nine");
    let old = Paper::about("rules.md", 1, "berth four");
    let world = World::undisturbed(std::slice::from_ref(&new)).await;
    let before = world.contents();
    let seen = world.vectors.visible_editions(new.id());
    let pipeline = world.start();
    world.send(&old).await;
    let mut displaced = false;
    world
        .until("the older version is worked off", |world| {
            displaced |= world.vectors.visible_editions(new.id()) != seen;
            displaced |= world.graph.visible_edition(new.id()).as_ref() != seen.first();
            world.is_quiet()
        })
        .await;
    close(pipeline).await;
    assert!(!displaced);
    assert_eq!(world.outcomes(&new), [(2, Completion::Visible)]);
    assert_eq!(world.contents(), before);
    world.assert_no_letters();
    world.sound().await;
}

/// Both on their way at once, the newer first: whichever is done first, the newer stays.
#[tokio::test(start_paused = true)]
async fn versions_that_race_end_with_the_newer() {
    let papers = [
        Paper::about("rules.md", 3, "berth nine"),
        Paper::about("rules.md", 1, "berth four"),
        Paper::about("rules.md", 2, "berth six"),
    ];
    let calm = World::undisturbed(&papers[..1]).await;
    let whole = calm.age();
    for moment in 0..=8 {
        let world = World::new();
        world.graph.faults.set_delay(Duration::from_millis(30));
        let pipeline = world.start();
        world.send(&papers[0]).await;
        let age = moment * whole / 8;
        world
            .until("a moment in the middle", |world| {
                world.age() >= age || world.is_quiet()
            })
            .await;
        world.send_all(&papers[1..]).await;
        let mut newest_seen = false;
        let mut displaced = false;
        world
            .until("quiet", |world| {
                let newest = world
                    .ledger()
                    .get(&papers[0].id())
                    .and_then(|it| it.visible.clone());
                let is_newest = newest.is_some_and(|it| it.lineage.version.as_u128() == 3);
                displaced |= newest_seen && !is_newest;
                newest_seen |= is_newest;
                world.is_quiet()
            })
            .await;
        close(pipeline).await;
        assert!(newest_seen && !displaced, "moment {moment}");
        assert_eq!(world.contents(), calm.contents(), "moment {moment}");
        world.sound().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_edition_nobody_works_on_is_given_up_after_a_week_and_swept() {
    const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
    let old = Paper::about("rules.md", 1, "berth four");
    let new = Paper::about("rules.md", 2, "berth nine");
    let world = World::undisturbed(std::slice::from_ref(&old)).await;
    let calm = world.contents();
    world.embedder.refuse(Some(BAD));
    let pipeline = world.start();
    world.send(&new).await;
    world.quiet().await;
    close(pipeline).await;
    assert!(
        world.contents().len() > calm.len(),
        "what is done of it waits for a redrive"
    );

    for (days, given_up) in [(6, false), (8, true)] {
        let mut entry = world.entry(&new);
        // As if so many days had passed: settle reads this when it starts.
        entry.open[0].last_progress_at -= days * WEEK_MS / 7;
        let mut record = topics::LEDGER.encode(&Codec::default(), &entry).unwrap();
        let term = (now_ms() + days).to_string();
        record.headers.push((TERM.into(), term.into()));
        world.bus.append(record).unwrap();
        let pipeline = world.start();
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.quiet().await;
        close(pipeline).await;
        let step = world.entry(&new).open[0].step;
        assert_eq!(
            step == Step::Abandoned,
            given_up,
            "after {days} days: {step:?}"
        );
        assert_eq!(world.contents() == calm, given_up, "after {days} days");
    }
    assert_eq!(world.visible(&new), Some(1));
    assert_eq!(world.outcomes(&new).last(), Some(&(2, Completion::Failed)));
    world.sound().await;
}

/// A process that was stopped for long writes what it had in hand, though another owns the partition by now.
#[tokio::test(start_paused = true)]
async fn what_a_former_owner_writes_late_does_not_count() {
    let paper = |version| Paper::about("rules.md", version, "berth four");
    let world = World::undisturbed(&[paper(1)]).await;
    let first = world.bus.records(topics::LEDGER.name()).remove(0);
    let pipeline = world.start();
    world.send(&paper(2)).await;
    world.quiet().await;
    close(pipeline).await;
    let write_late = || {
        let record = Outgoing {
            topic: first.partition.topic.to_string().into(),
            key: first.key.clone(),
            value: first.value.clone(),
            headers: first.headers.clone(),
        };
        world.bus.append(record).unwrap();
        assert_eq!(world.visible(&paper(1)), None, "it is the last entry");
    };
    let is_back = |world: &World| world.visible(&paper(2)) == Some(2);

    // Once while nobody owns the partition, once while another does.
    write_late();
    let pipeline = world.start();
    world.until("the entry is written again", is_back).await;
    write_late();
    world.until("the entry is written again", is_back).await;
    close(pipeline).await;
    let told = [1, 2].map(|version| (version, Completion::Visible));
    assert_eq!(world.outcomes(&paper(1)), told);
    world.sound().await;
}
