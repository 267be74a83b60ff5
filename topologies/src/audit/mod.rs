//! `penstock audit`: the ledger held against both stores, and what is wrong made right.
//!
//! Both stores are read once, in the order of chunk ids, beside what the ledger says in the same order; what does not fit
//! into memory lies in files meanwhile. Work may go on: a document that moved while we looked is left out.

mod book;
mod compare;
mod heard;
mod judge;
mod repair;
mod rows;
mod spill;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use penstock_runtime::{Failure, Stop};
use penstock_stages::settle::Stores;
use serde::{Deserialize, Serialize};

pub use book::Book;
pub use heard::worked_off;
pub use repair::{Drive, Outcome, REPAIR, Repaired, ends, repair};

use crate::cli::AuditArgs;
use crate::commands::print;
use crate::config::Config;
use crate::network::Network;
use crate::pipeline::Parts;
use crate::serve::Examination;
use crate::session::{Session, Working, load_craft, stop_on_signals, stores_at_rest};
use crate::system::Log;
use crate::workers::OWNERS;
use compare::{Compared, compare};
use judge::{Case, Entries, cases};
use rows::Fault;

/// What was found. In a sound system all from `missing` to `wrong_dimension` are zero. Scripts rely on these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Visible documents.
    pub documents: u64,
    /// Chunks they consist of.
    pub chunks: u64,
    pub points: u64,
    pub nodes: u64,
    pub edges: u64,
    /// Chunks that a store lacks or does not show, and manifests that are gone.
    pub missing: u64,
    /// Points and chunk nodes of documents the ledger does not know or that were deleted.
    pub orphaned: u64,
    /// Points and chunk nodes of editions that are neither visible nor on their way, or that the edition does not name.
    pub stale: u64,
    /// Documents of which a store shows more than one edition.
    pub mixed: u64,
    /// Edges without an end, entities nobody mentions, and documents or sections without a chunk.
    pub dangling: u64,
    /// Points and chunk nodes whose fields contradict their id or the ledger, or that are seen too early.
    #[serde(default)]
    pub wrong: u64,
    /// Points without a vector of unit length, or of another model or dimension than the rest.
    #[serde(default)]
    pub wrong_dimension: u64,
    /// Documents with something amiss that moved while they were looked at. Nothing is said of them.
    #[serde(default)]
    pub moving: u64,
    /// What is wrong, for a person; the first of it.
    pub findings: Vec<String>,
    #[serde(skip)]
    most: usize,
}

impl Audit {
    pub fn is_sound(&self) -> bool {
        let faults = [self.missing, self.orphaned, self.stale, self.mixed];
        let more = [self.dangling, self.wrong, self.wrong_dimension];
        faults.iter().chain(&more).all(|it| *it == 0)
    }

    fn find(&mut self, text: String) {
        if self.findings.len() < self.most {
            self.findings.push(text);
        }
    }
}

/// How an audit goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// Findings told at most.
    pub findings: usize,
    /// How long it waits for a step forward of stages that lag.
    pub patience: Duration,
}

/// Of a system in which nobody is at work.
pub async fn audit(book: &Book, stores: &Stores, findings: usize) -> Result<Audit, Failure> {
    let mut examined = Examined::of(book, stores, findings).await?;
    for number in 0..=u8::MAX {
        examined.cases(book, None, true, number)?;
    }
    Ok(examined.compared.audit)
}

/// Of a system that may be at work. `folder`: where it may write what does not fit into memory.
pub async fn audit_log(
    log: &Log,
    stores: &Stores,
    folder: &Path,
    manner: Manner,
) -> Result<Audit, Failure> {
    let mut sighting = Sighting::take(log, stores, folder, manner).await?;
    for number in 0..=u8::MAX {
        sighting.cases(number)?;
    }
    Ok(sighting.examined.compared.audit)
}

/// The stores compared with the ledger as it was before.
struct Examined {
    compared: Compared,
}

impl Examined {
    async fn of(book: &Book, stores: &Stores, findings: usize) -> Result<Self, Failure> {
        let mut compared = compare(book, stores).await?;
        let audit = &mut compared.audit;
        audit.most = findings;
        if audit.dangling > 0 {
            audit.find(format!("graph: {} dangling nodes or edges", audit.dangling));
        }
        Ok(Self { compared })
    }

    fn cases(
        &mut self,
        before: &Book,
        after: Option<&Book>,
        all_heard: bool,
        number: u8,
    ) -> Result<Vec<Case>, Failure> {
        let faults = Fault::all(&self.compared.faults.read(number)?);
        if faults.is_empty() {
            return Ok(Vec::new());
        }
        let entries = Entries {
            before: before.bucket(number)?,
            after: after.map(|it| it.bucket(number)).transpose()?,
            all_heard,
        };
        Ok(cases(entries, faults, &mut self.compared.audit))
    }
}

/// The same with the ledger as it was afterwards: what is wrong in both is wrong.
struct Sighting {
    before: Book,
    after: Option<Book>,
    all_heard: bool,
    examined: Examined,
}

impl Sighting {
    async fn take(
        log: &Log,
        stores: &Stores,
        folder: &Path,
        manner: Manner,
    ) -> Result<Self, Failure> {
        let before = Book::read(log, folder).await?;
        let examined = Examined::of(&before, stores, manner.findings).await?;
        let mut sighting = Self {
            before,
            after: None,
            all_heard: true,
            examined,
        };
        if sighting.examined.compared.any {
            sighting.all_heard = worked_off(log, &OWNERS, manner.patience).await?;
            sighting.after = Some(Book::read(log, folder).await?);
        }
        Ok(sighting)
    }

    fn cases(&mut self, number: u8) -> Result<Vec<Case>, Failure> {
        let after = self.after.as_ref();
        self.examined
            .cases(&self.before, after, self.all_heard, number)
    }
}

/// Runs the command; the exit code.
pub async fn run(config: &Config, args: &AuditArgs, json: bool) -> Result<u8, Failure> {
    let examination = Examination {
        manner: Manner {
            findings: args.findings,
            patience: Duration::from_secs(10),
        },
        deadline: args.deadline,
        even_if_most: args.even_if_most,
    };
    if args.repair {
        let repaired = repair_somewhere(config, &examination).await?;
        print(json, &repaired, || repaired.print());
        return Ok(if repaired.after.is_sound() { 0 } else { 2 });
    }
    let found = match Session::open(config)? {
        Session::Network(network) => {
            let log = Log::of_cluster(config).await?;
            let stores = network.stores(config).await?;
            audit_log(&log, &stores, &config.data, examination.manner).await?
        }
        Session::Owner(folder) => {
            let stores = stores_at_rest(config, &folder)?;
            let log = Log::open(config, folder.path()).await?;
            // Nobody is here to wait for.
            let manner = Manner {
                patience: Duration::ZERO,
                ..examination.manner
            };
            let found = audit_log(&log, &stores, folder.path(), manner).await;
            log.close().await;
            found?
        }
        Session::Beside(beside) => beside.client.audit(&examination).await?,
    };
    print(json, &found, || found.print());
    Ok(if found.is_sound() { 0 } else { 2 })
}

/// Stages are at work elsewhere, and do what is asked for.
async fn repair_from_afar(
    config: &Config,
    network: &Network,
    how: &Examination,
) -> Result<Repaired, Failure> {
    let log = Arc::new(Log::of_cluster(config).await?);
    let stores = network.stores(config).await?;
    let craft = load_craft(config).await?;
    let parts = Parts::new(config.clone(), log.clone(), stores, craft)?;
    repair(&parts, &log, *how).await
}

async fn repair_somewhere(config: &Config, how: &Examination) -> Result<Repaired, Failure> {
    let folder = match Session::open(config)? {
        Session::Network(network) => return repair_from_afar(config, &network, how).await,
        Session::Owner(folder) => folder,
        Session::Beside(beside) => return beside.client.repair(how).await,
    };
    if config.is_shared() {
        // Made here, they would have nothing in them.
        stores_at_rest(config, &folder)?;
    }
    let stages: Vec<String> = match config.is_shared() {
        true => OWNERS.map(str::to_owned).to_vec(),
        false => Vec::new(),
    };
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    let mut working = Working::start(config, folder, &stages, stop).await?;
    let (parts, log) = (working.parts.clone(), working.intake.log.clone());
    let outcome = tokio::select! {
        outcome = repair(&parts, &log, *how) => outcome,
        ended = working.pipeline.ended() => Err(match ended {
            Ok(()) => Failure::fatal("interrupted: run the same command again to go on"),
            Err(failure) => failure,
        }),
    };
    let closed = working.close().await;
    let repaired = outcome?;
    closed?;
    Ok(repaired)
}

impl Audit {
    /// For a person.
    pub fn print(&self) -> String {
        let mut out = format!(
            "{} documents, {} chunks · {} points · {} nodes, {} edges\n",
            self.documents, self.chunks, self.points, self.nodes, self.edges
        );
        if self.is_sound() {
            out.push_str("sound: nothing missing, orphaned, stale, mixed or dangling\n");
        } else {
            out.push_str(&format!(
                "{} missing, {} orphaned, {} stale, {} mixed, {} dangling, {} wrong, {} of wrong dimension\n",
                self.missing,
                self.orphaned,
                self.stale,
                self.mixed,
                self.dangling,
                self.wrong,
                self.wrong_dimension
            ));
        }
        if self.moving > 0 {
            out.push_str(&format!(
                "{} documents moved meanwhile: audit again once they have settled\n",
                self.moving
            ));
        }
        for finding in &self.findings {
            out.push_str(&format!("  {finding}\n"));
        }
        out
    }
}
