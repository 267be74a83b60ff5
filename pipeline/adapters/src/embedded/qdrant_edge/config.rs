//! The declared collection in the engine's words.

use penstock_stages::index::{BM25, CollectionSpec, DENSE, Distance, IndexType, Modifier};
use qdrant_edge::{
    BoolIndexParams, CreateIndex, DatetimeIndexParams, EdgeConfig, EdgeOptimizersConfig,
    EdgeSparseVectorParams, EdgeVectorParams, FieldIndexOperations, FloatIndexParams,
    HnswIndexConfig, IntegerIndexParams, KeywordIndexParams, OperationError, OperationResult,
    PayloadFieldSchema, PayloadSchemaParams, UpdateOperation, UuidIndexParams, WalOptions,
};

/// Kilobytes of dense vectors after which what was written is put into a segment that is read from disk: some 5,000
/// chunks of usual length. The newest segment, which takes the writes, has all its indexes in memory.
const SEGMENT_KB: usize = 8 * 1024;
/// What such segments are merged up to while there is no graph to build. Larger ones would be copied for nothing.
const MERGED_KB: usize = 8 * SEGMENT_KB;

/// Bytes of one file of the engine's log. It is only ever grown, so small files are what makes trimming possible.
pub const LOG_FILE: usize = 8 * 1024 * 1024;

/// How a search finds the nearest vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// By looking at all of them.
    Scan,
    /// By a graph.
    Graph,
}

impl Search {
    /// What is declared for a collection of so many points.
    pub fn of(spec: &CollectionSpec, points: usize) -> Self {
        let dense = &spec.vectors.dense;
        let bytes = points.saturating_mul(dense.size * size_of::<f32>());
        match bytes / 1024 >= dense.hnsw.embedded_indexing_threshold {
            true => Self::Graph,
            false => Self::Scan,
        }
    }
}

/// The engine builds no graph where its nodes have no edges.
pub fn hnsw_config(spec: &CollectionSpec, search: Search) -> HnswIndexConfig {
    let declared = &spec.vectors.dense.hnsw;
    HnswIndexConfig {
        m: match search {
            Search::Scan => 0,
            Search::Graph => declared.m,
        },
        ef_construct: declared.ef_construct,
        on_disk: Some(declared.on_disk),
        ..HnswIndexConfig::default()
    }
}

pub fn optimizers_config(spec: &CollectionSpec, search: Search) -> EdgeOptimizersConfig {
    let (max_segment_size, default_segment_number) = match search {
        Search::Scan => (Some(MERGED_KB), None),
        // A merge builds the graph anew: seldom, then.
        Search::Graph => (None, Some(8)),
    };
    EdgeOptimizersConfig {
        indexing_threshold: Some(
            SEGMENT_KB.min(spec.vectors.dense.hnsw.embedded_indexing_threshold),
        ),
        max_segment_size,
        default_segment_number,
        ..EdgeOptimizersConfig::default()
    }
}

pub fn engine_config(spec: &CollectionSpec) -> EdgeConfig {
    let dense = &spec.vectors.dense;
    let sparse = &spec.sparse_vectors.bm25;
    let hnsw = hnsw_config(spec, Search::Scan);
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
        optimizers: optimizers_config(spec, Search::Scan),
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
            // Of all segments but the newest.
            let on_disk = Some(true);
            let params = match index.kind {
                IndexType::Keyword => PayloadSchemaParams::Keyword(KeywordIndexParams {
                    is_tenant: index.is_tenant.then_some(true),
                    on_disk,
                    ..KeywordIndexParams::default()
                }),
                IndexType::Integer => PayloadSchemaParams::Integer(IntegerIndexParams {
                    on_disk,
                    ..IntegerIndexParams::default()
                }),
                IndexType::Float => PayloadSchemaParams::Float(FloatIndexParams {
                    on_disk,
                    ..FloatIndexParams::default()
                }),
                IndexType::Bool => PayloadSchemaParams::Bool(BoolIndexParams {
                    on_disk,
                    ..BoolIndexParams::default()
                }),
                IndexType::Datetime => PayloadSchemaParams::Datetime(DatetimeIndexParams {
                    on_disk,
                    ..DatetimeIndexParams::default()
                }),
                IndexType::Uuid => PayloadSchemaParams::Uuid(UuidIndexParams {
                    on_disk,
                    ..UuidIndexParams::default()
                }),
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
