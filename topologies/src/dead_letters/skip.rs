//! `penstock dead-letters skip`: for a record that kills its process, so that no stage can give it up itself.

use penstock_adapters::kafka::{KafkaSink, Reading, commit_for, lags, standing_of};
use penstock_runtime::{
    Cause, DeadLetters, Failure, Original, Outgoing, Partition, Position, Record, Route, Sink,
    death, learn, lineage,
};
use penstock_schemas::{Document, dead_letters_of, now_ms, topics};
use penstock_stages::split::opened_of;
use serde::Serialize;
use uuid::Uuid;

use super::Desk;
use super::history::{self, SKIP};
use super::letter::{Place, reader_of};
use super::records::RecordType;
use crate::cli::SkipArgs;
use crate::commands::print;
use crate::config::Config;
use crate::pipeline::{group_of, topology};
use crate::session::load_craft;
use crate::system::Log;

/// What was skipped.
#[derive(Debug, Serialize)]
pub struct Skipped {
    #[serde(flatten)]
    pub place: Place,
    pub stage: String,
    pub group: String,
    /// The topic that has its letter.
    pub dead_letters: String,
    pub document_guid: Option<Uuid>,
    /// Where the group stands now.
    pub committed: i64,
}

pub(super) async fn skip(
    config: &Config,
    desk: &Desk,
    args: &SkipArgs,
    json: bool,
) -> Result<u8, Failure> {
    let place = Place {
        topic: args.at.topic.clone(),
        partition: args.at.partition,
        offset: args.at.offset,
    };
    let Some(stage) = reader_of(&place.topic) else {
        let read: Vec<&str> = topology().iter().map(|it| it.from).collect();
        return Err(Failure::fatal(format!(
            "skip: no stage reads {}, they read {}",
            place.topic,
            read.join(", ")
        )));
    };
    let group = args.group.clone().unwrap_or_else(|| group_of(stage));
    nobody_works(desk, &group).await?;
    let log = desk.log();
    let record = record_in_the_way(log, &group, &place).await?;
    let actor = history::actor();
    let cause = Cause {
        class: "skipped",
        reason: format!("skipped by hand by {actor}"),
    };
    learn(&log.codec, &record).await?;
    let origin = origin_of(config, log, &record).await?;
    let dead_letters = dead_letters_of(&place.topic);
    let mut records = vec![letter(stage, &dead_letters, &record, &cause)];
    // settle does not report to itself.
    if place.topic != topics::PROGRESS.name() {
        records.extend(progress(log, stage, &record, &cause, &origin)?);
    }
    // In this order: whatever breaks off, the record is never passed without its letter.
    let sink = KafkaSink::new(&log.kafka)?;
    sink.produce(records).await?;
    let next = Position {
        partition: record.partition.clone(),
        offset: place.offset + 1,
    };
    commit_for(&log.kafka, &group, &next).await?;
    let more = [("group", group.clone()), ("to", dead_letters.clone())];
    let audit = history::audit(log, &actor, SKIP, &place, more)?;
    sink.produce(vec![audit]).await?;
    let skipped = Skipped {
        stage: stage.to_owned(),
        group,
        dead_letters,
        document_guid: origin.lineage.map(|it| it.document_guid),
        committed: next.offset,
        place,
    };
    print(json, &skipped, || {
        format!(
            "skipped {}: {} goes on at offset {}; its letter is in {}\n",
            skipped.place, skipped.group, skipped.committed, skipped.dead_letters
        )
    });
    Ok(0)
}

/// A position is moved only where nobody could be working on it.
async fn nobody_works(desk: &Desk, group: &str) -> Result<(), Failure> {
    match desk {
        Desk::Ours(..) => Ok(()),
        Desk::Beside(_) => Err(Failure::fatal(format!(
            "skip: another process owns the data folder, and its stages may be at work as {group}: stop it first"
        ))),
        Desk::Cluster(log) => {
            let standing = standing_of(&log.kafka, group).await?;
            if standing.is_empty() {
                return Ok(());
            }
            Err(Failure::fatal(format!(
                "skip: group {group} is {} with {} members: stop {} first, and wait for the session timeout where one was killed",
                standing.state,
                standing.members.len(),
                standing.members.join(", ")
            )))
        }
    }
}

/// The record, where the group stands at it.
async fn record_in_the_way(log: &Log, group: &str, place: &Place) -> Result<Record, Failure> {
    let (topic, partition) = (&place.topic, place.partition);
    let lags = lags(&log.kafka, group, topic).await?;
    let Some(lag) = lags.iter().find(|lag| lag.partition == partition) else {
        return Err(Failure::fatal(format!(
            "skip: {topic} has no partition {partition}, it has {}",
            lags.len()
        )));
    };
    let stands = lag.position();
    let mut reading = Reading::start_at(&log.kafka, topic, partition, stands).await?;
    // What lies between may be compacted away.
    let next = reading.next().await?;
    let at = next.as_ref().map(|record| record.offset);
    let why = match (next, at) {
        (Some(record), Some(at)) if at == place.offset => return Ok(record),
        (_, None) => format!("at the end, {}: nothing is in its way", lag.end),
        (_, Some(at)) if at > place.offset => format!("at offset {at}: it is past that record"),
        (_, Some(at)) => format!("at offset {at}: what lies between is not worked yet"),
    };
    Err(Failure::fatal(format!(
        "skip: {place} is not the record {group} stands at; it stands {why}"
    )))
}

/// Whose record it is, as its stage would report it.
async fn origin_of(
    config: &Config,
    log: &Log,
    record: &Record,
) -> Result<lineage::Origin, Failure> {
    let value = record.value.as_deref().unwrap_or_default();
    let topic: &str = &record.partition.topic;
    if topic == topics::DOCUMENTS.name() {
        let Ok(document) = log.codec.decode::<Document>(value) else {
            return Ok(lineage::Origin::from_headers(&record.headers));
        };
        // settle hears of it under the edition it would have had.
        let craft = load_craft(config).await?;
        return Ok(lineage::Origin {
            lineage: Some(opened_of(&document, &craft.recipe, 0).0),
            ..lineage::Origin::default()
        });
    }
    let told = RecordType::of_topic(topic).and_then(|kind| kind.origin(&log.codec, value));
    Ok(told.unwrap_or_else(|| lineage::Origin::from_headers(&record.headers)))
}

fn letter(stage: &str, dead_letters: &str, record: &Record, cause: &Cause) -> Outgoing {
    let original = Original {
        partition: &record.partition,
        offset: record.offset,
        key: &record.key,
        value: &record.value,
        headers: &record.headers,
    };
    DeadLetters::new(stage, dead_letters).letter(&original, cause, 0, now_ms())
}

fn progress(
    log: &Log,
    stage: &str,
    record: &Record,
    cause: &Cause,
    origin: &lineage::Origin,
) -> Result<Option<Outgoing>, Failure> {
    let Some(progress) = death(cause, stage, origin, now_ms()) else {
        return Ok(None);
    };
    let mut outgoing = topics::PROGRESS
        .encode(&log.codec, &progress)
        .map_err(|error| Failure::fatal(format!("progress cannot be encoded: {error}")))?;
    let Partition { topic, number } = &record.partition;
    let carried = lineage::carried(&record.headers, topic, *number, record.offset);
    outgoing.headers.extend(carried);
    Ok(Some(outgoing))
}
