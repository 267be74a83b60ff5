//! Load on the whole pipeline: real brokers, stages as processes of their own, documents at a set rate. Prints what it
//! came to, and draws the lag over time.

mod arrivals;
mod documents;
mod fleet;
mod latency;
mod load;
mod model;
mod outage;
mod picture;
mod report;
mod send;
mod slow_store;
mod success;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use penstock::config::Config;
use penstock_servers::Kafka;
use tokio::runtime::Runtime;

use arrivals::Shape;
use fleet::{Fleet, Site, told};
use load::Counter;
use picture::Picture;
use report::Report;

/// The error is one line that says what to do.
pub type Told<T> = Result<T, String>;

#[derive(Debug, Parser)]
#[command(name = "load", about)]
struct Args {
    /// What to run (none named: all)
    scenarios: Vec<Scenario>,
    /// The program under test [default: the one built beside this]
    #[arg(long, value_name = "FILE")]
    penstock: Option<PathBuf>,
    /// Folder of a model [default: a stand-in that embeds at no cost]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Documents a second, on average [default: 60 % of what the fleet can do]
    #[arg(long)]
    rate: Option<f64>,
    /// How long documents arrive in each of constant, spikes and flood
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where results.md, results.json and the pictures go
    #[arg(long, value_name = "DIR", default_value = "target/load")]
    out: PathBuf,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Constant,
    Spikes,
    Flood,
    SlowStore,
    Outage,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(reason) => {
            eprintln!("load: {reason}");
            ExitCode::from(1)
        }
    }
}

/// Whether all that is promised was kept.
fn run(args: &Args) -> Told<bool> {
    let wanted = |it| args.scenarios.is_empty() || args.scenarios.contains(&it);
    std::fs::create_dir_all(&args.out)
        .map_err(|error| format!("{}: {error}", args.out.display()))?;
    // Gone with this value.
    let folder = penstock_tests::Bench::new();
    let site = site(args, folder.path())?;
    let mut report = Report {
        machine: machine(),
        model: match &args.model {
            Some(model) => format!("the model in {}", model.display()),
            None => "a model without its layers".to_owned(),
        },
        ..Report::default()
    };
    let shapes = [
        (Scenario::Constant, Shape::Constant),
        (Scenario::Spikes, Shape::Spikes),
        (Scenario::Flood, Shape::Flood),
    ];
    let shapes: Vec<Shape> = shapes
        .into_iter()
        .filter(|it| wanted(it.0))
        .map(|it| it.1)
        .collect();
    let rate = steady(args, &site, &shapes, &mut report)?;
    if wanted(Scenario::SlowStore) {
        eprintln!("load: a slow store");
        let found = slow_store::slow_store(&site, rate)?;
        draw(&args.out, "slow-store.svg", &found.picture())?;
        report.slow_store = Some(found);
    }
    if wanted(Scenario::Outage) {
        eprintln!("load: the object store away for a minute");
        let found = outage::outage(&site, rate / SHARE)?;
        draw(&args.out, "outage.svg", &found.picture())?;
        report.outage = Some(found);
    }
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    let markdown = report.markdown();
    write(&args.out, "results.json", &json)?;
    write(&args.out, "results.md", &markdown)?;
    println!("{}", if args.json { json } else { markdown });
    Ok(report.holds())
}

/// Brokers, and what all fleets are started with.
fn site(args: &Args, folder: &Path) -> Told<Site> {
    let runtime = Runtime::new().map_err(|error| format!("threads cannot be started: {error}"))?;
    let beside = || {
        let here = std::env::current_exe().unwrap_or_default();
        here.with_file_name("penstock")
    };
    let program = args.penstock.clone().unwrap_or_else(beside);
    if !program.exists() {
        return Err(format!(
            "{} is missing: build it, or name it by --penstock",
            program.display()
        ));
    }
    let model = match &args.model {
        Some(model) => model.clone(),
        None => model::stand_in(&Config::default().model_dir(), &folder.join("model"))?,
    };
    eprintln!("load: three brokers are starting");
    Ok(Site {
        kafka: Kafka::start(3),
        runtime,
        program,
        model,
    })
}

/// Of what the fleet can do.
const SHARE: f64 = 0.6;

/// Each shape of arrivals. Returns the rate they had: documents a second.
fn steady(args: &Args, site: &Site, shapes: &[Shape], report: &mut Report) -> Told<f64> {
    if let (Some(rate), true) = (args.rate, shapes.is_empty()) {
        return Ok(rate);
    }
    let fleet = Fleet::start(site, None, "")?;
    let mut counter = Counter::default();
    let rate = match args.rate {
        Some(rate) => rate,
        None => {
            eprintln!("load: what the fleet can do");
            let capacity = load::calibrate(site, &fleet, &mut counter)?;
            report.capacity = Some(capacity);
            capacity * SHARE
        }
    };
    let length = Duration::from_secs(args.seconds);
    for shape in shapes {
        eprintln!("load: {} at {rate:.1} documents a second", shape.name());
        let found = load::load(site, &fleet, *shape, rate, length, &mut counter)?;
        report.loads.push(found);
    }
    if !shapes.is_empty() {
        let success = success::successes(&fleet.log);
        report.success = site.runtime.block_on(success).map_err(told)?;
        let picture = Picture {
            title: "Lag of every stage while documents arrive".to_owned(),
            panels: report.loads.iter().map(load::Loaded::panel).collect(),
        };
        draw(&args.out, "lag.svg", &picture)?;
    }
    fleet.stop()?;
    Ok(rate)
}

/// Its processor, and how many of them there are.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = told
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "{cores} cores of {}",
        name.map_or("an unknown processor", |it| it.1)
    )
}

fn draw(folder: &Path, name: &str, picture: &Picture) -> Told<()> {
    write(folder, name, &picture.svg())
}

fn write(folder: &Path, name: &str, text: &str) -> Told<()> {
    let file = folder.join(name);
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
}
