//! All that the topics tell, by id: what every stage was given, what it made of it, and what it said of it.

use std::collections::HashMap;

use penstock_adapters::kafka::{KafkaConfig, fold_topic};
use penstock_runtime::lineage::Origin;
use penstock_runtime::{Provenance, Record};
use penstock_schemas::{
    Codec, Completed, Completion, Document, LedgerEntry, Lineage, Outcome, Progress,
    dead_letters_of, topics,
};
use uuid::Uuid;

use crate::Failed;
use crate::post::GARBAGE;
use crate::watch::{Watched, watched};

/// A partition and an offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

/// A record that a stage was given.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// What it is about: a version, a part of an edition, a chunk, or a document. None where nobody can tell.
    pub id: Option<u128>,
    pub version: Uuid,
    pub place: Place,
    pub is_garbage: bool,
}

/// A thing on a topic.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub first: Place,
    pub times: u32,
}

/// What a stage first said of a record: what became of it, and the things it made.
#[derive(Debug, Clone)]
pub struct Told {
    pub first: Place,
    pub outcome: Outcome,
    pub made: Vec<u128>,
    /// What its last run made, and that run.
    pub last: (Uuid, Vec<u128>),
}

/// A record that was given up.
#[derive(Debug, Clone)]
pub struct Dead {
    pub place: Place,
    pub class: String,
    pub reason: String,
}

/// One stage and the topic it reads.
#[derive(Default)]
pub struct Step {
    pub given: Vec<Given>,
    /// By where the original lies.
    pub dead: HashMap<Place, Dead>,
    pub told: HashMap<u128, Told>,
    /// What lies on the topic it writes to.
    pub made: HashMap<u128, Seen>,
}

/// Everything.
#[derive(Default)]
pub struct Heard {
    /// In the order of `watched`.
    pub steps: Vec<Step>,
    /// First entry of each document in the ledger.
    pub entered: HashMap<u128, Place>,
    /// Newest entry of each document.
    pub ledger: HashMap<Uuid, LedgerEntry>,
    /// (document, version) that was told to have failed.
    pub failed: HashMap<(Uuid, Uuid), ()>,
    /// Documents of which an older version was shown after a newer one.
    pub set_back: u64,
    /// Records of progress.
    pub progress: u64,
    shown: HashMap<Uuid, Uuid>,
}

/// Names a part of an edition.
pub fn part_id(edition: Uuid, part: i32) -> u128 {
    edition.as_u128().wrapping_add(part as u128 + 1)
}

/// Reads every topic from its beginning to its end.
pub async fn hear(kafka: &KafkaConfig) -> Result<Heard, Failed> {
    let codec = Codec::default();
    let stages = watched();
    let mut heard = Heard {
        steps: stages.iter().map(|_| Step::default()).collect(),
        ..Heard::default()
    };
    for (number, stage) in stages.iter().enumerate() {
        heard.letters(kafka, number, stage).await?;
        let fold = fold_topic(kafka, stage.from, None, |record| {
            heard.given(number, stage, &codec, &record);
            Ok(())
        });
        fold.await?;
    }
    fold_topic(kafka, topics::LEDGER.name(), None, |record| {
        heard.entry(&codec, &record);
        Ok(())
    })
    .await?;
    fold_topic(kafka, topics::COMPLETED.name(), None, |record| {
        heard.completed(&codec, &record);
        Ok(())
    })
    .await?;
    Ok(heard)
}

/// The newest ledger entry of every document.
pub async fn read_ledger(kafka: &KafkaConfig) -> Result<HashMap<Uuid, LedgerEntry>, Failed> {
    let codec = Codec::default();
    let mut heard = Heard::default();
    fold_topic(kafka, topics::LEDGER.name(), None, |record| {
        heard.entry(&codec, &record);
        Ok(())
    })
    .await?;
    Ok(heard.ledger)
}

fn place_of(record: &Record) -> Place {
    Place {
        partition: record.partition.number,
        offset: record.offset,
    }
}

impl Heard {
    async fn letters(
        &mut self,
        kafka: &KafkaConfig,
        number: usize,
        stage: &Watched,
    ) -> Result<(), Failed> {
        let Some(step) = self.steps.get_mut(number) else {
            return Ok(());
        };
        fold_topic(kafka, &dead_letters_of(stage.from), None, |record| {
            let told = Provenance::of(&record.headers);
            if let (Some(partition), Some(offset)) = (told.partition, told.offset) {
                let dead = Dead {
                    place: place_of(&record),
                    class: told.class.unwrap_or_default(),
                    reason: told.reason.unwrap_or_default(),
                };
                // Given up twice is given up: the first counts.
                step.dead.entry(Place { partition, offset }).or_insert(dead);
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// A record that a stage reads; to the stage before it, what it has made.
    fn given(&mut self, number: usize, stage: &Watched, codec: &Codec, record: &Record) {
        let place = place_of(record);
        let is_garbage = record.headers.iter().any(|(name, _)| name == GARBAGE);
        let (id, version) = match (is_garbage, stage.stage) {
            (true, _) => (None, Uuid::nil()),
            (false, "split") => match decoded::<Document>(codec, record) {
                Some(document) => (Some(document.version.as_u128()), document.version),
                None => (None, Uuid::nil()),
            },
            (false, "settle") => match decoded::<Progress>(codec, record) {
                Some(progress) => {
                    self.hear_progress(&progress, place);
                    let lineage = &progress.lineage;
                    (Some(lineage.document_guid.as_u128()), lineage.version)
                }
                None => (None, Uuid::nil()),
            },
            (false, _) => {
                let origin = Origin::from_headers(&record.headers);
                let version = origin.lineage.as_ref().map(|it| it.version);
                (id_of(&origin), version.unwrap_or_default())
            }
        };
        if let Some(step) = self.steps.get_mut(number) {
            step.given.push(Given {
                id,
                version,
                place,
                is_garbage,
            });
        }
        let before = number.checked_sub(1).filter(|_| stage.stage != "settle");
        if let (Some(id), Some(before)) = (id, before)
            && let Some(step) = self.steps.get_mut(before)
        {
            see(&mut step.made, id, place);
        }
    }

    fn hear_progress(&mut self, progress: &Progress, place: Place) {
        self.progress += 1;
        let stages = watched();
        let number = stages.iter().position(|it| it.stage == progress.stage);
        let Some(step) = number.and_then(|it| self.steps.get_mut(it)) else {
            return;
        };
        let (ids, made) = told_of(progress);
        let run = progress.run.unwrap_or_default();
        for id in ids {
            let told = step.told.entry(id).or_insert_with(|| Told {
                first: place,
                outcome: progress.outcome,
                made: made.clone(),
                last: (run, made.clone()),
            });
            // Done outranks dead, whichever came first.
            if told.outcome == Outcome::Dead && progress.outcome != Outcome::Dead {
                (told.first, told.outcome, told.made) = (place, progress.outcome, made.clone());
            }
            if progress.outcome == Outcome::Outputs && run >= told.last.0 {
                told.last = (run, made.clone());
            }
        }
    }

    fn entry(&mut self, codec: &Codec, record: &Record) {
        let Some(entry) = decoded::<LedgerEntry>(codec, record) else {
            return;
        };
        let id = entry.document_guid;
        let place = place_of(record);
        self.entered.entry(id.as_u128()).or_insert(place);
        self.ledger.insert(id, entry);
    }

    fn completed(&mut self, codec: &Codec, record: &Record) {
        let Some(completed) = decoded::<Completed>(codec, record) else {
            return;
        };
        let Lineage {
            document_guid,
            version,
            ..
        } = completed.lineage;
        match completed.outcome {
            Completion::Failed => {
                self.failed.insert((document_guid, version), ());
            }
            Completion::Visible => {
                let shown = self.shown.entry(document_guid).or_insert(version);
                self.set_back += u64::from(version < *shown);
                *shown = version.max(*shown);
            }
            Completion::Removed => {}
        }
    }
}

/// What progress is about, and what it says was made of it.
fn told_of(progress: &Progress) -> (Vec<u128>, Vec<u128>) {
    let lineage = &progress.lineage;
    let part = progress.part.map(|part| part_id(lineage.edition, part));
    let ids = || progress.ids.iter().map(Uuid::as_u128).collect::<Vec<_>>();
    let dead_chunk = progress.dead.as_ref().and_then(|it| it.chunk);
    match progress.stage.as_str() {
        "split" => {
            let parts = progress.opened.as_ref().map_or(0, |it| it.parts);
            let parts = (0..parts).map(|part| part_id(lineage.edition, part));
            (vec![lineage.version.as_u128()], parts.collect())
        }
        "parse" => (part.into_iter().collect(), part.into_iter().collect()),
        "shard" => (part.into_iter().collect(), ids()),
        _ if progress.outcome == Outcome::Dead => {
            (dead_chunk.iter().map(Uuid::as_u128).collect(), Vec::new())
        }
        _ => (ids(), Vec::new()),
    }
}

fn id_of(origin: &Origin) -> Option<u128> {
    match (origin.chunk, &origin.lineage, origin.part) {
        (Some(chunk), ..) => Some(chunk.as_u128()),
        (None, Some(lineage), Some(part)) => Some(part_id(lineage.edition, part)),
        _ => None,
    }
}

fn see(seen: &mut HashMap<u128, Seen>, id: u128, place: Place) {
    let seen = seen.entry(id).or_insert(Seen {
        first: place,
        times: 0,
    });
    seen.times += 1;
    // Topics are read partition by partition, in any order of partitions; all of an id lie in one.
    if place.partition == seen.first.partition && place.offset < seen.first.offset {
        seen.first = place;
    }
}

fn decoded<T: penstock_schemas::Message>(codec: &Codec, record: &Record) -> Option<T> {
    codec.decode(record.value.as_deref()?).ok()
}
