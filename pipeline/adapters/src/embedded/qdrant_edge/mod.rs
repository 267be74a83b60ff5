//! The Qdrant engine inside the process: one shard in one folder, for one machine.
//!
//! The engine keeps no promise about a write until it is flushed, and does not replay its log: so one thread owns all
//! writing, applies what is waiting, adds it to a journal of our own, and only then answers. Reads run beside it on
//! blocking threads.

mod classify;
mod config;
mod engine;
mod fields;
mod journal;
mod search;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::Failure;
use penstock_stages::index::{CollectionSpec, DENSE, Hit, Point, PointRef, Search, VectorStore};
use penstock_stages::scope::Scope;
use qdrant_edge::{
    CountRequest, EdgeShard, Filter, OperationResult, Record, ScrollRequest, WithPayloadInterface,
    WithVector,
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::engine::Engine;
use self::fields::{filter, one_of, only, point_id, visible};
use self::writer::Writer;

/// Points read at once where all of a document are.
const PAGE: usize = 512;

/// A collection of chunks in a folder that this process owns.
pub struct QdrantEdge {
    engine: Arc<Engine>,
    writer: Writer,
    dimension: usize,
}

impl QdrantEdge {
    /// Opens the collection in `dir`, made if missing. Refuses one whose vectors differ from `spec`, and a `spec` that
    /// differs from the model. Blocks: files are read and repaired.
    pub fn open(
        dir: &Path,
        spec: &CollectionSpec,
        model_dimension: usize,
    ) -> Result<Self, Failure> {
        spec.check_dimension("in use", model_dimension)?;
        let engine = Arc::new(Engine::open(dir, spec)?);
        let writer = Writer::start(Arc::clone(&engine))?;
        Ok(Self {
            engine,
            writer,
            dimension: model_dimension,
        })
    }

    /// Builds the graph over large segments and frees what was deleted, if there is something to do. Runs by itself when
    /// nothing was written for a while; searches go on meanwhile, writes wait.
    pub async fn optimise(&self) -> Result<bool, Failure> {
        self.writer.optimise().await
    }

    /// Runs `work` on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&EdgeShard) -> OperationResult<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let engine = Arc::clone(&self.engine);
        tokio::task::spawn_blocking(move || engine.read(work))
            .await
            .map_err(|error| Failure::fatal(format!("vector store: a read was lost: {error}")))?
    }
}

#[async_trait]
impl VectorStore for QdrantEdge {
    async fn insert(&self, points: Vec<Point>) -> Result<(), Failure> {
        for point in &points {
            self.check_length(
                &format!("vector of chunk {}", point.chunk.chunk_guid),
                &point.dense,
            )?;
            if !point.dense.iter().all(|number| number.is_finite()) {
                return Err(Failure::poison(format!(
                    "vector of chunk {} holds NaN or infinity",
                    point.chunk.chunk_guid
                )));
            }
        }
        if points.is_empty() {
            return Ok(());
        }
        self.writer.write(fields::insert(points)?).await
    }

    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure> {
        let mut filter = filter([
            one_of("document_guid", [document]),
            one_of("edition", [edition]),
        ]);
        filter.must_not = Some(vec![fields::has_id(chunks)]);
        self.writer.write(fields::delete(filter)).await
    }

    async fn show(&self, document: Uuid, edition: Uuid) -> Result<(), Failure> {
        // Only those not yet visible, so that doing it again writes nothing.
        let filter = filter([
            one_of("document_guid", [document]),
            one_of("edition", [edition]),
            visible(false),
        ]);
        self.writer.write(fields::show(filter)).await
    }

    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
        if editions.is_empty() {
            return Ok(());
        }
        let of_these = one_of("edition", editions.iter().copied());
        let filter = filter([one_of("document_guid", [document]), of_these]);
        self.writer.write(fields::delete(filter)).await
    }

    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure> {
        if chunks.is_empty() {
            return Ok(());
        }
        let these = filter([fields::has_id(chunks)]);
        self.writer.write(fields::delete(these)).await
    }

    async fn search(&self, search: &Search) -> Result<Vec<Hit>, Failure> {
        if !search.dense.is_empty() {
            self.check_length("the query's vector", &search.dense)?;
        }
        if search.limit == 0 {
            return Ok(Vec::new());
        }
        let mut conditions = vec![visible(true), one_of("group_guid", [&search.group])];
        if let Some(source) = &search.source {
            conditions.push(one_of("source_guid", [source]));
        }
        if let Some(language) = &search.language {
            conditions.push(one_of("language", [language]));
        }
        let (dense, bm25, limit) = (search.dense.clone(), search.bm25.clone(), search.limit);
        let found = self
            .read(move |shard| search::find(shard, dense, bm25, limit, conditions))
            .await?;
        Ok(found
            .iter()
            .filter_map(|(record, score)| fields::hit(record, *score))
            .collect())
    }

    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<PointRef>, Failure> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let with_payload = only(fields::AUDITED);
        let records = self
            .read(move |shard| {
                // The engine's offset is inclusive.
                let wanted = limit.saturating_add(usize::from(after.is_some()));
                let (records, _) = shard.scroll(ScrollRequest {
                    offset: after.map(point_id),
                    limit: Some(wanted),
                    filter: None,
                    with_payload: Some(with_payload),
                    with_vector: WithVector::Selector(vec![DENSE.to_owned()]),
                    order_by: None,
                })?;
                Ok(records)
            })
            .await?;
        Ok(records
            .iter()
            .filter_map(fields::point_ref)
            .filter(|point| Some(point.chunk_guid) != after)
            .take(limit)
            .collect())
    }

    async fn dump(&self, document: Uuid) -> Result<Vec<Value>, Failure> {
        let filter = filter([one_of("document_guid", [document]), visible(true)]);
        let records = self
            .read(move |shard| {
                all(
                    shard,
                    &filter,
                    true.into(),
                    WithVector::Selector(vec![DENSE.to_owned()]),
                )
            })
            .await?;
        let mut points: Vec<((i64, i64, String), Value)> = records
            .into_iter()
            .map(|record| {
                let id = record.id.to_string();
                let dense = fields::dense(&record);
                let payload = Value::Object(record.payload.unwrap_or_default().0);
                let number = |field: &str| payload[field].as_i64().unwrap_or_default();
                let order = (number("part"), number("chunk_index"), id.clone());
                (
                    order,
                    json!({"chunk_guid": id, "payload": payload, "dense": dense}),
                )
            })
            .collect();
        points.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(points.into_iter().map(|(_, point)| point).collect())
    }

    async fn model(&self) -> Result<Option<String>, Failure> {
        let found = self
            .read(|shard| {
                shard.scroll(ScrollRequest {
                    offset: None,
                    limit: Some(1),
                    filter: None,
                    with_payload: Some(only(["model"])),
                    with_vector: WithVector::Bool(false),
                    order_by: None,
                })
            })
            .await?;
        Ok(found.0.into_iter().find_map(|record| {
            let model = record.payload?.0.remove("model")?;
            model.as_str().map(str::to_owned)
        }))
    }

    async fn count(&self) -> Result<u64, Failure> {
        self.counted(None).await
    }

    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure> {
        let of_it = match scope {
            Scope::Document(id) => one_of("document_guid", [id]),
            Scope::Group(name) => one_of("group_guid", [name]),
        };
        self.counted(Some(filter([of_it]))).await
    }

    async fn health(&self) -> Result<String, Failure> {
        let dir = self.engine.dir().display().to_string();
        self.engine.check_space(0)?;
        let info = self.read(|shard| Ok(shard.info())).await?;
        Ok(format!(
            "{} points in {} segments, in {dir}",
            info.points_count, info.segments_count
        ))
    }
}

impl QdrantEdge {
    async fn counted(&self, filter: Option<Filter>) -> Result<u64, Failure> {
        let request = CountRequest {
            filter,
            exact: true,
        };
        let count = self.read(move |shard| shard.count(request)).await?;
        Ok(count as u64)
    }

    fn check_length(&self, what: &str, vector: &[f32]) -> Result<(), Failure> {
        if vector.len() == self.dimension {
            return Ok(());
        }
        Err(Failure::fatal(format!(
            "{what} has {} numbers, the collection holds vectors of {}: use the model the collection was built with",
            vector.len(),
            self.dimension
        )))
    }
}

/// Every point that matches.
fn all(
    shard: &EdgeShard,
    filter: &Filter,
    with_payload: WithPayloadInterface,
    with_vector: WithVector,
) -> OperationResult<Vec<Record>> {
    let mut records = Vec::new();
    let mut offset = None;
    loop {
        let (page, next) = shard.scroll(ScrollRequest {
            offset,
            limit: Some(PAGE),
            filter: Some(filter.clone()),
            with_payload: Some(with_payload.clone()),
            with_vector: with_vector.clone(),
            order_by: None,
        })?;
        records.extend(page);
        match next {
            Some(next) => offset = Some(next),
            None => return Ok(records),
        }
    }
}
