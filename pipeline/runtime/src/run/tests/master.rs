//! The master property: under any interleaving of what stages, logs, groups and processes do, every input ends as
//! output, filter or dead letter, and no commit passes one that has not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use penstock_schemas::{Chunk, Codec, Outcome, Progress, Section};
use proptest::prelude::*;

use super::world::*;
use crate::bus::{Happened, ProduceFault};
use crate::policy::{BreakerPolicy, Cap, FloodPolicy, RetryPolicy, ThrottlePolicy, WindowPolicy};
use crate::{Failure, Policy, Record};

#[derive(Debug, Clone)]
enum Step {
    Feed { deeds: Vec<Deed>, partition: i32 },
    Garbage { partition: i32 },
    Gap { partition: i32 },
    Sleep(u64),
    Join,
    Leave(usize),
    Abandon(usize),
    Crash(usize),
    Rebalance,
    Produce(ProduceFault),
    CommitFails,
    Outage(bool),
}

#[derive(Debug, Clone)]
struct Case {
    partitions: i32,
    window: usize,
    age_ms: u64,
    cap: usize,
    in_flight: usize,
    stage_ms: u64,
    produce_ms: u64,
    /// The log waits this long for a member to let go; the loop thinks it has `REVOKE_DEADLINE`.
    revoke_timeout_ms: u64,
    /// It is remembered what was at work in a crash.
    remembers: bool,
    steps: Vec<Step>,
}

const REVOKE_DEADLINE: Duration = Duration::from_millis(400);

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0_usize..4).prop_map(Deed::Emit),
        1 => Just(Deed::Filter),
        1 => Just(Deed::Poison),
        1 => Just(Deed::Panic),
        2 => (1_u32..4).prop_map(Deed::Transient),
        1 => Just(Deed::Transient(u32::MAX)),
        1 => Just(Deed::BatchPoison),
        1 => (1_u32..3).prop_map(Deed::BatchTransient),
        1 => Just(Deed::BatchTransient(u32::MAX)),
    ]
}

fn fault() -> impl Strategy<Value = ProduceFault> {
    let busy = || Failure::transient("leader election");
    prop_oneof![
        Just(ProduceFault::Refused(busy())),
        (0_usize..4).prop_map(move |count| ProduceFault::Partly(count, busy())),
        Just(ProduceFault::AckLost(busy())),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0_i32..3;
    prop_oneof![
        5 => (proptest::collection::vec(deed(), 1..8), partition.clone())
            .prop_map(|(deeds, partition)| Step::Feed { deeds, partition }),
        1 => partition.clone().prop_map(|partition| Step::Garbage { partition }),
        1 => partition.prop_map(|partition| Step::Gap { partition }),
        6 => (0_u64..300).prop_map(Step::Sleep),
        2 => Just(Step::Join),
        1 => (0_usize..4).prop_map(Step::Leave),
        1 => (0_usize..4).prop_map(Step::Abandon),
        2 => (0_usize..4).prop_map(Step::Crash),
        2 => Just(Step::Rebalance),
        2 => fault().prop_map(Step::Produce),
        1 => Just(Step::CommitFails),
        1 => any::<bool>().prop_map(Step::Outage),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1_i32..4, 1_usize..9, 0_u64..30, 1_usize..12, 1_usize..12);
    let times = (0_u64..80, 0_u64..40, prop_oneof![Just(100_u64), Just(900)]);
    let steps = proptest::collection::vec(step(), 1..24);
    (sizes, times, any::<bool>(), steps).prop_map(|(sizes, times, remembers, steps)| Case {
        partitions: sizes.0,
        window: sizes.1,
        age_ms: sizes.2,
        cap: sizes.3,
        in_flight: sizes.4,
        stage_ms: times.0,
        produce_ms: times.1,
        revoke_timeout_ms: times.2,
        remembers,
        steps,
    })
}

fn policy(case: &Case) -> Policy {
    Policy {
        window: WindowPolicy {
            count: case.window,
            age: Duration::from_millis(case.age_ms),
            ..WindowPolicy::default()
        },
        cap: Cap {
            // If what keeps a partition full fails for ever, nobody can tell it from an outage.
            records: case.cap + 2 * stuck(case),
            ..Cap::default()
        },
        throttle: ThrottlePolicy {
            start: case.in_flight,
            max: case.in_flight * 2,
            ..ThrottlePolicy::default()
        },
        retry: RetryPolicy {
            exhausted_after: 3,
            min_attempts: 5,
            max: Duration::from_secs(5),
            ..RetryPolicy::default()
        },
        breaker: BreakerPolicy {
            max_cool_down: Duration::from_secs(5),
            ..BreakerPolicy::default()
        },
        flood: FloodPolicy {
            window: 100_000,
            share: 1.0,
            in_a_row: 100_000,
        },
        commit_every: Duration::from_millis(70),
        revoke_deadline: REVOKE_DEADLINE,
        jitter_seed: Some(11),
        ..Policy::default()
    }
}

/// Records that fail for ever.
fn stuck(case: &Case) -> usize {
    let fed = case.steps.iter().flat_map(|step| match step {
        Step::Feed { deeds, .. } => deeds.as_slice(),
        _ => &[],
    });
    let for_ever = [Deed::Transient(u32::MAX), Deed::BatchTransient(u32::MAX)];
    fed.filter(|deed| for_ever.contains(deed)).count()
}

/// Plays the steps, then lets one healthy consumer catch up.
async fn play(case: &Case) -> World {
    let mut world = World::new(case.partitions);
    world.policy = policy(case);
    world.remembers = case.remembers;
    world
        .bus
        .set_produce_delay(Duration::from_millis(case.produce_ms));
    let patience = Duration::from_millis(case.revoke_timeout_ms);
    world.bus.set_revoke_timeout(patience);
    *world.script.delay.lock().unwrap() = Duration::from_millis(case.stage_ms);
    let mut consumers = vec![world.start()];
    for step in &case.steps {
        play_step(&world, case, step, &mut consumers).await;
    }
    *world.script.outage.lock().unwrap() = None;
    consumers.push(world.start());
    // Traffic goes on, so that what never succeeds can be told from an outage.
    for _ in 0..300 {
        if world.bus.lag(GROUP, FROM) == 0 {
            break;
        }
        for partition in 0..case.partitions {
            feed(&world, &[Deed::Emit(1)], partition);
        }
        let pause = Duration::from_secs(5);
        let _ = tokio::time::timeout(pause, world.bus.caught_up(GROUP, FROM)).await;
    }
    assert_eq!(world.bus.lag(GROUP, FROM), 0, "never caught up");
    for consumer in consumers {
        if let Err(failure) = consumer.finish().await {
            panic!("a consumer failed: {failure}");
        }
    }
    world
}

async fn play_step(world: &World, case: &Case, step: &Step, consumers: &mut Vec<Consumer>) {
    let pick = |place: usize, consumers: &mut Vec<Consumer>| {
        let place = place % consumers.len().max(1);
        (!consumers.is_empty()).then(|| consumers.swap_remove(place))
    };
    match step {
        Step::Feed { deeds, partition } => feed(world, deeds, partition % case.partitions),
        Step::Garbage { partition } => {
            let part = i32::try_from(world.bus.records(FROM).len()).unwrap();
            world.garbage(partition % case.partitions, Some(part));
        }
        Step::Gap { partition } => world
            .bus
            .skip_offsets(FROM, partition % case.partitions, 3)
            .unwrap(),
        Step::Sleep(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
        Step::Join => consumers.push(world.start()),
        Step::Leave(place) => {
            if let Some(consumer) = pick(*place, consumers) {
                consumer.stop.soft();
                // A soft stop may take its time; the others go on meanwhile.
                tokio::time::sleep(Duration::from_millis(150)).await;
                consumer.stop.hard();
                consumer.ended().await.unwrap();
            }
        }
        Step::Abandon(place) => {
            if let Some(consumer) = pick(*place, consumers) {
                consumer.stop.hard();
                consumer.ended().await.unwrap();
            }
        }
        Step::Crash(place) => {
            if let Some(consumer) = pick(*place, consumers) {
                consumer.crash().await;
            }
        }
        Step::Rebalance => world.bus.rebalance(GROUP),
        Step::Produce(fault) => world.bus.fail_produce([fault.clone()]),
        Step::CommitFails => world
            .bus
            .fail_commit([Failure::transient("no coordinator")]),
        Step::Outage(on) => {
            *world.script.outage.lock().unwrap() = on.then(|| Failure::transient("store is down"));
        }
    }
}

fn feed(world: &World, deeds: &[Deed], partition: i32) {
    for deed in deeds {
        let part = i32::try_from(world.bus.records(FROM).len()).unwrap();
        let mut known = world.script.deeds.lock().unwrap();
        known.insert(part, deed.clone());
        drop(known);
        world.publish(part, partition);
    }
}

/// What the log holds of each part, as far as it was written.
#[derive(Default)]
struct Told {
    outputs: BTreeMap<i32, BTreeSet<i32>>,
    /// By the original's partition and offset.
    dead: BTreeMap<(i32, i64), String>,
    progress: BTreeMap<i32, Vec<Outcome>>,
}

impl Told {
    fn hear(&mut self, record: &Record) {
        let codec = Codec::default();
        match &*record.partition.topic {
            TO => {
                let chunk: Chunk = codec.decode(record.value.as_ref().unwrap()).unwrap();
                let outputs = self.outputs.entry(chunk.part).or_default();
                outputs.insert(chunk.ordinal);
            }
            DLQ => {
                let partition = header(record, "dlq.partition").parse().unwrap();
                let offset = header(record, "dlq.offset").parse().unwrap();
                let class = header(record, "dlq.class");
                self.dead.insert((partition, offset), class);
            }
            "rag.progress.v1" => {
                let progress: Progress = codec.decode(record.value.as_ref().unwrap()).unwrap();
                let part = progress.part.unwrap();
                let outcomes = self.progress.entry(part).or_default();
                outcomes.push(progress.outcome);
            }
            _ => {}
        }
    }

    /// Why an input is not resolved, or not as its deed says.
    fn objection(&self, input: &Record, deeds: &BTreeMap<i32, Deed>) -> Option<String> {
        let place = (input.partition.number, input.offset);
        let class = self.dead.get(&place).map(String::as_str);
        let section = Codec::default().decode::<Section>(input.value.as_ref().unwrap());
        let Ok(section) = section else {
            return (class != Some("undecodable")).then(|| "garbage is not dead".to_owned());
        };
        let part = section.part;
        let deed = &deeds[&part];
        let reported = |outcome| {
            let outcomes = self.progress.get(&part);
            outcomes.is_some_and(|outcomes| outcomes.contains(&outcome))
        };
        let written = self.outputs.get(&part).map_or(0, BTreeSet::len);
        let as_expected = match deed {
            Deed::Emit(count) => written == *count && reported(Outcome::Outputs),
            Deed::Filter => reported(Outcome::Filtered),
            Deed::Poison | Deed::BatchPoison => class == Some("poison"),
            Deed::Panic => class == Some("panic"),
            Deed::Transient(u32::MAX) | Deed::BatchTransient(u32::MAX) => {
                class == Some("exhausted")
            }
            Deed::Transient(_) | Deed::BatchTransient(_) => {
                written == 1 && reported(Outcome::Outputs)
            }
            Deed::Fatal | Deed::Hang => false,
        };
        // A batch or an outage may wear out the innocent, and crashes may come while one runs alone, but only that.
        let unlucky = matches!(class, Some("exhausted" | "killed"));
        if class.is_some() && !reported(Outcome::Dead) {
            return Some(format!("part {part} is dead, but nobody was told"));
        }
        let fine = unlucky || as_expected;
        (!fine).then(|| format!("part {part}, {deed:?}: {written} outputs, dead: {class:?}"))
    }
}

/// Replays what happened: at each commit all below it is resolved, and each commit was lawful.
fn verify(case: &Case, world: &World) -> Result<(), TestCaseError> {
    let deeds = world.script.deeds.lock().unwrap().clone();
    let mut records = BTreeMap::new();
    for topic in [FROM, TO, DLQ, "rag.progress.v1"] {
        for record in world.bus.records(topic) {
            let place = (topic, record.partition.number, record.offset);
            records.insert(place, record);
        }
    }
    let mut told = Told::default();
    let mut committed: BTreeMap<i32, i64> = BTreeMap::new();
    for happened in world.bus.history() {
        match happened {
            Happened::Appended {
                topic,
                partition,
                offset,
            } => {
                if let Some(record) = records.get(&(&*topic, partition, offset)) {
                    told.hear(record);
                }
            }
            Happened::Committed {
                partition, offset, ..
            } => {
                let before = committed.insert(partition, offset).unwrap_or(0);
                prop_assert!(before <= offset, "commit went back to {offset}");
                for (_, input) in
                    records.range((FROM, partition, before)..(FROM, partition, offset))
                {
                    if let Some(objection) = told.objection(input, &deeds) {
                        let at = format!("{partition}/{}", input.offset);
                        prop_assert!(false, "committed {offset} past {at}: {objection}");
                    }
                }
            }
            // Where the log loses patience before the loop does, the loop cannot know.
            Happened::Trespassed { .. } => prop_assert!(
                u128::from(case.revoke_timeout_ms) < REVOKE_DEADLINE.as_millis(),
                "committed what it had let go"
            ),
        }
    }
    Ok(())
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let world = runtime.block_on(play(case));
    verify(case, &world)
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.max(2_000),
        max_shrink_iters: 400,
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_input_ends_and_no_commit_passes_one_that_has_not(case in case()) {
        check(&case)?;
    }
}
