//! What a replay does again: fixed when it begins, and kept on the audit topic, so that it can be gone on with.

use std::collections::{BTreeMap, HashMap, HashSet};

use penstock_adapters::kafka::{Reading, commit_for, lags, offsets_at, read_topic};
use penstock_runtime::{Failure, Partition, Position, Record, Sink, Wanted};
use penstock_schemas::{Audit, Codec, Document, topics};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dead_letters::{actor, audited};
use crate::pipeline::{StageSpec, group_of};
use crate::system::Log;

/// What the audit topic calls it.
const BEGUN: &str = "replay begun";
const DONE: &str = "replay done";
const ID: &str = "replay";
const PLAN: &str = "plan";

/// Which records are done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    Beginning,
    /// Milliseconds since the epoch.
    Since(i64),
    Document(Uuid),
}

/// All that is needed to go on with a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: String,
    pub stage: String,
    pub topic: String,
    pub span: Span,
    /// By partition: the first offset, and one past the last record there was when the replay began.
    pub ranges: BTreeMap<i32, (i64, i64)>,
    /// Records of `rag.documents.v1` behind which there is a newer version: compaction may take them any time, and nobody
    /// keeps the bytes they name. Found anew whenever the records are counted.
    #[serde(skip)]
    pub superseded: HashSet<(i32, i64)>,
}

impl Plan {
    /// Looks up where the topic begins and ends now.
    pub async fn new(log: &Log, stage: &StageSpec, span: Span) -> Result<Self, Failure> {
        let mut ranges = BTreeMap::new();
        for it in lags(&log.kafka, &group_of(stage.name), stage.from).await? {
            ranges.insert(it.partition, (it.first, it.end));
        }
        if let Span::Since(time) = span {
            for (partition, first) in offsets_at(&log.kafka, stage.from, time).await? {
                if let Some((begin, end)) = ranges.get_mut(&partition) {
                    *begin = first.unwrap_or(*end).clamp(*begin, *end);
                }
            }
        }
        Ok(Self {
            id: Uuid::now_v7().simple().to_string(),
            stage: stage.name.to_owned(),
            topic: stage.from.to_owned(),
            span,
            ranges,
            superseded: HashSet::new(),
        })
    }

    /// The plan of a replay that was begun before.
    pub async fn of_id(log: &Log, stage: &str, id: &str) -> Result<Self, Failure> {
        let audits = read_topic(&log.kafka, &log.codec, topics::AUDIT).await?;
        let of_it: Vec<Audit> = audits
            .into_iter()
            .filter_map(|entry| entry.value)
            .filter(|audit| audit.detail.get(ID).is_some_and(|it| it == id))
            .collect();
        if of_it.iter().any(|audit| audit.action == DONE) {
            return Err(Failure::fatal(format!(
                "replay {id} is done: nothing of it is left"
            )));
        }
        let begun = of_it.iter().find(|audit| audit.action == BEGUN);
        let text = begun.and_then(|audit| audit.detail.get(PLAN));
        let Some(text) = text else {
            return Err(Failure::fatal(format!(
                "no replay {id} was begun: the one that was interrupted has printed its id"
            )));
        };
        let plan: Self = serde_json::from_str(text).map_err(|error| {
            Failure::fatal(format!(
                "the plan of replay {id} cannot be read ({error}); begin a new one"
            ))
        })?;
        if plan.stage != stage {
            return Err(Failure::fatal(format!(
                "replay {id} is one of {}: say replay {} --resume {id}",
                plan.stage, plan.stage
            )));
        }
        Ok(plan)
    }

    pub fn group(&self) -> String {
        group_for(&self.stage, &self.id)
    }

    /// One past the last record to do again, by partition.
    pub fn ends(&self) -> HashMap<Partition, i64> {
        let ranges = self.ranges.iter();
        ranges
            .map(|(number, (_, end))| (self.partition(*number), *end))
            .collect()
    }

    pub fn wanted(&self) -> Wanted {
        let plan = self.clone();
        Box::new(move |record| plan.wants(record))
    }

    /// Whether records of this document may be among those that are done again.
    pub fn is_of(&self, document: Uuid) -> bool {
        match self.span {
            Span::Beginning | Span::Since(_) => true,
            Span::Document(id) => id == document,
        }
    }

    fn wants(&self, record: &Record) -> bool {
        let place = (record.partition.number, record.offset);
        if self.superseded.contains(&place) {
            return false;
        }
        match self.span {
            Span::Beginning | Span::Since(_) => true,
            // A key is the document's id, alone or with a part behind it.
            Span::Document(id) => record.key.as_ref().is_some_and(|key| {
                let key = std::str::from_utf8(key).unwrap_or_default();
                key.split('/').next() == Some(id.to_string().as_str())
            }),
        }
    }

    fn partition(&self, number: i32) -> Partition {
        Partition {
            topic: self.topic.as_str().into(),
            number,
        }
    }

    /// Leaves out what an interrupted run has done already.
    pub async fn skip_done(&mut self, log: &Log) -> Result<(), Failure> {
        for it in lags(&log.kafka, &self.group(), &self.topic).await? {
            if let (Some((first, end)), Some(committed)) =
                (self.ranges.get_mut(&it.partition), it.committed)
            {
                *first = committed.clamp(*first, *end);
            }
        }
        Ok(())
    }

    /// Counts the records to do by reading them: offsets say too much of a compacted topic. What compaction or retention
    /// took from the end is left out of the plan: a reader would wait for it for ever.
    pub async fn count(&mut self, log: &Log) -> Result<u64, Failure> {
        let mut count = 0;
        let mut versions = Versions::default();
        self.superseded.clear();
        for (number, (first, end)) in self.ranges.clone() {
            let mut next = first;
            if first < end {
                let mut reading = Reading::start_at(&log.kafka, &self.topic, number, first).await?;
                while let Some(record) = reading.next().await? {
                    if record.offset >= end {
                        break;
                    }
                    next = record.offset + 1;
                    if self.wants(&record) {
                        count += 1;
                        self.superseded.extend(versions.hear(&log.codec, &record));
                    }
                }
            }
            self.ranges.insert(number, (first, next));
        }
        Ok(count - self.superseded.len() as u64)
    }

    /// Remembers the plan, and gives its group its positions before anybody joins it.
    pub async fn begin(&self, log: &Log, sink: &dyn Sink) -> Result<(), Failure> {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::fatal(format!("a replay's plan cannot be kept: {error}")))?;
        self.say(log, sink, BEGUN, [(PLAN, text)]).await?;
        for (number, (first, _)) in &self.ranges {
            let position = Position {
                partition: self.partition(*number),
                offset: *first,
            };
            commit_for(&log.kafka, &self.group(), &position).await?;
        }
        Ok(())
    }

    pub async fn done(&self, log: &Log, sink: &dyn Sink, replayed: u64) -> Result<(), Failure> {
        let replayed = replayed.to_string();
        self.say(log, sink, DONE, [("records", replayed)]).await
    }

    async fn say<const N: usize>(
        &self,
        log: &Log,
        sink: &dyn Sink,
        action: &str,
        more: [(&'static str, String); N],
    ) -> Result<(), Failure> {
        let own = [(ID, self.id.clone()), ("stage", self.stage.clone())];
        let detail = own.into_iter().chain(more);
        let record = audited(&log.codec, &actor(), action, detail)?;
        sink.produce(vec![record]).await
    }
}

/// The groups of replays that are done. Nobody will go on with them.
pub async fn groups_done(log: &Log) -> Result<HashSet<String>, Failure> {
    let audits = read_topic(&log.kafka, &log.codec, topics::AUDIT).await?;
    let done = audits.into_iter().filter_map(|entry| entry.value);
    let group = |audit: Audit| {
        let (id, stage) = (audit.detail.get(ID)?, audit.detail.get("stage")?);
        (audit.action == DONE).then(|| group_for(stage, id))
    };
    Ok(done.filter_map(group).collect())
}

fn group_for(stage: &str, id: &str) -> String {
    format!("{}.replay.{id}", group_of(stage))
}

/// The newest version of each document so far, and where it lies.
#[derive(Debug, Default)]
pub struct Versions(HashMap<Uuid, (Uuid, (i32, i64))>);

impl Versions {
    /// The place of the record that counts no more now that this one is known: it, or one before it.
    pub fn hear(&mut self, codec: &Codec, record: &Record) -> Option<(i32, i64)> {
        if record.partition.topic.as_ref() != topics::DOCUMENTS.name() {
            return None;
        }
        let document: Document = codec.decode(record.value.as_deref()?).ok()?;
        let heard = (document.version, (record.partition.number, record.offset));
        match self.0.get_mut(&document.document_guid) {
            None => {
                self.0.insert(document.document_guid, heard);
                None
            }
            Some(newest) if newest.0 <= heard.0 => Some(std::mem::replace(newest, heard).1),
            Some(_) => Some(heard.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(span: Span) -> Plan {
        Plan {
            id: "7".to_owned(),
            stage: "parse".to_owned(),
            topic: "rag.parts.v1".to_owned(),
            span,
            ranges: BTreeMap::from([(0, (1, 5)), (1, (0, 0))]),
            superseded: HashSet::new(),
        }
    }

    #[test]
    fn a_document_is_told_by_its_key() {
        let id = Uuid::from_u128(7);
        let check = |span: Span, key: Option<String>, expect: bool| {
            let record = Record {
                partition: plan(span).partition(0),
                offset: 1,
                timestamp: 0,
                key: key.map(Into::into),
                value: None,
                headers: Vec::new(),
            };
            assert_eq!(plan(span).wanted()(&record), expect, "{span:?} {record:?}");
        };
        let document = Span::Document(id);
        check(Span::Beginning, None, true);
        check(Span::Since(3), None, true);
        check(document, None, false);
        check(document, Some(id.to_string()), true);
        check(document, Some(format!("{id}/3")), true);
        check(document, Some(format!("{id}3")), false);
        check(document, Some(Uuid::from_u128(8).to_string()), false);
        let mut plan = plan(Span::Beginning);
        plan.superseded.insert((0, 1));
        let record = |offset| Record {
            partition: plan.partition(0),
            offset,
            timestamp: 0,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        assert_eq!([1, 2].map(|it| plan.wants(&record(it))), [false, true]);
    }

    #[test]
    fn a_plan_survives_its_text() {
        for span in [
            Span::Beginning,
            Span::Since(-3),
            Span::Document(Uuid::from_u128(9)),
        ] {
            let plan = plan(span);
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        }
        assert_eq!(plan(Span::Beginning).group(), "penstock.parse.replay.7");
    }
}
