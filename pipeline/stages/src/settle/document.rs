//! One document: what readers see, what is on its way, and the steps that follow from it.

use penstock_runtime::Failure;
use penstock_schemas::{
    Completed, Completion, DeadRef, LedgerEntry, Lineage, Outcome, Progress, Step, Visible, now_ms,
};
use uuid::Uuid;

use super::edition::{Edition, Standing, order_of};
use super::{Partial, Stores, manifest};

#[derive(Debug, Clone)]
pub(super) struct Document {
    id: Uuid,
    group: String,
    visible: Option<Visible>,
    open: Vec<Edition>,
    /// Nothing of this version or an older one comes back.
    deleted: Option<Uuid>,
    removed_at: Option<i64>,
    newest: Option<Uuid>,
    /// The lineage of the deletion, while it is being carried out.
    removing: Option<Lineage>,
    /// Writes arrived for an edition that readers will never see: sweep again.
    stale: bool,
    /// An edition that has just failed, to be told of once.
    failed: Option<Uuid>,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    None,
    Remove,
    Flip(Uuid),
    Sweep,
}

impl Document {
    pub fn new(id: Uuid, group: &str) -> Self {
        Self {
            id,
            group: group.to_owned(),
            visible: None,
            open: Vec::new(),
            deleted: None,
            removed_at: None,
            newest: None,
            removing: None,
            stale: false,
            failed: None,
        }
    }

    /// Folds one piece of progress in. Hearing it twice changes nothing.
    pub fn fold(&mut self, progress: &Progress, partial: Partial) {
        let lineage = &progress.lineage;
        self.newest = self.newest.max(Some(lineage.version));
        if progress.outcome == Outcome::Deleted {
            self.fold_deletion(lineage);
            return;
        }
        if self.is_superseded(lineage) {
            let wrote = matches!(progress.stage.as_str(), "index" | "link");
            self.stale |= wrote && progress.outcome == Outcome::Outputs;
            return;
        }
        if self.visible_edition() == Some(lineage.edition) && !self.is_open(lineage.edition) {
            if progress.outcome == Outcome::Reopened {
                self.reopen_visible(progress);
            }
            // Anything else is a replay of a finished edition: its writes were no-ops.
            return;
        }
        let edition = self.open_mut(lineage, progress.at);
        if edition.step == Step::Abandoned {
            edition.step = Step::Gathering;
        }
        if progress.outcome == Outcome::Reopened {
            edition.reopen();
            return;
        }
        edition.fold(progress);
        if matches!(edition.step, Step::Gathering | Step::Failed) {
            let was_failed = edition.step == Step::Failed;
            match edition.standing() {
                Standing::Waiting => edition.step = Step::Gathering,
                Standing::Whole => {
                    edition.forgive();
                    edition.step = Step::Settled;
                }
                Standing::Failed => {
                    edition.forgive();
                    edition.step = Step::Failed;
                    if partial == Partial::Show && !edition.finished_chunks().is_empty() {
                        edition.step = Step::Settled;
                    } else if !was_failed || progress.outcome == Outcome::Dead {
                        self.failed = Some(lineage.edition);
                    }
                }
            }
        }
    }

    /// The completion of an edition that has just failed.
    pub fn take_failure(&mut self) -> Option<Completed> {
        let id = self.failed.take()?;
        let edition = self.open.iter().find(|it| it.lineage.edition == id)?;
        Some(completed_of(edition, Completion::Failed, None))
    }

    /// Gives up editions that are not done and had no progress since `limit` (milliseconds since the epoch).
    pub fn abandon_older_than(&mut self, limit: i64) -> Option<Completed> {
        let edition = self.open.iter_mut().find(|it| {
            matches!(it.step, Step::Gathering | Step::Failed) && it.last_progress_at < limit
        })?;
        edition.abandon();
        self.stale = true;
        Some(completed_of(edition, Completion::Failed, None))
    }

    pub fn work(&self) -> Work {
        if self.removing.is_some() {
            return Work::Remove;
        }
        let flips = [
            Step::Settled,
            Step::Swept,
            Step::ShownVectors,
            Step::ShownGraph,
        ];
        if let Some(edition) = self.open.iter().find(|it| flips.contains(&it.step)) {
            return Work::Flip(edition.lineage.edition);
        }
        if self.stale { Work::Sweep } else { Work::None }
    }

    /// True where nothing is going on that time alone could change.
    pub fn is_at_rest(&self) -> bool {
        self.work() == Work::None
            && self
                .open
                .iter()
                .all(|edition| edition.step == Step::Abandoned)
    }

    /// Takes the next step. Idempotent: a crash before the entry is written repeats it.
    pub async fn step(&mut self, stores: &Stores) -> Result<Option<Completed>, Failure> {
        match self.work() {
            Work::None => Ok(None),
            Work::Remove => self.remove(stores).await,
            Work::Flip(edition) => self.flip(edition, stores).await,
            Work::Sweep => {
                self.sweep(stores).await?;
                self.stale = false;
                Ok(None)
            }
        }
    }

    pub fn entry(&self) -> LedgerEntry {
        LedgerEntry {
            document_guid: self.id,
            group: self.group.clone(),
            visible: self.visible.clone(),
            open: self.open.iter().map(Into::into).collect(),
            deleted: self.deleted,
            removed_at: self.removed_at,
            newest: self.newest,
            fields_version: 1,
        }
    }

    async fn flip(&mut self, id: Uuid, stores: &Stores) -> Result<Option<Completed>, Failure> {
        let Some(index) = self.open.iter().position(|it| it.lineage.edition == id) else {
            return Ok(None);
        };
        let edition = &self.open[index];
        let chunks = edition.finished_chunks();
        match edition.step {
            Step::Settled => {
                let vectors = stores.vectors.retain_chunks(self.id, id, &chunks);
                let graph = stores.graph.retain_chunks(self.id, id, &chunks);
                vectors.await?;
                graph.await?;
                self.open[index].step = Step::Swept;
            }
            Step::Swept => {
                stores.vectors.show(self.id, id).await?;
                self.open[index].step = Step::ShownVectors;
            }
            Step::ShownVectors => {
                manifest::write(edition, stores.blobs.as_ref()).await?;
                stores.graph.show(self.id, id, &chunks).await?;
                self.open[index].step = Step::ShownGraph;
            }
            _ => return self.finish_flip(index, &chunks, stores).await.map(Some),
        }
        Ok(None)
    }

    async fn finish_flip(
        &mut self,
        index: usize,
        chunks: &[Uuid],
        stores: &Stores,
    ) -> Result<Completed, Failure> {
        let order = self.open[index].order();
        let edition = self.open[index].clone();
        self.open.retain(|it| it.order() > order);
        let mut kept = self.kept_editions();
        kept.push(edition.lineage.edition);
        if let Err(failure) = retain(stores, self.id, &kept).await {
            // Put it back: the step is taken again.
            self.open.insert(0, edition);
            return Err(failure);
        }
        let manifest = manifest::manifest_key(&edition.lineage);
        let completed = completed_of(&edition, Completion::Visible, Some(manifest.clone()));
        if let Some(opened) = edition.opened {
            self.visible = Some(Visible {
                lineage: edition.lineage,
                opened,
                chunks: chunks.len() as i32,
                manifest: Some(manifest),
                at: completed.at,
            });
        }
        self.stale = false;
        Ok(completed)
    }

    async fn remove(&mut self, stores: &Stores) -> Result<Option<Completed>, Failure> {
        let Some(lineage) = self.removing.clone() else {
            return Ok(None);
        };
        self.sweep(stores).await?;
        let path = self.visible.as_ref().map(|it| it.opened.about.path.clone());
        if self.visible_version() <= Some(lineage.version) {
            self.visible = None;
        }
        if self.visible.is_none() && self.open.is_empty() {
            // Nothing of the document is wanted any more: its bytes and its cached vectors go too.
            let prefix = format!("{}/{}/", self.group, self.id);
            for (key, _) in stores.blobs.list(&prefix).await? {
                stores.blobs.delete(&key).await?;
            }
            stores.cache.forget(&self.group, self.id).await?;
        }
        let at = now_ms();
        self.removed_at = Some(at);
        self.removing = None;
        self.stale = false;
        Ok(Some(Completed {
            lineage,
            outcome: Completion::Removed,
            path: path.unwrap_or_default(),
            parts: 0,
            chunks: 0,
            dead: Vec::new(),
            manifest: None,
            at,
        }))
    }

    /// Deletes everything in both stores that is neither visible nor on its way.
    async fn sweep(&self, stores: &Stores) -> Result<(), Failure> {
        let mut kept = self.kept_editions();
        let fence = self.removing.as_ref().map(|it| it.version);
        if let Some(visible) = &self.visible
            && fence.is_none_or(|fence| visible.lineage.version > fence)
        {
            kept.push(visible.lineage.edition);
        }
        retain(stores, self.id, &kept).await
    }

    fn kept_editions(&self) -> Vec<Uuid> {
        self.open
            .iter()
            .filter(|it| it.step != Step::Abandoned)
            .map(|it| it.lineage.edition)
            .collect()
    }

    fn fold_deletion(&mut self, lineage: &Lineage) {
        let known = self.deleted >= Some(lineage.version);
        if known && (self.removing.is_some() || self.removed_at.is_some()) {
            return;
        }
        self.deleted = self.deleted.max(Some(lineage.version));
        self.open.retain(|it| it.lineage.version > lineage.version);
        self.removed_at = None;
        self.removing = Some(lineage.clone());
    }

    fn reopen_visible(&mut self, progress: &Progress) {
        let Some(visible) = &self.visible else {
            return;
        };
        let mut edition = Edition::new(visible.lineage.clone(), progress.at);
        edition.opened = Some(visible.opened.clone());
        self.open.push(edition);
    }

    fn is_superseded(&self, lineage: &Lineage) -> bool {
        let newer_visible = self.visible.as_ref().is_some_and(|it| {
            it.lineage.edition != lineage.edition && order_of(&it.lineage) > order_of(lineage)
        });
        newer_visible || self.deleted >= Some(lineage.version)
    }

    fn is_open(&self, edition: Uuid) -> bool {
        self.open.iter().any(|it| it.lineage.edition == edition)
    }

    fn visible_edition(&self) -> Option<Uuid> {
        self.visible.as_ref().map(|it| it.lineage.edition)
    }

    fn visible_version(&self) -> Option<Uuid> {
        self.visible.as_ref().map(|it| it.lineage.version)
    }

    fn open_mut(&mut self, lineage: &Lineage, at: i64) -> &mut Edition {
        let found = self
            .open
            .iter()
            .position(|it| it.lineage.edition == lineage.edition);
        let index = found.unwrap_or_else(|| {
            self.open.push(Edition::new(lineage.clone(), at));
            self.open.len() - 1
        });
        &mut self.open[index]
    }
}

/// Both stores keep only these editions of the document.
async fn retain(stores: &Stores, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
    stores.vectors.retain_editions(document, editions).await?;
    stores.graph.retain_editions(document, editions).await
}

fn completed_of(edition: &Edition, outcome: Completion, manifest: Option<String>) -> Completed {
    let opened = edition.opened.as_ref();
    let mut dead: Vec<DeadRef> = edition.dead().to_vec();
    dead.sort_by(|a, b| (a.part, a.chunk, &a.stage).cmp(&(b.part, b.chunk, &b.stage)));
    Completed {
        lineage: edition.lineage.clone(),
        outcome,
        path: opened.map(|it| it.about.path.clone()).unwrap_or_default(),
        parts: opened.map_or(0, |it| it.parts),
        chunks: edition.finished_chunks().len() as i32,
        dead,
        manifest,
        at: now_ms(),
    }
}

impl From<LedgerEntry> for Document {
    fn from(entry: LedgerEntry) -> Self {
        // A deletion whose end is not in the ledger is carried out again.
        let removing = match (entry.deleted, entry.removed_at) {
            (Some(version), None) => Some(Lineage {
                group: entry.group.clone(),
                document_guid: entry.document_guid,
                version,
                edition: Uuid::nil(),
                stamped: 0,
            }),
            _ => None,
        };
        Self {
            id: entry.document_guid,
            group: entry.group,
            visible: entry.visible,
            open: entry.open.into_iter().map(Into::into).collect(),
            deleted: entry.deleted,
            removed_at: entry.removed_at,
            newest: entry.newest,
            removing,
            stale: false,
            failed: None,
        }
    }
}
