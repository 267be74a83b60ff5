//! One consumer, each verdict, and what the log then holds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use penstock_schemas::{Codec, Document, Lineage, Outcome, topics};
use uuid::Uuid;

use super::world::*;
use crate::bus::{Bus, ProduceFault};
use crate::policy::{FloodPolicy, WindowPolicy};
use crate::{
    Each, Emit, Failure, Gauges, Input, Nothing, Nowhere, Policy, Reporting, Stage, Stop, Verdict,
    Wiring, lineage, run,
};

#[tokio::test(start_paused = true)]
async fn every_verdict_ends_where_it_should() {
    let world = World::new(2);
    world.feed(
        2,
        &[
            Deed::Emit(3),
            Deed::Filter,
            Deed::Poison,
            Deed::Panic,
            Deed::Transient(2),
            Deed::BatchPoison,
            Deed::Emit(1),
        ],
    );
    world.garbage(0, Some(99));
    let summary = world.run_dry().await.unwrap();
    assert_eq!(
        world.outputs().into_iter().collect::<Vec<_>>(),
        [(0, 3), (4, 1), (6, 1)]
    );
    let dead: Vec<String> = world.dead().into_iter().map(|(_, class)| class).collect();
    assert_eq!(dead, ["panic", "poison", "poison", "undecodable"]);
    assert_eq!(summary.processed, 8);
    assert_eq!(summary.outputs, 5);
    assert_eq!(summary.filtered, 1);
    assert_eq!(summary.dead_letters, 4);
    assert!(summary.retries >= 2);
}

#[tokio::test(start_paused = true)]
async fn outputs_carry_lineage_and_trace_context() {
    let world = World::new(1);
    let mut headers = vec![
        ("traceparent".into(), Bytes::from_static(b"00-1-2-01")),
        ("private".into(), Bytes::from_static(b"stays behind")),
    ];
    headers.extend(lineage::Origin::of(&section(0)).headers());
    let value = Codec::default().encode(&section(0)).unwrap();
    let bus = &world.bus;
    bus.append_to(FROM, 0, Some(value), headers).unwrap();
    world.run_dry().await.unwrap();
    let outputs = bus.records(TO);
    let expect = [
        ("penstock.group", "freight"),
        ("penstock.document", &Uuid::from_u128(1).to_string()),
        ("penstock.version", &Uuid::from_u128(2).to_string()),
        ("penstock.edition", &Uuid::from_u128(3).to_string()),
        ("penstock.stamped", "4"),
        ("penstock.part", "0"),
        ("penstock.ordinal", "0"),
        ("traceparent", "00-1-2-01"),
        ("correlation-id", "rag.sections.v1/0/0"),
        ("private", ""),
    ];
    for (name, value) in expect {
        assert_eq!(header(&outputs[0], name), value, "{name}");
    }
    let progress = bus.records("rag.progress.v1");
    assert_eq!(header(&progress[0], "traceparent"), "00-1-2-01");
    assert_eq!(header(&progress[0], "penstock.group"), "freight");
}

#[tokio::test(start_paused = true)]
async fn settle_hears_what_became_of_each() {
    let world = World::new(1);
    let deeds = [Deed::Emit(2), Deed::Filter, Deed::Poison, Deed::Emit(0)];
    world.feed(1, &deeds);
    world.garbage(0, Some(50));
    world.garbage(0, None);
    world.run_dry().await.unwrap();
    let mut told: Vec<_> = world
        .progress()
        .into_iter()
        .map(|progress| {
            assert_eq!(progress.lineage, lineage());
            assert_eq!(progress.stage, "shard");
            let class = progress.dead.map(|dead| {
                assert_eq!((dead.stage.as_str(), dead.part), ("shard", progress.part));
                dead.class
            });
            let part = progress.part.unwrap();
            (part, progress.outcome, progress.ids.len(), class)
        })
        .collect();
    told.sort_by_key(|(part, ..)| *part);
    let class = |class: &str| Some(class.to_owned());
    assert_eq!(
        told,
        [
            (0, Outcome::Outputs, 2, None),
            (1, Outcome::Filtered, 0, None),
            (2, Outcome::Dead, 0, class("poison")),
            (3, Outcome::Outputs, 0, None),
            // Its headers told whose it was; the other garbage belongs to nobody.
            (50, Outcome::Dead, 0, class("undecodable")),
        ]
    );
    assert_eq!(world.dead().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stage_reports_nothing() {
    let mut world = World::new(1);
    world.policy.reporting = Reporting::Silent;
    world.feed(1, &[Deed::Emit(2), Deed::Filter, Deed::Poison]);
    world.run_dry().await.unwrap();
    assert_eq!(world.progress(), []);
    assert_eq!((world.outputs().len(), world.dead().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_guilty_record_does_not_take_its_batch_along() {
    for (guilty, class) in [(Deed::BatchPoison, "poison"), (Deed::Panic, "panic")] {
        let mut world = World::new(1);
        world.policy.window = WindowPolicy {
            count: 16,
            age: Duration::from_millis(10),
            ..WindowPolicy::default()
        };
        let mut deeds = vec![Deed::Emit(1); 16];
        deeds[11] = guilty;
        world.feed(1, &deeds);
        world.run_dry().await.unwrap();
        assert_eq!(world.dead(), [(11, class.to_owned())]);
        assert_eq!(world.outputs().len(), 15);
        let sizes: Vec<usize> = {
            let calls = world.script.calls.lock().unwrap();
            calls.iter().map(Vec::len).collect()
        };
        assert_eq!(sizes.iter().max(), Some(&16));
        assert_eq!(
            sizes.len(),
            1 + 2 * 4,
            "halved, not tried one by one: {sizes:?}"
        );
    }
}

/// Invariant 1.
#[tokio::test(start_paused = true)]
async fn nothing_closes_before_the_log_has_all_of_it() {
    let world = World::new(1);
    world.bus.set_produce_delay(Duration::from_secs(60));
    world.feed(1, &[Deed::Emit(1), Deed::Filter, Deed::Poison]);
    let consumer = world.start();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.bus.lag(GROUP, FROM), 3, "nothing is acknowledged yet");
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(world.bus.lag(GROUP, FROM), 0);
    consumer.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_log_that_refuses_or_loses_its_answer_is_asked_again() {
    let busy = || Failure::transient("leader election");
    let faults = [
        ProduceFault::Refused(busy()),
        ProduceFault::Partly(1, busy()),
        ProduceFault::AckLost(busy()),
    ];
    for fault in faults {
        let world = World::new(1);
        world.feed(1, &[Deed::Emit(2), Deed::Poison]);
        world.bus.fail_produce([fault.clone()]);
        let summary = world.run_dry().await.unwrap();
        assert_eq!(world.outputs().into_iter().collect::<Vec<_>>(), [(0, 2)]);
        assert!(!world.dead().is_empty(), "{fault:?}");
        assert_eq!(summary.retries, 1, "{fault:?}");
        assert_eq!(summary.dead_letters, 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_output_the_log_will_never_take_kills_its_record_only() {
    let world = World::new(1);
    world.feed(1, &[Deed::Emit(1), Deed::Emit(200), Deed::Filter]);
    // One output is small, but the progress that names 200 of them is not.
    world.bus.set_largest_record(2_000);
    world.run_dry().await.unwrap();
    assert_eq!(world.dead(), [(1, "poison".to_owned())]);
    assert_eq!(world.outputs().keys().collect::<Vec<_>>(), [&0]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_the_log_will_never_take_is_fatal() {
    let world = World::new(1);
    world.feed(1, &[Deed::Poison]);
    world.bus.set_largest_record(10);
    let failure = world.start().ended().await.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    assert!(failure.reason().contains("dead letter"), "{failure}");
}

fn flood(world: &mut World) {
    world.policy.flood = FloodPolicy {
        window: 100,
        share: 0.5,
        in_a_row: 20,
    };
}

/// Invariant 7.
#[tokio::test(start_paused = true)]
async fn a_flood_of_garbage_or_panics_is_fatal() {
    for panics in [false, true] {
        let mut world = World::new(1);
        flood(&mut world);
        for _ in 0..200 {
            if panics {
                world.feed(1, &[Deed::Panic]);
            } else {
                world.garbage(0, None);
            }
        }
        let mut dead = 0;
        for restart in 1..4 {
            let failure = world.start().ended().await.unwrap_err();
            assert_eq!(failure.class(), "fatal");
            assert!(failure.reason().contains("in a row"), "{failure}");
            dead = world.dead().len();
            assert!(dead <= restart * 4, "{dead} letters after {restart} starts");
        }
        assert!(dead < 200);
    }
}

/// Invariant 7: a stage's own verdicts never count.
#[tokio::test(start_paused = true)]
async fn bad_documents_are_no_flood() {
    let mut world = World::new(1);
    flood(&mut world);
    world.feed(1, &vec![Deed::Poison; 300]);
    world.run_dry().await.unwrap();
    assert_eq!(world.dead().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_value_is_dead_and_named() {
    let world = World::new(1);
    world.bus.append_to(FROM, 0, None, Vec::new()).unwrap();
    world.run_dry().await.unwrap();
    let letter = &world.bus.records(DLQ)[0];
    assert!(header(letter, "dlq.reason").contains("no value"));
    assert_eq!(letter.value, None);
}

/// As split: its inputs have no lineage of their own, but the stage knows.
struct Refuses;

#[async_trait]
impl Stage for Refuses {
    type In = Document;
    type Out = Nothing;

    fn lineage(&self, document: &Document) -> Option<Lineage> {
        Some(Lineage {
            group: document.group.clone(),
            ..lineage()
        })
    }

    async fn process(&self, input: &Input<Document>) -> Verdict<Nothing> {
        match input.offset {
            0 => Err(Failure::poison("blob is missing")),
            _ => Ok(Emit::filtered()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_may_say_whose_a_record_is() {
    let bus = Bus::with_all_topics(1);
    let document = Document {
        document_guid: Uuid::from_u128(1),
        group: "fleet".to_owned(),
        source: "s".to_owned(),
        key: "k".to_owned(),
        version: Uuid::from_u128(2),
        deleted: false,
        path: "p".to_owned(),
        blob: None,
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: Default::default(),
    };
    for _ in 0..2 {
        bus.publish(topics::DOCUMENTS, &document).unwrap();
    }
    let wiring = Wiring {
        name: "split".to_owned(),
        stage: Each(Refuses),
        from: topics::DOCUMENTS,
        to: Nowhere,
        codec: Codec::default(),
        attempts: None,
    };
    let source = bus.join("penstock.split", "rag.documents.v1").bounded();
    let gauges = Arc::new(Gauges::default());
    run(
        wiring,
        Box::new(source),
        Arc::new(bus.sink()),
        Policy::default(),
        gauges,
        Stop::new(),
    )
    .await
    .unwrap();
    let mut told: Vec<_> = bus
        .read(topics::PROGRESS)
        .unwrap()
        .into_iter()
        .map(|progress| (progress.lineage.group, progress.outcome))
        .collect();
    told.sort_by_key(|(_, outcome)| format!("{outcome:?}"));
    let group = || "fleet".to_owned();
    assert_eq!(
        told,
        [(group(), Outcome::Dead), (group(), Outcome::Filtered)]
    );
}
