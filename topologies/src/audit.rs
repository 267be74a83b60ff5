//! The ledger held against both stores.

use std::collections::{BTreeMap, HashMap, HashSet};

use penstock_runtime::Failure;
use penstock_schemas::{LedgerEntry, Step};
use penstock_stages::settle::{Manifest, Stores, manifest_key};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was found. All of the last five are zero in a sound system. Scripts rely on these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Visible documents.
    pub documents: u64,
    /// Chunks they consist of, by their manifests.
    pub chunks: u64,
    pub points: u64,
    pub nodes: u64,
    pub edges: u64,
    /// Chunks of visible editions that a store lacks or does not show.
    pub missing: u64,
    /// Points and chunk nodes of documents the ledger does not know or that were deleted.
    pub orphaned: u64,
    /// Points and chunk nodes of editions that are neither visible nor on their way, or that the edition does not name.
    pub stale: u64,
    /// Documents of which a store shows more than one edition.
    pub mixed: u64,
    /// Edges without an end, entities nobody mentions, and documents or sections without a chunk.
    pub dangling: u64,
    /// What was wrong first, for a person: at most 20 lines.
    pub findings: Vec<String>,
}

impl Audit {
    pub fn is_sound(&self) -> bool {
        self.missing + self.orphaned + self.stale + self.mixed + self.dangling == 0
    }

    fn find(&mut self, text: String) {
        const MOST: usize = 20;
        if self.findings.len() < MOST {
            self.findings.push(text);
        }
    }
}

/// A chunk in a store.
struct Held {
    chunk: Uuid,
    document: Uuid,
    edition: Uuid,
    visible: bool,
}

/// What the ledger says of a document.
#[derive(Default)]
struct Expected {
    visible: Option<(Uuid, HashSet<Uuid>)>,
    open: HashSet<Uuid>,
}

/// Reads both stores in full.
pub async fn audit(ledger: &[LedgerEntry], stores: &Stores) -> Result<Audit, Failure> {
    let mut audit = Audit::default();
    let expected = expected_of(ledger, stores, &mut audit).await?;

    let mut points = Vec::new();
    let mut after = None;
    loop {
        let page = stores.vectors.scroll(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_guid);
        points.extend(page.into_iter().map(|it| Held {
            chunk: it.chunk_guid,
            document: it.document_guid,
            edition: it.edition,
            visible: it.visible,
        }));
    }
    compare("vector store", &points, &expected, &mut audit);
    audit.points = points.len() as u64;
    drop(points);

    let mut nodes = Vec::new();
    let mut after = None;
    loop {
        let page = stores.graph.scroll(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_guid);
        nodes.extend(page.into_iter().map(|it| Held {
            chunk: it.chunk_guid,
            document: it.document_guid,
            edition: it.edition,
            visible: it.visible,
        }));
    }
    compare("graph", &nodes, &expected, &mut audit);

    let counts = stores.graph.counts().await?;
    audit.nodes = counts.nodes;
    audit.edges = counts.edges;
    audit.dangling = counts.dangling;
    if counts.dangling > 0 {
        audit.find(format!(
            "graph: {} dangling nodes or edges",
            counts.dangling
        ));
    }
    Ok(audit)
}

const PAGE: usize = 1000;

async fn expected_of(
    ledger: &[LedgerEntry],
    stores: &Stores,
    audit: &mut Audit,
) -> Result<BTreeMap<Uuid, Expected>, Failure> {
    let mut all = BTreeMap::new();
    for entry in ledger {
        let mut expected = Expected::default();
        for open in &entry.open {
            if open.step != Step::Abandoned {
                expected.open.insert(open.lineage.edition);
            }
        }
        if let Some(visible) = &entry.visible {
            audit.documents += 1;
            let chunks = match read_manifest(stores, &manifest_key(&visible.lineage)).await? {
                Some(manifest) => manifest
                    .parts
                    .into_iter()
                    .flat_map(|it| it.chunks)
                    .collect(),
                None => {
                    audit.missing += 1;
                    audit.find(format!(
                        "{}: its manifest is gone",
                        visible.opened.about.path
                    ));
                    HashSet::new()
                }
            };
            audit.chunks += visible.chunks as u64;
            expected.visible = Some((visible.lineage.edition, chunks));
        }
        all.insert(entry.document_guid, expected);
    }
    Ok(all)
}

async fn read_manifest(stores: &Stores, key: &str) -> Result<Option<Manifest>, Failure> {
    let Some(bytes) = stores.blobs.read(key).await? else {
        return Ok(None);
    };
    Ok(serde_json::from_slice(&bytes).ok())
}

fn compare(store: &str, held: &[Held], expected: &BTreeMap<Uuid, Expected>, audit: &mut Audit) {
    let mut shown: HashMap<Uuid, HashSet<Uuid>> = HashMap::new();
    let mut found: HashSet<Uuid> = HashSet::new();
    for it in held {
        if it.visible {
            shown.entry(it.document).or_default().insert(it.edition);
        }
        let Some(document) = expected.get(&it.document) else {
            audit.orphaned += 1;
            audit.find(format!(
                "{store}: chunk {} belongs to no known document",
                it.chunk
            ));
            continue;
        };
        match &document.visible {
            Some((edition, chunks)) if *edition == it.edition => {
                if !chunks.contains(&it.chunk) {
                    if document.open.contains(&it.edition) {
                        // A gap that is being closed.
                        continue;
                    }
                    audit.stale += 1;
                    audit.find(format!(
                        "{store}: chunk {} is not named by its edition",
                        it.chunk
                    ));
                } else if it.visible {
                    found.insert(it.chunk);
                }
            }
            _ if document.open.contains(&it.edition) => {}
            None if document.open.is_empty() => {
                audit.orphaned += 1;
                audit.find(format!(
                    "{store}: chunk {} of a document that is gone",
                    it.chunk
                ));
            }
            _ => {
                audit.stale += 1;
                audit.find(format!(
                    "{store}: chunk {} of an edition that is over",
                    it.chunk
                ));
            }
        }
    }
    for (document, editions) in shown {
        if editions.len() > 1 {
            audit.mixed += 1;
            audit.find(format!(
                "{store}: document {document} shows {} editions",
                editions.len()
            ));
        }
    }
    let named = expected.values().filter_map(|it| it.visible.as_ref());
    for (edition, chunks) in named {
        let missing = chunks
            .iter()
            .filter(|chunk| !found.contains(*chunk))
            .count();
        if missing > 0 {
            audit.missing += missing as u64;
            audit.find(format!(
                "{store}: edition {edition} lacks {missing} of {} chunks",
                chunks.len()
            ));
        }
    }
}

/// The audit for a person.
pub fn print(audit: &Audit) -> String {
    let mut out = format!(
        "{} documents, {} chunks · {} points · {} nodes, {} edges\n",
        audit.documents, audit.chunks, audit.points, audit.nodes, audit.edges
    );
    if audit.is_sound() {
        out.push_str("sound: nothing missing, orphaned, stale, mixed or dangling\n");
        return out;
    }
    out.push_str(&format!(
        "{} missing, {} orphaned, {} stale, {} mixed, {} dangling\n",
        audit.missing, audit.orphaned, audit.stale, audit.mixed, audit.dangling
    ));
    for finding in &audit.findings {
        out.push_str(&format!("  {finding}\n"));
    }
    out
}
