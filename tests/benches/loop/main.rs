//! How fast the loop is, beside what a user would write or take instead: the same records, topics, broker and
//! acknowledgements in one run. `make bench-loop`; README.md beside this tells what is measured.

mod bare;
mod contenders;
mod fill;
mod measure;
mod ours;
mod records;
mod report;
mod rounds;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Parser)]
#[command(about = "The loop beside its peers")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Records a second, CPU and memory of every contender, at every size, raw and Avro
    Compare(rounds::Compare),
    /// One record in a hundred is refused: the rate beside that without
    Poison(rounds::Short),
    /// Memory with a short and a long backlog
    Backlog(rounds::Backlog),
    /// One contender at work, until it is told to stop; the others start it
    Work {
        who: Who,
        #[command(flatten)]
        job: Job,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Who {
    Bare,
    Penstock,
}

/// What to copy.
#[derive(Debug, Clone, Args)]
pub struct Job {
    #[arg(long)]
    pub brokers: String,
    #[arg(long)]
    pub group: String,
    #[arg(long)]
    pub from: String,
    #[arg(long)]
    pub to: String,
    /// Records are decoded and encoded on the way
    #[arg(long)]
    pub avro: bool,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Compare(args) => rounds::compare(&args),
        Command::Poison(args) => rounds::poison(&args),
        Command::Backlog(args) => rounds::backlog(&args),
        Command::Work { who, job } => work(who, &job),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench-loop: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Works until standard input ends, which is when whoever started it is done with it, or gone.
fn work(who: Who, job: &Job) -> Result<(), String> {
    let stopped = Arc::new(AtomicBool::new(false));
    let told = stopped.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        told.store(true, Ordering::Relaxed);
    });
    match who {
        Who::Bare => bare::run(job, &stopped),
        Who::Penstock => ours::work(job, &stopped),
    }
}
