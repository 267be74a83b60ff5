//! What the engine is given of a collection's configuration.

use std::collections::HashMap;

use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionParams, Distance, HnswConfigDiff, Modifier, SparseIndexConfig,
    VectorParams, VectorsConfig,
};
use qdrant_edge::{
    EdgeConfig, EdgeOptimizersConfig, EdgeSparseVectorParams, EdgeVectorParams, HnswIndexConfig,
};
use tonic::Status;

use super::config::merged_hnsw;

/// The dense vectors by name; the one without a name is ``.
pub(super) fn vectors(config: Option<&VectorsConfig>) -> HashMap<&str, &VectorParams> {
    match config.and_then(|it| it.config.as_ref()) {
        None => HashMap::new(),
        Some(Config::Params(params)) => HashMap::from([("", params)]),
        Some(Config::ParamsMap(params)) => {
            let pairs = params.map.iter();
            pairs.map(|(name, it)| (name.as_str(), it)).collect()
        }
    }
}

/// Of it all what the engine works with.
pub(super) fn engine_config(config: &CollectionConfig) -> Result<EdgeConfig, Status> {
    let params = config.params.clone().unwrap_or_default();
    let shared = config.hnsw_config.unwrap_or_default();
    let mut dense = HashMap::new();
    for (name, vector) in vectors(params.vectors_config.as_ref()) {
        let distance = match vector.distance() {
            Distance::Cosine => qdrant_edge::Distance::Cosine,
            Distance::Euclid => qdrant_edge::Distance::Euclid,
            Distance::Dot => qdrant_edge::Distance::Dot,
            Distance::Manhattan => qdrant_edge::Distance::Manhattan,
            Distance::UnknownDistance => {
                return Err(Status::invalid_argument("Unknown distance"));
            }
        };
        let hnsw = hnsw(&merged_hnsw(vector.hnsw_config, shared));
        let params = EdgeVectorParams {
            size: vector.size as usize,
            distance,
            on_disk: on_disk(vector),
            multivector_config: None,
            datatype: None,
            quantization_config: None,
            hnsw_config: Some(hnsw),
        };
        dense.insert(name.to_owned(), params);
    }
    let sparse = params.sparse_vectors_config.clone().unwrap_or_default();
    let sparse = sparse.map.into_iter().map(|(name, vector)| {
        let modifier = match vector.modifier() {
            Modifier::Idf => qdrant_edge::Modifier::Idf,
            Modifier::None => qdrant_edge::Modifier::None,
        };
        let params = EdgeSparseVectorParams {
            full_scan_threshold: None,
            on_disk: vector.index.as_ref().and_then(sparse_on_disk),
            modifier: Some(modifier),
            datatype: None,
        };
        (name, params)
    });
    let optimizers = config.optimizer_config.unwrap_or_default();
    let size = |number: Option<u64>| number.map(|it| it as usize);
    Ok(EdgeConfig {
        on_disk_payload: has_payload_on_disk(&params),
        vectors: dense,
        sparse_vectors: sparse.collect(),
        hnsw_config: hnsw(&shared),
        quantization_config: None,
        optimizers: EdgeOptimizersConfig {
            deleted_threshold: optimizers.deleted_threshold,
            vacuum_min_vector_number: size(optimizers.vacuum_min_vector_number),
            default_segment_number: size(optimizers.default_segment_number),
            max_segment_size: size(optimizers.max_segment_size),
            indexing_threshold: size(optimizers.indexing_threshold),
            prevent_unoptimized: None,
        },
        wal_options: None,
    })
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
fn hnsw(config: &HnswConfigDiff) -> HnswIndexConfig {
    let otherwise = HnswIndexConfig::default();
    let size = |number: Option<u64>, otherwise: usize| number.map_or(otherwise, |it| it as usize);
    HnswIndexConfig {
        m: size(config.m, otherwise.m),
        ef_construct: size(config.ef_construct, otherwise.ef_construct),
        full_scan_threshold: size(config.full_scan_threshold, otherwise.full_scan_threshold),
        on_disk: config.on_disk,
        payload_m: config.payload_m.map(|it| it as usize),
        ..otherwise
    }
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
fn on_disk(vector: &VectorParams) -> Option<bool> {
    vector.on_disk
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
fn sparse_on_disk(index: &SparseIndexConfig) -> Option<bool> {
    index.on_disk
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
fn has_payload_on_disk(params: &CollectionParams) -> bool {
    params.on_disk_payload
}
