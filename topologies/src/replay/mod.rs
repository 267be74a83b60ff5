//! `penstock replay`: a stage does again what it has done, in a group of its own, while the live group goes on.

mod again;
mod plan;
mod reopen;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use penstock_runtime::{Failure, Gauges, Stop};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

pub use again::again;
pub use plan::{Plan, Span, Versions, groups_done};
use reopen::Reopened;

use crate::cli::ReplayArgs;
use crate::commands::print;
use crate::config::Config;
use crate::ingest::seconds_since;
use crate::network::Network;
use crate::pipeline::{Parts, Pipeline, StageSpec, check_names, group_of, topology};
use crate::session::{Beside, DRAIN, Working, load_craft, stop_on_signals};
use crate::streams::Streams;
use crate::system::{Folder, Log, Ownership};
use crate::workers::{self, OWNERS};

/// Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// For `--resume`.
    pub id: String,
    pub stage: String,
    /// Records to do again.
    pub planned: u64,
    /// Records that were done, dead letters among them.
    pub replayed: u64,
    pub dead_letters: u64,
    pub seconds: f64,
    pub interrupted: bool,
    pub dry_run: bool,
    /// Of `--reopen`: documents that readers saw before, and that were not finished again.
    #[serde(default)]
    pub unfinished: u64,
}

pub async fn replay(config: &Config, args: &ReplayArgs, json: bool) -> Result<u8, Failure> {
    let stage = stage_of(&args.stage)?;
    if args.reopen && (args.since.is_some() || args.resume.is_some()) {
        return Err(Failure::fatal(
            "replay --reopen goes with --beginning or --document: what is reopened has to be done again",
        ));
    }
    if args.reopen && stage.name != "split" {
        return Err(Failure::fatal(format!(
            "replay {} --reopen: only split sees all of a document: replay split --beginning --reopen",
            stage.name
        )));
    }
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    let mut place = Place::open(config, &stage, args.dry_run, stop.clone()).await?;
    let outcome = place.replay(&stage, args, stop).await;
    let closed = place.close().await;
    let replayed = outcome?;
    closed?;
    print(json, &replayed, || replayed.print());
    if replayed.interrupted {
        eprintln!(
            "interrupted: penstock replay {} --resume {} goes on",
            replayed.stage, replayed.id
        );
        return Ok(1);
    }
    let done = replayed.dead_letters == 0 && replayed.unfinished == 0;
    Ok(if done { 0 } else { 2 })
}

fn stage_of(name: &str) -> Result<StageSpec, Failure> {
    check_names(&[name.to_owned()])?;
    let found = topology().into_iter().find(|it| it.name == name);
    match found {
        Some(stage) if stage.name != "settle" => Ok(stage),
        _ => Err(Failure::fatal(format!(
            "{name} is not replayed: at every start it restores its ledger; \
             to have all written again, replay split --beginning"
        ))),
    }
}

/// Where the stage runs.
enum Place {
    /// Beside the live stages, in their own process.
    Within(Box<Working>),
    /// In a process without a data folder.
    Without(Arc<Parts>, Arc<Log>),
    /// Nowhere: only counted.
    Counting(Arc<Log>, Option<Folder>),
}

impl Place {
    async fn open(
        config: &Config,
        stage: &StageSpec,
        dry_run: bool,
        stop: Stop,
    ) -> Result<Self, Failure> {
        // On the network they are opened like everything else.
        let needs_stores = OWNERS.contains(&stage.name) && Network::of(config).is_none();
        if config.is_shared() && (dry_run || !needs_stores) {
            let log = Arc::new(Log::of_cluster(config).await?);
            if dry_run {
                return Ok(Self::Counting(log, None));
            }
            let parts = workers::parts(config, log.clone(), &[stage.name.to_owned()]).await?;
            return Ok(Self::Without(Arc::new(parts), log));
        }
        match Folder::take(&config.data)? {
            Ownership::Ours(folder) if dry_run => {
                let log = Arc::new(Log::open(config, folder.path()).await?);
                Ok(Self::Counting(log, Some(folder)))
            }
            Ownership::Ours(folder) => {
                // All that is of the folder: what is done again is worked off here as well.
                let stages: Vec<String> = match config.is_shared() {
                    true => OWNERS.map(str::to_owned).to_vec(),
                    false => Vec::new(),
                };
                let working = Working::start(config, folder, &stages, stop).await?;
                Ok(Self::Within(Box::new(working)))
            }
            Ownership::Others(owner) if dry_run => {
                let log = Beside::of(config, owner).log().await?;
                Ok(Self::Counting(log, None))
            }
            Ownership::Others(_) if needs_stores => Err(Failure::fatal(format!(
                "replay {}: another process owns the data folder with its stores: stop it first, \
                 the replay then runs its stages itself",
                stage.name
            ))),
            Ownership::Others(owner) => {
                let beside = Beside::of(config, owner);
                let stores = workers::beside_owner(config)?;
                let craft = load_craft(config).await?;
                let log = beside.log().await?;
                let parts = Parts::new(config.clone(), log.clone(), stores, craft)?;
                Ok(Self::Without(Arc::new(parts), log))
            }
        }
    }

    fn log(&self) -> Arc<Log> {
        match self {
            Self::Within(working) => working.intake.log.clone(),
            Self::Without(_, log) | Self::Counting(log, _) => log.clone(),
        }
    }

    fn parts(&self) -> Option<Arc<Parts>> {
        match self {
            Self::Within(working) => Some(working.parts.clone()),
            Self::Without(parts, _) => Some(parts.clone()),
            Self::Counting(..) => None,
        }
    }

    /// Resolves when a live stage of this process fails.
    async fn broken(&mut self) -> Failure {
        if let Self::Within(working) = self
            && let Err(failure) = working.pipeline.ended().await
        {
            return failure;
        }
        std::future::pending().await
    }

    async fn replay(
        &mut self,
        stage: &StageSpec,
        args: &ReplayArgs,
        stop: Stop,
    ) -> Result<Replayed, Failure> {
        let log = &self.log();
        let (mut plan, resumed) = match (&args.resume, args.span()) {
            (None, Some(span)) => (Plan::new(log, stage, span).await?, false),
            (Some(id), _) => (Plan::of_id(log, stage.name, id).await?, true),
            (None, None) => {
                return Err(Failure::fatal(
                    "replay: say what: --beginning, --since TIME, --document GUID or --resume ID",
                ));
            }
        };
        if resumed {
            plan.skip_done(log).await?;
        }
        let planned = plan.count(log).await?;
        let mut replayed = Replayed {
            id: plan.id.clone(),
            stage: plan.stage.clone(),
            planned,
            replayed: 0,
            dead_letters: 0,
            seconds: 0.0,
            interrupted: false,
            dry_run: args.dry_run,
            unfinished: 0,
        };
        let Some(parts) = self.parts() else {
            return Ok(replayed);
        };
        let reopened = match args.reopen {
            true => Some(Reopened::begin(&parts, log, |id| plan.is_of(id)).await?),
            false => None,
        };
        if !resumed {
            plan.begin(log, parts.sink.as_ref()).await?;
        }
        eprintln!("replay {} of {}: {planned} records", plan.id, plan.stage);
        let start = Instant::now();
        let mut left = planned;
        while left > 0 && !replayed.interrupted {
            self.round(&parts, &plan, left, &mut replayed).await?;
            // What a member of the same replay held that was killed meanwhile is still to do.
            plan.skip_done(log).await?;
            left = plan.count(log).await?;
        }
        replayed.seconds = seconds_since(start);
        if !replayed.interrupted {
            plan.done(log, parts.sink.as_ref(), replayed.replayed)
                .await?;
            self.worked_off(&stop).await?;
            if let Some(reopened) = reopened {
                replayed.unfinished = reopened.finish(&parts, log, &stop).await? as u64;
            }
        }
        Ok(replayed)
    }

    /// Runs the stage until its source ends, or a signal comes.
    async fn round(
        &mut self,
        parts: &Parts,
        plan: &Plan,
        left: u64,
        replayed: &mut Replayed,
    ) -> Result<(), Failure> {
        let parts = Arc::new(again(parts, plan)?);
        let gauges = parts
            .gauges
            .get(plan.stage.as_str())
            .cloned()
            .unwrap_or_default();
        // Its end is not that of the live stages; they hear of signals by themselves.
        let stop = Stop::new();
        stop_on_signals(&stop)?;
        let mut pipeline = Pipeline::start(parts, std::slice::from_ref(&plan.stage), stop.clone())?;
        let shown = show(gauges.clone(), left);
        let ended = tokio::select! {
            ended = pipeline.ended() => ended,
            failure = self.broken() => Err(failure),
        };
        drop(shown);
        replayed.interrupted = stop.is_soft();
        let closed = pipeline.close(DRAIN).await;
        replayed.replayed += gauges.processed.get();
        replayed.dead_letters += gauges.dead_letters.get();
        ended.and(closed)
    }

    /// Alone with its folder, the command waits until the live stages have done what the replay gave them.
    async fn worked_off(&self, stop: &Stop) -> Result<(), Failure> {
        const EVERY: Duration = Duration::from_millis(300);
        let Self::Within(working) = self else {
            return Ok(());
        };
        if !working.parts.config.is_embedded() {
            return Ok(());
        }
        while !stop.is_soft() {
            let mut left = 0;
            for stage in topology() {
                let group = group_of(stage.name);
                left += self.log().stand(&group, stage.from).await?.waiting;
            }
            if left == 0 {
                break;
            }
            tokio::select! {
                () = stop.softly() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        Ok(())
    }

    async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Within(working) => working.close().await,
            Self::Without(..) => Ok(()),
            Self::Counting(log, folder) => {
                if let Ok(log) = Arc::try_unwrap(log) {
                    log.close().await;
                }
                drop(folder);
                Ok(())
            }
        }
    }
}

/// Shows how far it is, until dropped: a bar on a terminal, else a line now and then.
fn show(gauges: Arc<Gauges>, planned: u64) -> JoinSet<()> {
    let mut shown = JoinSet::new();
    if std::io::stderr().is_terminal() {
        let bar = ProgressBar::new(planned);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        shown.spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(200));
            loop {
                every.tick().await;
                bar.set_position(gauges.processed.get());
                bar.set_message(waits(&gauges));
            }
        });
    } else {
        shown.spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(10));
            every.tick().await;
            loop {
                every.tick().await;
                let done = gauges.processed.get();
                eprintln!("{done} of {planned} {}", waits(&gauges));
            }
        });
    }
    shown
}

fn waits(gauges: &Gauges) -> &'static str {
    match gauges.in_flight_limit.get() {
        0 => "(waits: live records come first)",
        _ => "",
    }
}

impl Replayed {
    fn print(&self) -> String {
        if self.dry_run {
            return format!(
                "{} records would be done again by {}; a dry run: nothing was\n",
                self.planned, self.stage
            );
        }
        let mut out = format!(
            "replay {}: {} of {} records done again by {}, {} dead letters, {:.1} s\n",
            self.id, self.replayed, self.planned, self.stage, self.dead_letters, self.seconds
        );
        if self.unfinished > 0 {
            out.push_str(&format!(
                "{} documents were not finished again: audit --repair tells which\n",
                self.unfinished
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settle_and_what_is_no_stage_are_refused() {
        let refused = |name: &str, word: &str| match stage_of(name) {
            Ok(_) => panic!("{name} is replayed"),
            Err(failure) => assert!(failure.reason().contains(word), "{failure}"),
        };
        refused("settle", "restores its ledger");
        refused("prase", "there is no stage prase");
        assert_eq!(
            stage_of("link").map(|it| it.from).unwrap(),
            "rag.indexed.v1"
        );
    }
}
