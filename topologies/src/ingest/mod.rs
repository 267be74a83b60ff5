//! `penstock ingest`: send what is new or changed, and wait until every document is accounted for.

mod known;
mod pressure;
mod progress;
mod report;
mod walk;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use penstock_adapters::kafka::Tail;
use penstock_runtime::{Failure, Route, Sink, ThrottlePolicy, learn};
use penstock_schemas::{
    Codec, Completed, Completion, DeadRef, Document, content_hash, document_guid, next_version,
    topics,
};
use penstock_stages::blobs::{self, Blobs, version_prefix};
use uuid::Uuid;

pub use known::{Known, Newest, Verdict, deletion};
pub use pressure::Pressure;
pub use progress::Bars;
pub use report::{DeadLetter, Documents, Report, Unreadable};
pub use walk::{Found, Sidecar, Walked, sidecar_of, walk};

use crate::cli::IngestArgs;
use crate::system::Log;

/// What ingest needs of the system, whether the stages run in this process or beside it.
#[derive(Clone)]
pub struct Intake {
    pub log: Arc<Log>,
    pub sink: Arc<dyn Sink>,
    pub blobs: Arc<dyn Blobs>,
    pub recipe: String,
    /// Largest source, bytes.
    pub max_source: u64,
    /// How far split may lag.
    pub marks: ThrottlePolicy,
}

/// Documents that were sent and are not accounted for, with the path to show.
#[derive(Debug, Default)]
pub struct Pending {
    waiting: HashMap<Uuid, (Uuid, String)>,
}

impl Intake {
    /// Sends what the walk found and the log does not know; counts the rest.
    pub async fn send(
        &self,
        args: &IngestArgs,
        known: &Known,
        report: &mut Report,
        bars: &Bars,
    ) -> Result<Pending, Failure> {
        let paths = args.paths.clone();
        let source = args.source.clone();
        let walked = tokio::task::spawn_blocking(move || walk(&paths, source.as_deref()))
            .await
            .map_err(|error| Failure::fatal(format!("the walk broke off: {error}")))?
            .map_err(Failure::fatal)?;
        for (path, reason) in &walked.unreadable {
            report.unreadable.push(unreadable(path, reason.clone()));
        }
        let mut pressure = Pressure::new(self.log.clone(), self.marks.clone());
        let mut pending = Pending::default();
        let mut seen = HashSet::new();
        for found in &walked.files {
            let id = document_guid(&args.group, &found.source, &found.key);
            seen.insert(id);
            match self.candidate(id, &args.group, found).await {
                Ok(candidate) => {
                    let sent = self.decide(candidate, known, args.retry, &mut pending, report);
                    if let Some((document, bytes)) = sent {
                        let sending = self.hand_over(document, bytes, &mut pending);
                        pressure.send(sending).await?;
                    }
                }
                Err(reason) => report.unreadable.push(unreadable(&found.file, reason)),
            }
            bars.sent(pending.waiting.len());
        }
        if args.prune {
            let gone = known.gone(&walked.sources, &seen);
            self.prune(&gone, &args.group, &mut pressure, &mut pending)
                .await?;
        }
        for (id, version) in known.being_removed() {
            let path = known
                .newest(id)
                .map(|it| it.path.clone())
                .unwrap_or_default();
            pending.waiting.entry(id).or_insert((version, path));
        }
        Ok(pending)
    }

    /// Produces one document record.
    pub async fn produce(&self, document: &Document) -> Result<(), Failure> {
        let record = topics::DOCUMENTS
            .encode(&self.log.codec, document)
            .map_err(|error| Failure::fatal(format!("document cannot be encoded: {error}")))?;
        self.sink.produce(vec![record]).await
    }

    /// The document as the file is now. The error says why the file cannot be read.
    async fn candidate(&self, id: Uuid, group: &str, found: &Found) -> Result<Candidate, String> {
        let file = found.file.clone();
        let limit = self.max_source;
        let reading = tokio::task::spawn_blocking(move || read(&file, limit));
        let (bytes, sidecar) = reading
            .await
            .map_err(|error| format!("reading broke off: {error}"))??;
        let (bytes, too_large) = match bytes {
            Bytes::Read(bytes) => (bytes, None),
            Bytes::TooLarge(size) => (bytes::Bytes::new(), Some(size)),
        };
        let document = Document {
            document_guid: id,
            group: group.to_owned(),
            source: found.source.clone(),
            key: found.key.clone(),
            version: Uuid::nil(),
            deleted: false,
            path: found.path.clone(),
            blob: Some(penstock_schemas::Blob {
                key: String::new(),
                sha256: content_hash(&bytes),
                size: bytes.len() as i64,
            }),
            title: sidecar.title,
            author: sidecar.author,
            language: sidecar.language,
            created_at: sidecar.created_at,
            attributes: sidecar.attributes,
        };
        Ok(Candidate {
            document,
            bytes,
            too_large,
        })
    }

    /// The document with its new version, where it is to be sent.
    fn decide(
        &self,
        candidate: Candidate,
        known: &Known,
        retry: bool,
        pending: &mut Pending,
        report: &mut Report,
    ) -> Option<(Document, bytes::Bytes)> {
        let Candidate {
            mut document,
            bytes,
            too_large,
        } = candidate;
        if let Some(size) = too_large {
            report.documents.dead_lettered += 1;
            report.dead_letters.push(DeadLetter {
                path: document.path,
                stage: "ingest".to_owned(),
                class: "poison".to_owned(),
                reason: format!(
                    "source of {size} bytes is over the limit of {} bytes: raise parse.max_source_mib",
                    self.max_source
                ),
            });
            return None;
        }
        let id = document.document_guid;
        let after = match known.judge(&document, &self.recipe) {
            Verdict::Unchanged => {
                report.documents.unchanged += 1;
                return None;
            }
            Verdict::DeadBefore(dead) if !retry => {
                report.documents.dead_lettered_before += 1;
                report.dead_letters.extend(letters(&document.path, &dead));
                return None;
            }
            Verdict::DeadBefore(_) => known.newest(id).map(|it| it.version),
            Verdict::Await(version) => {
                pending.waiting.insert(id, (version, document.path));
                return None;
            }
            Verdict::Send { after } => after,
        };
        document.version = next_version(after);
        Some((document, bytes))
    }

    /// Stores the bytes, then produces the record that names them, and returns it.
    pub async fn publish(
        &self,
        mut document: Document,
        bytes: bytes::Bytes,
    ) -> Result<Document, Failure> {
        let id = document.document_guid;
        let prefix = version_prefix(&document.group, id, document.version);
        document.blob = Some(blobs::store(self.blobs.as_ref(), &prefix, bytes).await?);
        self.produce(&document).await?;
        Ok(document)
    }

    async fn hand_over(
        &self,
        document: Document,
        bytes: bytes::Bytes,
        pending: &mut Pending,
    ) -> Result<(), Failure> {
        let sent = self.publish(document, bytes).await?;
        pending.wait_for(sent.document_guid, sent.version, sent.path);
        Ok(())
    }

    async fn prune(
        &self,
        gone: &[(Uuid, &Newest)],
        group: &str,
        pressure: &mut Pressure,
        pending: &mut Pending,
    ) -> Result<(), Failure> {
        for (id, newest) in gone {
            let record = deletion(*id, group, newest);
            pressure.send(self.produce(&record)).await?;
            pending.waiting.insert(*id, (record.version, record.path));
        }
        Ok(())
    }
}

struct Candidate {
    document: Document,
    bytes: bytes::Bytes,
    /// Size in bytes of a source over the limit, which is not read.
    too_large: Option<u64>,
}

enum Bytes {
    Read(bytes::Bytes),
    TooLarge(u64),
}

fn read(file: &Path, limit: u64) -> Result<(Bytes, Sidecar), String> {
    let size = std::fs::metadata(file)
        .map_err(|error| error.to_string())?
        .len();
    let sidecar = sidecar_of(file)?;
    if size > limit {
        return Ok((Bytes::TooLarge(size), sidecar));
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    Ok((Bytes::Read(bytes.into()), sidecar))
}

fn unreadable(path: &Path, reason: String) -> Unreadable {
    Unreadable {
        path: path.display().to_string(),
        reason,
    }
}

fn letters(path: &str, dead: &[DeadRef]) -> Vec<DeadLetter> {
    // A book with a broken part has many letters of one reason: say it once.
    let mut reasons: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for it in dead {
        *reasons
            .entry((&it.stage, &it.class, &it.reason))
            .or_default() += 1;
    }
    reasons
        .into_keys()
        .map(|(stage, class, reason)| DeadLetter {
            path: path.to_owned(),
            stage: stage.to_owned(),
            class: class.to_owned(),
            reason: reason.to_owned(),
        })
        .collect()
}

impl Pending {
    pub fn wait_for(&mut self, id: Uuid, version: Uuid, path: String) {
        self.waiting.insert(id, (version, path));
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Counts a completion, where it is of a document that is waited for, in this version or a newer one.
    pub fn hear(&mut self, completed: Completed, report: &mut Report) {
        let id = completed.lineage.document_guid;
        let Some((version, path)) = self.waiting.get(&id).cloned() else {
            return;
        };
        if completed.lineage.version < version {
            return;
        }
        self.waiting.remove(&id);
        match completed.outcome {
            Completion::Visible => report.documents.complete += 1,
            Completion::Removed => report.documents.removed += 1,
            Completion::Failed => {
                report.documents.dead_lettered += 1;
                report.dead_letters.extend(letters(&path, &completed.dead));
            }
        }
    }

    /// Waits until nothing is pending.
    pub async fn settle(
        &mut self,
        tail: &mut Tail,
        codec: &Codec,
        report: &mut Report,
        bars: &Bars,
    ) -> Result<(), Failure> {
        while !self.is_empty() {
            self.hear(next_completed(tail, codec).await?, report);
            bars.left(self.len());
        }
        Ok(())
    }
}

/// The next document that reaches an end.
pub async fn next_completed(tail: &mut Tail, codec: &Codec) -> Result<Completed, Failure> {
    let record = tail.next().await?;
    learn(codec, &record).await?;
    let value = record.value.as_deref().unwrap_or_default();
    codec
        .decode(value)
        .map_err(|error| Failure::fatal(format!("completion cannot be read: {error}")))
}

/// Rounds to milliseconds, for the summary.
pub fn seconds_since(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}
