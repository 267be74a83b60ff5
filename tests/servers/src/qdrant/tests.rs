use std::collections::HashMap;

use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::points_client::PointsClient;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::query::Variant;
use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CollectionInfo, CollectionParamsDiff, Condition, CountPoints,
    CreateAlias, CreateCollection, CreateFieldIndexCollection, DeleteCollection, DeletePoints,
    DenseVector, Disabled, Distance, FieldType, Filter, GetCollectionInfoRequest, HnswConfigDiff,
    ListAliasesRequest, Memory, Modifier, NamedVectors, PayloadSchemaType, PointId, PointStruct,
    PointsSelector, PrefetchQuery, QuantizationConfig, QuantizationConfigDiff, QuantizationType,
    Query, QueryPoints, Rrf, ScalarQuantization, ScrollPoints, SparseVector, SparseVectorConfig,
    SparseVectorParams, UpdateCollection, UpdateMode, UpdateStatus, UpsertPoints, Value, Vector,
    VectorInput, VectorParams, VectorParamsDiff, VectorParamsDiffMap, VectorParamsMap, Vectors,
    VectorsConfig, VectorsConfigDiff, alias_operations, quantization_config,
    quantization_config_diff, vector, vector_input, vectors, vectors_config, vectors_config_diff,
};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::*;

struct Clients {
    collections: CollectionsClient<Channel>,
    points: PointsClient<Channel>,
}

async fn clients(server: &super::Qdrant) -> Clients {
    let endpoint = Endpoint::from_shared(server.url()).unwrap();
    let channel = endpoint.connect().await.unwrap();
    Clients {
        collections: CollectionsClient::new(channel.clone()),
        points: PointsClient::new(channel),
    }
}

fn collection(name: &str) -> CreateCollection {
    let dense = VectorParams {
        size: 2,
        distance: Distance::Dot.into(),
        hnsw_config: Some(HnswConfigDiff {
            m: Some(24),
            ..HnswConfigDiff::default()
        }),
        ..VectorParams::default()
    };
    let words = SparseVectorParams {
        modifier: Some(Modifier::Idf.into()),
        ..SparseVectorParams::default()
    };
    CreateCollection {
        collection_name: name.to_owned(),
        vectors_config: Some(VectorsConfig {
            config: Some(vectors_config::Config::ParamsMap(VectorParamsMap {
                map: HashMap::from([("dense".to_owned(), dense)]),
            })),
        }),
        sparse_vectors_config: Some(SparseVectorConfig {
            map: HashMap::from([("words".to_owned(), words)]),
        }),
        shard_number: Some(3),
        replication_factor: Some(2),
        quantization_config: Some(QuantizationConfig {
            quantization: Some(quantization_config::Quantization::Scalar(
                ScalarQuantization {
                    r#type: QuantizationType::Int8.into(),
                    quantile: Some(0.99),
                    ..ScalarQuantization::default()
                },
            )),
        }),
        ..CreateCollection::default()
    }
}

async fn info(clients: &mut Clients, name: &str) -> Result<CollectionInfo, Status> {
    let request = GetCollectionInfoRequest {
        collection_name: name.to_owned(),
    };
    let answer = clients.collections.get(request).await?;
    Ok(answer.into_inner().result.unwrap())
}

async fn index(clients: &mut Clients, field: &str, kind: FieldType) {
    let request = CreateFieldIndexCollection {
        collection_name: "one".to_owned(),
        field_name: field.to_owned(),
        field_type: Some(kind.into()),
        wait: Some(true),
        ..CreateFieldIndexCollection::default()
    };
    clients.points.create_field_index(request).await.unwrap();
}

fn point(id: u64, dense: [f32; 2], kind: &str) -> PointStruct {
    let vector = |vector| Vector {
        vector: Some(vector),
        ..Vector::default()
    };
    let dense = vector::Vector::Dense(DenseVector {
        data: dense.to_vec(),
    });
    let words = vector::Vector::Sparse(SparseVector {
        indices: vec![7, id as u32 + 100],
        values: vec![1.0, 1.0],
    });
    PointStruct {
        id: Some(id.into()),
        payload: HashMap::from([
            ("kind".to_owned(), Value::from(kind)),
            ("size".to_owned(), Value::from(id as i64)),
        ]),
        vectors: Some(Vectors {
            vectors_options: Some(vectors::VectorsOptions::Vectors(NamedVectors {
                vectors: HashMap::from([
                    ("dense".to_owned(), vector(dense)),
                    ("words".to_owned(), vector(words)),
                ]),
            })),
        }),
    }
}

async fn upsert(
    clients: &mut Clients,
    points: Vec<PointStruct>,
    mode: UpdateMode,
    filter: Option<Filter>,
) -> Result<UpdateStatus, Status> {
    let request = UpsertPoints {
        collection_name: "one".to_owned(),
        wait: Some(true),
        points,
        update_mode: Some(mode.into()),
        update_filter: filter,
        ..UpsertPoints::default()
    };
    let answer = clients.points.upsert(request).await?.into_inner();
    Ok(answer.result.unwrap().status())
}

async fn kinds(clients: &mut Clients) -> Vec<String> {
    let request = ScrollPoints {
        collection_name: "one".to_owned(),
        ..ScrollPoints::default()
    };
    let found = clients.points.scroll(request).await.unwrap().into_inner();
    let kinds = found.result.iter().map(|it| it.payload["kind"].to_string());
    kinds.collect()
}

#[tokio::test]
async fn a_collection_keeps_what_it_is_configured_with() {
    let mut server = super::Qdrant::start().await.unwrap();
    let mut clients = clients(&server).await;
    clients.collections.create(collection("one")).await.unwrap();
    let again = clients.collections.create(collection("one")).await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);
    index(&mut clients, "kind", FieldType::Keyword).await;
    let update = UpdateCollection {
        collection_name: "one".to_owned(),
        hnsw_config: Some(HnswConfigDiff {
            ef_construct: Some(200),
            ..HnswConfigDiff::default()
        }),
        quantization_config: Some(QuantizationConfigDiff {
            quantization: Some(quantization_config_diff::Quantization::Disabled(
                Disabled {},
            )),
        }),
        params: Some(CollectionParamsDiff {
            write_consistency_factor: Some(2),
            ..CollectionParamsDiff::default()
        }),
        vectors_config: Some(VectorsConfigDiff {
            config: Some(vectors_config_diff::Config::ParamsMap(
                VectorParamsDiffMap {
                    map: HashMap::from([(
                        "dense".to_owned(),
                        VectorParamsDiff {
                            memory: Some(Memory::Cold.into()),
                            ..VectorParamsDiff::default()
                        },
                    )]),
                },
            )),
        }),
        ..UpdateCollection::default()
    };
    clients.collections.update(update).await.unwrap();
    let before = info(&mut clients, "one").await.unwrap();

    server.start_again().await.unwrap();
    let after = info(&mut clients, "one").await;
    // The first call finds the connection gone.
    let after = match after {
        Ok(after) => after,
        Err(_) => info(&mut clients, "one").await.unwrap(),
    };
    assert_eq!(after, before);
    let config = after.config.unwrap();
    let params = config.params.unwrap();
    assert_eq!(params.shard_number, 3);
    assert_eq!(params.replication_factor, Some(2));
    assert_eq!(params.write_consistency_factor, Some(2));
    let sparse = &params.sparse_vectors_config.unwrap().map["words"];
    assert_eq!(sparse.modifier(), Modifier::Idf);
    let Some(vectors_config::Config::ParamsMap(dense)) = params.vectors_config.unwrap().config
    else {
        panic!("no named vectors");
    };
    let dense = &dense.map["dense"];
    assert_eq!((dense.size, dense.distance()), (2, Distance::Dot));
    assert_eq!(dense.memory(), Memory::Cold);
    assert_eq!(dense.hnsw_config.unwrap().m, Some(24));
    let hnsw = config.hnsw_config.unwrap();
    assert_eq!((hnsw.m, hnsw.ef_construct), (Some(16), Some(200)));
    assert_eq!(config.quantization_config, None);
    let schema = &after.payload_schema["kind"];
    assert_eq!(schema.data_type(), PayloadSchemaType::Keyword);
}

#[tokio::test]
async fn aliases_stand_for_collections_and_change_all_at_once() {
    let server = super::Qdrant::start().await.unwrap();
    let mut clients = clients(&server).await;
    for name in ["one", "two"] {
        clients.collections.create(collection(name)).await.unwrap();
    }
    let to = |collection: &str| AliasOperations {
        action: Some(alias_operations::Action::CreateAlias(CreateAlias {
            collection_name: collection.to_owned(),
            alias_name: "current".to_owned(),
        })),
    };
    let change = async |clients: &mut Clients, actions| {
        let request = ChangeAliases {
            actions,
            timeout: None,
        };
        clients.collections.update_aliases(request).await
    };
    change(&mut clients, vec![to("one")]).await.unwrap();
    let missing = change(&mut clients, vec![to("two"), to("three")]).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    let listed = async |clients: &mut Clients| {
        let request = ListAliasesRequest {};
        let answer = clients.collections.list_aliases(request).await.unwrap();
        answer.into_inner().aliases[0].collection_name.clone()
    };
    assert_eq!(listed(&mut clients).await, "one");
    change(&mut clients, vec![to("two")]).await.unwrap();
    assert_eq!(listed(&mut clients).await, "two");
    assert!(info(&mut clients, "current").await.is_ok());
    let delete = DeleteCollection {
        collection_name: "two".to_owned(),
        timeout: None,
    };
    clients.collections.delete(delete).await.unwrap();
    let gone = info(&mut clients, "current").await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    assert!(gone.message().contains("doesn't exist"), "{gone}");
}

#[tokio::test]
async fn modes_and_conditions_decide_what_an_upsert_does() {
    let server = super::Qdrant::start().await.unwrap();
    let mut clients = clients(&server).await;
    clients.collections.create(collection("one")).await.unwrap();
    index(&mut clients, "kind", FieldType::Keyword).await;
    let at = [1.0, 0.0];
    let only = |kind: &str| Some(Filter::must([Condition::matches("kind", kind.to_owned())]));
    let mut check = async |points: &[(u64, &str)], mode, filter, expect: &[&str]| {
        let points = points.iter().map(|(id, kind)| point(*id, at, kind));
        let done = upsert(&mut clients, points.collect(), mode, filter).await;
        assert_eq!(done.unwrap(), UpdateStatus::Completed);
        let quoted: Vec<String> = expect.iter().map(|kind| format!("{kind:?}")).collect();
        assert_eq!(kinds(&mut clients).await, quoted);
    };
    use UpdateMode::{InsertOnly, UpdateOnly, Upsert};
    check(&[(1, "a")], Upsert, None, &["a"]).await;
    check(&[(1, "b"), (2, "b")], InsertOnly, None, &["a", "b"]).await;
    check(&[(1, "c"), (3, "c")], UpdateOnly, None, &["c", "b"]).await;
    check(&[(1, "d"), (2, "d")], Upsert, only("b"), &["c", "d"]).await;

    let mut long = point(4, at, "x");
    let Some(vectors::VectorsOptions::Vectors(named)) =
        &mut long.vectors.as_mut().unwrap().vectors_options
    else {
        panic!("no named vectors");
    };
    let dense = named.vectors.get_mut("dense").unwrap();
    dense.vector = Some(vector::Vector::Dense(DenseVector { data: vec![1.0; 3] }));
    let refused = upsert(&mut clients, vec![long], Upsert, None).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("expected dim: 2, got 3"));
}

#[tokio::test]
async fn filters_need_an_index_of_their_kind() {
    let server = super::Qdrant::start().await.unwrap();
    let mut clients = clients(&server).await;
    clients.collections.create(collection("one")).await.unwrap();
    index(&mut clients, "kind", FieldType::Keyword).await;
    let points = vec![point(1, [1.0, 0.0], "a"), point(2, [0.0, 1.0], "b")];
    upsert(&mut clients, points, UpdateMode::Upsert, None)
        .await
        .unwrap();
    let count = async |clients: &mut Clients, condition| {
        let request = CountPoints {
            collection_name: "one".to_owned(),
            filter: Some(Filter::must([condition])),
            ..CountPoints::default()
        };
        let answer = clients.points.count(request).await?.into_inner();
        Ok::<u64, Status>(answer.result.unwrap().count)
    };
    let found = count(&mut clients, Condition::matches("kind", "a".to_owned())).await;
    assert_eq!(found.unwrap(), 1);
    for (condition, kind) in [
        (Condition::matches("size", 1), "[integer]"),
        (Condition::matches("kind", 1), "[integer]"),
        (Condition::matches("else", true), "[bool]"),
    ] {
        let refused = count(&mut clients, condition).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(kind), "{refused}");
    }
    let delete = DeletePoints {
        collection_name: "one".to_owned(),
        points: Some(PointsSelector {
            points_selector_one_of: Some(PointsSelectorOneOf::Filter(Filter::must([
                Condition::matches("size", 1),
            ]))),
        }),
        ..DeletePoints::default()
    };
    let refused = clients.points.delete(delete.clone()).await.unwrap_err();
    assert!(refused.message().contains("\"size\""), "{refused}");
    index(&mut clients, "size", FieldType::Integer).await;
    clients.points.delete(delete).await.unwrap();
    assert_eq!(kinds(&mut clients).await, ["\"b\""]);
}

#[tokio::test]
async fn prefetches_are_fused() {
    let server = super::Qdrant::start().await.unwrap();
    let mut clients = clients(&server).await;
    clients.collections.create(collection("one")).await.unwrap();
    let points = (1..=5).map(|n| point(n, [n as f32, 0.0], "a")).collect();
    upsert(&mut clients, points, UpdateMode::Upsert, None)
        .await
        .unwrap();
    let prefetch = |using: &str, variant| PrefetchQuery {
        query: Some(Query {
            variant: Some(Variant::Nearest(VectorInput {
                variant: Some(variant),
            })),
        }),
        using: Some(using.to_owned()),
        limit: Some(3),
        ..PrefetchQuery::default()
    };
    let dense = vector_input::Variant::Dense(DenseVector {
        data: vec![1.0, 0.0],
    });
    let words = vector_input::Variant::Sparse(SparseVector {
        indices: vec![104],
        values: vec![1.0],
    });
    let request = QueryPoints {
        collection_name: "one".to_owned(),
        prefetch: vec![prefetch("dense", dense), prefetch("words", words)],
        query: Some(Query {
            variant: Some(Variant::Rrf(Rrf {
                k: Some(60),
                weights: Vec::new(),
            })),
        }),
        ..QueryPoints::default()
    };
    let found = clients.points.query(request).await.unwrap().into_inner();
    let ids: Vec<PointId> = found.result.into_iter().filter_map(|it| it.id).collect();
    // Fourth is the second nearest and the only one with the word.
    assert_eq!(ids[..2], [PointId::from(4), PointId::from(5)]);
}
