//! A cluster of three real brokers, which one test at a time has for itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::MutexGuard;

use penstock::ingest::Report;
use penstock::pipeline::{group_of, topology};
use penstock_adapters::kafka::{Admin, KafkaConfig, Lag, lags, read_topic};
use penstock_schemas::{Codec, Message, Topic};
use penstock_servers::{Kafka, Listener};
use penstock_tests::{Bench, Ran, Running, until};
use uuid::Uuid;

/// The cluster without topics, and a bench whose configuration names it.
pub struct World {
    pub kafka: MutexGuard<'static, Kafka>,
    pub bench: Bench,
    /// With a data folder of its own, as on another machine.
    pub outside: Bench,
}

impl World {
    pub fn new() -> Self {
        let kafka = Kafka::cluster();
        let world = Self {
            kafka,
            bench: Bench::new(),
            outside: Bench::new(),
        };
        world.wipe();
        world.configure(Listener::Plain, "");
        world
    }

    /// Deletes what the test before has left.
    fn wipe(&self) {
        let config = KafkaConfig::new(self.kafka.brokers(Listener::Plain));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let admin = Admin::new(&config).unwrap();
            let topics = admin.partitions().await.unwrap();
            let ours = topics.keys().map(String::as_str);
            let ours: Vec<&str> = ours.filter(|it| !it.starts_with("__")).collect();
            admin.delete_topics(&ours).await.unwrap();
        });
    }

    pub fn configure(&self, listener: Listener, properties: &str) {
        let objects = format!("url = \"file://{}\"\n", self.file("objects").display());
        self.write_configuration(&objects, listener, properties);
    }

    /// Objects that lie elsewhere: the lines below `[objects]`.
    pub fn configure_objects(&self, objects: &str) {
        self.write_configuration(objects, Listener::Plain, "");
    }

    fn write_configuration(&self, objects: &str, listener: Listener, properties: &str) {
        let brokers = self.kafka.brokers(listener);
        let text = format!(
            "[objects]\n{objects}[kafka]\nbrokers = {brokers:?}\n[kafka.properties]\n{properties}"
        );
        std::fs::write(self.file("penstock.toml"), text).unwrap();
    }

    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.bench.path().join(name)
    }

    /// Starts a process of these stages; returns when it runs.
    pub fn start(&self, stages: &[&str]) -> Running {
        let args = [&["run"], stages].concat();
        let mut running = self.bench.spawn(&configured(&args, &self.config()));
        until("the process runs", || {
            assert!(!running.has_ended(), "{stages:?}: {}", running.output());
            running.output().contains("running:")
        });
        running
    }

    /// Sent and waited for, with nothing in common with the stages but the cluster and the objects.
    pub fn ingest(&self, folder: &Path) -> Report {
        let folder = folder.display().to_string();
        let ran = self.run_outside(&["ingest", &folder, "--source", "test", "--json"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        ran.json()
    }

    /// The same, left running.
    pub fn spawn_ingest(&self, folder: &Path) -> Running {
        let folder = folder.display().to_string();
        self.spawn_outside(&["ingest", &folder, "--source", "test", "--json"])
    }

    pub fn spawn_outside(&self, args: &[&str]) -> Running {
        self.outside.spawn(&configured(args, &self.config()))
    }

    /// Records ever written to a topic.
    pub fn records(&self, topic: &str) -> i64 {
        self.lags("nobody", topic).iter().map(|it| it.end).sum()
    }

    /// Records a stage has not committed.
    pub fn lag(&self, stage: &str) -> i64 {
        self.lag_and_end(stage).0
    }

    /// The same, with the records ever written to the topic the stage reads.
    pub fn lag_and_end(&self, stage: &str) -> (i64, i64) {
        let lags = self.lags_of(stage);
        let sum = |of: fn(&Lag) -> i64| lags.iter().map(of).sum();
        (sum(Lag::records), sum(|it| it.end))
    }

    fn lags_of(&self, stage: &str) -> Vec<Lag> {
        let topology = topology();
        let stage = topology.iter().find(|it| it.name == stage).unwrap();
        self.lags(&group_of(stage.name), stage.from)
    }

    /// Where a group stands.
    pub fn lags(&self, group: &str, topic: &str) -> Vec<Lag> {
        let config = KafkaConfig::new(self.kafka.brokers(Listener::Plain));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(lags(&config, group, topic)).unwrap()
    }

    /// Gives the cluster back; the data folder stays.
    pub fn into_bench(mut self) -> Bench {
        std::mem::take(&mut self.bench)
    }

    /// How often each chunk stands on a topic.
    pub fn chunks<T: Message>(&self, topic: Topic<T>) -> BTreeMap<Uuid, usize> {
        let config = KafkaConfig::new(self.kafka.brokers(Listener::Plain));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let read = runtime.block_on(read_topic(&config, &Codec::default(), topic));
        let mut times = BTreeMap::new();
        for chunk in read.unwrap().into_iter().filter_map(|it| it.value?.chunk()) {
            *times.entry(chunk).or_default() += 1;
        }
        times
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.bench.run(&configured(args, &self.config()))
    }

    pub fn run_outside(&self, args: &[&str]) -> Ran {
        self.outside.run(&configured(args, &self.config()))
    }

    fn config(&self) -> String {
        self.file("penstock.toml").display().to_string()
    }
}

fn configured<'a>(args: &[&'a str], config: &'a str) -> Vec<&'a str> {
    [args, &["--config", config]].concat()
}

impl Drop for World {
    fn drop(&mut self) {
        // Says where the logs are if the test fails.
        drop(self.kafka.witness());
    }
}
