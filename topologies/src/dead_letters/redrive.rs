//! `penstock dead-letters redrive`.
//!
//! At least once: a letter counts as put back when its audit record is in the log, which is written as soon as the
//! broker has the record itself. A run that is killed between the two puts at most its last batch back again, which
//! changes nothing: ids are derived, and progress is folded as sets.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use penstock_adapters::kafka::{KafkaSink, Reading};
use penstock_runtime::{Failure, Outgoing, Record, Sink, Stop, learn};
use penstock_schemas::Codec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::edit::Edit;
use super::fate::{Fate, Judge, Knowledge};
use super::filter::{Filter, place_of_letter};
use super::history::{self, History};
use super::letter::{Letter, Place};
use super::records::RecordType;
use super::{Desk, letters, list};
use crate::cli::RedriveArgs;
use crate::commands::print;
use crate::session::stop_on_signals;
use crate::system::Log;

/// Records put back together: what a kill at the worst moment may repeat.
const BATCH: usize = 100;

/// Scripts rely on these fields.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Redriven {
    /// Nothing was produced: this is what would happen.
    pub dry_run: bool,
    /// It was stopped; the same command goes on where it was.
    pub interrupted: bool,
    pub put_back: usize,
    pub left: usize,
    pub dead_letters: Vec<Row>,
}

/// What became of one letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    #[serde(flatten)]
    pub letter: Letter,
    pub outcome: Outcome,
    /// The topic it went to.
    pub to: Option<String>,
    /// Why it was left, or went another way.
    pub why: Option<String>,
    /// The record as it would go, in a dry run that mends it.
    pub record: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    PutBack,
    Left,
}

pub(super) async fn redrive(desk: &Desk, args: &RedriveArgs, json: bool) -> Result<u8, Failure> {
    let edit = args.edit.as_deref().map(Edit::compile).transpose()?;
    let place = args.at().map(|at| place_of_letter(&at)).transpose()?;
    let filter = Filter::new(&args.filter, place)?;
    if filter.is_open() && !args.all {
        return Err(Failure::fatal(
            "redrive: name what to put back: TOPIC PARTITION OFFSET, filters such as --stage or --reason, or --all",
        ));
    }
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    let log = desk.log();
    let history = History::read(log).await?;
    let mut report = Redriven {
        dry_run: args.dry_run,
        ..Redriven::default()
    };
    let mut waiting = Vec::new();
    for letter in letters(log, &filter, &history).await? {
        match history.put_back(&letter.place) {
            None => waiting.push(letter),
            // Whoever names one letter wants to know; of many, those that wait are meant.
            Some(event) if filter.place().is_some() => {
                let why = format!("it was put back {} by {}", event.at, event.actor);
                report.add(letter, None, Some(why));
            }
            Some(_) => {}
        }
    }
    if let Some(place) = filter.place()
        && waiting.is_empty()
        && report.left == 0
    {
        return Err(Failure::fatal(format!(
            "there is no dead letter at {place}: `penstock dead-letters list` names them"
        )));
    }
    let documents: HashSet<_> = waiting.iter().filter_map(|it| it.document_guid).collect();
    let known = Knowledge::read(log, &documents).await?;
    let edit = edit.as_ref();
    let mut run = Run {
        log,
        judge: Judge::new(&log.codec, known, edit, args.max_redrives),
        edit,
        sink: match args.dry_run {
            true => None,
            false => Some(KafkaSink::new(&log.kafka)?),
        },
        actor: history::actor(),
        pace: Pace::new(args.rate),
        batch: Vec::new(),
        report,
        stop,
    };
    let outcome = run.put_back(waiting).await;
    let report = run.report;
    print(json, &report, || report.print());
    outcome?;
    if report.interrupted {
        eprintln!("interrupted: run the same command again to go on");
        return Ok(1);
    }
    if matches!(desk, Desk::Ours(..)) && report.put_back > 0 && !report.dry_run {
        eprintln!("no stage is running: `penstock run` works off what was put back");
    }
    Ok(if report.left == 0 { 0 } else { 2 })
}

struct Run<'a> {
    log: &'a Log,
    judge: Judge<'a>,
    edit: Option<&'a Edit>,
    /// None: a dry run.
    sink: Option<KafkaSink>,
    actor: String,
    pace: Pace,
    batch: Vec<(Letter, Fate)>,
    report: Redriven,
    stop: Stop,
}

impl Run<'_> {
    async fn put_back(&mut self, waiting: Vec<Letter>) -> Result<(), Failure> {
        let mut by_topic: Vec<(String, HashMap<Place, Letter>)> = Vec::new();
        for letter in waiting {
            let topic = &letter.place.topic;
            let known = by_topic.iter().position(|(name, _)| name == topic);
            let at = known.unwrap_or_else(|| {
                by_topic.push((topic.clone(), HashMap::new()));
                by_topic.len() - 1
            });
            if let Some((_, letters)) = by_topic.get_mut(at) {
                letters.insert(letter.place.clone(), letter);
            }
        }
        for (topic, mut letters) in by_topic {
            let mut reading = Reading::start(&self.log.kafka, &topic, None).await?;
            while !letters.is_empty()
                && let Some(record) = reading.next().await?
            {
                if let Some(letter) = letters.remove(&Place::of(&record)) {
                    self.take(letter, &record).await?;
                }
                if self.report.interrupted {
                    return Ok(());
                }
            }
            self.flush().await?;
            for letter in letters.into_values() {
                let why = Some("it is no longer there: retention took it".to_owned());
                self.report.add(letter, None, why);
            }
        }
        Ok(())
    }

    async fn take(&mut self, letter: Letter, record: &Record) -> Result<(), Failure> {
        learn(&self.log.codec, record).await?;
        match self.judge.judge(&letter, record) {
            Fate::Left(why) => self.report.add(letter, None, Some(why)),
            fate => self.batch.push((letter, fate)),
        }
        if self.batch.len() >= self.pace.batch {
            self.flush().await?;
        }
        Ok(())
    }

    /// The records, then, when the broker has them, the audit records that say so.
    async fn flush(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() || self.report.interrupted {
            return Ok(());
        }
        if let Some(sink) = &self.sink {
            let pause = self.pace.pause(self.batch.len());
            tokio::select! {
                biased;
                () = self.stop.softly() => {
                    self.report.interrupted = true;
                    return Ok(());
                }
                () = sleep_until(pause) => {}
            }
            let records = self.batch.iter().filter_map(|(_, fate)| record_of(fate));
            sink.produce(records.cloned().collect()).await?;
            let audits = self
                .batch
                .iter()
                .map(|(letter, fate)| self.audit(letter, fate));
            sink.produce(audits.collect::<Result<_, _>>()?).await?;
        }
        for (letter, fate) in std::mem::take(&mut self.batch) {
            let to = to_of(&fate);
            self.report.add(letter, to, why_of(&fate));
            if let (None, Some(row)) = (&self.sink, self.report.dead_letters.last_mut()) {
                row.record = self.edit.and_then(|_| decoded(&self.log.codec, &fate));
            }
        }
        Ok(())
    }

    fn audit(&self, letter: &Letter, fate: &Fate) -> Result<Outgoing, Failure> {
        let mut more = vec![
            ("to", to_of(fate).unwrap_or_default()),
            ("redrives", (letter.redrives + 1).to_string()),
        ];
        more.extend(self.edit.map(|edit| ("edit", edit.text().to_owned())));
        more.extend(letter.document_guid.map(|id| ("document", id.to_string())));
        if let Fate::Again { version, .. } | Fate::Covered { version } = fate {
            more.push(("version", version.to_string()));
        }
        history::audit(self.log, &self.actor, history::REDRIVE, &letter.place, more)
    }
}

fn record_of(fate: &Fate) -> Option<&Outgoing> {
    match fate {
        Fate::PutBack(record) | Fate::Again { record, .. } => Some(record),
        Fate::Covered { .. } | Fate::Left(_) => None,
    }
}

fn decoded(codec: &Codec, fate: &Fate) -> Option<Value> {
    let record = record_of(fate)?;
    let kind = RecordType::of_topic(&record.topic)?;
    kind.decode(codec, record.value.as_deref()?).ok()
}

fn to_of(fate: &Fate) -> Option<String> {
    match fate {
        Fate::PutBack(record) | Fate::Again { record, .. } => Some(record.topic.to_string()),
        Fate::Covered { .. } => Some(penstock_schemas::topics::DOCUMENTS.name().to_owned()),
        Fate::Left(_) => None,
    }
}

fn why_of(fate: &Fate) -> Option<String> {
    match fate {
        Fate::Again { version, .. } | Fate::Covered { version } => Some(format!(
            "its edition is given up: its document is produced again as version {version}"
        )),
        Fate::PutBack(_) | Fate::Left(_) => None,
    }
}

/// So many records a second.
struct Pace {
    /// Records put back together.
    batch: usize,
    /// Between two records; none: as fast as it goes.
    each: Option<Duration>,
    next: Instant,
}

impl Pace {
    fn new(rate: Option<u32>) -> Self {
        Self {
            // Ten batches a second are smooth enough.
            batch: rate.map_or(BATCH, |rate| (rate as usize / 10).clamp(1, BATCH)),
            each: rate.map(|rate| Duration::from_secs(1) / rate.max(1)),
            next: Instant::now(),
        }
    }

    /// When the next `records` may go.
    fn pause(&mut self, records: usize) -> Instant {
        let now = Instant::now().max(self.next);
        let each = self.each.unwrap_or_default();
        self.next = now + each * u32::try_from(records).unwrap_or(u32::MAX);
        now
    }
}

impl Redriven {
    fn add(&mut self, letter: Letter, to: Option<String>, why: Option<String>) {
        let outcome = match to {
            Some(_) => Outcome::PutBack,
            None => Outcome::Left,
        };
        match outcome {
            Outcome::PutBack => self.put_back += 1,
            Outcome::Left => self.left += 1,
        }
        self.dead_letters.push(Row {
            letter,
            outcome,
            to,
            why,
            record: None,
        });
    }

    fn print(&self) -> String {
        let mut out = String::new();
        for row in &self.dead_letters {
            out.push_str(&list::line(&row.letter));
            let why = row.why.as_deref().unwrap_or_default();
            match &row.to {
                Some(to) => out.push_str(&format!("    to {to}  {why}\n")),
                None => out.push_str(&format!("    left: {why}\n")),
            }
            if let Some(record) = &row.record {
                let record = serde_json::to_string_pretty(record).unwrap_or_default();
                out.push_str(&format!("{record}\n"));
            }
        }
        let (did, tail) = match self.dry_run {
            true => ("would be put back", "; a dry run: nothing was produced"),
            false => ("put back", ""),
        };
        out.push_str(&format!(
            "{} {did}, {} left{tail}\n",
            self.put_back, self.left
        ));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_kept() {
        let check = |rate: Option<u32>, batch: usize, records: usize, expect: Duration| {
            let mut pace = Pace::new(rate);
            assert_eq!(pace.batch, batch);
            let start = Instant::now();
            let mut last = start;
            for _ in 0..records.div_ceil(batch) {
                last = pace.pause(batch);
            }
            assert_eq!(last - start, expect, "{rate:?}");
        };
        check(None, BATCH, 1000, Duration::ZERO);
        check(Some(1), 1, 3, Duration::from_secs(2));
        check(Some(50), 5, 100, Duration::from_millis(1900));
        check(Some(100_000), BATCH, 200, Duration::from_millis(1));
    }
}
