//! Stages as processes of their own, on a cluster of three brokers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use penstock::cli::Common;
use penstock::config::Config;
use penstock::pipeline::topology;
use penstock::system::Log;
use penstock_adapters::kafka::{Admin, KafkaConfig, standing_of};
use penstock_runtime::Failure;
use penstock_servers::{Kafka, Listener};
use penstock_tests::{Bench, Running, until};
use tokio::runtime::Runtime;

use crate::Told;

/// What every fleet stands on.
pub struct Site {
    pub kafka: Kafka,
    pub runtime: Runtime,
    pub program: PathBuf,
    pub model: PathBuf,
}

/// Processes of all stages, with topics, stores and a configuration of their own. They end with this value.
pub struct Fleet {
    pub config: Config,
    pub log: Arc<Log>,
    /// Holds the data folder and the objects.
    _bench: Bench,
    pub workers: Vec<Running>,
    pub owner: Running,
}

/// Processes of each stage that has no store.
pub const REPLICAS: usize = 2;

/// One after the other; each runs in as many processes as there are replicas, but for the last, which owns the stores.
const PROCESSES: [&[&str]; 3] = [
    &["split", "parse", "shard"],
    &["embed"],
    &["index", "link", "settle"],
];

impl Fleet {
    /// Makes topics anew and starts the processes; returns when all of them run. `objects` is the section of that name,
    /// none for a folder; `more` are other sections.
    pub fn start(site: &Site, objects: Option<&str>, more: &str) -> Told<Self> {
        site.wipe()?;
        let bench = Bench::of(site.program.clone());
        let folder = format!(
            "url = \"file://{}\"\n",
            bench.path().join("objects").display()
        );
        let text = format!(
            "[kafka]\nbrokers = {:?}\npartitions = 4\n[embed]\nmodel = {:?}\nthreads = 1\n\
             [objects]\n{}\n{more}",
            site.kafka.brokers(Listener::Plain),
            site.model.display().to_string(),
            objects.unwrap_or(&folder),
        );
        let file = bench.path().join("penstock.toml");
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        let config = configuration(&file)?;
        let settings = file.display().to_string();
        let applied = bench.run(&["topics", "apply", "--config", &settings]);
        if applied.code != 0 {
            return Err(format!("topics apply: {}", applied.stderr));
        }
        let start = |stages: &[&str]| {
            bench.spawn(&[&["run"], stages, &["--config", settings.as_str()]].concat())
        };
        let [cutters, embed, owners] = PROCESSES;
        let mut workers = Vec::new();
        for _ in 0..REPLICAS {
            workers.push(start(cutters));
            workers.push(start(embed));
        }
        let owner = start(owners);
        let log = site
            .runtime
            .block_on(Log::of_cluster(&config))
            .map_err(told)?;
        let log = Arc::new(log);
        let mut fleet = Self {
            config,
            log,
            _bench: bench,
            workers,
            owner,
        };
        fleet.wait_until_running();
        Ok(fleet)
    }

    fn wait_until_running(&mut self) {
        let workers = self.workers.iter_mut();
        for process in workers.chain([&mut self.owner]) {
            until("the process runs", || {
                assert!(!process.has_ended(), "{}", process.output());
                process.output().contains("running:")
            });
        }
    }

    /// The broker's names of the members of every group.
    pub async fn members(&self) -> Result<Vec<String>, Failure> {
        let mut all = Vec::new();
        for stage in topology() {
            let group = penstock::pipeline::group_of(stage.name);
            all.extend(standing_of(&self.log.kafka, &group).await?.ids);
        }
        all.sort();
        Ok(all)
    }

    /// Asks every process to stop, and waits. The error names one that did not end well.
    pub fn stop(mut self) -> Told<()> {
        let workers = self.workers.iter_mut();
        for process in workers.chain([&mut self.owner]) {
            if process.terminate() != Some(0) {
                return Err(format!("a process ended badly: {}", process.output()));
            }
        }
        Ok(())
    }
}

impl Site {
    /// Lets time pass, while others look.
    pub fn pass(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    /// Deletes the topics of the fleet before.
    fn wipe(&self) -> Told<()> {
        let config = KafkaConfig::new(self.kafka.brokers(Listener::Plain));
        let wipe = async {
            let admin = Admin::new(&config)?;
            let topics = admin.partitions().await?;
            let names = topics.keys().map(String::as_str);
            let ours: Vec<&str> = names.filter(|it| !it.starts_with("__")).collect();
            admin.delete_topics(&ours).await
        };
        self.runtime.block_on(wipe).map_err(told)
    }
}

fn configuration(file: &Path) -> Told<Config> {
    let common = Common {
        config: Some(file.to_owned()),
        data: None,
        json: false,
        set: Vec::new(),
    };
    Config::load(&common, [])
}

/// The one line of a failure.
pub fn told(failure: Failure) -> String {
    failure.reason().to_owned()
}
