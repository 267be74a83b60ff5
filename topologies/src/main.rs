//! `penstock`: one binary for every stage and every tool.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use penstock::cli::{Cli, Command};
use penstock::commands;
use tracing_subscriber::EnvFilter;

/// The system's allocator keeps what many threads have freed: memory would grow with every document.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a wrong command line could not run.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    if let Err(reason) = init_logs(&cli.command) {
        return could_not_run(&reason);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return could_not_run(&format!("threads cannot be started: {error}")),
    };
    let outcome = runtime.block_on(commands::execute(cli));
    // Threads that still parse or commit are not waited for: what they do is abandoned and replayed.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(reason) => could_not_run(&reason),
    }
}

fn could_not_run(reason: &str) -> ExitCode {
    eprintln!("penstock: {}", reason.replace('\n', "; "));
    ExitCode::from(1)
}

/// Logs go to stderr; `PENSTOCK_LOG` sets levels (such as `debug` or `penstock_runtime=debug,warn`).
fn init_logs(command: &Command) -> Result<(), String> {
    const LEVELS: &str =
        "off,penstock=warn,penstock_runtime=warn,penstock_stages=warn,penstock_adapters=warn";
    // Elsewhere the summary tells of dead letters.
    let letters = match command {
        Command::Run { .. } => "",
        _ => ",penstock_runtime::run::delivered=error",
    };
    let levels = std::env::var("PENSTOCK_LOG").unwrap_or_else(|_| format!("{LEVELS}{letters}"));
    let filter = EnvFilter::try_new(&levels).map_err(|error| {
        format!("PENSTOCK_LOG is {levels:?}: {error}: set levels such as warn or penstock_runtime=debug,warn")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
