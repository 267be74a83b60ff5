//! Document by document: what the faults of a document's chunks mean, by its entry in the ledger.

use std::collections::{BTreeMap, BTreeSet};

use penstock_schemas::{LedgerEntry, Step};
use uuid::Uuid;

use super::Audit;
use super::rows::{Fault, Kind, Store};

/// A document with something wrong.
pub struct Case {
    pub document: Uuid,
    /// None where the ledger does not know it.
    pub entry: Option<LedgerEntry>,
    pub faults: Vec<Fault>,
}

/// What the ledger says of a bucket of documents: before the stores were read, and after; none where nobody is at work.
pub struct Entries {
    pub before: BTreeMap<Uuid, LedgerEntry>,
    pub after: Option<BTreeMap<Uuid, LedgerEntry>>,
    /// Whatever was in the stores when they were read, the ledger had heard of it `after`.
    pub all_heard: bool,
}

/// Counts the faults of a bucket, and leaves out documents that moved while we looked.
pub fn cases(mut entries: Entries, faults: Vec<Fault>, audit: &mut Audit) -> Vec<Case> {
    let mut by_document: BTreeMap<Uuid, Vec<Fault>> = BTreeMap::new();
    for fault in faults {
        by_document.entry(fault.document).or_default().push(fault);
    }
    let mut cases = Vec::new();
    for (document, faults) in by_document {
        let moved = entries
            .after
            .as_ref()
            .is_some_and(|it| it.get(&document) != entries.before.get(&document));
        let entry = entries.before.remove(&document);
        let is_new = |it: &Fault| {
            let newest = entry.as_ref().and_then(|it| it.newest);
            it.kind == Kind::Unnamed && Some(it.version) > newest
        };
        let on_its_way = !entries.all_heard && faults.iter().any(is_new);
        if moved || on_its_way || entry.as_ref().is_some_and(is_in_motion) {
            audit.moving += 1;
            continue;
        }
        let faults = named(entry.as_ref(), faults);
        if faults.is_empty() {
            continue;
        }
        let case = Case {
            document,
            entry,
            faults,
        };
        case.count(audit);
        cases.push(case);
    }
    cases
}

/// Whether settle has a step to take, which changes what is in the stores.
fn is_in_motion(entry: &LedgerEntry) -> bool {
    let seen = entry.visible.as_ref().map(|it| it.lineage.version);
    let open = entry.open.iter().any(|it| match it.step {
        Step::Gathering | Step::Failed => false,
        Step::Settled | Step::Swept | Step::ShownVectors | Step::ShownGraph => true,
        // Forgotten once it is swept.
        Step::Abandoned => {
            let version = Some(it.lineage.version);
            entry.deleted >= version || seen > version
        }
    });
    open || entry.deleted.is_some() && entry.removed_at.is_none()
}

/// Faults with what the ledger makes of chunks that it does not name.
fn named(entry: Option<&LedgerEntry>, faults: Vec<Fault>) -> Vec<Fault> {
    let seen = entry.and_then(|it| it.visible.as_ref());
    let seen = seen.map(|it| it.lineage.edition);
    let open: BTreeSet<Uuid> = entry
        .into_iter()
        .flat_map(|it| &it.open)
        .filter(|it| it.step != Step::Abandoned)
        .map(|it| it.lineage.edition)
        .collect();
    let no_manifest = faults.iter().any(|it| it.kind == Kind::NoManifest);
    let named = |mut fault: Fault| {
        if fault.kind != Kind::Unnamed {
            return Some(fault);
        }
        if open.contains(&fault.edition) {
            // On its way, or a gap that is being closed. Nobody may see it before.
            fault.kind = Kind::Early;
            return (fault.visible && seen != Some(fault.edition)).then_some(fault);
        }
        if seen == Some(fault.edition) && no_manifest {
            return None;
        }
        fault.kind = match seen.is_some() || !open.is_empty() {
            true => Kind::Stale,
            false => Kind::Orphaned,
        };
        Some(fault)
    };
    faults.into_iter().filter_map(named).collect()
}

impl Case {
    fn count(&self, audit: &mut Audit) {
        let mut lines: BTreeMap<(Store, Kind, Uuid), Vec<Uuid>> = BTreeMap::new();
        for fault in &self.faults {
            let count = match fault.kind {
                Kind::Missing | Kind::Hidden | Kind::NoManifest => &mut audit.missing,
                Kind::Early | Kind::Wrong => &mut audit.wrong,
                Kind::Vector => &mut audit.wrong_dimension,
                Kind::Orphaned => &mut audit.orphaned,
                Kind::Stale | Kind::Unnamed => &mut audit.stale,
            };
            *count += 1;
            let line = (fault.store, fault.kind, fault.edition);
            lines.entry(line).or_default().push(fault.chunk);
        }
        for ((store, kind, edition), chunks) in lines {
            audit.find(self.line(store, kind, edition, &chunks));
        }
        for store in [Store::Vectors, Store::Graph] {
            let shown = self.shown_in(store);
            if shown > 1 {
                audit.mixed += 1;
                audit.find(format!(
                    "{}: {} shows {shown} editions",
                    store.name(),
                    self.name()
                ));
            }
        }
    }

    /// How many editions readers of a store see.
    fn shown_in(&self, store: Store) -> usize {
        let of_store = || self.faults.iter().filter(|it| it.store == store);
        let mut shown: BTreeSet<Uuid> = of_store()
            .filter(|it| it.visible)
            .map(|it| it.edition)
            .collect();
        let seen = self.entry.as_ref().and_then(|it| it.visible.as_ref());
        if let Some(seen) = seen {
            let is_lost = |it: &&Fault| {
                it.edition == seen.lineage.edition
                    && matches!(it.kind, Kind::Missing | Kind::Hidden)
            };
            if of_store().filter(is_lost).count() < seen.chunks as usize {
                shown.insert(seen.lineage.edition);
            }
        }
        shown.len()
    }

    /// The document for a person.
    pub fn name(&self) -> String {
        let seen = self.entry.as_ref().and_then(|it| it.visible.as_ref());
        match seen {
            Some(seen) => format!("{} (document {})", seen.opened.about.path, self.document),
            None => format!("document {}", self.document),
        }
    }

    fn line(&self, store: Store, kind: Kind, edition: Uuid, chunks: &[Uuid]) -> String {
        const MOST: usize = 3;
        let (store, name) = (store.name(), self.name());
        let first = chunks.iter().take(MOST).map(Uuid::to_string);
        let mut which = first.collect::<Vec<_>>().join(", ");
        if chunks.len() > MOST {
            which.push_str(", …");
        }
        let count = chunks.len();
        match kind {
            Kind::Missing => format!("{store}: {name} lacks {count} chunks: {which}"),
            Kind::Hidden => format!("{store}: {name} does not show {count} chunks: {which}"),
            Kind::Early => {
                format!("{store}: {name} shows {count} chunks of edition {edition}: {which}")
            }
            Kind::Wrong => format!(
                "{store}: {count} chunks of {name} have fields that contradict their id or the ledger: {which}"
            ),
            Kind::Vector => format!(
                "{store}: {count} chunks of {name} lack a vector of the model that the others have: {which}"
            ),
            Kind::NoManifest => format!("{name}: the manifest of edition {edition} is gone"),
            Kind::Orphaned => {
                format!("{store}: {count} chunks of {name}, which is gone or unknown: {which}")
            }
            Kind::Stale | Kind::Unnamed => format!(
                "{store}: {count} chunks of {name} that edition {edition} does not name or that are over: {which}"
            ),
        }
    }
}
