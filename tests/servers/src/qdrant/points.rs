//! Calls about points.

use std::sync::Arc;

use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{
    BatchResult, ClearPayloadPoints, CountPoints, CountResponse, CountResult,
    CreateFieldIndexCollection, CreateVectorNameRequest, DeleteFieldIndexCollection,
    DeletePayloadPoints, DeletePointVectors, DeletePoints, DeleteVectorNameRequest,
    DiscoverBatchPoints, DiscoverBatchResponse, DiscoverPoints, DiscoverResponse, FacetCounts,
    FacetResponse, GetPoints, GetResponse, PointsOperationResponse, PointsSelector,
    QueryBatchPoints, QueryBatchResponse, QueryGroupsResponse, QueryPointGroups, QueryPoints,
    QueryResponse, RecommendBatchPoints, RecommendBatchResponse, RecommendGroupsResponse,
    RecommendPointGroups, RecommendPoints, RecommendResponse, ScrollPoints, ScrollResponse,
    SearchBatchPoints, SearchBatchResponse, SearchGroupsResponse, SearchMatrixOffsetsResponse,
    SearchMatrixPairsResponse, SearchMatrixPoints, SearchPointGroups, SearchPoints, SearchResponse,
    SetPayloadPoints, UpdateBatchPoints, UpdateBatchResponse, UpdatePointVectors, UpdateResult,
    UpdateStatus, UpsertPoints, Vector, vector,
};
use qdrant_edge::{CountRequest, PointId, ScrollRequest};
use tonic::{Request, Response, Status};

use super::collection::Collection;
use super::config::unknown_vector;
use super::convert::{point_id, told, told_id, with_payload, with_vectors};
use super::engine::vectors;
use super::filter::filter;
use super::index;
use super::journal::Entry;
use super::query::{check_size, query};
use super::shelf::Shelf;
use super::strict::{For, check_batch, check_filter, check_limit};

/// Points of a page where a request does not say how many.
const PAGE: u32 = 10;

pub(super) struct Desk(pub Arc<Shelf>);

macro_rules! served {
    ($($name:ident: $request:ident => $response:ident = $does:expr;)*) => {
        #[tonic::async_trait]
        impl Points for Desk {
            $(async fn $name(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$response>, Status> {
                on_a_blocking_thread(&self.0, request, $does).await
            })*
        }
    };
}

served! {
    upsert: UpsertPoints => PointsOperationResponse = upsert;
    delete: DeletePoints => PointsOperationResponse = delete;
    get: GetPoints => GetResponse = get;
    update_vectors: UpdatePointVectors => PointsOperationResponse = not_served;
    delete_vectors: DeletePointVectors => PointsOperationResponse = not_served;
    set_payload: SetPayloadPoints => PointsOperationResponse = set_payload;
    overwrite_payload: SetPayloadPoints => PointsOperationResponse = not_served;
    delete_payload: DeletePayloadPoints => PointsOperationResponse = not_served;
    clear_payload: ClearPayloadPoints => PointsOperationResponse = not_served;
    create_field_index: CreateFieldIndexCollection => PointsOperationResponse = create_field_index;
    delete_field_index: DeleteFieldIndexCollection => PointsOperationResponse = delete_field_index;
    create_vector_name: CreateVectorNameRequest => PointsOperationResponse = not_served;
    delete_vector_name: DeleteVectorNameRequest => PointsOperationResponse = not_served;
    search: SearchPoints => SearchResponse = not_served;
    search_batch: SearchBatchPoints => SearchBatchResponse = not_served;
    search_groups: SearchPointGroups => SearchGroupsResponse = not_served;
    scroll: ScrollPoints => ScrollResponse = scroll;
    recommend: RecommendPoints => RecommendResponse = not_served;
    recommend_batch: RecommendBatchPoints => RecommendBatchResponse = not_served;
    recommend_groups: RecommendPointGroups => RecommendGroupsResponse = not_served;
    discover: DiscoverPoints => DiscoverResponse = not_served;
    discover_batch: DiscoverBatchPoints => DiscoverBatchResponse = not_served;
    count: CountPoints => CountResponse = count;
    update_batch: UpdateBatchPoints => UpdateBatchResponse = not_served;
    query: QueryPoints => QueryResponse = query_one;
    query_batch: QueryBatchPoints => QueryBatchResponse = query_batch;
    query_groups: QueryPointGroups => QueryGroupsResponse = not_served;
    facet: FacetCounts => FacetResponse = not_served;
    search_matrix_pairs: SearchMatrixPoints => SearchMatrixPairsResponse = not_served;
    search_matrix_offsets: SearchMatrixPoints => SearchMatrixOffsetsResponse = not_served;
}

/// Once begun, the work is done, whether or not the client still waits.
pub(super) async fn on_a_blocking_thread<Q, A>(
    shelf: &Arc<Shelf>,
    request: Request<Q>,
    work: fn(&Shelf, Q) -> Result<A, Status>,
) -> Result<Response<A>, Status>
where
    Q: Send + 'static,
    A: Send + 'static,
{
    let shelf = shelf.clone();
    let request = request.into_inner();
    tokio::task::spawn_blocking(move || work(&shelf, request))
        .await
        .map_err(|error| Status::internal(format!("Service internal error: {error}")))?
        .map(Response::new)
}

pub(super) fn not_served<Q, A>(_: &Shelf, _: Q) -> Result<A, Status> {
    Err(Status::unimplemented("not served by this endpoint"))
}

fn written(operation: u64, wait: Option<bool>) -> PointsOperationResponse {
    let status = match wait {
        Some(true) => UpdateStatus::Completed,
        _ => UpdateStatus::Acknowledged,
    };
    PointsOperationResponse {
        result: Some(UpdateResult {
            operation_id: Some(operation),
            status: status.into(),
        }),
        time: 0.0,
        usage: None,
    }
}

fn upsert(shelf: &Shelf, request: UpsertPoints) -> Result<PointsOperationResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    check_batch(&collection, request.points.len())?;
    check_filter(&collection, request.update_filter.as_ref(), For::Update)?;
    check_vectors(&collection, &request)?;
    let wait = request.wait;
    let operation = collection.write(Entry::Upsert(request))?;
    Ok(written(operation, wait))
}

/// Refuses the whole request where one vector is none of the collection's.
#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
fn check_vectors(collection: &Collection, request: &UpsertPoints) -> Result<(), Status> {
    let params = collection.config().params.unwrap_or_default();
    let dense = vectors(params.vectors_config.as_ref());
    let sparse = params.sparse_vectors_config.clone().unwrap_or_default().map;
    let check = |name: &str, vector: &Vector| {
        let is_sparse =
            matches!(vector.vector, Some(vector::Vector::Sparse(_))) || vector.indices.is_some();
        if is_sparse {
            let known = sparse.contains_key(name);
            return known.then_some(()).ok_or_else(|| unknown_vector(name));
        }
        let params = dense.get(name).ok_or_else(|| unknown_vector(name))?;
        match &vector.vector {
            Some(vector::Vector::Dense(it)) => check_size(it.data.len(), params.size),
            None => check_size(vector.data.len(), params.size),
            Some(_) => Ok(()),
        }
    };
    for point in &request.points {
        let options = point
            .vectors
            .as_ref()
            .and_then(|it| it.vectors_options.as_ref());
        match options {
            Some(VectorsOptions::Vector(vector)) => check("", vector)?,
            Some(VectorsOptions::Vectors(named)) => {
                for (name, vector) in &named.vectors {
                    check(name, vector)?;
                }
            }
            None => {}
        }
    }
    Ok(())
}

fn delete(shelf: &Shelf, request: DeletePoints) -> Result<PointsOperationResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    check_filter(&collection, filter_of(request.points.as_ref()), For::Update)?;
    let wait = request.wait;
    let operation = collection.write(Entry::Delete(request))?;
    Ok(written(operation, wait))
}

fn set_payload(
    shelf: &Shelf,
    request: SetPayloadPoints,
) -> Result<PointsOperationResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let filter = filter_of(request.points_selector.as_ref());
    check_filter(&collection, filter, For::Update)?;
    let wait = request.wait;
    let operation = collection.write(Entry::SetPayload(request))?;
    Ok(written(operation, wait))
}

fn filter_of(selector: Option<&PointsSelector>) -> Option<&qdrant_client::qdrant::Filter> {
    match selector?.points_selector_one_of.as_ref()? {
        PointsSelectorOneOf::Filter(filter) => Some(filter),
        PointsSelectorOneOf::Points(_) => None,
    }
}

fn create_field_index(
    shelf: &Shelf,
    request: CreateFieldIndexCollection,
) -> Result<PointsOperationResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let schema = index::schema(&request)?;
    let operation = collection.set_index(&request.field_name, Some(schema))?;
    Ok(written(operation, request.wait))
}

fn delete_field_index(
    shelf: &Shelf,
    request: DeleteFieldIndexCollection,
) -> Result<PointsOperationResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let operation = collection.set_index(&request.field_name, None)?;
    Ok(written(operation, request.wait))
}

fn get(shelf: &Shelf, request: GetPoints) -> Result<GetResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let ids: Result<Vec<PointId>, Status> = request.ids.into_iter().map(point_id).collect();
    let ids = ids?;
    let payload = with_payload(request.with_payload, true)?;
    let vectors = with_vectors(request.with_vectors);
    let found = collection.read(|shard| shard.retrieve(&ids, Some(payload), Some(vectors)))?;
    Ok(GetResponse {
        result: found.into_iter().map(told).collect(),
        time: 0.0,
        usage: None,
    })
}

fn scroll(shelf: &Shelf, request: ScrollPoints) -> Result<ScrollResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let limit = request.limit.unwrap_or(PAGE);
    if limit == 0 {
        return Err(Status::invalid_argument(
            "Validation error in body: [limit: value 0 invalid, must be 1 or larger]",
        ));
    }
    if request.order_by.is_some() {
        return Err(Status::unimplemented("ordering is not served"));
    }
    check_limit(&collection, u64::from(limit))?;
    check_filter(&collection, request.filter.as_ref(), For::Retrieval)?;
    let wanted = ScrollRequest {
        offset: request.offset.map(point_id).transpose()?,
        limit: Some(limit as usize),
        filter: request.filter.map(filter).transpose()?,
        with_payload: Some(with_payload(request.with_payload, true)?),
        with_vector: with_vectors(request.with_vectors),
        order_by: None,
    };
    let (found, next) = collection.read(|shard| shard.scroll(wanted))?;
    Ok(ScrollResponse {
        next_page_offset: next.map(told_id),
        result: found.into_iter().map(told).collect(),
        time: 0.0,
        usage: None,
    })
}

fn count(shelf: &Shelf, request: CountPoints) -> Result<CountResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    check_filter(&collection, request.filter.as_ref(), For::Retrieval)?;
    let wanted = CountRequest {
        filter: request.filter.map(filter).transpose()?,
        exact: request.exact.unwrap_or(true),
    };
    let count = collection.read(|shard| shard.count(wanted))? as u64;
    Ok(CountResponse {
        result: Some(CountResult { count }),
        time: 0.0,
        usage: None,
    })
}

fn query_one(shelf: &Shelf, request: QueryPoints) -> Result<QueryResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    Ok(QueryResponse {
        result: query(&collection, request)?,
        time: 0.0,
        usage: None,
    })
}

fn query_batch(shelf: &Shelf, request: QueryBatchPoints) -> Result<QueryBatchResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let results: Result<Vec<BatchResult>, Status> = request
        .query_points
        .into_iter()
        .map(|it| {
            let result = query(&collection, it)?;
            Ok(BatchResult { result })
        })
        .collect();
    Ok(QueryBatchResponse {
        result: results?,
        time: 0.0,
        usage: None,
    })
}
