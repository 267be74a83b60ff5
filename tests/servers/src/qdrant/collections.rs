//! Calls about collections, and of the server itself.

use std::sync::Arc;

use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::qdrant_server;
use qdrant_client::qdrant::{
    ChangeAliases, CollectionClusterInfoRequest, CollectionClusterInfoResponse,
    CollectionDescription, CollectionExists, CollectionExistsRequest, CollectionExistsResponse,
    CollectionOperationResponse, CreateCollection, CreateShardKeyRequest, CreateShardKeyResponse,
    DeleteCollection, DeleteShardKeyRequest, DeleteShardKeyResponse, GetCollectionInfoRequest,
    GetCollectionInfoResponse, HealthCheckReply, HealthCheckRequest, ListAliasesRequest,
    ListAliasesResponse, ListCollectionAliasesRequest, ListCollectionsRequest,
    ListCollectionsResponse, ListShardKeysRequest, ListShardKeysResponse, LocalShardInfo,
    ReplicaState, UpdateCollection, UpdateCollectionClusterSetupRequest,
    UpdateCollectionClusterSetupResponse,
};
use tonic::{Request, Response, Status};

use super::VERSION;
use super::config::{created, updated};
use super::points::{not_served, on_a_blocking_thread};
use super::shelf::Shelf;

/// The one node there is.
const PEER: u64 = 1;

pub(super) struct Desk(pub Arc<Shelf>);

macro_rules! served {
    ($($name:ident: $request:ident => $response:ident = $does:expr;)*) => {
        #[tonic::async_trait]
        impl Collections for Desk {
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
    get: GetCollectionInfoRequest => GetCollectionInfoResponse = get;
    list: ListCollectionsRequest => ListCollectionsResponse = list;
    create: CreateCollection => CollectionOperationResponse = create;
    update: UpdateCollection => CollectionOperationResponse = update;
    delete: DeleteCollection => CollectionOperationResponse = delete;
    update_aliases: ChangeAliases => CollectionOperationResponse = update_aliases;
    list_collection_aliases: ListCollectionAliasesRequest => ListAliasesResponse = list_collection_aliases;
    list_aliases: ListAliasesRequest => ListAliasesResponse = list_aliases;
    collection_cluster_info: CollectionClusterInfoRequest => CollectionClusterInfoResponse = cluster_info;
    collection_exists: CollectionExistsRequest => CollectionExistsResponse = exists;
    update_collection_cluster_setup:
        UpdateCollectionClusterSetupRequest => UpdateCollectionClusterSetupResponse = not_served;
    create_shard_key: CreateShardKeyRequest => CreateShardKeyResponse = not_served;
    delete_shard_key: DeleteShardKeyRequest => DeleteShardKeyResponse = not_served;
    list_shard_keys: ListShardKeysRequest => ListShardKeysResponse = not_served;
}

#[tonic::async_trait]
impl qdrant_server::Qdrant for Desk {
    async fn health_check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckReply>, Status> {
        Ok(Response::new(HealthCheckReply {
            title: "qdrant - vector search engine".to_owned(),
            version: VERSION.to_owned(),
            commit: None,
        }))
    }
}

fn done(result: bool) -> CollectionOperationResponse {
    CollectionOperationResponse { result, time: 0.0 }
}

fn get(
    shelf: &Shelf,
    request: GetCollectionInfoRequest,
) -> Result<GetCollectionInfoResponse, Status> {
    let info = shelf.find(&request.collection_name)?.info()?;
    Ok(GetCollectionInfoResponse {
        result: Some(info),
        time: 0.0,
    })
}

fn list(shelf: &Shelf, _: ListCollectionsRequest) -> Result<ListCollectionsResponse, Status> {
    let names = shelf.names().into_iter();
    Ok(ListCollectionsResponse {
        collections: names.map(|name| CollectionDescription { name }).collect(),
        time: 0.0,
    })
}

fn create(shelf: &Shelf, request: CreateCollection) -> Result<CollectionOperationResponse, Status> {
    let name = request.collection_name.clone();
    shelf.create(&name, created(request)?)?;
    Ok(done(true))
}

fn update(shelf: &Shelf, request: UpdateCollection) -> Result<CollectionOperationResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    collection.configure(|config| updated(config, request))?;
    Ok(done(true))
}

fn delete(shelf: &Shelf, request: DeleteCollection) -> Result<CollectionOperationResponse, Status> {
    shelf.delete(&request.collection_name).map(done)
}

fn update_aliases(
    shelf: &Shelf,
    request: ChangeAliases,
) -> Result<CollectionOperationResponse, Status> {
    shelf.change_aliases(request.actions)?;
    Ok(done(true))
}

fn list_aliases(shelf: &Shelf, _: ListAliasesRequest) -> Result<ListAliasesResponse, Status> {
    Ok(ListAliasesResponse {
        aliases: shelf.aliases(),
        time: 0.0,
    })
}

fn list_collection_aliases(
    shelf: &Shelf,
    request: ListCollectionAliasesRequest,
) -> Result<ListAliasesResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let mut aliases = shelf.aliases();
    aliases.retain(|it| it.collection_name == collection.name());
    Ok(ListAliasesResponse { aliases, time: 0.0 })
}

fn exists(
    shelf: &Shelf,
    request: CollectionExistsRequest,
) -> Result<CollectionExistsResponse, Status> {
    let exists = shelf.find(&request.collection_name).is_ok();
    Ok(CollectionExistsResponse {
        result: Some(CollectionExists { exists }),
        time: 0.0,
    })
}

/// One node, which holds one shard that says it is all of them.
fn cluster_info(
    shelf: &Shelf,
    request: CollectionClusterInfoRequest,
) -> Result<CollectionClusterInfoResponse, Status> {
    let collection = shelf.find(&request.collection_name)?;
    let points = collection.info()?.points_count.unwrap_or_default();
    let params = collection.config().params.unwrap_or_default();
    let shards = (0..params.shard_number).map(|shard_id| LocalShardInfo {
        shard_id,
        points_count: if shard_id == 0 { points } else { 0 },
        state: ReplicaState::Active.into(),
        shard_key: None,
    });
    Ok(CollectionClusterInfoResponse {
        peer_id: PEER,
        shard_count: u64::from(params.shard_number),
        local_shards: shards.collect(),
        ..CollectionClusterInfoResponse::default()
    })
}
