//! `penstock smoke`: made-up documents through the configured system, looked at in both stores, and forgotten again.

mod check;
mod documents;
mod findings;
mod place;
mod reach;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_adapters::kafka::Tail;
use penstock_runtime::{Failure, Stop};
use penstock_schemas::{
    Completed, Completion, Document, document_guid, next_version, topics::COMPLETED,
};
use penstock_stages::index::CollectionSpec;
use penstock_stages::link::Rules;
use tokio::time::timeout_at;
use uuid::Uuid;

pub use findings::{Failed, Verdict};

use crate::cli::SmokeArgs;
use crate::commands::print;
use crate::config::Config;
use crate::dead_letters::read_entries;
use crate::ingest::{Intake, Newest, deletion, next_completed, seconds_since};
use crate::life::{Wait, Waiting, newest_open, wait_of};
use crate::session::stop_on_signals;
use crate::status::stage_status;
use crate::system::load_rules;
use documents::{COUNT, Made, made};
use findings::Findings;
use place::Place;
use reach::Reach;

/// What the records say beside the text. The score is a number in payloads.
const ATTRIBUTES: [(&str, &str); 4] = [
    ("doc_type", "smoke"),
    ("impact_score", "0.5"),
    ("impact_tier", "low"),
    ("made_by", "smoke"),
];
/// The same moment, as records and as payloads have it.
const CREATED_AT: (i64, &str) = (1_741_910_400_000, "2025-03-14T00:00:00.000Z");

/// A document that was sent.
pub struct Sent {
    made: Made,
    document: Document,
    /// What the configured rules find of what is in it: label and normal form.
    entities: Vec<(String, String)>,
    /// Numbers of a vector.
    dimension: usize,
}

/// Runs the command; the exit code.
pub async fn smoke(config: &Config, args: &SmokeArgs, json: bool) -> Result<u8, Failure> {
    let start = Instant::now();
    // Of this command. Stages in this process go on, so that what was sent is removed again.
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    let mut place = Place::open(config).await?;
    let trial = Trial {
        intake: place.intake.clone(),
        reach: place.reach.clone(),
        rules: load_rules(config)?,
        dimension: CollectionSpec::declared()?.vectors.dense.size,
        group: format!("smoke-{}", Uuid::new_v4()),
        deadline: args.timeout,
        stop,
    };
    let outcome = tokio::select! {
        outcome = trial.run() => outcome,
        failure = place.broken() => Err(Failure::fatal(format!(
            "{}; documents of the test may be left: penstock forget --group {} removes them",
            failure.reason(),
            trial.group
        ))),
    };
    let closed = place.close().await;
    let mut verdict = outcome?;
    closed?;
    verdict.seconds = seconds_since(start);
    print(json, &verdict, || verdict.print());
    Ok(verdict.exit_code())
}

struct Trial {
    intake: Intake,
    reach: Arc<Reach>,
    rules: Rules,
    dimension: usize,
    group: String,
    /// For all to be visible, and for all to be gone.
    deadline: Duration,
    stop: Stop,
}

/// Where the test has come to.
#[derive(Default)]
struct State {
    sent: Vec<Sent>,
    /// Of documents that were looked at.
    chunks: HashMap<Uuid, Vec<Uuid>>,
    findings: Findings,
}

impl Trial {
    /// An error means that nothing was sent. Whatever was is removed again.
    async fn run(&self) -> Result<Verdict, Failure> {
        let mut tail = Tail::start(&self.intake.log.kafka, COMPLETED.name()).await?;
        let mut state = State::default();
        let examined = tokio::select! {
            examined = self.examine(&mut tail, &mut state) => examined,
            () = self.stop.softly() => Err(Failure::fatal("interrupted")),
        };
        if let Err(failure) = examined {
            if state.sent.is_empty() {
                return Err(failure);
            }
            state.findings.fail("smoke", "", failure.reason());
        }
        let sent = state.sent.len();
        let left = tokio::select! {
            left = self.forget(&mut tail, &mut state) => left,
            () = self.stop.hardly() => sent,
        };
        Ok(Verdict {
            passed: state.findings.failures.is_empty() && left == 0,
            group: self.group.clone(),
            documents: sent,
            chunks: state.chunks.values().map(Vec::len).sum(),
            checks: state.findings.checks,
            failures: state.findings.failures,
            left,
            seconds: 0.0,
        })
    }

    async fn examine(&self, tail: &mut Tail, state: &mut State) -> Result<(), Failure> {
        eprintln!("smoke: {COUNT} documents of group {}", self.group);
        for made in made() {
            let sent = self.about_to_send(made);
            let (document, bytes) = (sent.document.clone(), sent.made.text.clone());
            // First remembered, then sent: whatever happens in between, it is removed again.
            state.sent.push(sent);
            self.intake.publish(document, bytes.into()).await?;
        }
        let visible = self.until_visible(tail, state).await?;
        let blobs = self.intake.blobs.as_ref();
        for sent in &state.sent {
            let id = sent.document.document_guid;
            if let Some(completed) = visible.get(&id) {
                let chunks =
                    check::document(sent, completed, &self.reach, blobs, &mut state.findings);
                state.chunks.insert(id, chunks.await?);
            }
        }
        if visible.len() == state.sent.len() {
            let (reach, findings) = (&self.reach, &mut state.findings);
            check::queries(&state.sent, &self.group, reach, findings).await?;
        }
        Ok(())
    }

    fn about_to_send(&self, made: Made) -> Sent {
        let id = document_guid(&self.group, made.source, &made.key);
        let attributes = ATTRIBUTES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let document = Document {
            document_guid: id,
            group: self.group.clone(),
            source: made.source.to_owned(),
            key: made.key.clone(),
            version: next_version(None),
            deleted: false,
            path: format!("{}/{}", made.source, made.key),
            blob: None,
            title: made.given_title.clone(),
            author: None,
            language: None,
            created_at: Some(CREATED_AT.0),
            attributes: BTreeMap::from(attributes),
        };
        let found = self.rules.find(&made.text);
        let entities = made
            .entities
            .iter()
            .map(|(label, name)| ((*label).to_owned(), name.clone()))
            .filter(|(label, name)| {
                found
                    .iter()
                    .any(|it| it.label == *label && it.normal_form == *name)
            })
            .collect();
        Sent {
            document,
            made,
            entities,
            dimension: self.dimension,
        }
    }

    /// The completions of those that became visible in time; of the others it is said why not.
    async fn until_visible(
        &self,
        tail: &mut Tail,
        state: &mut State,
    ) -> Result<HashMap<Uuid, Completed>, Failure> {
        let mut waiting: HashMap<Uuid, &Sent> = by_id(&state.sent);
        let mut visible = HashMap::new();
        let until = tokio::time::Instant::now() + self.deadline;
        while !waiting.is_empty() {
            let next = next_completed(tail, &self.intake.log.codec);
            let Ok(completed) = timeout_at(until, next).await else {
                self.tell_late(&waiting, &mut state.findings).await?;
                break;
            };
            let completed = completed?;
            let Some(sent) = waiting.remove(&completed.lineage.document_guid) else {
                continue;
            };
            let path = &sent.document.path;
            let whole = completed.outcome == Completion::Visible && completed.dead.is_empty();
            state.findings.check("visible", path, whole, || {
                let dead = completed.dead.iter();
                let reasons: Vec<String> = dead
                    .map(|it| format!("{} gave up: {}", it.stage, it.reason))
                    .collect();
                match reasons.is_empty() {
                    true => "somebody removed it meanwhile".to_owned(),
                    false => reasons.join("; "),
                }
            });
            if whole {
                visible.insert(sent.document.document_guid, completed);
            }
        }
        Ok(visible)
    }

    /// Says what those that are not visible wait for.
    async fn tell_late(
        &self,
        waiting: &HashMap<Uuid, &Sent>,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let log = &self.intake.log;
        let entries = read_entries(log, &waiting.keys().copied().collect()).await?;
        let stages = stage_status(log).await?;
        let behind = |stage: &str| {
            let found = stages.iter().find(|it| it.stage == stage);
            found.is_some_and(|it| it.lag_records > 0)
        };
        for (id, sent) in waiting {
            let open = entries.get(id).and_then(newest_open);
            let wait = open.map_or_else(
                || Wait {
                    stage: Some(if behind("split") { "split" } else { "settle" }),
                    what: "it has not heard of it".to_owned(),
                },
                |open| wait_of(open, &[]),
            );
            let waits = Waiting::of(wait, &stages).print();
            let seconds = self.deadline.as_secs();
            let detail = format!("not in {seconds} s: it {}", waits.trim_end());
            findings.fail("visible", &sent.document.path, detail);
        }
        Ok(())
    }

    /// Removes all that was sent, and looks that nothing of it is left. How many could not be removed in time.
    async fn forget(&self, tail: &mut Tail, state: &mut State) -> usize {
        let mut waiting: HashMap<Uuid, &Sent> = by_id(&state.sent);
        let removed = self.remove(tail, &mut waiting).await;
        let findings = &mut state.findings;
        if let Err(failure) = removed {
            findings.fail("forgotten", "", failure.reason());
        }
        for sent in waiting.values() {
            let seconds = self.deadline.as_secs();
            let detail = format!("not removed in {seconds} s: does settle run?");
            findings.fail("forgotten", &sent.document.path, detail);
        }
        let left = waiting.len();
        let (reach, blobs) = (self.reach.as_ref(), self.intake.blobs.as_ref());
        for sent in &state.sent {
            let id = sent.document.document_guid;
            if waiting.contains_key(&id) {
                continue;
            }
            let chunks = state.chunks.get(&id).map_or(&[][..], Vec::as_slice);
            if let Err(failure) = check::gone(sent, chunks, reach, blobs, findings).await {
                findings.fail("forgotten", &sent.document.path, failure.reason());
            }
        }
        let answers = check::group_is_gone(&state.sent, &self.group, reach, findings).await;
        if let Err(failure) = answers {
            findings.fail("forgotten", "", failure.reason());
        }
        left
    }

    /// Takes from `waiting` what is removed from both stores.
    async fn remove(
        &self,
        tail: &mut Tail,
        waiting: &mut HashMap<Uuid, &Sent>,
    ) -> Result<(), Failure> {
        for (id, sent) in waiting.iter() {
            let newest = Newest::of(sent.document.clone());
            let record = deletion(*id, &self.group, &newest);
            self.intake.produce(&record).await?;
        }
        let until = tokio::time::Instant::now() + self.deadline;
        while !waiting.is_empty() {
            let next = next_completed(tail, &self.intake.log.codec);
            let Ok(completed) = timeout_at(until, next).await else {
                break;
            };
            let completed = completed?;
            if completed.outcome == Completion::Removed {
                waiting.remove(&completed.lineage.document_guid);
            }
        }
        Ok(())
    }
}

fn by_id(sent: &[Sent]) -> HashMap<Uuid, &Sent> {
    sent.iter()
        .map(|it| (it.document.document_guid, it))
        .collect()
}
