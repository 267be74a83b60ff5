//! The steps that follow from what is known of a document: the flip, removal, sweeping.

use penstock_runtime::Failure;
use penstock_schemas::{Completed, Completion, Step, Visible, now_ms};
use uuid::Uuid;

use super::super::edition::{Edition, Standing};
use super::super::{Stores, manifest};
use super::{Document, Work, completed_of};
use crate::blobs::{document_prefix, version_of};

impl Document {
    /// Takes the next step. Idempotent: a crash before the entry is written repeats it.
    pub async fn step(&mut self, stores: &Stores) -> Result<Option<Completed>, Failure> {
        match self.work() {
            Work::None => Ok(None),
            Work::Remove => self.remove(stores).await,
            Work::Flip(edition) => self.flip(edition, stores).await,
            Work::Sweep => {
                self.sweep(stores).await?;
                self.swept();
                Ok(None)
            }
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
        let edition = self.open[index].clone();
        let (id, order) = (edition.lineage.edition, edition.order());
        let overtaken = |it: &&Edition| it.order() <= order && it.lineage.edition != id;
        let older = self.open.iter().filter(overtaken);
        let mut gone: Vec<Uuid> = older.map(|it| it.lineage.edition).collect();
        gone.extend(self.given_up());
        gone.extend(self.visible_edition().filter(|seen| *seen != id));
        drop_editions(stores, self.id, &gone).await?;
        // With gaps it stays open beside what is visible: a redrive can still close them.
        let whole = edition.standing() == Standing::Whole;
        self.open[index].step = Step::Failed;
        self.open
            .retain(|it| it.order() > order || it.lineage.edition == id && !whole);
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
        self.swept();
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
        self.forget(stores).await?;
        let at = now_ms();
        self.removed_at = Some(at);
        self.removing = None;
        self.swept();
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

    /// The bytes of what was deleted go at once, and, where nothing of the document is wanted any more, its cached
    /// vectors too. A newer version may be on its way though nobody has heard of it here: its bytes stay.
    async fn forget(&self, stores: &Stores) -> Result<(), Failure> {
        let Some(fence) = self.deleted else {
            return Ok(());
        };
        let prefix = document_prefix(&self.group, self.id);
        for stored in stores.blobs.list(&prefix).await? {
            if version_of(&stored.key).is_none_or(|version| version <= fence) {
                stores.blobs.delete(&stored.key).await?;
            }
        }
        let wanted = self.open.iter().any(|it| !self.is_superseded(&it.lineage));
        if self.visible.is_some() || wanted {
            return Ok(());
        }
        stores.cache.forget(&self.group, self.id).await
    }

    /// Both stores hold nothing but what is kept: there is nothing left to remember of what readers will never see.
    fn swept(&mut self) {
        self.stale = false;
        let superseded = |it: &Edition| self.is_superseded(&it.lineage);
        let gone: Vec<Uuid> = self
            .open
            .iter()
            .filter(|it| it.step == Step::Abandoned && superseded(it))
            .map(|it| it.lineage.edition)
            .collect();
        self.open.retain(|it| !gone.contains(&it.lineage.edition));
    }

    /// Deletes from both stores what was given up, and what the deletion that is carried out is meant for.
    async fn sweep(&self, stores: &Stores) -> Result<(), Failure> {
        let mut gone: Vec<Uuid> = self.given_up().collect();
        let fence = self.removing.as_ref().map(|it| it.version);
        if let Some(visible) = &self.visible
            && Some(visible.lineage.version) <= fence
        {
            gone.push(visible.lineage.edition);
        }
        drop_editions(stores, self.id, &gone).await?;
        if fence.is_none() {
            self.forget(stores).await?;
        }
        Ok(())
    }

    fn given_up(&self) -> impl Iterator<Item = Uuid> {
        let abandoned = |it: &&Edition| it.step == Step::Abandoned;
        let abandoned = self.open.iter().filter(abandoned);
        abandoned.map(|it| it.lineage.edition)
    }
}

/// Both stores let go of these editions by name. A newer one may lie there that nobody has heard of here yet: its progress
/// waits behind what made this one visible.
async fn drop_editions(stores: &Stores, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
    stores.vectors.drop_editions(document, editions).await?;
    stores.graph.drop_editions(document, editions).await
}
