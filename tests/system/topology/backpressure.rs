//! Pressure pauses: what is downstream decides how much is open upstream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock::ingest::Pressure;
use penstock::pipeline::group_of;
use penstock_runtime::ThrottlePolicy;
use penstock_schemas::topics;
use penstock_tests::fakes::BusStreams;

use super::world::{Paper, World, close, papers};

/// Records of `topic` that the group has read and not committed, by partition.
fn open(world: &World, stage: &str, topic: &str) -> BTreeMap<i32, i64> {
    let committed = world.bus.committed(&group_of(stage), topic);
    let taken = world.bus.taken(&group_of(stage), topic);
    let open = |(partition, next): (i32, i64)| {
        let from = committed.get(&partition).copied().unwrap_or(0);
        (partition, next - from)
    };
    taken.into_iter().map(open).collect()
}

fn long_papers() -> Vec<Paper> {
    let text = |number: usize| -> String {
        let line = |at: usize| {
            format!(
                "## Section {at} of {number}\n\nThe crane of berth {at} lifts {number} tonnes of paper and steel at dawn and at dusk.\n\n"
            )
        };
        (0..40).map(line).collect()
    };
    (0..4)
        .map(|number| Paper::new(&format!("long-{number}.md"), 1, text(number)))
        .collect()
}

/// A store that is down: index holds what its cap allows, and goes on where it stopped.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_leaves_open_what_the_cap_allows() {
    const CAP: usize = 16;
    let papers = long_papers();
    let mut world = World::new();
    world.policies.index.cap.records = CAP;
    world.policies.index.window.count = 4;
    let pipeline = world.start();
    world.vectors.faults.set_down(true);
    world.send_all(&papers).await;
    let waiting = |world: &World| world.bus.records(topics::EMBEDDINGS.name()).len() > 8 * CAP;
    world.until("embed is far ahead", waiting).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let held = open(&world, "index", topics::EMBEDDINGS.name());
    assert_eq!(held.len(), 2);
    for (partition, open) in held {
        assert!(
            (1..=CAP as i64).contains(&open),
            "partition {partition}: {open}"
        );
    }
    let paused = pipeline.parts.gauges["index"].paused_us.get();
    assert!(paused > 30_000_000, "paused for {paused} µs of a minute");

    world.vectors.faults.set_down(false);
    world.quiet().await;
    close(pipeline).await;
    world.assert_no_letters();
    assert_eq!(world.sound().await, papers.len() as u64);
}

/// A slow store: the stage before it stops once the lag is high, instead of filling the topic.
#[tokio::test(start_paused = true)]
async fn a_slow_store_holds_back_the_stage_before_it() {
    const HIGH: u64 = 60;
    let papers = long_papers();
    let mut world = World::new();
    let four_at_once = ThrottlePolicy {
        start: 4,
        max: 4,
        ..ThrottlePolicy::default()
    };
    let embed = &mut world.policies.embed;
    embed.throttle = ThrottlePolicy {
        lag_low: HIGH / 4,
        lag_high: HIGH,
        ..four_at_once.clone()
    };
    embed.window.count = 4;
    embed.cap.records = 16;
    let index = &mut world.policies.index;
    index.throttle = four_at_once;
    index.window.count = 4;
    // Eight a second; the store takes two.
    world.embedder.faults.set_delay(Duration::from_millis(500));
    world.vectors.faults.set_delay(Duration::from_secs(2));
    let pipeline = world.start();
    world.send_all(&papers).await;
    let mut most_lag = 0;
    let mut most_open = 0;
    world
        .until("quiet", |world| {
            most_lag = most_lag.max(world.bus.lag(&group_of("index"), topics::EMBEDDINGS.name()));
            let held = open(world, "embed", topics::CHUNKS.name());
            most_open = most_open.max(held.into_values().max().unwrap_or(0));
            world.is_quiet()
        })
        .await;
    close(pipeline).await;
    let chunks = world.bus.records(topics::CHUNKS.name()).len() as u64;
    // The lag is looked at every two seconds, so it runs over by what is embedded meanwhile, and by what index has
    // taken and not committed.
    assert!(most_lag <= HIGH + 24, "index lagged {most_lag} of {chunks}");
    assert!(
        most_lag > HIGH / 4,
        "the store was not slow enough to tell: {most_lag}"
    );
    assert!(chunks > 2 * most_lag, "{chunks} chunks are too few to tell");
    // Committed once a second: what a batch a second closes in between still counts as open here.
    assert!(
        most_open <= 16 + 8,
        "embed had {most_open} open in a partition"
    );
    world.assert_no_letters();
    assert_eq!(world.sound().await, papers.len() as u64);
}

/// The first of the chain is no stage: it heeds the lag of split all the same.
#[tokio::test(start_paused = true)]
async fn split_that_is_far_behind_holds_ingest_back() {
    const HIGH: u64 = 8;
    let papers = papers(30);
    let world = World::new();
    let marks = ThrottlePolicy {
        lag_low: HIGH / 2,
        lag_high: HIGH,
        ..ThrottlePolicy::default()
    };
    let log = Arc::new(BusStreams::new(world.bus.clone()));
    let mut pressure = Pressure::new(log, marks);
    let sending = async {
        for paper in &papers {
            let slowly = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                world.send(paper).await;
            };
            pressure.send(slowly).await;
        }
    };
    tokio::pin!(sending);
    let sent = || world.bus.records(topics::DOCUMENTS.name()).len() as u64;
    let held = tokio::time::timeout(Duration::from_secs(600), &mut sending).await;
    assert!(held.is_err(), "nobody takes what is sent");
    // Two more are on their way between two looks.
    assert!((HIGH..=HIGH + 2).contains(&sent()), "{}", sent());

    let pipeline = world.start();
    sending.await;
    world.quiet().await;
    close(pipeline).await;
    assert_eq!(world.sound().await, papers.len() as u64);
}
