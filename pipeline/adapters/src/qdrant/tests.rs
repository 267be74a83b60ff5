//! Against the engine behind the client's own protocol, which is in strict mode: a filter without an index is refused.

mod equal;
mod security;
mod trouble;

use std::path::Path;

use penstock_servers::qdrant::Qdrant as Server;
use penstock_stages::index::{BM25, DENSE, IndexType};
use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::points_client::PointsClient;
use qdrant_client::qdrant::{
    CreateCollection, CreateFieldIndexCollection, Distance, FieldType, KeywordIndexParams,
    Modifier, PayloadIndexParams, SparseVectorConfig, SparseVectorParams, VectorParams,
    VectorParamsMap, VectorsConfig, vectors_config,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::*;
use crate::vector_store::spec;

/// A server with an empty collection, as declared but for the size of its vectors.
async fn server() -> Server {
    let server = Server::start().await.unwrap();
    create(channel(&server.url(), None).await).await;
    server
}

fn store(server: &Server) -> Qdrant {
    Qdrant::open(&QdrantConfig::new(server.url())).unwrap()
}

async fn fresh() -> (Qdrant, Server) {
    let server = server().await;
    (store(&server), server)
}

crate::vector_store::behaves!(fresh);

async fn channel(url: &str, authority: Option<&Path>) -> Channel {
    let mut endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    if let Some(path) = authority {
        let authority = Certificate::from_pem(std::fs::read(path).unwrap());
        let tls = ClientTlsConfig::new().ca_certificate(authority);
        endpoint = endpoint.tls_config(tls).unwrap();
    }
    endpoint.connect().await.unwrap()
}

async fn create(channel: Channel) {
    let spec = spec();
    let dense = VectorParams {
        size: spec.vectors.dense.size as u64,
        distance: Distance::Cosine.into(),
        ..VectorParams::default()
    };
    let bm25 = SparseVectorParams {
        modifier: Some(Modifier::Idf.into()),
        ..SparseVectorParams::default()
    };
    let request = CreateCollection {
        collection_name: spec.collection.clone(),
        vectors_config: Some(VectorsConfig {
            config: Some(vectors_config::Config::ParamsMap(VectorParamsMap {
                map: HashMap::from([(DENSE.to_owned(), dense)]),
            })),
        }),
        sparse_vectors_config: Some(SparseVectorConfig {
            map: HashMap::from([(BM25.to_owned(), bm25)]),
        }),
        ..CreateCollection::default()
    };
    let mut collections = CollectionsClient::new(channel.clone());
    collections.create(request).await.unwrap();
    let mut points = PointsClient::new(channel);
    for (field, index) in spec.payload_indexes {
        let tenant = KeywordIndexParams {
            is_tenant: Some(true),
            ..KeywordIndexParams::default()
        };
        let tenant = PayloadIndexParams {
            index_params: Some(IndexParams::KeywordIndexParams(tenant)),
        };
        let kind = match index.kind {
            IndexType::Keyword => FieldType::Keyword,
            IndexType::Integer => FieldType::Integer,
            IndexType::Float => FieldType::Float,
            IndexType::Bool => FieldType::Bool,
            IndexType::Datetime => FieldType::Datetime,
            IndexType::Uuid => FieldType::Uuid,
        };
        let request = CreateFieldIndexCollection {
            collection_name: spec.collection.clone(),
            wait: Some(true),
            field_name: field,
            field_type: Some(kind.into()),
            field_index_params: index.is_tenant.then_some(tenant),
            ..CreateFieldIndexCollection::default()
        };
        points.create_field_index(request).await.unwrap();
    }
}

#[tokio::test]
async fn health_is_one_line() {
    let (store, _server) = fresh().await;
    store
        .insert(vec![crate::vector_store::point(1, 1, 0, "brake")])
        .await
        .unwrap();
    let health = store.health().await.unwrap();
    assert!(health.starts_with("1 points in 1 segments"), "{health}");
    assert!(health.contains("1 of 1 nodes up, version 1.18"), "{health}");
    assert_eq!(health.lines().count(), 1);
}

#[tokio::test]
async fn the_model_is_told_from_the_points() {
    let (store, _server) = fresh().await;
    assert_eq!(store.model().await.unwrap(), None);
    let point = crate::vector_store::point(1, 1, 0, "brake");
    store.insert(vec![point.clone()]).await.unwrap();
    assert_eq!(store.model().await.unwrap(), Some(point.model));
}

#[tokio::test]
async fn a_sweep_keeps_more_chunks_than_a_request_can_name() {
    use crate::vector_store::{content, id, ids, point};
    let (store, server) = fresh().await;
    let points: Vec<Point> = (0..6).map(|n| point(1, 1, n, "brake")).collect();
    let other = point(1, 2, 0, "brake");
    store.insert(points.clone()).await.unwrap();
    store.insert(vec![other.clone()]).await.unwrap();
    let mut kept = ids(&points[..4]);
    let mut expect = [kept.clone(), ids(&[other])].concat();
    expect.sort_unstable();
    kept.extend((0..NAMED as u128).map(Uuid::from_u128));
    for _ in 0..2 {
        store.retain_chunks(id(1), id(1), &kept).await.unwrap();
        let there: Vec<Uuid> = content(&store).await.into_keys().collect();
        assert_eq!(there, expect);
    }
    // The second time there was nothing to delete.
    assert_eq!(server.calls("Points/Delete"), 1);
}
