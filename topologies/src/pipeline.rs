//! The topology: which stage reads and writes what, and how each is run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_adapters::kafka::{KafkaSink, KafkaSource, LedgerReader, lags};
use penstock_runtime::{
    BatchStage, Cap, Each, Failure, Gauges, Nowhere, Order, Policy, Reporting, Route, Sink, Stop,
    Summary, ThrottlePolicy, WindowPolicy, Wiring, run,
};
use penstock_schemas::{Topic, topics};
use penstock_stages::embed::{Embed, EmbedCounters};
use penstock_stages::index::Index;
use penstock_stages::link::Link;
use penstock_stages::parse::{Limits, Parse};
use penstock_stages::settle::{Settle, SettleConfig, SettledRoute, Stores};
use penstock_stages::shard::Shard;
use penstock_stages::split::Split;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::counted::{Counted, Counters};
use crate::system::{Craft, Log, threads};

/// A stage in the topology.
pub struct StageSpec {
    pub name: &'static str,
    pub from: &'static str,
    pub to: Vec<&'static str>,
    start: fn(&Parts, Stop) -> Result<Running, Failure>,
}

type Running = std::pin::Pin<Box<dyn Future<Output = Result<Summary, Failure>> + Send>>;

/// Consumer group of a stage.
pub fn group_of(stage: &str) -> String {
    format!("penstock.{stage}")
}

/// Every stage, in the order records flow.
pub fn topology() -> Vec<StageSpec> {
    let settled = SettledRoute::default();
    vec![
        StageSpec {
            name: "split",
            from: topics::DOCUMENTS.name(),
            to: vec![topics::PARTS.name()],
            start: |parts, stop| {
                let stage = Split::new(
                    parts.craft.recipe.clone(),
                    parts.stores.blobs.clone(),
                    parts.limits(),
                );
                parts.run(
                    "split",
                    topics::DOCUMENTS,
                    Each(stage),
                    topics::PARTS,
                    few(4),
                    stop,
                )
            },
        },
        StageSpec {
            name: "parse",
            from: topics::PARTS.name(),
            to: vec![topics::SECTIONS.name()],
            start: |parts, stop| {
                let workers = threads(parts.config.parse.threads);
                let stage = Parse::new(parts.stores.blobs.clone(), parts.limits(), workers);
                let pages = parts.counters.clone();
                let stage =
                    Counted::new(Each(stage), move |section: &penstock_schemas::Section| {
                        pages.pages.add(section.pages.len().max(1));
                    });
                parts.run(
                    "parse",
                    topics::PARTS,
                    stage,
                    topics::SECTIONS,
                    few(2 * workers),
                    stop,
                )
            },
        },
        StageSpec {
            name: "shard",
            from: topics::SECTIONS.name(),
            to: vec![topics::CHUNKS.name()],
            start: |parts, stop| {
                let stage = Shard::new(
                    parts.stores.blobs.clone(),
                    parts.craft.tokens.clone(),
                    parts.craft.shard,
                );
                let chunks = parts.counters.clone();
                let stage = Counted::new(Each(stage), move |_: &penstock_schemas::Chunk| {
                    chunks.chunks.add(1);
                });
                parts.run(
                    "shard",
                    topics::SECTIONS,
                    stage,
                    topics::CHUNKS,
                    few(4),
                    stop,
                )
            },
        },
        StageSpec {
            name: "embed",
            from: topics::CHUNKS.name(),
            to: vec![topics::EMBEDDINGS.name()],
            start: |parts, stop| {
                let stage = Embed::new(
                    parts.craft.embedder.clone(),
                    parts.stores.cache.clone(),
                    parts.craft.tokens.clone(),
                    parts.counters.embed.clone(),
                );
                let mut policy = batches(64, Duration::from_millis(20));
                policy.window.cost = parts.config.embed.batch_tokens;
                parts.run(
                    "embed",
                    topics::CHUNKS,
                    stage,
                    topics::EMBEDDINGS,
                    policy,
                    stop,
                )
            },
        },
        StageSpec {
            name: "index",
            from: topics::EMBEDDINGS.name(),
            to: vec![topics::INDEXED.name()],
            start: |parts, stop| {
                let rules = parts.craft.rules.clone();
                let stage = Index::new(
                    parts.stores.vectors.clone(),
                    Arc::new(move |text: &str| rules.labels(text)),
                    parts.craft.embedder.info().clone(),
                );
                let policy = batches(128, Duration::from_millis(20));
                parts.run(
                    "index",
                    topics::EMBEDDINGS,
                    stage,
                    topics::INDEXED,
                    policy,
                    stop,
                )
            },
        },
        StageSpec {
            name: "link",
            from: topics::INDEXED.name(),
            to: Vec::new(),
            start: |parts, stop| {
                let stage = Link::new(parts.craft.rules.clone(), parts.stores.graph.clone());
                let policy = batches(128, Duration::from_millis(20));
                parts.run("link", topics::INDEXED, stage, Nowhere, policy, stop)
            },
        },
        StageSpec {
            name: "settle",
            from: topics::PROGRESS.name(),
            to: settled.topics(),
            start: |parts, stop| {
                let ledger = LedgerReader::new(parts.log.kafka.clone(), parts.log.codec.clone());
                let config = SettleConfig {
                    abandon_after: parts.config.abandon_after(),
                    partial: parts.config.partial(),
                    ..SettleConfig::default()
                };
                let stage = Settle::new(parts.stores.clone(), Arc::new(ledger), config);
                let mut policy = batches(500, Duration::from_millis(100));
                policy.order = Order::OneAtATime;
                policy.tick_every = Some(Duration::from_millis(20));
                policy.reporting = Reporting::Silent;
                parts.run(
                    "settle",
                    topics::PROGRESS,
                    stage,
                    SettledRoute::default(),
                    policy,
                    stop,
                )
            },
        },
    ]
}

/// For stages whose records are heavy: one to a batch, at most `most` at once.
fn few(most: usize) -> Policy {
    Policy {
        window: WindowPolicy {
            count: 1,
            ..WindowPolicy::default()
        },
        cap: Cap {
            records: 4 * most,
            ..Cap::default()
        },
        throttle: ThrottlePolicy {
            start: most,
            max: most,
            ..ThrottlePolicy::default()
        },
        ..Policy::default()
    }
}

/// For stages whose records are light: many to a batch, a batch ahead of the one at work.
fn batches(count: usize, age: Duration) -> Policy {
    Policy {
        window: WindowPolicy {
            count,
            age,
            ..WindowPolicy::default()
        },
        cap: Cap {
            records: 4 * count,
            ..Cap::default()
        },
        throttle: ThrottlePolicy {
            start: 2 * count,
            max: 2 * count,
            ..ThrottlePolicy::default()
        },
        ..Policy::default()
    }
}

/// What stages are built from.
pub struct Parts {
    pub config: Config,
    pub log: Arc<Log>,
    pub stores: Stores,
    pub craft: Craft,
    pub sink: Arc<dyn Sink>,
    pub counters: Arc<Counters>,
    pub gauges: BTreeMap<&'static str, Arc<Gauges>>,
}

impl Parts {
    pub fn new(
        config: Config,
        log: Arc<Log>,
        stores: Stores,
        craft: Craft,
    ) -> Result<Self, Failure> {
        let sink = Arc::new(KafkaSink::new(&log.kafka)?);
        let gauges = topology()
            .iter()
            .map(|stage| (stage.name, Arc::new(Gauges::default())))
            .collect();
        let counters = Counters {
            embed: Arc::new(EmbedCounters::default()),
            ..Counters::default()
        };
        Ok(Self {
            config,
            log,
            stores,
            craft,
            sink,
            counters: Arc::new(counters),
            gauges,
        })
    }

    fn limits(&self) -> Limits {
        const MIB: u64 = 1 << 20;
        let parse = &self.config.parse;
        Limits {
            source_bytes: parse.max_source_mib * MIB,
            pages: parse.max_pages as usize,
            time: Duration::from_secs(parse.max_seconds),
            inflated_bytes: parse.max_decompressed_mib * MIB,
            ..Limits::default()
        }
    }

    fn run<S, R>(
        &self,
        name: &'static str,
        from: Topic<S::In>,
        stage: S,
        to: R,
        policy: Policy,
        stop: Stop,
    ) -> Result<Running, Failure>
    where
        S: BatchStage,
        R: Route<S::Out>,
    {
        let source = KafkaSource::open(&self.log.kafka, &group_of(name), &[from.name()])?;
        let wiring = Wiring {
            name: name.to_owned(),
            stage,
            from,
            to,
            codec: self.log.codec.clone(),
        };
        let gauges = self.gauges.get(name).cloned().unwrap_or_default();
        let running = run(
            wiring,
            Box::new(source),
            self.sink.clone(),
            policy,
            gauges,
            stop,
        );
        Ok(Box::pin(running))
    }
}

/// Stages at work in this process.
pub struct Pipeline {
    stages: JoinSet<(&'static str, Result<Summary, Failure>)>,
    pub parts: Arc<Parts>,
    stop: Stop,
}

impl Pipeline {
    /// Starts the named stages; none named: all.
    pub fn start(parts: Arc<Parts>, names: &[String], stop: Stop) -> Result<Self, Failure> {
        let topology = topology();
        if let Some(unknown) = names
            .iter()
            .find(|name| !topology.iter().any(|it| it.name == **name))
        {
            let known: Vec<&str> = topology.iter().map(|it| it.name).collect();
            return Err(Failure::fatal(format!(
                "there is no stage {unknown}, there are {}",
                known.join(", ")
            )));
        }
        let mut stages = JoinSet::new();
        let chosen = |name: &str| names.is_empty() || names.iter().any(|it| it == name);
        for stage in topology.into_iter().filter(|it| chosen(it.name)) {
            let running = (stage.start)(&parts, stop.clone())?;
            stages.spawn(async move { (stage.name, running.await) });
        }
        tokio::spawn(watch_lag(parts.clone(), stop.clone()));
        Ok(Self {
            stages,
            parts,
            stop,
        })
    }

    /// Resolves when a stage ends: by a stop, or because something only people can mend is wrong.
    pub async fn ended(&mut self) -> Result<(), Failure> {
        match self.stages.join_next().await {
            None => Ok(()),
            Some(Ok((_, Ok(_)))) => Ok(()),
            Some(Ok((name, Err(failure)))) => {
                Err(Failure::fatal(format!("stage {name}: {failure}")))
            }
            Some(Err(error)) => Err(Failure::fatal(format!("a stage broke off: {error}"))),
        }
    }

    /// Soft stop, then, past the deadline, hard. The first failure is returned.
    pub async fn close(mut self, deadline: Duration) -> Result<(), Failure> {
        self.stop.soft();
        let stop = self.stop.clone();
        let hard = tokio::spawn(async move {
            tokio::time::sleep(deadline).await;
            stop.hard();
        });
        let mut outcome = Ok(());
        while !self.stages.is_empty() {
            outcome = outcome.and(self.ended().await);
        }
        hard.abort();
        outcome
    }
}

/// Tells each stage how far the group downstream lags.
async fn watch_lag(parts: Arc<Parts>, stop: Stop) {
    const EVERY: Duration = Duration::from_secs(2);
    let topology = topology();
    loop {
        tokio::select! {
            () = stop.softly() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        for stage in &topology {
            let downstream = topology.iter().find(|it| stage.to.contains(&it.from));
            let (Some(downstream), Some(gauges)) = (downstream, parts.gauges.get(stage.name))
            else {
                continue;
            };
            let group = group_of(downstream.name);
            let lag = lags(&parts.log.kafka, &group, downstream.from).await.ok();
            let records = lag.map(|all| all.iter().map(|it| it.records().max(0) as u64).sum());
            gauges.set_downstream_lag(records);
        }
    }
}
