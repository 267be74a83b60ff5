//! What the log holds of one document.

use std::collections::BTreeMap;

use bytes::Bytes;
use penstock_adapters::kafka::fold_readable;
use penstock_runtime::{Failure, Record};
use penstock_schemas::{Completed, Document, LedgerEntry, Message, Progress, Topic, topics};
use uuid::Uuid;

use crate::dead_letters::{Letter, letters_of};
use crate::system::Log;

/// Records of one document, those that can be read.
#[derive(Debug, Default)]
pub struct Heard {
    /// The newest record of `rag.documents.v1`, with the time it was sent.
    pub sent: Option<(i64, Document)>,
    pub entry: Option<LedgerEntry>,
    /// Oldest first.
    pub progress: Vec<Progress>,
    pub completed: Vec<Completed>,
    pub letters: Vec<Letter>,
}

impl Heard {
    pub async fn read(log: &Log, id: Uuid) -> Result<Self, Failure> {
        let mut heard = Self {
            letters: letters_of(log, id).await?,
            ..Self::default()
        };
        fold(log, topics::DOCUMENTS, id, None, |record, document| {
            let newest = heard.sent.as_ref().map(|(_, it)| it.version);
            if newest <= Some(document.version) {
                heard.sent = Some((record.timestamp, document));
            }
        })
        .await?;
        let mut partition = None;
        fold(log, topics::LEDGER, id, None, |record, entry| {
            partition = Some([record.partition.number]);
            heard.entry = Some(entry);
        })
        .await?;
        // Progress has as many partitions as the ledger, and the same keys.
        let which = partition.as_ref().map(<[i32; 1]>::as_slice);
        fold(log, topics::PROGRESS, id, which, |_, progress| {
            heard.progress.push(progress);
        })
        .await?;
        heard.progress.sort_by_key(|it| it.at);
        fold(log, topics::COMPLETED, id, None, |_, completed| {
            heard.completed.push(completed);
        })
        .await?;
        heard.completed.sort_by_key(|it| it.at);
        Ok(heard)
    }

    /// True where nobody has ever heard of it.
    pub fn is_nothing(&self) -> bool {
        self.sent.is_none()
            && self.entry.is_none()
            && self.progress.is_empty()
            && self.completed.is_empty()
            && self.letters.is_empty()
    }

    /// Progress of one edition by stage.
    pub fn by_stage(&self, edition: Uuid) -> BTreeMap<&str, Vec<&Progress>> {
        let mut stages: BTreeMap<&str, Vec<&Progress>> = BTreeMap::new();
        for it in &self.progress {
            if it.lineage.edition == edition {
                stages.entry(&it.stage).or_default().push(it);
            }
        }
        stages
    }
}

/// Tells every record of a topic that has the document's key. Any program may write; what cannot be read is left out.
async fn fold<T: Message>(
    log: &Log,
    topic: Topic<T>,
    id: Uuid,
    partitions: Option<&[i32]>,
    mut tell: impl FnMut(&Record, T),
) -> Result<(), Failure> {
    let key = Bytes::from(id.to_string());
    let (kafka, codec) = (&log.kafka, &log.codec);
    fold_readable(kafka, codec, topic.name(), partitions, |record| {
        if record.key.as_ref() == Some(&key)
            && let Some(value) = &record.value
            && let Ok(message) = T::decode(codec, value)
        {
            tell(&record, message);
        }
        Ok(())
    })
    .await
    .map(|_| ())
}
