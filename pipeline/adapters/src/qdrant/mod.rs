//! A Qdrant cluster over gRPC.
//!
//! **Durable.** Every write waits (`wait`): it is answered when it is in the node's log and in its segments, and any other
//! answer than *completed* is a failure, so that it is done again.
//!
//! **Order.** All writes ask for `medium` ordering: those of a shard go through one node, the highest live one that has it,
//! which passes one after the other on to all replicas. With the default, `weak`, each node passes on what it is asked, and
//! an insert that comes again while a sweep is on its way may land before it on one replica and behind it on another, and
//! they differ from then on. `strong` is bound to one node whether or not it lives: while it is away, nothing is written.
//! Beside that flips and sweeps follow the inserts they cover because those have returned before. What comes late after a
//! lost answer or a change of that node is an insert of a point that is there, which does nothing, or a flip or sweep that
//! was done, which finds nothing. Price: a shard does one write at a time.
//!
//! **Again.** Inserts leave alone what is there, under ids that are derived; flips and sweeps name document and edition.
//! So each call may be done twice, and a call whose answer was lost is sent to the next node.
//!
//! **Filters** use indexed fields only, of which strict mode makes sure.

mod batches;
mod classify;
mod cluster;
mod config;
mod fields;
mod method;
pub mod schema;
mod search;
#[cfg(test)]
#[cfg(feature = "embedded")]
mod tests;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use penstock_runtime::Failure;
use penstock_stages::index::{CollectionSpec, Hit, Point, PointRef, Search, VectorStore};
use penstock_stages::scope::Scope;
use prost::Message;
use qdrant_client::qdrant::{
    CollectionStatus, CountPoints, DeletePoints, Filter, GetCollectionInfoRequest, PointId,
    PointStruct, PointsOperationResponse, PointsSelector, RetrievedPoint, ScrollPoints,
    SetPayloadPoints, UpdateMode, UpdateStatus, UpsertPoints, Value, WithPayloadSelector,
    WriteOrdering, WriteOrderingType,
};
use serde_json::json;
use uuid::Uuid;

use self::batches::Batches;
use self::cluster::Cluster;
pub use self::config::QdrantConfig;
use self::fields::{by, one_of, only, visible};
use self::method::{COUNT, DELETE, INFO, Method, SCROLL, SET_PAYLOAD, UPSERT};

/// Points read at once where all of a document are.
const PAGE: u32 = 512;
/// Chunks that a sweep keeps by naming them in its filter; for more the request would be too large, and what is to go is
/// looked for first.
const NAMED: usize = 20_000;
/// Ids read or deleted at once.
const IDS: u32 = 10_000;

/// A collection of chunks on a cluster.
pub struct Qdrant {
    cluster: Cluster,
    streams: usize,
}

impl Qdrant {
    /// Checks what is configured and connects to nothing yet. Within a runtime.
    pub fn open(config: &QdrantConfig) -> Result<Self, Failure> {
        let collection = match config.collection.as_str() {
            "" => CollectionSpec::declared()?.collection,
            name => name.to_owned(),
        };
        Ok(Self {
            cluster: Cluster::new(config, &collection)?,
            streams: config.streams.max(1),
        })
    }

    fn collection(&self) -> String {
        self.cluster.collection().to_owned()
    }

    async fn upsert(&self, points: Vec<PointStruct>) -> Result<(), Failure> {
        let request = UpsertPoints {
            collection_name: self.collection(),
            wait: Some(true),
            points,
            ordering: in_order(),
            update_mode: Some(UpdateMode::InsertOnly.into()),
            ..UpsertPoints::default()
        };
        self.write(UPSERT, &request).await
    }

    async fn delete(&self, points: Option<PointsSelector>) -> Result<(), Failure> {
        let request = DeletePoints {
            collection_name: self.collection(),
            wait: Some(true),
            points,
            ordering: in_order(),
            ..DeletePoints::default()
        };
        self.write(DELETE, &request).await
    }

    async fn write<Q: Message>(
        &self,
        method: Method<Q, PointsOperationResponse>,
        request: &Q,
    ) -> Result<(), Failure> {
        let answer = self.cluster.call(method, request).await?;
        let status = answer.result.map(|result| result.status());
        match status {
            Some(UpdateStatus::Completed) => Ok(()),
            other => Err(Failure::transient(format!(
                "qdrant: {} was answered with {other:?} before it was done: it is done again",
                method.name()
            ))),
        }
    }

    /// Deletes what the filter finds but for `kept`, by its ids.
    async fn sweep(&self, filter: Filter, kept: &[Uuid]) -> Result<(), Failure> {
        let kept: HashSet<Uuid> = kept.iter().copied().collect();
        let mut offset = None;
        loop {
            let request = ScrollPoints {
                collection_name: self.collection(),
                filter: Some(filter.clone()),
                offset,
                limit: Some(IDS),
                with_payload: Some(false.into()),
                ..ScrollPoints::default()
            };
            let (points, next) = self.page(request).await?;
            let ids = points.into_iter().filter_map(|point| point.id);
            let is_kept =
                |id: &PointId| fields::chunk(Some(id)).is_some_and(|it| kept.contains(&it));
            let swept: Vec<PointId> = ids.filter(|id| !is_kept(id)).collect();
            if !swept.is_empty() {
                self.delete(fields::these(swept)).await?;
            }
            offset = next;
            if offset.is_none() {
                return Ok(());
            }
        }
    }

    async fn counted(&self, filter: Option<Filter>) -> Result<u64, Failure> {
        let request = CountPoints {
            collection_name: self.collection(),
            filter,
            exact: Some(true),
            ..CountPoints::default()
        };
        let answer = self.cluster.call(COUNT, &request).await?;
        Ok(answer.result.unwrap_or_default().count)
    }

    /// One page of points.
    async fn page(
        &self,
        request: ScrollPoints,
    ) -> Result<(Vec<RetrievedPoint>, Option<PointId>), Failure> {
        let answer = self.cluster.call(SCROLL, &request).await?;
        Ok((answer.result, answer.next_page_offset))
    }
}

/// One after the other on all replicas.
fn in_order() -> Option<WriteOrdering> {
    Some(WriteOrdering {
        r#type: WriteOrderingType::Medium.into(),
    })
}

/// All of the payload.
fn everything() -> Option<WithPayloadSelector> {
    Some(true.into())
}

#[async_trait]
impl VectorStore for Qdrant {
    async fn insert(&self, points: Vec<Point>) -> Result<(), Failure> {
        for point in &points {
            if !point.dense.iter().all(|number| number.is_finite()) {
                return Err(Failure::poison(format!(
                    "vector of chunk {} holds NaN or infinity",
                    point.chunk.chunk_guid
                )));
            }
        }
        stream::iter(Batches::new(points, self.streams))
            .map(|batch| async { self.upsert(batch?).await })
            .buffer_unordered(self.streams)
            .try_collect::<()>()
            .await
    }

    async fn retain_chunks(
        &self,
        document: Uuid,
        edition: Uuid,
        chunks: &[Uuid],
    ) -> Result<(), Failure> {
        let mut filter = Filter::must([
            one_of("document_guid", [document]),
            one_of("edition", [edition]),
        ]);
        if chunks.len() > NAMED {
            return self.sweep(filter, chunks).await;
        }
        filter.must_not = vec![fields::has_id(chunks)];
        self.delete(by(filter)).await
    }

    async fn show(&self, document: Uuid, edition: Uuid) -> Result<(), Failure> {
        // Only those not yet visible, so that doing it again writes nothing.
        let filter = Filter::must([
            one_of("document_guid", [document]),
            one_of("edition", [edition]),
            visible(false),
        ]);
        let request = SetPayloadPoints {
            collection_name: self.collection(),
            wait: Some(true),
            payload: HashMap::from([("visible".to_owned(), Value::from(true))]),
            points_selector: by(filter),
            ordering: in_order(),
            ..SetPayloadPoints::default()
        };
        self.write(SET_PAYLOAD, &request).await
    }

    async fn drop_editions(&self, document: Uuid, editions: &[Uuid]) -> Result<(), Failure> {
        if editions.is_empty() {
            return Ok(());
        }
        let of_these = one_of("edition", editions.iter().copied());
        let filter = Filter::must([one_of("document_guid", [document]), of_these]);
        self.delete(by(filter)).await
    }

    async fn remove_chunks(&self, chunks: &[Uuid]) -> Result<(), Failure> {
        for some in chunks.chunks(IDS as usize) {
            let ids = some.iter().map(|it| PointId::from(it.to_string()));
            self.delete(fields::these(ids.collect())).await?;
        }
        Ok(())
    }

    async fn search(&self, search: &Search) -> Result<Vec<Hit>, Failure> {
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
        search::find(&self.cluster, search, conditions).await
    }

    async fn scroll(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<PointRef>, Failure> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // The server's offset is inclusive.
        let wanted = limit.saturating_add(usize::from(after.is_some()));
        let request = ScrollPoints {
            collection_name: self.collection(),
            offset: after.map(|after| PointId::from(after.to_string())),
            limit: Some(u32::try_from(wanted).unwrap_or(u32::MAX)),
            with_payload: only(fields::AUDITED),
            with_vectors: fields::with_dense(),
            ..ScrollPoints::default()
        };
        let (points, _) = self.page(request).await?;
        Ok(points
            .iter()
            .filter_map(fields::point_ref)
            .filter(|point| Some(point.chunk_guid) != after)
            .take(limit)
            .collect())
    }

    async fn dump(&self, document: Uuid) -> Result<Vec<serde_json::Value>, Failure> {
        let filter = Filter::must([one_of("document_guid", [document]), visible(true)]);
        let mut dumped: Vec<((i64, i64, String), serde_json::Value)> = Vec::new();
        let mut offset = None;
        loop {
            let request = ScrollPoints {
                collection_name: self.collection(),
                filter: Some(filter.clone()),
                offset,
                limit: Some(PAGE),
                with_payload: everything(),
                with_vectors: fields::with_dense(),
                ..ScrollPoints::default()
            };
            let (points, next) = self.page(request).await?;
            for point in points {
                let Some(id) = fields::chunk(point.id.as_ref()) else {
                    continue;
                };
                let number = |name| fields::integer(&point.payload, name).unwrap_or_default();
                let order = (number("part"), number("chunk_index"), id.to_string());
                let dense = fields::dense(&point);
                dumped.push((
                    order,
                    json!({"chunk_guid": id, "payload": point.payload, "dense": dense}),
                ));
            }
            offset = next;
            if offset.is_none() {
                break;
            }
        }
        dumped.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(dumped.into_iter().map(|(_, point)| point).collect())
    }

    async fn model(&self) -> Result<Option<String>, Failure> {
        let request = ScrollPoints {
            collection_name: self.collection(),
            limit: Some(1),
            with_payload: only(["model"]),
            ..ScrollPoints::default()
        };
        let (points, _) = self.page(request).await?;
        Ok(points
            .first()
            .and_then(|point| fields::text(&point.payload, "model"))
            .map(str::to_owned))
    }

    async fn count(&self) -> Result<u64, Failure> {
        self.counted(None).await
    }

    async fn count_of(&self, scope: &Scope) -> Result<u64, Failure> {
        let of_it = match scope {
            Scope::Document(id) => one_of("document_guid", [id]),
            Scope::Group(name) => one_of("group_guid", [name]),
        };
        self.counted(Some(Filter::must([of_it]))).await
    }

    async fn health(&self) -> Result<String, Failure> {
        let request = GetCollectionInfoRequest {
            collection_name: self.collection(),
        };
        let info = self.cluster.call(INFO, &request).await?;
        let info = info.result.unwrap_or_default();
        let (up, nodes, versions) = self.cluster.health().await;
        let collection = self.cluster.collection();
        if info.status() == CollectionStatus::Red {
            let optimizer = info.optimizer_status.unwrap_or_default().error;
            return Err(Failure::transient(format!(
                "qdrant: collection {collection} is red: {optimizer}; look at the logs of its nodes"
            )));
        }
        Ok(format!(
            "{} points in {} segments, collection {collection}, {up} of {nodes} nodes up, version {}",
            info.points_count.unwrap_or_default(),
            info.segments_count,
            versions.join(" and ")
        ))
    }
}
