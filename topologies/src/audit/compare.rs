//! Chunk by chunk: what the ledger says, what the vector store has, what the graph has, in the order of chunk ids.

use std::collections::{HashMap, VecDeque};

use futures::{StreamExt, TryStreamExt, stream};
use penstock_runtime::Failure;
use penstock_schemas::{LedgerEntry, Step, Visible, chunk_guid};
use penstock_stages::blobs::Blobs;
use penstock_stages::index::{PointRef, VectorStore};
use penstock_stages::link::{ChunkRef, GraphStore};
use penstock_stages::settle::{Manifest, Stores, manifest_key, stored_of};
use uuid::Uuid;

use super::Audit;
use super::book::{Book, bucket_of};
use super::rows::{Fault, Kind, Store, Wanted, digest};
use super::spill::Spill;

/// Points or nodes read together.
const PAGE: usize = 1000;
/// Manifests read at once.
const AT_ONCE: usize = 16;

/// What was counted, and the faults in buckets of documents.
pub struct Compared {
    pub audit: Audit,
    pub faults: Spill,
    pub any: bool,
    /// Points and nodes that the ledger names, and that it does not.
    pub named: u64,
    pub unnamed: u64,
}

/// Reads the ledger's manifests and both stores once, from end to end.
pub async fn compare(book: &Book, stores: &Stores) -> Result<Compared, Failure> {
    let mut comparing = Comparing {
        audit: Audit::default(),
        wanted: book.scratch.spill("wanted"),
        faults: book.scratch.spill("faults"),
        any: false,
        named: 0,
        unnamed: 0,
    };
    for number in 0..=u8::MAX {
        let entries = book.bucket(number)?;
        let blobs = stores.blobs.as_ref();
        let visible: Vec<Visible> = entries
            .values()
            .filter_map(|it| it.visible.clone())
            .collect();
        let mut manifests = stream::iter(visible)
            .map(|it| async move {
                let manifest = read_manifest(blobs, &manifest_key(&it.lineage)).await?;
                Ok::<_, Failure>((it, manifest))
            })
            .buffered(AT_ONCE);
        while let Some((visible, manifest)) = manifests.try_next().await? {
            comparing.want_visible(&visible, manifest)?;
        }
        entries
            .into_values()
            .try_for_each(|it| comparing.want_open(it))?;
    }
    comparing.join(stores).await?;
    let counts = stores.graph.counts().await?;
    let audit = &mut comparing.audit;
    (audit.nodes, audit.edges) = (counts.nodes, counts.edges);
    audit.dangling = counts.dangling;
    Ok(Compared {
        audit: comparing.audit,
        faults: comparing.faults,
        any: comparing.any,
        named: comparing.named,
        unnamed: comparing.unnamed,
    })
}

struct Comparing {
    audit: Audit,
    wanted: Spill,
    faults: Spill,
    any: bool,
    named: u64,
    unnamed: u64,
}

impl Comparing {
    fn want(&mut self, wanted: &Wanted) -> Result<(), Failure> {
        let [first, ..] = *wanted.chunk.as_bytes();
        self.wanted.add(first, &wanted.row())
    }

    fn find(&mut self, fault: &Fault) -> Result<(), Failure> {
        self.any = true;
        self.faults.add(bucket_of(fault.document), &fault.row())
    }

    fn want_visible(
        &mut self,
        visible: &Visible,
        manifest: Option<Manifest>,
    ) -> Result<(), Failure> {
        let lineage = &visible.lineage;
        self.audit.documents += 1;
        self.audit.chunks += visible.chunks as u64;
        let Some(manifest) = manifest else {
            return self.find(&Fault {
                kind: Kind::NoManifest,
                store: Store::Vectors,
                visible: false,
                chunk: Uuid::nil(),
                document: lineage.document_guid,
                edition: lineage.edition,
                version: lineage.version,
            });
        };
        for chunk in manifest.parts.into_iter().flat_map(|it| it.chunks) {
            self.want(&Wanted {
                chunk,
                document: lineage.document_guid,
                edition: lineage.edition,
                version: lineage.version,
                group: digest(&lineage.group),
                point: true,
                node: true,
                visible: true,
            })?;
        }
        Ok(())
    }

    /// What editions on their way have stored so far. Of the visible one its manifest tells.
    fn want_open(&mut self, entry: LedgerEntry) -> Result<(), Failure> {
        let seen = entry.visible.map(|it| it.lineage.edition);
        for open in entry.open {
            let lineage = open.lineage.clone();
            if open.step == Step::Abandoned || seen == Some(lineage.edition) {
                continue;
            }
            let (points, nodes) = stored_of(open);
            for chunk in points.union(&nodes) {
                self.want(&Wanted {
                    chunk: *chunk,
                    document: lineage.document_guid,
                    edition: lineage.edition,
                    version: lineage.version,
                    group: digest(&lineage.group),
                    point: points.contains(chunk),
                    node: nodes.contains(chunk),
                    visible: false,
                })?;
            }
        }
        Ok(())
    }

    async fn join(&mut self, stores: &Stores) -> Result<(), Failure> {
        let mut points = Cursor::new(Pages::Points(stores.vectors.as_ref(), None));
        let mut nodes = Cursor::new(Pages::Nodes(stores.graph.as_ref()));
        for number in 0..=u8::MAX {
            let wanted = Wanted::all(&self.wanted.read(number)?);
            let mut wanted = wanted.into_iter().peekable();
            loop {
                let (point, node) = (points.next_in(number).await?, nodes.next_in(number).await?);
                let expected = wanted.peek().map(|it| it.chunk);
                let Some(chunk) = [point, node, expected].into_iter().flatten().min() else {
                    break;
                };
                let wanted = wanted.next_if(|it| it.chunk == chunk);
                let wanted = wanted.as_ref();
                let held = points.take(chunk);
                self.judge(
                    Store::Vectors,
                    wanted,
                    wanted.is_some_and(|it| it.point),
                    held,
                )?;
                let held = nodes.take(chunk);
                self.judge(Store::Graph, wanted, wanted.is_some_and(|it| it.node), held)?;
            }
        }
        self.audit.points = points.count;
        Ok(())
    }

    fn judge(
        &mut self,
        store: Store,
        wanted: Option<&Wanted>,
        is_due: bool,
        held: Option<Held>,
    ) -> Result<(), Failure> {
        match (wanted, &held) {
            (Some(_), Some(_)) => self.named += 1,
            (None, Some(_)) => self.unnamed += 1,
            (_, None) => {}
        }
        let kind = match (wanted, &held) {
            (_, None) if is_due => Kind::Missing,
            (_, None) => return Ok(()),
            (None, Some(_)) => Kind::Unnamed,
            (Some(wanted), Some(held)) => match held.against(wanted) {
                Some(kind) => kind,
                None => return Ok(()),
            },
        };
        let of_ledger = wanted.map(|it| (it.chunk, it.document, it.edition, it.version));
        let of_store = held
            .as_ref()
            .map(|it| (it.chunk, it.document, it.edition, it.version));
        let Some((chunk, document, edition, version)) = of_ledger.or(of_store) else {
            return Ok(());
        };
        self.find(&Fault {
            kind,
            store,
            visible: held.is_some_and(|it| it.visible),
            chunk,
            document,
            edition,
            version,
        })
    }
}

/// None where there is none, or what is there is no manifest.
async fn read_manifest(blobs: &dyn Blobs, key: &str) -> Result<Option<Manifest>, Failure> {
    let Some(bytes) = blobs.read(key).await? else {
        return Ok(None);
    };
    Ok(serde_json::from_slice(&bytes).ok())
}

/// A point or a node.
struct Held {
    chunk: Uuid,
    document: Uuid,
    edition: Uuid,
    version: Uuid,
    group: u64,
    visible: bool,
    /// Its id is the one that its document, edition, place and text give.
    derives: bool,
    vector: bool,
}

impl Held {
    fn against(&self, wanted: &Wanted) -> Option<Kind> {
        let own = (self.document, self.edition, self.version, self.group);
        let said = (
            wanted.document,
            wanted.edition,
            wanted.version,
            wanted.group,
        );
        if own != said || !self.derives {
            return Some(Kind::Wrong);
        }
        if !self.vector {
            return Some(Kind::Vector);
        }
        match (wanted.visible, self.visible) {
            (true, false) => Some(Kind::Hidden),
            (false, true) => Some(Kind::Early),
            _ => None,
        }
    }
}

/// Weights and dimension.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Model(String, usize);

impl Model {
    fn of(point: &PointRef) -> Self {
        let name = &point.model;
        // The same weights in a folder of another name are the same model.
        let weights = name.rsplit_once('@').map_or(name.as_str(), |it| it.1);
        Self(weights.to_owned(), point.dense.len())
    }

    /// What most of these points have: ids are digests, so a page is a fair sample.
    fn of_most(page: &[PointRef]) -> Option<Self> {
        let mut counts: HashMap<Self, usize> = HashMap::new();
        for point in page.iter().filter(|it| !it.dense.is_empty()) {
            *counts.entry(Self::of(point)).or_default() += 1;
        }
        let most = counts
            .into_iter()
            .max_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        most.map(|(model, _)| model)
    }
}

enum Pages<'a> {
    /// With the model that was seen in the first page.
    Points(&'a dyn VectorStore, Option<Model>),
    Nodes(&'a dyn GraphStore),
}

/// A store read from its first id to its last.
struct Cursor<'a> {
    pages: Pages<'a>,
    page: VecDeque<Held>,
    after: Option<Uuid>,
    done: bool,
    count: u64,
}

impl<'a> Cursor<'a> {
    fn new(pages: Pages<'a>) -> Self {
        Self {
            pages,
            page: VecDeque::new(),
            after: None,
            done: false,
            count: 0,
        }
    }

    /// The next id, where it begins with this byte.
    async fn next_in(&mut self, first: u8) -> Result<Option<Uuid>, Failure> {
        if self.page.is_empty() && !self.done {
            self.turn().await?;
        }
        let next = self.page.front().map(|it| it.chunk);
        Ok(next.filter(|it| it.as_bytes().first() <= Some(&first)))
    }

    fn take(&mut self, chunk: Uuid) -> Option<Held> {
        if self.page.front()?.chunk != chunk {
            return None;
        }
        self.count += 1;
        self.page.pop_front()
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        self.page = match &mut self.pages {
            Pages::Points(store, model) => {
                let page = store.scroll(self.after, PAGE).await?;
                if model.is_none() {
                    *model = Model::of_most(&page);
                }
                page.iter().map(|it| of_point(it, model.as_ref())).collect()
            }
            Pages::Nodes(store) => {
                let page = store.scroll(self.after, PAGE).await?;
                page.iter().map(of_node).collect()
            }
        };
        for held in &self.page {
            if Some(held.chunk) <= self.after {
                return Err(Failure::fatal(format!(
                    "audit: a store does not tell its chunks in the order of their ids: {} comes after {}",
                    held.chunk,
                    self.after.unwrap_or_default()
                )));
            }
            self.after = Some(held.chunk);
        }
        self.done = self.page.is_empty();
        Ok(())
    }
}

fn of_point(point: &PointRef, model: Option<&Model>) -> Held {
    let length: f32 = point.dense.iter().map(|it| it * it).sum();
    let is_unit = (length - 1.0).abs() < 0.01;
    Held {
        chunk: point.chunk_guid,
        document: point.document_guid,
        edition: point.edition,
        version: point.version,
        group: digest(&point.group),
        visible: point.visible,
        derives: point.chunk_guid
            == chunk_guid(
                point.document_guid,
                point.edition,
                point.part,
                point.ordinal,
                &point.content_hash,
            ),
        vector: is_unit && model == Some(&Model::of(point)),
    }
}

fn of_node(node: &ChunkRef) -> Held {
    Held {
        chunk: node.chunk_guid,
        document: node.document_guid,
        edition: node.edition,
        version: node.version,
        group: digest(&node.group),
        visible: node.visible,
        derives: node.chunk_guid
            == chunk_guid(
                node.document_guid,
                node.edition,
                node.part,
                node.ordinal,
                &node.content_hash,
            ),
        vector: true,
    }
}
