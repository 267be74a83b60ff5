//! The measurements.

use std::collections::BTreeMap;

use clap::Args;
use penstock_servers::{Kafka, Listener};
use rand::seq::SliceRandom as _;

use crate::Job;
use crate::contenders::Contender;
use crate::fill::{Filled, Filling, Topics};
use crate::measure::{Run, watch};
use crate::report::{Row, median, print, rows};

#[derive(Debug, Args)]
pub struct Compare {
    /// Bytes of a value
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    sizes: Vec<usize>,
    /// Only these contenders [default: all that are installed]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only raw bytes, or only Avro
    #[arg(long)]
    codec: Option<Mode>,
    /// Runs of each contender, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Records in thousands, at 1,000 bytes; of others as many as make a run of about the same time
    #[arg(long, default_value_t = 1_000)]
    thousands: u64,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    Raw,
    Avro,
}

#[derive(Debug, Args)]
pub struct Short {
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 1_000)]
    thousands: u64,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Backlog {
    /// Records of 100 bytes in thousands
    #[arg(long, value_delimiter = ',', default_values_t = [10, 10_000])]
    thousands: Vec<u64>,
}

/// Records in thousands that a broker is warm after.
const WARM_UP: u64 = 1_500;

/// A broker of its own, and topics on it.
struct Bench {
    kafka: Kafka,
    topics: Topics,
    filled: Filled,
    runs: u32,
}

impl Bench {
    fn start() -> Result<Self, String> {
        let kafka = Kafka::start_at_full_speed();
        let topics = Topics::new(&kafka.brokers(Listener::Plain))?;
        let mut bench = Self {
            kafka,
            topics,
            filled: Filled::default(),
            runs: 0,
        };
        // The broker compiles what it runs often, beside whoever comes first.
        let warm_up = Filling {
            records: records(WARM_UP, 1_000),
            size: 1_000,
            avro: false,
            poison_every: None,
        };
        bench.run(Contender::Bare, warm_up)?;
        Ok(bench)
    }

    /// One run of one contender, to a topic that is gone afterwards.
    fn run(&mut self, who: Contender, filling: Filling) -> Result<Run, String> {
        let from = self.filled.topic(&self.topics, filling)?;
        self.runs += 1;
        let to = format!("out-{}", self.runs);
        self.topics.create(&to)?;
        let job = Job {
            brokers: self.kafka.brokers(Listener::Plain),
            group: format!("bench-{}", self.runs),
            from,
            to: to.clone(),
            avro: filling.avro,
        };
        let refused = filling
            .poison_every
            .map_or(0, |every| filling.records.div_ceil(every));
        let mut working = who.start(&job)?;
        let run = watch(&self.topics, &to, filling.records - refused, &mut working)?;
        working.stop()?;
        let surplus = self.topics.records(&to)? as i64 - (filling.records - refused) as i64;
        if surplus != 0 {
            return Err(format!("{}: {surplus} records too many", who.name()));
        }
        self.topics.delete(&to)?;
        eprintln!(
            "{} of {} bytes{}: {:.0} records/s, {:.2} CPU s/million, {:.0} MiB",
            who.name(),
            filling.size,
            if filling.avro { ", Avro" } else { "" },
            run.rate,
            run.cpu,
            run.memory
        );
        Ok(run)
    }
}

pub fn compare(args: &Compare) -> Result<(), String> {
    let mut contenders = args.only.clone();
    if contenders.is_empty() {
        for who in [Contender::Bare, Contender::Penstock, Contender::Streams] {
            match who.lacks() {
                None => contenders.push(who),
                Some(lacks) => eprintln!("without {}: {lacks}", who.name()),
            }
        }
    }
    if let Some(lacks) = contenders.iter().find_map(|who| who.lacks()) {
        return Err(lacks);
    }
    let mut bench = Bench::start()?;
    let mut all = Vec::new();
    for mode in [Mode::Raw, Mode::Avro] {
        if args.codec.is_some_and(|only| only != mode) {
            continue;
        }
        for size in &args.sizes {
            let filling = Filling {
                records: records(args.thousands, *size),
                size: *size,
                avro: mode == Mode::Avro,
                poison_every: None,
            };
            let mut runs: BTreeMap<Contender, Vec<Run>> = BTreeMap::new();
            for _ in 0..args.rounds {
                contenders.shuffle(&mut rand::rng());
                for who in &contenders {
                    let run = bench.run(*who, filling)?;
                    runs.entry(*who).or_default().push(run);
                }
            }
            let codec = if filling.avro { "Avro" } else { "raw" };
            all.extend(rows(&format!("{size} B {codec}"), &runs));
        }
    }
    print(&all, args.json);
    Ok(())
}

/// How many records of this size take about as long as so many thousand of 1,000 bytes.
fn records(thousands: u64, size: usize) -> u64 {
    match size {
        0..=300 => thousands * 3_000,
        301..=3_000 => thousands * 1_000,
        _ => thousands * 125,
    }
}

/// Every hundredth record is refused and becomes a dead letter.
pub fn poison(args: &Short) -> Result<(), String> {
    let mut bench = Bench::start()?;
    let clean = Filling {
        records: records(args.thousands, 1_000),
        size: 1_000,
        avro: false,
        poison_every: None,
    };
    let poisoned = Filling {
        poison_every: Some(100),
        ..clean
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        without.push(bench.run(Contender::Penstock, clean)?);
        with.push(bench.run(Contender::Penstock, poisoned)?);
    }
    let row = |name: &str, runs: &[Run], peer: Option<f64>| {
        let of = |field: fn(&Run) -> f64| median(runs.iter().map(field).collect());
        Row {
            name: name.to_owned(),
            unit: "records/s",
            value: of(|it| it.rate),
            ratio: peer.map(|peer| of(|it| it.rate) / peer),
            cpu_seconds_per_million: of(|it| it.cpu),
            peak_mib: of(|it| it.memory),
        }
    };
    let clean = row("1000 B raw: clean", &without, None);
    let poisoned = row("1000 B raw: 1 in 100 refused", &with, Some(clean.value));
    print(&[clean, poisoned], args.json);
    Ok(())
}

/// Memory does not grow with what waits.
pub fn backlog(args: &Backlog) -> Result<(), String> {
    let mut bench = Bench::start()?;
    for thousands in &args.thousands {
        let filling = Filling {
            records: thousands * 1_000,
            size: 100,
            avro: false,
            poison_every: None,
        };
        let run = bench.run(Contender::Penstock, filling)?;
        println!(
            "{:>10} records of 100 B waiting: peak {:.1} MiB",
            filling.records, run.memory
        );
    }
    Ok(())
}
