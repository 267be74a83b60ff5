//! The declaration in the server's words.
#![allow(
    deprecated,
    reason = "`on_disk` and `always_ram` are what every server understands, their successors only newer ones"
)]

use penstock_stages::index::{
    self, BM25, CollectionSpec, Compression, DENSE, IndexType, PayloadIndex, QuantizationKind,
};
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::quantization_config::Quantization;
use qdrant_client::qdrant::quantization_config_diff::Quantization as Changed;
use qdrant_client::qdrant::{
    BinaryQuantization, BoolIndexParams, CollectionParamsDiff, CompressionRatio, CreateCollection,
    CreateFieldIndexCollection, DatetimeIndexParams, Disabled, Distance, FieldType,
    FloatIndexParams, HnswConfigDiff, IntegerIndexParams, KeywordIndexParams, Modifier,
    OptimizersConfigDiff, PayloadIndexParams, ProductQuantization, QuantizationConfig,
    QuantizationConfigDiff, QuantizationType, ScalarQuantization, SparseIndexConfig,
    SparseVectorConfig, SparseVectorParams, StrictModeConfig, UpdateCollection, UuidIndexParams,
    VectorParams, VectorParamsDiff, VectorParamsDiffMap, VectorParamsMap, VectorsConfig,
    VectorsConfigDiff, vectors_config, vectors_config_diff,
};

use super::plan::Change;

/// The whole collection, without its payload indexes and alias.
pub(super) fn create(spec: &CollectionSpec) -> CreateCollection {
    let dense = &spec.vectors.dense;
    let vector = VectorParams {
        size: dense.size as u64,
        distance: distance(dense.distance).into(),
        hnsw_config: Some(hnsw(spec)),
        quantization_config: quantization(spec).map(|it| QuantizationConfig {
            quantization: Some(it),
        }),
        on_disk: Some(dense.on_disk),
        ..VectorParams::default()
    };
    CreateCollection {
        collection_name: spec.collection.clone(),
        optimizers_config: Some(optimizers(spec)),
        shard_number: Some(spec.shard_number),
        on_disk_payload: Some(spec.on_disk_payload),
        vectors_config: Some(VectorsConfig {
            config: Some(vectors_config::Config::ParamsMap(VectorParamsMap {
                map: [(DENSE.to_owned(), vector)].into(),
            })),
        }),
        replication_factor: Some(spec.replication_factor),
        write_consistency_factor: Some(spec.write_consistency_factor),
        sparse_vectors_config: Some(sparse(spec)),
        strict_mode_config: Some(strict_mode(spec)),
        ..CreateCollection::default()
    }
}

/// What `changes` name of the settings that are changed in place; none where there are no such.
pub(super) fn update(spec: &CollectionSpec, changes: &[Change]) -> Option<UpdateCollection> {
    let changed = |prefix: &str| changes.iter().any(|it| it.field.starts_with(prefix));
    let dense = &spec.vectors.dense;
    let params = [
        "replication_factor",
        "write_consistency_factor",
        "on_disk_payload",
    ];
    let params = params
        .iter()
        .any(|it| changed(it))
        .then(|| CollectionParamsDiff {
            replication_factor: Some(spec.replication_factor),
            write_consistency_factor: Some(spec.write_consistency_factor),
            on_disk_payload: Some(spec.on_disk_payload),
            ..CollectionParamsDiff::default()
        });
    let optimizers = changed("vectors.dense.hnsw.indexing_threshold").then(|| optimizers(spec));
    let graph = ["m", "ef_construct", "on_disk"];
    let graph = graph.iter().any(|it| {
        changes
            .iter()
            .any(|change| change.field == format!("vectors.dense.hnsw.{it}"))
    });
    let quantized = changed("vectors.dense.quantization.");
    let vector = VectorParamsDiff {
        hnsw_config: graph.then(|| hnsw(spec)),
        quantization_config: quantized.then(|| changed_quantization(spec)),
        on_disk: changed("vectors.dense.on_disk").then_some(dense.on_disk),
        ..VectorParamsDiff::default()
    };
    let vectors = (vector != VectorParamsDiff::default()).then(|| VectorsConfigDiff {
        config: Some(vectors_config_diff::Config::ParamsMap(
            VectorParamsDiffMap {
                map: [(DENSE.to_owned(), vector)].into(),
            },
        )),
    });
    // Where none is declared for the vector, that of the collection would hold.
    let common = (quantized && dense.quantization.kind == QuantizationKind::None)
        .then(|| changed_quantization(spec));
    let update = UpdateCollection {
        collection_name: spec.collection.clone(),
        optimizers_config: optimizers,
        params,
        vectors_config: vectors,
        quantization_config: common,
        sparse_vectors_config: changed("sparse_vectors.").then(|| sparse(spec)),
        strict_mode_config: changed("strict_mode.").then(|| strict_mode(spec)),
        ..UpdateCollection::default()
    };
    let nothing = UpdateCollection {
        collection_name: spec.collection.clone(),
        ..UpdateCollection::default()
    };
    (update != nothing).then_some(update)
}

/// An update that changes nothing: it sets a server to work that waits for one after a restart.
pub(super) fn wake(collection: &str) -> UpdateCollection {
    UpdateCollection {
        collection_name: collection.to_owned(),
        optimizers_config: Some(OptimizersConfigDiff::default()),
        ..UpdateCollection::default()
    }
}

pub(super) fn create_index(
    collection: &str,
    field: &str,
    index: &PayloadIndex,
) -> CreateFieldIndexCollection {
    let (kind, params) = match index.kind {
        IndexType::Keyword => (
            FieldType::Keyword,
            IndexParams::KeywordIndexParams(KeywordIndexParams {
                is_tenant: index.is_tenant.then_some(true),
                ..KeywordIndexParams::default()
            }),
        ),
        IndexType::Integer => (
            FieldType::Integer,
            IndexParams::IntegerIndexParams(IntegerIndexParams {
                lookup: Some(true),
                range: Some(true),
                ..IntegerIndexParams::default()
            }),
        ),
        IndexType::Float => (
            FieldType::Float,
            IndexParams::FloatIndexParams(FloatIndexParams::default()),
        ),
        IndexType::Bool => (
            FieldType::Bool,
            IndexParams::BoolIndexParams(BoolIndexParams::default()),
        ),
        IndexType::Datetime => (
            FieldType::Datetime,
            IndexParams::DatetimeIndexParams(DatetimeIndexParams::default()),
        ),
        IndexType::Uuid => (
            FieldType::Uuid,
            IndexParams::UuidIndexParams(UuidIndexParams::default()),
        ),
    };
    CreateFieldIndexCollection {
        collection_name: collection.to_owned(),
        wait: Some(true),
        field_name: field.to_owned(),
        field_type: Some(kind.into()),
        field_index_params: Some(PayloadIndexParams {
            index_params: Some(params),
        }),
        ..CreateFieldIndexCollection::default()
    }
}

fn hnsw(spec: &CollectionSpec) -> HnswConfigDiff {
    let hnsw = &spec.vectors.dense.hnsw;
    HnswConfigDiff {
        m: Some(hnsw.m as u64),
        ef_construct: Some(hnsw.ef_construct as u64),
        on_disk: Some(hnsw.on_disk),
        ..HnswConfigDiff::default()
    }
}

fn optimizers(spec: &CollectionSpec) -> OptimizersConfigDiff {
    OptimizersConfigDiff {
        indexing_threshold: Some(spec.vectors.dense.hnsw.indexing_threshold as u64),
        ..OptimizersConfigDiff::default()
    }
}

fn quantization(spec: &CollectionSpec) -> Option<Quantization> {
    let declared = &spec.vectors.dense.quantization;
    let always_ram = Some(declared.always_ram);
    match declared.kind {
        QuantizationKind::None => None,
        QuantizationKind::Scalar => Some(Quantization::Scalar(ScalarQuantization {
            r#type: QuantizationType::Int8.into(),
            quantile: declared.quantile,
            always_ram,
            ..ScalarQuantization::default()
        })),
        QuantizationKind::Binary => Some(Quantization::Binary(BinaryQuantization {
            always_ram,
            ..BinaryQuantization::default()
        })),
        QuantizationKind::Product => {
            let compression = match declared.compression {
                Some(Compression::X4) | None => CompressionRatio::X4,
                Some(Compression::X8) => CompressionRatio::X8,
                Some(Compression::X16) => CompressionRatio::X16,
                Some(Compression::X32) => CompressionRatio::X32,
                Some(Compression::X64) => CompressionRatio::X64,
            };
            Some(Quantization::Product(ProductQuantization {
                compression: compression.into(),
                always_ram,
                ..ProductQuantization::default()
            }))
        }
    }
}

fn changed_quantization(spec: &CollectionSpec) -> QuantizationConfigDiff {
    let changed = match quantization(spec) {
        None => Changed::Disabled(Disabled {}),
        Some(Quantization::Scalar(it)) => Changed::Scalar(it),
        Some(Quantization::Binary(it)) => Changed::Binary(it),
        Some(Quantization::Product(it)) => Changed::Product(it),
        Some(Quantization::Turboquant(it)) => Changed::Turboquant(it),
    };
    QuantizationConfigDiff {
        quantization: Some(changed),
    }
}

fn sparse(spec: &CollectionSpec) -> SparseVectorConfig {
    let declared = &spec.sparse_vectors.bm25;
    let modifier = match declared.modifier {
        index::Modifier::Idf => Modifier::Idf,
        index::Modifier::None => Modifier::None,
    };
    let params = SparseVectorParams {
        index: Some(SparseIndexConfig {
            on_disk: Some(declared.on_disk),
            ..SparseIndexConfig::default()
        }),
        modifier: Some(modifier.into()),
    };
    SparseVectorConfig {
        map: [(BM25.to_owned(), params)].into(),
    }
}

fn strict_mode(spec: &CollectionSpec) -> StrictModeConfig {
    let declared = &spec.strict_mode;
    StrictModeConfig {
        enabled: Some(declared.enabled),
        max_query_limit: declared.max_query_limit,
        unindexed_filtering_retrieve: Some(declared.unindexed_filtering_retrieve),
        unindexed_filtering_update: Some(declared.unindexed_filtering_update),
        upsert_max_batchsize: declared.upsert_max_batchsize,
        ..StrictModeConfig::default()
    }
}

fn distance(distance: index::Distance) -> Distance {
    match distance {
        index::Distance::Cosine => Distance::Cosine,
        index::Distance::Dot => Distance::Dot,
        index::Distance::Euclid => Distance::Euclid,
        index::Distance::Manhattan => Distance::Manhattan,
    }
}
