//! The topology: which stage reads and writes what, and how each is run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_runtime::{
    Attempts, BatchStage, Each, Failure, Gauges, Nowhere, Pace, Policy, Route, Sink, Stop, Summary,
    Wiring, run,
};
use penstock_schemas::{Chunk, Section, Topic, topics};
use penstock_stages::embed::{Embed, EmbedCounters};
use penstock_stages::index::Index;
use penstock_stages::link::Link;
use penstock_stages::parse::{Limits, Parse};
use penstock_stages::settle::{Settle, SettleConfig, SettledRoute, Stores};
use penstock_stages::shard::Shard;
use penstock_stages::split::Split;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Config;
use crate::counted::{Counted, Counters};
use crate::policies::Policies;
use crate::streams::Streams;
use crate::system::{Craft, threads};

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

/// Fatal where one of `names` is no stage.
pub fn check_names(names: &[String]) -> Result<(), Failure> {
    let topology = topology();
    let is_stage = |name: &&String| topology.iter().any(|it| it.name == **name);
    match names.iter().find(|name| !is_stage(name)) {
        None => Ok(()),
        Some(unknown) => {
            let known: Vec<&str> = topology.iter().map(|it| it.name).collect();
            Err(Failure::fatal(format!(
                "there is no stage {unknown}, there are {}",
                known.join(", ")
            )))
        }
    }
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
                let (from, to) = (topics::DOCUMENTS, topics::PARTS);
                parts.run("split", from, Each(stage), to, &parts.policies.split, stop)
            },
        },
        StageSpec {
            name: "parse",
            from: topics::PARTS.name(),
            to: vec![topics::SECTIONS.name()],
            start: |parts, stop| {
                let workers = threads(parts.config.parse.threads);
                let stage = Parse::new(parts.stores.blobs.clone(), parts.limits(), workers);
                let counters = parts.counters.clone();
                let stage = Counted::new(Each(stage), move |section: &Section| {
                    counters.pages.add(section.pages.len().max(1));
                });
                let (from, to) = (topics::PARTS, topics::SECTIONS);
                parts.run("parse", from, stage, to, &parts.policies.parse, stop)
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
                let counters = parts.counters.clone();
                let stage = Counted::new(Each(stage), move |_: &Chunk| counters.chunks.add(1));
                let (from, to) = (topics::SECTIONS, topics::CHUNKS);
                parts.run("shard", from, stage, to, &parts.policies.shard, stop)
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
                let (from, to) = (topics::CHUNKS, topics::EMBEDDINGS);
                parts.run("embed", from, stage, to, &parts.policies.embed, stop)
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
                let (from, to) = (topics::EMBEDDINGS, topics::INDEXED);
                parts.run("index", from, stage, to, &parts.policies.index, stop)
            },
        },
        StageSpec {
            name: "link",
            from: topics::INDEXED.name(),
            to: Vec::new(),
            start: |parts, stop| {
                let stage = Link::new(parts.craft.rules.clone(), parts.stores.graph.clone());
                let from = topics::INDEXED;
                parts.run("link", from, stage, Nowhere, &parts.policies.link, stop)
            },
        },
        StageSpec {
            name: "settle",
            from: topics::PROGRESS.name(),
            to: settled.topics(),
            start: |parts, stop| {
                let config = SettleConfig {
                    abandon_after: parts.config.abandon_after(),
                    partial: parts.config.partial(),
                    ..SettleConfig::default()
                };
                let stage = Settle::new(parts.stores.clone(), parts.streams.ledger(), config);
                let (from, to) = (topics::PROGRESS, SettledRoute::default());
                parts.run("settle", from, stage, to, &parts.policies.settle, stop)
            },
        },
    ]
}

/// What stages are built from.
pub struct Parts {
    pub config: Config,
    pub policies: Policies,
    pub streams: Arc<dyn Streams>,
    pub stores: Stores,
    pub craft: Craft,
    pub sink: Arc<dyn Sink>,
    pub counters: Arc<Counters>,
    pub gauges: BTreeMap<&'static str, Arc<Gauges>>,
    /// One record may run alone in this process.
    alone: Arc<Semaphore>,
}

impl Parts {
    pub fn new(
        config: Config,
        streams: Arc<dyn Streams>,
        stores: Stores,
        craft: Craft,
    ) -> Result<Self, Failure> {
        let gauges = topology()
            .iter()
            .map(|stage| (stage.name, Arc::new(Gauges::default())))
            .collect();
        let counters = Counters {
            embed: Arc::new(EmbedCounters::default()),
            ..Counters::default()
        };
        Ok(Self {
            policies: Policies::of(&config),
            sink: streams.sink()?,
            config,
            streams,
            stores,
            craft,
            counters: Arc::new(counters),
            gauges,
            alone: Arc::new(Semaphore::new(1)),
        })
    }

    /// For stages at work beside these in the same process, on another view of the log.
    pub fn beside(&self, streams: Arc<dyn Streams>) -> Result<Self, Failure> {
        let (stores, craft) = (self.stores.clone(), self.craft.clone());
        Ok(Self {
            policies: self.policies.clone(),
            alone: self.alone.clone(),
            ..Self::new(self.config.clone(), streams, stores, craft)?
        })
    }

    /// Counts and watches the named stages only (none named: all): a process tells of what it runs.
    pub fn only(mut self, stages: &[String]) -> Self {
        if !stages.is_empty() {
            self.gauges
                .retain(|name, _| stages.iter().any(|it| it == name));
        }
        self
    }

    /// What a source may cost.
    pub fn limits(&self) -> Limits {
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
        policy: &Policy,
        stop: Stop,
    ) -> Result<Running, Failure>
    where
        S: BatchStage,
        R: Route<S::Out>,
    {
        let group = self.streams.group(name);
        let source = self.streams.source(&group, from.name())?;
        let attempts = Attempts::new(
            &group,
            &from.attempts(),
            self.streams.clone(),
            self.sink.clone(),
            self.alone.clone(),
        );
        let wiring = Wiring {
            name: name.to_owned(),
            stage,
            from,
            to,
            codec: self.streams.codec().clone(),
            attempts: Some(attempts),
        };
        let gauges = self.gauges.get(name).cloned().unwrap_or_default();
        let sink = self.sink.clone();
        let running = run(wiring, source, sink, policy.clone(), gauges, stop);
        Ok(Box::pin(running))
    }
}

/// Stages at work in this process. Dropped without `close` they break off, as in a crash.
pub struct Pipeline {
    stages: JoinSet<(&'static str, Result<Summary, Failure>)>,
    /// Ends with the stages it tells.
    _watch: JoinSet<()>,
    pub parts: Arc<Parts>,
    stop: Stop,
}

impl Pipeline {
    /// Starts the named stages; none named: all.
    pub fn start(parts: Arc<Parts>, names: &[String], stop: Stop) -> Result<Self, Failure> {
        check_names(names)?;
        let topology = topology();
        let mut stages = JoinSet::new();
        let chosen = |name: &str| names.is_empty() || names.iter().any(|it| it == name);
        for stage in topology.into_iter().filter(|it| chosen(it.name)) {
            let running = (stage.start)(&parts, stop.clone())?;
            stages.spawn(async move { (stage.name, running.await) });
        }
        let mut watch = JoinSet::new();
        watch.spawn(watch_lag(parts.clone(), stop.clone()));
        Ok(Self {
            stages,
            _watch: watch,
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

    /// Resolves when it is time to close: a stage has ended, or a stop was asked for. What never comes to an end by itself
    /// has until the deadline of `close`.
    pub async fn is_over(&mut self) -> Result<(), Failure> {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            ended = self.ended() => ended,
            () = stop.softly() => Ok(()),
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

/// How often the lag of a group downstream is looked up.
pub const LAG_POLL: Duration = Duration::from_secs(2);

/// Tells each stage what waits for the group downstream.
async fn watch_lag(parts: Arc<Parts>, stop: Stop) {
    let topology = topology();
    let mut paces: BTreeMap<&str, Pace> = BTreeMap::new();
    loop {
        for stage in &topology {
            let downstream = topology.iter().find(|it| stage.to.contains(&it.from));
            let (Some(downstream), Some(gauges)) = (downstream, parts.gauges.get(stage.name))
            else {
                continue;
            };
            let group = group_of(downstream.name);
            let pace = paces.entry(stage.name).or_default();
            // Where it cannot be told the last one holds: pressure does not end because a broker is away.
            if let Ok(stand) = parts.streams.stand(&group, downstream.from).await {
                gauges.set_downstream(pace.look(stand.waiting, stand.done, Instant::now()));
            }
        }
        tokio::select! {
            () = stop.softly() => return,
            () = tokio::time::sleep(LAG_POLL) => {}
        }
    }
}
