//! A replay for stores that lost what they had: finished editions are reopened first, or settle would take what is written
//! again for known, and never show it.

use std::collections::HashMap;
use std::time::Duration;

use penstock_adapters::kafka::Tail;
use penstock_runtime::{Failure, Stop, learn};
use penstock_schemas::{Completed, LedgerEntry, Step, topics};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::audit::{Book, Drive, ends};
use crate::pipeline::Parts;
use crate::system::Log;

/// How long nothing may become finished before the wait is given up.
const STALLED: Duration = Duration::from_secs(600);

/// What settle is still to tell of.
pub struct Reopened {
    tail: Tail,
    /// The visible version by document.
    waiting: HashMap<Uuid, Uuid>,
    /// Editions that the replay itself does not reach: a newer version lies behind them, and is not finished.
    beside: Vec<(LedgerEntry, Uuid)>,
}

impl Reopened {
    /// Reopens every edition that has, or is to have, something in the stores. `wanted`: of which documents.
    pub async fn begin(
        parts: &Parts,
        log: &Log,
        wanted: impl Fn(Uuid) -> bool,
    ) -> Result<Self, Failure> {
        let mut reopened = Self {
            tail: Tail::start(&log.kafka, topics::COMPLETED.name()).await?,
            waiting: HashMap::new(),
            beside: Vec::new(),
        };
        let mut newest: HashMap<Uuid, Uuid> = HashMap::new();
        log.fold_documents(|document| {
            let known = newest.entry(document.document_guid).or_default();
            *known = (*known).max(document.version);
        })
        .await?;
        let book = Book::read(log, &parts.config.data).await?;
        let drive = Drive::new(parts)?;
        for number in 0..=u8::MAX {
            for (id, entry) in book.bucket(number)? {
                if wanted(id) {
                    reopened.reopen(&drive, &newest, entry).await?;
                }
            }
        }
        Ok(reopened)
    }

    async fn reopen(
        &mut self,
        drive: &Drive<'_>,
        newest: &HashMap<Uuid, Uuid>,
        entry: LedgerEntry,
    ) -> Result<(), Failure> {
        let id = entry.document_guid;
        let seen = entry.visible.as_ref().map(|it| &it.lineage);
        let edition = seen.map(|it| it.edition);
        let open = entry.open.iter().filter(|it| it.step != Step::Abandoned);
        let beside = open
            .map(|it| &it.lineage)
            .filter(|it| Some(it.edition) != edition);
        let all: Vec<_> = seen.into_iter().chain(beside).cloned().collect();
        for lineage in all {
            drive.reopen(&lineage).await?;
            if newest.get(&id) != Some(&lineage.version) {
                self.beside.push((entry.clone(), lineage.edition));
            }
        }
        if let Some(seen) = entry.visible {
            self.waiting.insert(id, seen.lineage.version);
        }
        Ok(())
    }

    /// Has those done again that the replay did not, and waits until every document is finished. Returns how many are not.
    pub async fn finish(mut self, parts: &Parts, log: &Log, stop: &Stop) -> Result<usize, Failure> {
        let drive = Drive::new(parts)?;
        for (entry, edition) in std::mem::take(&mut self.beside) {
            match drive.again(&entry, edition).await {
                Ok(_) => {}
                Err(Failure::Poison(reason)) => {
                    eprintln!("document {}: {reason}", entry.document_guid);
                    self.waiting.remove(&entry.document_guid);
                }
                Err(failure) => return Err(failure),
            }
        }
        let mut until = Instant::now() + STALLED;
        while !self.waiting.is_empty() {
            let record = tokio::select! {
                () = stop.softly() => break,
                () = sleep_until(until) => break,
                record = self.tail.next() => record?,
            };
            learn(&log.codec, &record).await?;
            let value = record.value.as_deref().unwrap_or_default();
            let Ok(completed) = log.codec.decode::<Completed>(value) else {
                continue;
            };
            let id = completed.lineage.document_guid;
            if self
                .waiting
                .get(&id)
                .is_some_and(|it| ends(&completed, *it))
            {
                self.waiting.remove(&id);
                until = Instant::now() + STALLED;
            }
        }
        Ok(self.waiting.len())
    }
}
