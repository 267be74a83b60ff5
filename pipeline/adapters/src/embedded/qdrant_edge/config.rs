//! The declared collection in the engine's words.

use penstock_stages::index::{BM25, CollectionSpec, DENSE, Distance, IndexType, Modifier};
use qdrant_edge::{
    BoolIndexParams, CreateIndex, DatetimeIndexParams, EdgeConfig, EdgeOptimizersConfig,
    EdgeSparseVectorParams, EdgeVectorParams, FieldIndexOperations, FloatIndexParams,
    HnswIndexConfig, IntegerIndexParams, KeywordIndexParams, OperationError, OperationResult,
    PayloadFieldSchema, PayloadSchemaParams, UpdateOperation, UuidIndexParams, WalOptions,
};

/// Bytes of one file of the engine's log. It is only ever grown, so small files are what makes trimming possible.
pub const LOG_FILE: usize = 8 * 1024 * 1024;

pub fn engine_config(spec: &CollectionSpec) -> EdgeConfig {
    let dense = &spec.vectors.dense;
    let sparse = &spec.sparse_vectors.bm25;
    let hnsw = HnswIndexConfig {
        m: dense.hnsw.m,
        ef_construct: dense.hnsw.ef_construct,
        on_disk: Some(dense.hnsw.on_disk),
        ..HnswIndexConfig::default()
    };
    EdgeConfig {
        on_disk_payload: spec.on_disk_payload,
        vectors: [(
            DENSE.to_owned(),
            EdgeVectorParams {
                size: dense.size,
                distance: distance(dense.distance),
                on_disk: Some(dense.on_disk),
                multivector_config: None,
                datatype: None,
                quantization_config: None,
                hnsw_config: Some(hnsw),
            },
        )]
        .into(),
        sparse_vectors: [(
            BM25.to_owned(),
            EdgeSparseVectorParams {
                full_scan_threshold: None,
                on_disk: Some(sparse.on_disk),
                modifier: Some(modifier(sparse.modifier)),
                datatype: None,
            },
        )]
        .into(),
        hnsw_config: hnsw,
        quantization_config: None,
        optimizers: EdgeOptimizersConfig {
            indexing_threshold: Some(dense.hnsw.indexing_threshold),
            ..EdgeOptimizersConfig::default()
        },
        wal_options: Some(WalOptions {
            segment_capacity: LOG_FILE,
            ..WalOptions::default()
        }),
    }
}

pub fn distance(distance: Distance) -> qdrant_edge::Distance {
    match distance {
        Distance::Cosine => qdrant_edge::Distance::Cosine,
        Distance::Dot => qdrant_edge::Distance::Dot,
        Distance::Euclid => qdrant_edge::Distance::Euclid,
        Distance::Manhattan => qdrant_edge::Distance::Manhattan,
    }
}

fn modifier(modifier: Modifier) -> qdrant_edge::Modifier {
    match modifier {
        Modifier::Idf => qdrant_edge::Modifier::Idf,
        Modifier::None => qdrant_edge::Modifier::None,
    }
}

/// One operation per declared index. One that is there is left as it is, one of another type is built anew.
pub fn indexes(spec: &CollectionSpec) -> OperationResult<Vec<UpdateOperation>> {
    spec.payload_indexes
        .iter()
        .map(|(field, index)| {
            let params = match index.kind {
                IndexType::Keyword => PayloadSchemaParams::Keyword(KeywordIndexParams {
                    is_tenant: index.is_tenant.then_some(true),
                    ..KeywordIndexParams::default()
                }),
                IndexType::Integer => PayloadSchemaParams::Integer(IntegerIndexParams::default()),
                IndexType::Float => PayloadSchemaParams::Float(FloatIndexParams::default()),
                IndexType::Bool => PayloadSchemaParams::Bool(BoolIndexParams::default()),
                IndexType::Datetime => {
                    PayloadSchemaParams::Datetime(DatetimeIndexParams::default())
                }
                IndexType::Uuid => PayloadSchemaParams::Uuid(UuidIndexParams::default()),
            };
            Ok(UpdateOperation::FieldIndexOperation(
                FieldIndexOperations::CreateIndex(CreateIndex {
                    field_name: field
                        .parse()
                        .map_err(|()| OperationError::ValidationError {
                            description: format!("{field:?} is no payload field"),
                        })?,
                    field_schema: Some(PayloadFieldSchema::FieldParams(params)),
                }),
            ))
        })
        .collect()
}
