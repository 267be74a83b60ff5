//! One run, from an empty cluster to the account.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use penstock::audit::Audit;
use tokio::time::sleep;

use crate::account::{
    Commits, count_fates, count_steps, count_stores, hear, read_ledger, versions_of,
};
use crate::begin::{settings, start};
use crate::dice::Dice;
use crate::faults::World;
use crate::fleet::looks;
use crate::log::Log;
use crate::plan::{Round, plan};
use crate::recovery::{Recovery, recovered, stalls};
use crate::table::{FaultRow, Table};
use crate::watch::{PARTITIONS, watched};
use crate::{Args, Failed};

/// Until a round counts as never recovered.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between one fault and the next, ms.
const PAUSE: (u64, u64) = (500, 2500);
/// Until all is done, once nothing more is sent and nothing more goes wrong.
const QUIET: Duration = Duration::from_secs(900);
/// Between two looks at the ledger.
const LEDGER: Duration = Duration::from_secs(5);

/// Runs it and judges.
pub async fn run(args: &Args) -> Result<Table, Failed> {
    let log = Log::new();
    let world = start(args, log).await?;
    let outcome = drive(args, &world).await;
    let is_well = outcome.as_ref().is_ok_and(|table| table.passed);
    if !is_well || args.keep {
        world.fleet.keep_logs();
        world.kafka.lock().await.keep_logs();
    }
    world.fleet.end();
    outcome
}

async fn drive(args: &Args, world: &World) -> Result<Table, Failed> {
    let begun = Instant::now();
    let rounds = plan(args.seed, args.faults, &args.kinds);
    let breaks = AtomicBool::new(true);
    let sending = world.post.run(args.documents, &breaks, &world.watch);
    let breaking = async {
        let broke = break_things(world, rounds, begun).await;
        breaks.store(false, Ordering::Relaxed);
        broke
    };
    let (sent, broke) = tokio::join!(sending, breaking);
    sent?;
    world
        .log
        .say("all is sent, nothing more goes wrong; waiting until all is done");
    let mut broken = Vec::new();
    if let Err(Failed(reason)) = until_quiet(world).await {
        broken.push(reason);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let audit = world.fleet.audit()?;
    let ended = world.fleet.ended();
    let (kills, starts) = world.fleet.counts();
    for name in world.fleet.names() {
        if let Err(Failed(reason)) = world.fleet.terminate(&name).await {
            broken.push(reason);
        }
    }
    world.log.say("accounting for every record");
    let mut table = account(world, &broke, begun, audit).await?;
    table.broken = broken;
    (table.seconds, table.kills, table.starts) = (seconds, kills, starts);
    table.ended_with_excuse = ended.iter().filter(|it| it.excused).count() as u64;
    let by_themselves = ended.iter().filter(|it| !it.excused);
    table.ended_by_themselves = by_themselves
        .map(|it| format!("{}: {}: {}", it.name, it.status, it.said))
        .collect();
    table.judge();
    Ok(table)
}

/// Every fault, and when each was on.
#[derive(Default)]
struct Broke {
    rows: Vec<FaultRow>,
    windows: Vec<(Instant, Instant)>,
}

async fn break_things(world: &World, rounds: Vec<Round>, begun: Instant) -> Broke {
    let mut dice = Dice::of(world.seed, 3);
    let mut broke = Broke::default();
    for round in rounds {
        sleep(Duration::from_millis(dice.between(PAUSE.0, PAUSE.1))).await;
        let start = Instant::now();
        for fault in &round {
            let (number, name) = (fault.number, fault.kind.name());
            world.log.say(format!("fault {number}: {name}"));
        }
        let inflicted = match round.as_slice() {
            [first, second] => {
                let (one, other) = tokio::join!(world.inflict(*first), world.inflict(*second));
                vec![one, other]
            }
            [only] => vec![world.inflict(*only).await],
            _ => Vec::new(),
        };
        let ends = inflicted.iter().flatten().map(|it| it.ended);
        let over = ends.max().unwrap_or_else(Instant::now);
        let recovered = until_recovered(world, over).await;
        for ((place, fault), inflicted) in round.iter().enumerate().zip(inflicted) {
            let (detail, ended, failed) = match inflicted {
                Ok(it) => (it.detail, it.ended, None),
                Err(Failed(reason)) => (String::new(), over, Some(reason)),
            };
            let row = FaultRow {
                number: fault.number,
                kind: fault.kind,
                detail,
                at: start.duration_since(begun).as_secs_f64(),
                lasted: ended.saturating_duration_since(start).as_secs_f64(),
                recovered: recovered.as_ref().map(|it| it.took.as_secs_f64()),
                last: recovered
                    .as_ref()
                    .map_or(String::new(), |it| it.last.clone()),
                together: place > 0,
                failed,
            };
            let after = row
                .recovered
                .map_or("never".to_owned(), |it| format!("{it:.1} s"));
            let failed = row.failed.as_deref().unwrap_or_default();
            world.log.say(format!(
                "  {} {}: lasted {:.1} s, recovered in {after} {failed} ({})",
                row.kind.name(),
                row.detail,
                row.lasted,
                row.last
            ));
            broke.rows.push(row);
        }
        broke.windows.push((start, Instant::now()));
    }
    broke
}

/// None where it takes too long.
async fn until_recovered(world: &World, over: Instant) -> Option<Recovery> {
    let stages = watched();
    let mut looks = world.watch.follow();
    while over.elapsed() < PATIENCE {
        let history = world.watch.history();
        if let Some(took) = recovered(&history, &stages, over) {
            return Some(took);
        }
        looks.changed().await.ok()?;
    }
    None
}

/// Until every group has read all there is, and every version has come to an end.
async fn until_quiet(world: &World) -> Result<(), Failed> {
    let stages = watched();
    let start = Instant::now();
    let mut looked = Instant::now();
    let mut looks = looks();
    let mut waiting: i64 = 0;
    while start.elapsed() < QUIET {
        looks.tick().await;
        let Some(sample) = world.watch.now().await else {
            continue;
        };
        waiting = stages
            .iter()
            .enumerate()
            .map(|(number, it)| sample.waiting(number, it.from))
            .sum();
        if waiting > 0 || looked.elapsed() < LEDGER {
            continue;
        }
        looked = Instant::now();
        let ledger = read_ledger(&world.config).await?;
        let known = count_fates(&world.post.documents(), &ledger, &Default::default());
        if known.are_all() {
            return Ok(());
        }
    }
    Err(Failed(format!(
        "not all was done {} s after the last document: {waiting} records wait",
        QUIET.as_secs()
    )))
}

async fn account(
    world: &World,
    broke: &Broke,
    begun: Instant,
    audit: Audit,
) -> Result<Table, Failed> {
    let stages = watched();
    let history = world.watch.history();
    let heard = hear(&world.config).await?;
    let stores = count_stores(&world.disk.path().join("data"), &heard).await?;
    let documents = world.post.documents();
    let fates = count_fates(&documents, &heard.ledger, &heard.failed);
    let commits = Commits::of(&history, stages.len(), PARTITIONS as usize);
    let steps = count_steps(&heard, &stages, &commits, &versions_of(&documents));
    let (longest_stall, outside) = stalls(&history, &stages, &broke.windows, begun);
    let data = steps.counts.iter().filter(|it| it.stage != "settle");
    let sum = |of: fn(&crate::account::StepCount) -> u64| steps.counts.iter().map(of).sum();
    let findings = [steps.findings, fates.findings.clone()].concat();
    Ok(Table {
        passed: false,
        broken: Vec::new(),
        seed: world.seed,
        seconds: 0.0,
        settings: settings(),
        sent: documents.count,
        sent_again: documents.stale,
        garbage: world.post.garbage(),
        records: data.map(|it| it.records).sum(),
        progress_records: heard.progress,
        fates,
        lost: sum(|it| it.lost),
        passed_unresolved: sum(|it| it.passed_unresolved),
        duplicated_in_stores: stores.iter().map(|it| it.twice + it.left_over).sum(),
        steps: steps.counts,
        dead_by_design: steps.dead,
        dead_unexpectedly: steps.unexpected,
        stores,
        audit,
        set_back: heard.set_back,
        looks: history.len(),
        went_back: commits.went_back,
        longest_stall,
        longest_stall_outside_faults: outside,
        kills: 0,
        starts: 0,
        ended_by_themselves: Vec::new(),
        ended_with_excuse: 0,
        faults: broke.rows.clone(),
        findings,
    })
}
