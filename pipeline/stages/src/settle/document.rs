//! One document: what readers see, what is on its way, and what is to be done next.

mod steps;

use penstock_schemas::{
    Completed, Completion, DeadRef, LedgerEntry, Lineage, Outcome, Progress, Step, Visible, now_ms,
};
use uuid::Uuid;

use super::Partial;
use super::edition::{Edition, Standing, order_of};

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

/// On its way into readers' sight.
const FLIPS: [Step; 4] = [
    Step::Settled,
    Step::Swept,
    Step::ShownVectors,
    Step::ShownGraph,
];

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
            self.fold_late(progress);
            return;
        }
        if self.visible_edition() == Some(lineage.edition) && !self.is_open(lineage.edition) {
            if progress.outcome == Outcome::Reopened {
                self.reopen_visible(progress);
            }
            // Anything else is a replay of a finished edition: its writes were no-ops.
            return;
        }
        let is_seen = self.visible_edition() == Some(lineage.edition);
        let edition = self.open_mut(lineage, progress.at);
        if edition.step == Step::Abandoned {
            edition.step = Step::Gathering;
        }
        if progress.outcome == Outcome::Reopened {
            edition.reopen();
            return;
        }
        // While gathering nobody asks, and counting takes its time.
        let before = (edition.step != Step::Gathering).then(|| edition.finished_chunks().len());
        edition.fold(progress);
        let grew = before.is_some_and(|before| edition.finished_chunks().len() > before);
        if FLIPS.contains(&edition.step) {
            if grew {
                // A gap was closed after the steps that should have shown it too.
                edition.step = Step::Settled;
            }
            return;
        }
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
                let shows = partial == Partial::Show && !edition.finished_chunks().is_empty();
                if shows && (grew || !was_failed) {
                    edition.step = Step::Settled;
                } else if !was_failed || progress.outcome == Outcome::Dead && !is_seen {
                    self.failed = Some(lineage.edition);
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
        let seen = self.visible_edition();
        let edition = self.open.iter_mut().find(|it| {
            matches!(it.step, Step::Gathering | Step::Failed)
                && it.last_progress_at < limit
                && seen != Some(it.lineage.edition)
        })?;
        edition.abandon();
        self.stale = true;
        Some(completed_of(edition, Completion::Failed, None))
    }

    pub fn work(&self) -> Work {
        if self.removing.is_some() {
            return Work::Remove;
        }
        // The newest: an older one must not be shown while a newer one is half-way, and goes with its flip.
        let flips = self.open.iter().filter(|it| FLIPS.contains(&it.step));
        if let Some(edition) = flips.max_by_key(|it| it.order()) {
            return Work::Flip(edition.lineage.edition);
        }
        if self.stale { Work::Sweep } else { Work::None }
    }

    /// True where nothing is going on that time alone could change.
    pub fn is_at_rest(&self) -> bool {
        let seen = self.visible_edition();
        let waits_for_nothing =
            |it: &Edition| it.step == Step::Abandoned || seen == Some(it.lineage.edition);
        self.work() == Work::None && self.open.iter().all(waits_for_nothing)
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

    /// Something was written for an edition that readers will never see. Kept in the ledger as given up, so that a crash
    /// does not forget to sweep it.
    fn fold_late(&mut self, progress: &Progress) {
        let writes: &[&str] = match self.deleted >= Some(progress.lineage.version) {
            // Its bytes and vectors are to go too.
            true => &["parse", "embed", "index", "link"],
            false => &["index", "link"],
        };
        let stage = progress.stage.as_str();
        let wrote = match progress.outcome {
            Outcome::Outputs => writes.contains(&stage),
            // A batch that was given up may have been written all the same.
            Outcome::Dead => ["index", "link"].contains(&stage),
            Outcome::Filtered | Outcome::Deleted | Outcome::Reopened => false,
        };
        if !wrote {
            return;
        }
        self.stale = true;
        if !self.is_open(progress.lineage.edition) {
            let mut edition = Edition::new(progress.lineage.clone(), progress.at);
            edition.abandon();
            self.open.push(edition);
        }
    }

    fn fold_deletion(&mut self, lineage: &Lineage) {
        let known = self.deleted >= Some(lineage.version);
        if known && (self.removing.is_some() || self.removed_at.is_some()) {
            return;
        }
        self.deleted = self.deleted.max(Some(lineage.version));
        // What was written of them is swept by name, so they are remembered until then.
        let meant = |it: &&mut Edition| it.lineage.version <= lineage.version;
        self.open
            .iter_mut()
            .filter(meant)
            .for_each(Edition::abandon);
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
        // Whether what was given up has been swept is not in the ledger. Sweeping again does no harm.
        let stale = entry.open.iter().any(|it| it.step == Step::Abandoned);
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
            stale,
            failed: None,
        }
    }
}
