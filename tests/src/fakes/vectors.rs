use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::index::{Hit, Point, PointRef, Search, Sparse, VectorStore, fuse, payload};
use penstock_stages::scope::Scope;
use serde_json::json;
use uuid::Uuid;

use super::{Faults, lock};

/// A vector store.
#[derive(Debug, Default)]
pub struct FakeVectors {
    pub faults: Faults,
    points: Mutex<BTreeMap<Uuid, Held>>,
}

#[derive(Debug)]
struct Held {
    point: Point,
    visible: bool,
}

impl Held {
    fn is_of(&self, document: Uuid) -> bool {
        self.point.chunk.lineage.document_guid == document
    }

    fn edition(&self) -> Uuid {
        self.point.chunk.lineage.edition
    }
}

impl FakeVectors {
    /// All there is, invisible points included, a line each.
    pub fn contents(&self) -> Vec<String> {
        let points = lock(&self.points);
        let line = |held: &Held| {
            let visible = held.visible;
            json!({"point": held.point.chunk.chunk_guid, "visible": visible, "payload": payload(&held.point),
                "dense": held.point.dense})
            .to_string()
        };
        points.values().map(line).collect()
    }

    /// Changes a point behind the pipeline's back; whether it is visible goes with it.
    pub fn damage(&self, chunk: Uuid, change: impl FnOnce(&mut Point, &mut bool)) {
        if let Some(held) = lock(&self.points).get_mut(&chunk) {
            change(&mut held.point, &mut held.visible);
        }
    }

    /// Editions of a document that readers see.
    pub fn visible_editions(&self, document: Uuid) -> BTreeSet<Uuid> {
        let points = lock(&self.points);
        let seen = points
            .values()
            .filter(|it| it.is_of(document) && it.visible);
        seen.map(Held::edition).collect()
    }
}

#[async_trait]
impl VectorStore for FakeVectors {
    async fn insert(&self, points: Vec<Point>) -> Result<(), Failure> {
        self.faults.begin("insert points").await?;
        {
            let mut held = lock(&self.points);
            for point in points {
                let visible = false;
                held.entry(point.chunk.chunk_guid)
                    .or_insert(Held { point, visible });
            }
        }
        self.faults.end("insert points").await
    }

    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure> {
        self.faults.begin("retain chunks").await?;
        lock(&self.points)
            .retain(|id, it| !it.is_of(document) || it.edition() != edition || chunks.contains(id));
        self.faults.end("retain chunks").await
    }

    async fn show(&self, document: Uuid, edition: Uuid) -> Result<(), Failure> {
        self.faults.begin("show points").await?;
        for it in lock(&self.points).values_mut() {
            it.visible |= it.is_of(document) && it.edition() == edition;
        }
        self.faults.end("show points").await
    }

    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
        self.faults.begin("drop editions").await?;
        lock(&self.points).retain(|_, it| !it.is_of(document) || !editions.contains(&it.edition()));
        self.faults.end("drop editions").await
    }

    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure> {
        self.faults.begin("remove points").await?;
        lock(&self.points).retain(|id, _| !chunks.contains(id));
        self.faults.end("remove points").await
    }

    async fn search(&self, search: &Search) -> Result<Vec<Hit>, Failure> {
        self.faults.begin("search").await?;
        let found = {
            let points = lock(&self.points);
            let seen: Vec<&Held> = points
                .values()
                .filter(|it| it.visible && is_wanted(&it.point, search))
                .filter(|it| is_newest(it, points.values()))
                .collect();
            let ranked = |score: &dyn Fn(&Point) -> f32| {
                let mut ranked: Vec<(f32, Uuid)> = seen
                    .iter()
                    .map(|it| (score(&it.point), it.point.chunk.chunk_guid))
                    .filter(|(score, _)| *score > 0.0)
                    .collect();
                ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                ranked.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
            };
            let dense = ranked(&|point| dot(&point.dense, &search.dense));
            let bm25 = ranked(&|point| dot_sparse(&point.bm25, &search.bm25));
            let best = fuse(&[dense, bm25]).into_iter().take(search.limit);
            best.filter_map(|(id, score)| Some(hit(&points.get(&id)?.point, score)))
                .collect()
        };
        self.faults.end("search").await?;
        Ok(found)
    }

    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<PointRef>, Failure> {
        self.faults.begin("scroll points").await?;
        let points = lock(&self.points);
        let behind = points.iter().filter(|(id, _)| Some(**id) > after);
        let refs = behind.take(limit).map(|(id, it)| PointRef {
            chunk_guid: *id,
            document_guid: it.point.chunk.lineage.document_guid,
            edition: it.edition(),
            version: it.point.chunk.lineage.version,
            group: it.point.chunk.lineage.group.clone(),
            visible: it.visible,
            part: it.point.chunk.part,
            ordinal: it.point.chunk.ordinal,
            content_hash: it.point.chunk.content_hash.clone(),
            model: it.point.model.clone(),
            dense: it.point.dense.clone(),
        });
        Ok(refs.collect())
    }

    async fn dump(&self, document: Uuid) -> Result<Vec<serde_json::Value>, Failure> {
        self.faults.begin("dump points").await?;
        let points = lock(&self.points);
        let mut seen: Vec<&Point> = points
            .values()
            .filter(|it| it.visible && it.is_of(document))
            .map(|it| &it.point)
            .collect();
        seen.sort_by_key(|it| (it.chunk.part, it.chunk.ordinal, it.chunk.chunk_guid));
        let value = |point: &Point| {
            let mut payload = payload(point);
            payload["visible"] = json!(true);
            json!({"chunk_guid": point.chunk.chunk_guid, "payload": payload, "dense": point.dense})
        };
        Ok(seen.into_iter().map(value).collect())
    }

    async fn model(&self) -> Result<Option<String>, Failure> {
        self.faults.begin("read model").await?;
        let points = lock(&self.points);
        Ok(points.values().next().map(|it| it.point.model.clone()))
    }

    async fn count(&self) -> Result<u64, Failure> {
        self.faults.begin("count points").await?;
        Ok(lock(&self.points).len() as u64)
    }

    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure> {
        self.faults.begin("count points").await?;
        let points = lock(&self.points);
        let of_it = points.values().filter(|it| match scope {
            Scope::Document(id) => it.is_of(*id),
            Scope::Group(name) => it.point.chunk.lineage.group == *name,
        });
        Ok(of_it.count() as u64)
    }

    async fn health(&self) -> Result<String, Failure> {
        self.faults.begin("health").await?;
        Ok(format!("{} points in memory", lock(&self.points).len()))
    }
}

fn is_wanted(point: &Point, search: &Search) -> bool {
    let about = &point.chunk.about;
    let source = search.source.as_ref();
    let language = search.language.as_ref();
    point.chunk.lineage.group == search.group
        && source.is_none_or(|it| *it == about.source)
        && (language.is_none() || language == about.language.as_ref())
}

/// Whether no newer edition of its document is visible.
fn is_newest<'a>(held: &Held, mut all: impl Iterator<Item = &'a Held>) -> bool {
    let order = |it: &Held| {
        let lineage = &it.point.chunk.lineage;
        (lineage.version, lineage.stamped)
    };
    let document = held.point.chunk.lineage.document_guid;
    !all.any(|it| it.visible && it.is_of(document) && order(it) > order(held))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn dot_sparse(a: &Sparse, b: &Sparse) -> f32 {
    let of_b: BTreeMap<u32, f32> = b.indices.iter().copied().zip(b.values.clone()).collect();
    let terms = a.indices.iter().zip(&a.values);
    terms
        .map(|(index, value)| value * of_b.get(index).unwrap_or(&0.0))
        .sum()
}

fn hit(point: &Point, score: f32) -> Hit {
    let (chunk, lineage) = (&point.chunk, &point.chunk.lineage);
    Hit {
        chunk_guid: chunk.chunk_guid,
        document_guid: lineage.document_guid,
        edition: lineage.edition,
        version: lineage.version,
        score,
        path: chunk.about.path.clone(),
        title: chunk.about.title.clone(),
        page_first: chunk.page_first,
        page_last: chunk.page_last,
        heading_path: chunk.heading_path.clone(),
        text: chunk.text.clone(),
    }
}
