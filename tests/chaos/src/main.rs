//! `chaos`: the whole pipeline on a real cluster, while everything that can go wrong does, and an account of every record
//! in the end. See README.md beside this crate.

mod account;
mod begin;
mod clock;
mod dice;
mod disk;
mod documents;
mod faults;
mod fleet;
mod log;
mod model;
mod plan;
mod post;
mod proxy;
mod recovery;
mod run;
mod table;
mod watch;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use penstock_runtime::Failure;

use plan::Kind;

/// Breaks the pipeline in every way there is, and accounts for every record.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos")]
pub struct Args {
    /// What is thrown comes from this number: the same one throws the same again.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Documents to send at least, newer versions and deletions counted; more come until the last fault is over.
    #[arg(long, default_value_t = 10_000)]
    pub documents: u64,
    /// Faults to inflict.
    #[arg(long, default_value_t = 200)]
    pub faults: usize,
    /// Only faults of these kinds; none named: all.
    #[arg(long, value_delimiter = ',')]
    pub kinds: Vec<Kind>,
    /// The program under test; otherwise the one beside this.
    #[arg(long)]
    pub penstock: Option<PathBuf>,
    /// The table as one JSON document.
    #[arg(long)]
    pub json: bool,
    /// Keep the logs of all processes, however it ends.
    #[arg(long)]
    pub keep: bool,
}

/// Why a run cannot go on.
#[derive(Debug, Clone)]
pub struct Failed(pub String);

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self(failure.reason().to_owned())
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return could_not_run(&format!("threads cannot be started: {error}")),
    };
    let outcome = runtime.block_on(run::run(&args));
    runtime.shutdown_background();
    let table = match outcome {
        Ok(table) => table,
        Err(Failed(reason)) => return could_not_run(&reason),
    };
    if args.json {
        // Our own types always serialise.
        let text = serde_json::to_string_pretty(&table).unwrap_or_default();
        println!("{text}");
        eprint!("{}", table.print());
    } else {
        print!("{}", table.print());
    }
    match table.passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(2),
    }
}

fn could_not_run(reason: &str) -> ExitCode {
    eprintln!("chaos: {reason}");
    ExitCode::from(1)
}
