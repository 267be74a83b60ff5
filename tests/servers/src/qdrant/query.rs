//! Queries: prefetches, nearest vectors and fusion in the engine's words.

use qdrant_client::qdrant::query::Variant;
use qdrant_client::qdrant::{
    Fusion, PrefetchQuery, Query, QueryPoints, ScoredPoint, SearchParams, VectorInput, vector_input,
};
use qdrant_edge::external::ordered_float::OrderedFloat;
use qdrant_edge::{
    NamedQuery, PointId, Prefetch, QueryEnum, QueryRequest, ScoringQuery, VectorInternal,
    VectorStructInternal, WithVector,
};
use tonic::Status;

use super::collection::Collection;
use super::config::unknown_vector;
use super::convert::{point_id, sparse, told_scored, with_payload, with_vectors};
use super::engine::vectors;
use super::filter::filter;
use super::strict::{For, check_filter, check_limit};

/// Hits where a request does not say how many.
const LIMIT: u64 = 10;
/// How slowly a rank loses worth where a request does not say.
const RRF_K: usize = 2;

pub(super) fn query(
    collection: &Collection,
    request: QueryPoints,
) -> Result<Vec<ScoredPoint>, Status> {
    let limit = request.limit.unwrap_or(LIMIT);
    check_limit(collection, limit)?;
    check_filter(collection, request.filter.as_ref(), For::Retrieval)?;
    let using = request.using.unwrap_or_default();
    let prefetches: Result<Vec<Prefetch>, Status> = request
        .prefetch
        .into_iter()
        .map(|it| prefetch(collection, it))
        .collect();
    let query = scoring(collection, request.query, &using)?;
    let prefetches = prefetches?;
    if matches!(query, Some(ScoringQuery::Fusion(_))) && prefetches.is_empty() {
        return Err(Status::invalid_argument(
            "Bad request: Fusion queries cannot be combined with the 'using' field or used without prefetches",
        ));
    }
    let request = QueryRequest {
        prefetches,
        query,
        filter: request.filter.map(filter).transpose()?,
        score_threshold: request.score_threshold.map(OrderedFloat),
        limit: limit as usize,
        offset: request.offset.unwrap_or_default() as usize,
        params: request.params.map(params),
        with_vector: with_vectors(request.with_vectors),
        with_payload: with_payload(request.with_payload, false)?,
    };
    let found = collection.read(|shard| shard.query(request))?;
    Ok(found.into_iter().map(told_scored).collect())
}

fn prefetch(collection: &Collection, request: PrefetchQuery) -> Result<Prefetch, Status> {
    let limit = request.limit.unwrap_or(LIMIT);
    check_limit(collection, limit)?;
    check_filter(collection, request.filter.as_ref(), For::Retrieval)?;
    let using = request.using.unwrap_or_default();
    let inner: Result<Vec<Prefetch>, Status> = request
        .prefetch
        .into_iter()
        .map(|it| prefetch(collection, it))
        .collect();
    Ok(Prefetch {
        prefetches: inner?,
        query: scoring(collection, request.query, &using)?,
        limit: limit as usize,
        params: request.params.map(params),
        filter: request.filter.map(filter).transpose()?,
        score_threshold: request.score_threshold.map(OrderedFloat),
    })
}

fn params(params: SearchParams) -> qdrant_edge::SearchParams {
    qdrant_edge::SearchParams {
        hnsw_ef: params.hnsw_ef.map(|it| it as usize),
        exact: params.exact.unwrap_or_default(),
        indexed_only: params.indexed_only.unwrap_or_default(),
        ..qdrant_edge::SearchParams::default()
    }
}

fn scoring(
    collection: &Collection,
    query: Option<Query>,
    using: &str,
) -> Result<Option<ScoringQuery>, Status> {
    let Some(variant) = query.and_then(|it| it.variant) else {
        return Ok(None);
    };
    Ok(Some(match variant {
        Variant::Nearest(input) => {
            let vector = vector(collection, input, using)?;
            let query = NamedQuery::new(vector, using);
            ScoringQuery::Vector(QueryEnum::Nearest(query))
        }
        Variant::Fusion(number) => ScoringQuery::Fusion(match Fusion::try_from(number) {
            Ok(Fusion::Rrf) => qdrant_edge::Fusion::Rrf {
                k: RRF_K,
                weights: None,
            },
            Ok(Fusion::Dbsf) => qdrant_edge::Fusion::Dbsf,
            Err(_) => return Err(Status::invalid_argument("Malformed fusion")),
        }),
        Variant::Rrf(rrf) => {
            let weights = rrf.weights.into_iter().map(OrderedFloat);
            let weights: Vec<_> = weights.collect();
            ScoringQuery::Fusion(qdrant_edge::Fusion::Rrf {
                k: rrf.k.map_or(RRF_K, |k| k as usize),
                weights: (!weights.is_empty()).then_some(weights),
            })
        }
        _ => return Err(Status::unimplemented("this kind of query is not served")),
    }))
}

/// A vector that the collection's one of this name can be compared with.
fn vector(
    collection: &Collection,
    input: VectorInput,
    using: &str,
) -> Result<VectorInternal, Status> {
    let malformed = || Status::invalid_argument("Malformed vector input");
    let vector = match input.variant.ok_or_else(malformed)? {
        vector_input::Variant::Dense(dense) => VectorInternal::Dense(dense.data),
        vector_input::Variant::Sparse(it) => VectorInternal::Sparse(sparse(it.indices, it.values)?),
        vector_input::Variant::Id(id) => of_point(collection, point_id(id)?, using)?,
        _ => return Err(Status::unimplemented("inference is not served")),
    };
    let params = collection.config().params.unwrap_or_default();
    let is_sparse = params
        .sparse_vectors_config
        .is_some_and(|it| it.map.contains_key(using));
    match (&vector, vectors(params.vectors_config.as_ref()).get(using)) {
        (VectorInternal::Sparse(_), _) if is_sparse => Ok(vector),
        (VectorInternal::Dense(dense), Some(params)) => {
            check_size(dense.len(), params.size)?;
            Ok(vector)
        }
        (_, None) if !is_sparse => Err(unknown_vector(using)),
        _ => Err(Status::invalid_argument(
            "Wrong input: Wrong usage of sparse vectors",
        )),
    }
}

pub(super) fn check_size(numbers: usize, size: u64) -> Result<(), Status> {
    if numbers as u64 == size {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "Wrong input: Vector dimension error: expected dim: {size}, got {numbers}"
    )))
}

fn of_point(collection: &Collection, id: PointId, using: &str) -> Result<VectorInternal, Status> {
    let wanted = WithVector::Selector(vec![using.to_owned()]);
    let found = collection.read(|shard| shard.retrieve(&[id], Some(false.into()), Some(wanted)))?;
    let vector = found.into_iter().next().and_then(|record| record.vector);
    let vector = match vector {
        Some(VectorStructInternal::Single(dense)) => Some(VectorInternal::Dense(dense)),
        Some(VectorStructInternal::Named(mut named)) => named.remove(using),
        _ => None,
    };
    vector.ok_or_else(|| Status::not_found(format!("Not found: No point with id {id} found")))
}
