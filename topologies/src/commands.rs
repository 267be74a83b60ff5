//! What each command does. Every error is one line that says what to do; the exit code is the result.

use std::time::Instant;

use penstock_adapters::kafka::Tail;
use penstock_runtime::{Failure, Stop};
use penstock_schemas::topics::COMPLETED;
use penstock_stages::index::check_model;
use penstock_stages::settle::Stores;
use serde::Serialize;

use crate::audit;
use crate::bench;
use crate::cli::{Cli, Command, IngestArgs, QueryArgs, StatusArgs};
use crate::config::Config;
use crate::dead_letters;
use crate::describe::describe;
use crate::engines::{has_stores, open_stores};
use crate::forget;
use crate::ingest::{Bars, Intake, Known, Report, seconds_since};
use crate::life;
use crate::objects;
use crate::query::{self, Answer, Question, answer};
use crate::replay;
use crate::schema;
use crate::serve::Work;
use crate::session::{
    Session, Working, intake_of_cluster, load_craft, stop_on_signals, stores_at_rest,
};
use crate::smoke;
use crate::status::{self, Status, StoreStatus, stage_status, store_status};
use crate::system::{Folder, Log, Ownership, disk_full};
use crate::topics;
use crate::workers::{self, Role};

/// Runs a command; the error is its one line.
pub async fn execute(cli: Cli) -> Result<u8, String> {
    let config = Config::load(&cli.common, std::env::vars())?;
    let json = cli.common.json;
    let outcome = match cli.command {
        Command::Ingest(args) => ingest(&config, &args, json).await,
        Command::Query(args) => ask(&config, &args, json).await,
        Command::Run { stages } => run(&config, &stages).await,
        Command::Describe { dot } => Ok(show_topology(dot, json)),
        Command::Status(args) => show_status(&config, &args, json).await,
        Command::Topics { what } => topics::topics(&config, what, json).await,
        Command::Schema { what } => schema::schema(&config, &what, json).await,
        Command::Audit(args) => audit::run(&config, &args, json).await,
        Command::DeadLetters { command } => dead_letters::run(&config, &command, json).await,
        Command::Objects { command } => objects::run(&config, &command, json).await,
        Command::Replay(args) => replay::replay(&config, &args, json).await,
        Command::Forget(args) => forget::run(&config, &args, json).await,
        Command::Smoke(args) => smoke::smoke(&config, &args, json).await,
        Command::Bench(args) => bench::bench(&config, &args, json).await,
    };
    outcome.map_err(|failure| failure.reason().to_owned())
}

/// Prints to stdout, as JSON or for a person.
pub fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce() -> String) {
    if json {
        // Our own types always serialise.
        println!(
            "{}",
            serde_json::to_string_pretty(value).unwrap_or_default()
        );
    } else {
        print!("{}", text());
    }
}

async fn ingest(config: &Config, args: &IngestArgs, json: bool) -> Result<u8, Failure> {
    let start = Instant::now();
    let mut report = Report::default();
    match Session::open(config)? {
        Session::Network(_) => take_in_from_afar(config, args, &mut report).await?,
        Session::Owner(folder) if config.is_shared() => {
            drop(folder);
            take_in_from_afar(config, args, &mut report).await?;
        }
        Session::Owner(folder) => {
            let stop = Stop::new();
            stop_on_signals(&stop)?;
            let mut working = Working::start(config, folder, &[], stop.clone()).await?;
            let bars = Bars::show(&working.parts.gauges);
            let taking = take_in(&working.intake, args, &mut report, &bars);
            let outcome = tokio::select! {
                outcome = taking => outcome,
                ended = working.pipeline.ended() => Err(interrupted(ended)),
                full = disk_full(config.data.clone()) => Err(full),
            };
            drop(bars);
            if outcome.is_ok() {
                fill(
                    &mut report,
                    Work::default(),
                    Work::of(&working.parts).await?,
                );
            }
            let closed = working.close().await;
            outcome.and(closed)?;
        }
        Session::Beside(beside) => {
            let before = beside.client.work().await?;
            let intake = beside.intake().await?;
            let bars = Bars::show(&Default::default());
            take_in(&intake, args, &mut report, &bars).await?;
            fill(&mut report, before, beside.client.work().await?);
        }
    }
    report.seconds = seconds_since(start);
    report.dead_letters.sort_by(|a, b| a.path.cmp(&b.path));
    print(json, &report, || report.print());
    Ok(report.exit_code())
}

fn interrupted(ended: Result<(), Failure>) -> Failure {
    match ended {
        Ok(()) => Failure::fatal(
            "interrupted before every document was accounted for: ingest again to go on",
        ),
        Err(failure) => failure,
    }
}

fn fill(report: &mut Report, before: Work, after: Work) {
    report.pages = after.pages.saturating_sub(before.pages);
    report.chunks = after.chunks.saturating_sub(before.chunks);
    report.embedded = after.embedded.saturating_sub(before.embedded);
    report.entities = after.entities;
}

/// Where the stages are at work elsewhere, or will be.
async fn take_in_from_afar(
    config: &Config,
    args: &IngestArgs,
    report: &mut Report,
) -> Result<(), Failure> {
    let intake = intake_of_cluster(config).await?;
    take_in(&intake, args, report, &Bars::show(&Default::default())).await
}

/// Sends, and waits until every document is accounted for.
async fn take_in(
    intake: &Intake,
    args: &IngestArgs,
    report: &mut Report,
    bars: &Bars,
) -> Result<(), Failure> {
    // The tail is taken before the ledger is read: what is completed in between is in one of them.
    let mut tail = Tail::start(&intake.log.kafka, COMPLETED.name()).await?;
    let known = Known::read(&intake.log, &args.group).await?;
    let mut pending = intake.send(args, &known, report, bars).await?;
    drop(known);
    pending
        .settle(&mut tail, &intake.log.codec, report, bars)
        .await
}

async fn ask(config: &Config, args: &QueryArgs, json: bool) -> Result<u8, Failure> {
    let question = Question::from(args);
    let found = match Session::open(config)? {
        Session::Network(network) => {
            ask_stores(config, &question, &network.stores(config).await?).await?
        }
        Session::Owner(folder) => {
            ask_stores(config, &question, &stores_at_rest(config, &folder)?).await?
        }
        Session::Beside(beside) => beside.client.query(&question).await?,
    };
    print(json, &found, || query::print(&found));
    Ok(0)
}

async fn ask_stores(
    config: &Config,
    question: &Question,
    stores: &Stores,
) -> Result<Answer, Failure> {
    let craft = load_craft(config).await?;
    let (vectors, graph) = (stores.vectors.as_ref(), stores.graph.as_ref());
    check_model(vectors, craft.embedder.info()).await?;
    answer(question, craft.embedder.as_ref(), vectors, graph).await
}

async fn run(config: &Config, stages: &[String]) -> Result<u8, Failure> {
    if workers::role(config, stages)? == Role::Worker {
        let stop = Stop::new();
        stop_on_signals(&stop)?;
        workers::work(config, stages, stop).await?;
        return Ok(0);
    }
    let folder = match Folder::take(&config.data)? {
        Ownership::Ours(folder) => folder,
        Ownership::Others(owner) => {
            return Err(Failure::fatal(format!(
                "data folder {}: another process owns it and serves it on {}: stop that one, or use another --data",
                config.data.display(),
                owner.address
            )));
        }
    };
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    let mut working = Working::start(config, folder, stages, stop.clone()).await?;
    eprintln!("running: log on {}", working.intake.log.kafka.brokers);
    let ended = working.pipeline.is_over().await;
    let closed = working.close().await;
    ended.and(closed)?;
    Ok(0)
}

fn show_topology(dot: bool, json: bool) -> u8 {
    let description = describe();
    print(json, &description, || {
        if dot {
            description.dot()
        } else {
            description.print()
        }
    });
    0
}

async fn show_status(config: &Config, args: &StatusArgs, json: bool) -> Result<u8, Failure> {
    if let Some(id) = args.document {
        return life::show(config, id, json).await;
    }
    let status = match Session::open(config)? {
        Session::Network(network) => {
            let stores = network.status().await;
            status_of(&Log::of_cluster(config).await?, stores, args).await?
        }
        Session::Owner(folder) => {
            // Elsewhere on a cluster there may be none: the stages are told of all the same.
            let stores = match config.is_shared() && !has_stores(folder.path()) {
                true => Vec::new(),
                false => store_status(&open_stores(folder.path())?).await,
            };
            let log = Log::open(config, folder.path()).await?;
            let status = status_of(&log, stores, args).await?;
            log.close().await;
            status
        }
        Session::Beside(beside) => {
            let stores = beside.client.stores().await?;
            status_of(&*beside.log().await?, stores, args).await?
        }
    };
    print(json, &status, || status::print(&status));
    Ok(0)
}

async fn status_of(
    log: &Log,
    stores: Vec<StoreStatus>,
    args: &StatusArgs,
) -> Result<Status, Failure> {
    let stages = stage_status(log).await?;
    let stopped = life::stopped(log, &stages, args.stopped_for).await?;
    Ok(Status {
        stages,
        stores,
        stopped,
    })
}
