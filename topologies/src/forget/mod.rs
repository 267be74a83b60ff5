//! `penstock forget`: documents out of every store, seen to be gone, with an account of what still holds something of them.

mod holdings;
mod report;
mod topics;
mod whose;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use penstock_adapters::kafka::{KafkaSink, Tail};
use penstock_runtime::{Failure, Route, Sink, Stop, learn};
use penstock_schemas::topics::{COMPLETED, DOCUMENTS};
use penstock_schemas::{Completed, Completion};
use penstock_stages::scope::Scope;
use penstock_stages::settle::Stores;
use uuid::Uuid;

pub use holdings::{Holdings, Inventory};
pub use report::Forgotten;
pub use topics::{Held, Purged};

use crate::audit::worked_off;
use crate::cli::ForgetArgs;
use crate::commands::print;
use crate::config::Config;
use crate::dead_letters::{actor, audited};
use crate::pipeline::topology;
use crate::serve::Client;
use crate::session::{Session, Working, stop_on_signals};
use crate::system::Log;
use topics::Search;
use whose::Known;

/// What the audit topic calls it, before and after.
const BEGUN: &str = "forget begun";
const DONE: &str = "forget done";
const EVERY: Duration = Duration::from_millis(200);

/// Where the stores are.
enum Place<'a> {
    Here(&'a Stores),
    Beside(&'a Client),
    /// In the folder of a process that cannot be asked from here.
    Elsewhere,
}

impl Place<'_> {
    async fn count(&self, inventory: &Inventory) -> Result<Option<Holdings>, Failure> {
        Ok(match self {
            Self::Here(stores) => Some(inventory.count(stores).await?),
            Self::Beside(client) => Some(client.count(inventory).await?),
            Self::Elsewhere => None,
        })
    }
}

/// Runs the command; the exit code.
pub async fn run(config: &Config, args: &ForgetArgs, json: bool) -> Result<u8, Failure> {
    let scope = match (&args.group, args.document) {
        (Some(group), _) => Scope::Group(group.clone()),
        (None, Some(id)) => Scope::Document(id),
        (None, None) => return Err(Failure::fatal("forget: say --document or --group")),
    };
    let forgotten = match Session::open(config)? {
        Session::Network(network) => {
            let log = Log::of_cluster(config).await?;
            let stores = network.stores(config).await?;
            forget(&log, &Place::Here(&stores), &scope, args).await?
        }
        Session::Owner(folder) if config.is_shared() => {
            // The stages are at work elsewhere.
            drop(folder);
            let log = Log::of_cluster(config).await?;
            forget(&log, &Place::Elsewhere, &scope, args).await?
        }
        Session::Owner(folder) => {
            let stop = Stop::new();
            stop_on_signals(&stop)?;
            let mut working = Working::start(config, folder, &[], stop).await?;
            let (log, parts) = (working.intake.log.clone(), working.parts.clone());
            let place = Place::Here(&parts.stores);
            let outcome = tokio::select! {
                outcome = forget(&log, &place, &scope, args) => outcome,
                ended = working.pipeline.ended() => Err(match ended {
                    Ok(()) => Failure::fatal("interrupted: run the same command again to go on"),
                    Err(failure) => failure,
                }),
            };
            let closed = working.close().await;
            let forgotten = outcome?;
            closed?;
            forgotten
        }
        Session::Beside(beside) => {
            let log = beside.log().await?;
            forget(&log, &Place::Beside(&beside.client), &scope, args).await?
        }
    };
    print(json, &forgotten, || forgotten.print());
    Ok(if forgotten.verified { 0 } else { 2 })
}

async fn forget(
    log: &Log,
    place: &Place<'_>,
    scope: &Scope,
    args: &ForgetArgs,
) -> Result<Forgotten, Failure> {
    let start = Instant::now();
    // The tail before the ledger is read: what is removed in between is in one of them.
    let mut tail = Tail::start(&log.kafka, COMPLETED.name()).await?;
    let known = whose::read(log, scope).await?;
    let sink = KafkaSink::new(&log.kafka)?;
    let group = known
        .values()
        .next()
        .map(|it| it.group.clone())
        .unwrap_or_default();
    let mut forgetting = Forgetting {
        log,
        place,
        sink,
        scope,
        group,
        deadline: args.deadline,
        fences: BTreeMap::new(),
    };
    let found = forgetting.inventory(&known, true);
    let found = place.count(&found).await?;
    let removed_before = known.values().filter(|it| it.is_removed()).count() as u64;
    forgetting.begin(&known).await?;
    forgetting.removed(&mut tail, &known).await?;
    let removed = known.len() as u64 - removed_before;
    if removed > 0 {
        // What was at work when the deletion came is written, and then swept.
        let stages: Vec<&str> = topology().iter().map(|it| it.name).collect();
        worked_off(log, &stages, args.deadline).await?;
    }
    let now = whose::read(log, scope).await?;
    let is_back = |id: &&Uuid| now.get(id).is_some_and(|it| !it.is_deleted());
    let again: Vec<Uuid> = known.keys().filter(is_back).copied().collect();
    let left = forgetting.emptied(&now).await?;
    let documents: BTreeSet<Uuid> = known
        .keys()
        .filter(|it| !again.contains(it))
        .copied()
        .collect();
    let search = Search::new(log, &documents).await?;
    let purged = match args.purge {
        true => search.purge().await?,
        false => Vec::new(),
    };
    let report = Forgotten {
        removed,
        removed_before,
        again,
        documents: documents.iter().copied().collect(),
        verified: left.is_some_and(|it| it.is_empty()),
        found,
        left,
        held: search.held().await?,
        purged,
        ..Forgotten::begin(scope, &forgetting.group, start.elapsed())
    };
    let report = report.sealed()?;
    forgetting
        .write_down(DONE, report.detail())
        .await
        .map(|()| report)
}

struct Forgetting<'a> {
    log: &'a Log,
    place: &'a Place<'a>,
    sink: KafkaSink,
    scope: &'a Scope,
    group: String,
    deadline: Duration,
    /// The version of each deletion.
    fences: BTreeMap<Uuid, Uuid>,
}

impl Forgetting<'_> {
    /// Sends a deletion of every document that has none behind it, or one that names it: `ingest --prune` keeps paths.
    async fn begin(&mut self, known: &BTreeMap<Uuid, Known>) -> Result<(), Failure> {
        let alive: Vec<_> = known.iter().filter(|(_, it)| !it.is_sent()).collect();
        if !alive.is_empty() {
            let count = ("documents", alive.len().to_string());
            self.write_down(BEGUN, vec![count]).await?;
        }
        for (id, it) in known {
            if let Some(version) = it.deletion.filter(|_| it.is_sent()) {
                self.fences.insert(*id, version);
            }
        }
        for (id, it) in alive {
            let record = it.deletion_of(*id);
            self.fences.insert(*id, record.version);
            let record = DOCUMENTS
                .encode(&self.log.codec, &record)
                .map_err(|error| Failure::fatal(format!("document cannot be encoded: {error}")))?;
            self.sink.produce(vec![record]).await?;
        }
        Ok(())
    }

    /// Waits until settle has removed all of them.
    async fn removed(&self, tail: &mut Tail, known: &BTreeMap<Uuid, Known>) -> Result<(), Failure> {
        const TOLD: Duration = Duration::from_secs(10);
        let mut waiting = self.fences.clone();
        waiting.retain(|id, _| known.get(id).is_none_or(|it| !it.is_removed()));
        let (all, mut told) = (waiting.len(), Instant::now());
        let mut until = tokio::time::Instant::now() + self.deadline;
        while !waiting.is_empty() {
            let Ok(record) = tokio::time::timeout_at(until, tail.next()).await else {
                return Err(Failure::transient(format!(
                    "forget: {} of {all} documents are not removed, and none was for {} s: are split and settle running? \
                     The deletions are in the log; run the same command again to see them through",
                    waiting.len(),
                    self.deadline.as_secs()
                )));
            };
            let record = record?;
            learn(&self.log.codec, &record).await?;
            let value = record.value.as_deref().unwrap_or_default();
            let Ok(completed) = self.log.codec.decode::<Completed>(value) else {
                continue;
            };
            let (id, version) = (completed.lineage.document_guid, completed.lineage.version);
            // A newer version that is visible says as much: older ones are gone by then.
            let is_gone = completed.outcome != Completion::Failed;
            if is_gone && waiting.get(&id).is_some_and(|it| *it <= version) {
                waiting.remove(&id);
                until = tokio::time::Instant::now() + self.deadline;
            }
            if told.elapsed() >= TOLD {
                eprintln!("{} of {all} documents removed", all - waiting.len());
                told = Instant::now();
            }
        }
        Ok(())
    }

    /// Looks into the stores until nothing is left, or nothing changes any more. None where they cannot be seen from here.
    async fn emptied(&self, now: &BTreeMap<Uuid, Known>) -> Result<Option<Holdings>, Failure> {
        let inventory = self.inventory(now, false);
        let (mut before, mut since) = (None, Instant::now());
        loop {
            let found = self.place.count(&inventory).await?;
            if found.is_none_or(|it| it.is_empty()) || since.elapsed() >= self.deadline {
                return Ok(found);
            }
            if found != before {
                (before, since) = (found, Instant::now());
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// What is to be counted: `all` that there is of the documents, or only what must be gone.
    fn inventory(&self, known: &BTreeMap<Uuid, Known>, all: bool) -> Inventory {
        let is_gone = |(_, it): &(&Uuid, &Known)| all || it.is_deleted();
        let gone = known.iter().filter(is_gone);
        let newest = |id: &Uuid| match all {
            true => Uuid::max(),
            false => self.fences.get(id).copied().unwrap_or_default(),
        };
        let documents: Vec<(Uuid, Uuid)> = gone.map(|(id, _)| (*id, newest(id))).collect();
        Inventory {
            group: self.group.clone(),
            whole_group: matches!(self.scope, Scope::Group(_)) && documents.len() == known.len(),
            documents,
        }
    }

    async fn write_down(
        &self,
        action: &str,
        mut detail: Vec<(&'static str, String)>,
    ) -> Result<(), Failure> {
        detail.push(match self.scope {
            Scope::Document(id) => ("document", id.to_string()),
            Scope::Group(name) => ("group", name.clone()),
        });
        let record = audited(&self.log.codec, &actor(), action, detail)?;
        self.sink.produce(vec![record]).await
    }
}
