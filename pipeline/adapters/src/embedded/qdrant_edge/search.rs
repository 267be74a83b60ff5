//! Two searches made one, and only what readers may see of it.

use std::collections::{BTreeMap, BTreeSet};

use penstock_stages::index::{BM25, DENSE, Sparse, fuse};
use qdrant_edge::{
    Condition, EdgeShard, NamedQuery, OperationResult, PointId, QueryEnum, Record, ScoredPoint,
    ScrollRequest, SearchRequest, SparseVector, VectorInternal, WithVector,
};
use uuid::Uuid;

use super::PAGE;
use super::fields::{self, filter, one_of, only, visible};

/// Ranks looked at in each of the two searches, as a multiple of the hits asked for and at least.
const DEPTH: (usize, usize) = (4, 50);

/// The best `limit` points under `conditions`, of each document only its newest visible edition.
pub fn find(
    shard: &EdgeShard,
    dense: Vec<f32>,
    bm25: Sparse,
    limit: usize,
    conditions: Vec<Condition>,
) -> OperationResult<Vec<(Record, f32)>> {
    let depth = limit.saturating_mul(DEPTH.0).max(DEPTH.1);
    let mut queries = Vec::new();
    if !dense.is_empty() {
        queries.push(NamedQuery::new(VectorInternal::Dense(dense), DENSE));
    }
    if !bm25.indices.is_empty() {
        let sparse = SparseVector {
            indices: bm25.indices,
            values: bm25.values,
        };
        queries.push(NamedQuery::new(VectorInternal::Sparse(sparse), BM25));
    }
    // Each round leaves out at least one more edition that is no longer the newest, so this ends.
    let mut older: BTreeSet<Uuid> = BTreeSet::new();
    loop {
        let mut filter = filter(conditions.clone());
        if !older.is_empty() {
            filter.must_not = Some(vec![one_of("edition", older.iter().copied())]);
        }
        let mut rankings = Vec::with_capacity(queries.len());
        for query in &queries {
            let found = shard.search(SearchRequest {
                query: QueryEnum::Nearest(query.clone()),
                filter: Some(filter.clone()),
                params: None,
                limit: depth,
                offset: 0,
                with_payload: None,
                with_vector: None,
                score_threshold: None,
            })?;
            rankings.push(ranking(found));
        }
        let fused = fuse(&rankings);
        let ids: Vec<PointId> = fused.iter().map(|(id, _)| *id).collect();
        let records = shard.retrieve(&ids, Some(true.into()), Some(WithVector::Bool(false)))?;
        let superseded = superseded(shard, &records)?;
        if superseded.is_empty() {
            let mut records: BTreeMap<PointId, Record> = records
                .into_iter()
                .map(|record| (record.id, record))
                .collect();
            return Ok(fused
                .into_iter()
                .filter_map(|(id, score)| Some((records.remove(&id)?, score)))
                .take(limit)
                .collect());
        }
        older.extend(superseded);
    }
}

/// Ids, best first; equal scores by id, whatever order the engine gave them.
fn ranking(mut found: Vec<ScoredPoint>) -> Vec<PointId> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    found.into_iter().map(|point| point.id).collect()
}

/// Editions among the records that are not their document's newest visible one, whether or not a point of the newest is
/// among the records too.
fn superseded(shard: &EdgeShard, records: &[Record]) -> OperationResult<BTreeSet<Uuid>> {
    let mut editions: BTreeMap<Uuid, BTreeSet<(Uuid, Uuid)>> = BTreeMap::new();
    let mut add = |records: &[Record]| {
        for (document, version, edition) in records.iter().filter_map(fields::edition) {
            editions
                .entry(document)
                .or_default()
                .insert((version, edition));
        }
        let documents: Vec<Uuid> = editions.keys().copied().collect();
        let known: Vec<Uuid> = editions.values().flatten().map(|(_, e)| *e).collect();
        (documents, known)
    };
    let (documents, mut known) = add(records);
    let found: BTreeSet<Uuid> = known.iter().copied().collect();
    if documents.is_empty() {
        return Ok(BTreeSet::new());
    }
    let with_payload = only(["document_guid", "version", "edition"]);
    // Each round learns of at least one more edition, so this ends; most often at once, with nothing found.
    loop {
        let mut filter = filter([
            visible(true),
            one_of("document_guid", documents.iter().copied()),
        ]);
        filter.must_not = Some(vec![one_of("edition", known.iter().copied())]);
        let (others, _) = shard.scroll(ScrollRequest {
            offset: None,
            limit: Some(PAGE),
            filter: Some(filter),
            with_payload: Some(with_payload.clone()),
            with_vector: WithVector::Bool(false),
            order_by: None,
        })?;
        let before = known.len();
        known = add(&others).1;
        if known.len() == before {
            break;
        }
    }
    Ok(editions
        .into_values()
        .flat_map(|editions| editions.into_iter().rev().skip(1))
        .map(|(_, edition)| edition)
        .filter(|edition| found.contains(edition))
        .collect())
}
