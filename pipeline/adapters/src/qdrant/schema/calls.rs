//! Calls about collections.

use qdrant_client::qdrant::{
    ChangeAliases, CollectionClusterInfoRequest, CollectionClusterInfoResponse,
    CollectionOperationResponse, CreateCollection, CreateFieldIndexCollection, DeleteCollection,
    DeleteFieldIndexCollection, ListAliasesRequest, ListAliasesResponse, ListCollectionsRequest,
    ListCollectionsResponse, PointsOperationResponse, UpdateCollection,
};

use crate::qdrant::method::Method;

pub(super) const LIST: Method<ListCollectionsRequest, ListCollectionsResponse> =
    Method::new("/qdrant.Collections/List");
pub(super) const CLUSTER_INFO: Method<CollectionClusterInfoRequest, CollectionClusterInfoResponse> =
    Method::new("/qdrant.Collections/CollectionClusterInfo");
pub(super) const CREATE: Method<CreateCollection, CollectionOperationResponse> =
    Method::new("/qdrant.Collections/Create");
pub(super) const UPDATE: Method<UpdateCollection, CollectionOperationResponse> =
    Method::new("/qdrant.Collections/Update");
pub(super) const DELETE_COLLECTION: Method<DeleteCollection, CollectionOperationResponse> =
    Method::new("/qdrant.Collections/Delete");
pub(super) const LIST_ALIASES: Method<ListAliasesRequest, ListAliasesResponse> =
    Method::new("/qdrant.Collections/ListAliases");
pub(super) const CHANGE_ALIASES: Method<ChangeAliases, CollectionOperationResponse> =
    Method::new("/qdrant.Collections/UpdateAliases");
pub(super) const CREATE_INDEX: Method<CreateFieldIndexCollection, PointsOperationResponse> =
    Method::new("/qdrant.Points/CreateFieldIndex");
pub(super) const DELETE_INDEX: Method<DeleteFieldIndexCollection, PointsOperationResponse> =
    Method::new("/qdrant.Points/DeleteFieldIndex");
