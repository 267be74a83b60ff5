//! What a collection is configured with: the server's defaults, and what may be changed in place.

use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionParams, CreateCollection, Distance, HnswConfigDiff,
    OptimizersConfigDiff, QuantizationConfig, QuantizationConfigDiff, SparseVectorConfig,
    StrictModeConfig, UpdateCollection, VectorParamsDiff, VectorsConfig, VectorsConfigDiff,
    WalConfigDiff, quantization_config, quantization_config_diff, vectors_config_diff,
};
use tonic::Status;

use self::deprecated::{
    diff_on_disk_payload, on_disk_payload, set_on_disk_payload, update_vector_storage,
};
use super::engine::vectors;

/// The fields of the first, where it has them, otherwise those of the second.
macro_rules! over {
    ($new:expr, $old:expr, $($field:ident),*) => {{
        let (new, mut old) = ($new, $old);
        $(if new.$field.is_some() { old.$field = new.$field; })*
        old
    }};
}

/// What a new collection is configured with.
pub(super) fn created(request: CreateCollection) -> Result<CollectionConfig, Status> {
    for (name, vector) in vectors(request.vectors_config.as_ref()) {
        if !(1..=65_536).contains(&vector.size) {
            return Err(invalid(
                &format!("vectors_config.{name}.size"),
                &vector.size,
                "must be from 1 to 65536",
            ));
        }
        if vector.distance() == Distance::UnknownDistance {
            return Err(Status::invalid_argument("Unknown distance"));
        }
        check_hnsw(vector.hnsw_config.as_ref())?;
        check_quantization(vector.quantization_config.as_ref())?;
    }
    check_hnsw(request.hnsw_config.as_ref())?;
    check_quantization(request.quantization_config.as_ref())?;
    for (name, number) in [
        ("shard_number", request.shard_number),
        ("replication_factor", request.replication_factor),
        ("write_consistency_factor", request.write_consistency_factor),
    ] {
        if number == Some(0) {
            return Err(invalid(name, &0, "must be 1 or larger"));
        }
    }
    let on_disk_payload = on_disk_payload(&request);
    let (hnsw, optimizers) = defaults();
    let strict = StrictModeConfig {
        enabled: Some(true),
        unindexed_filtering_retrieve: Some(false),
        unindexed_filtering_update: Some(false),
        ..StrictModeConfig::default()
    };
    let mut params = CollectionParams {
        shard_number: request.shard_number.unwrap_or(1),
        vectors_config: request.vectors_config,
        replication_factor: Some(request.replication_factor.unwrap_or(1)),
        write_consistency_factor: Some(request.write_consistency_factor.unwrap_or(1)),
        sharding_method: request.sharding_method,
        sparse_vectors_config: request.sparse_vectors_config,
        payload: request.payload,
        id_tracker: request.id_tracker,
        ..CollectionParams::default()
    };
    set_on_disk_payload(&mut params, on_disk_payload);
    Ok(CollectionConfig {
        params: Some(params),
        hnsw_config: Some(merged_hnsw(request.hnsw_config, hnsw)),
        optimizer_config: Some(merged_optimizers(request.optimizers_config, optimizers)),
        wal_config: Some(WalConfigDiff {
            wal_capacity_mb: Some(32),
            wal_segments_ahead: Some(0),
            wal_retain_closed: Some(1),
        }),
        quantization_config: request.quantization_config,
        strict_mode_config: Some(request.strict_mode_config.unwrap_or(strict)),
        metadata: request.metadata,
    })
}

fn defaults() -> (HnswConfigDiff, OptimizersConfigDiff) {
    let hnsw = HnswConfigDiff {
        m: Some(16),
        ef_construct: Some(100),
        full_scan_threshold: Some(10_000),
        max_indexing_threads: Some(0),
        ..HnswConfigDiff::default()
    };
    let optimizers = OptimizersConfigDiff {
        deleted_threshold: Some(0.2),
        vacuum_min_vector_number: Some(1000),
        default_segment_number: Some(0),
        indexing_threshold: Some(10_000),
        flush_interval_sec: Some(5),
        ..OptimizersConfigDiff::default()
    };
    (hnsw, optimizers)
}

/// The configuration after a change in place. Size and distance are not among what a request can name.
pub(super) fn updated(
    mut config: CollectionConfig,
    request: UpdateCollection,
) -> Result<CollectionConfig, Status> {
    check_hnsw(request.hnsw_config.as_ref())?;
    if let Some(hnsw) = request.hnsw_config {
        let old = config.hnsw_config.take().unwrap_or_default();
        config.hnsw_config = Some(merged_hnsw(Some(hnsw), old));
    }
    if let Some(optimizers) = request.optimizers_config {
        let old = config.optimizer_config.take().unwrap_or_default();
        config.optimizer_config = Some(merged_optimizers(Some(optimizers), old));
    }
    if let Some(diff) = request.quantization_config {
        config.quantization_config = quantized(diff)?;
    }
    let mut params = config.params.take().unwrap_or_default();
    if let Some(diff) = request.params {
        if let Some(on_disk) = diff_on_disk_payload(&diff) {
            set_on_disk_payload(&mut params, on_disk);
        }
        params = over!(
            diff,
            params,
            replication_factor,
            write_consistency_factor,
            read_fan_out_factor,
            read_fan_out_delay_ms,
            payload,
            id_tracker
        );
    }
    if let Some(diff) = request.vectors_config {
        update_vectors(params.vectors_config.as_mut(), diff)?;
    }
    if let Some(sparse) = request.sparse_vectors_config {
        update_sparse(params.sparse_vectors_config.as_mut(), sparse)?;
    }
    config.params = Some(params);
    if let Some(strict) = request.strict_mode_config {
        let old = config.strict_mode_config.take().unwrap_or_default();
        config.strict_mode_config = Some(over!(
            strict,
            old,
            enabled,
            max_query_limit,
            max_timeout,
            unindexed_filtering_retrieve,
            unindexed_filtering_update,
            search_max_hnsw_ef,
            search_allow_exact,
            search_max_oversampling,
            upsert_max_batchsize,
            search_max_batchsize,
            filter_max_conditions,
            condition_max_size,
            read_rate_limit,
            write_rate_limit
        ));
    }
    config.metadata.extend(request.metadata);
    Ok(config)
}

fn update_vectors(
    vectors: Option<&mut VectorsConfig>,
    diff: VectorsConfigDiff,
) -> Result<(), Status> {
    let diffs: Vec<(String, VectorParamsDiff)> = match diff.config {
        None => Vec::new(),
        Some(vectors_config_diff::Config::Params(diff)) => vec![(String::new(), diff)],
        Some(vectors_config_diff::Config::ParamsMap(diffs)) => diffs.map.into_iter().collect(),
    };
    let mut config = vectors.and_then(|it| it.config.as_mut());
    for (name, diff) in diffs {
        let vector = match &mut config {
            Some(Config::Params(params)) if name.is_empty() => params,
            Some(Config::ParamsMap(params)) => {
                let found = params.map.get_mut(&name);
                found.ok_or_else(|| unknown_vector(&name))?
            }
            _ => return Err(unknown_vector(&name)),
        };
        check_hnsw(diff.hnsw_config.as_ref())?;
        if let Some(hnsw) = diff.hnsw_config {
            let old = vector.hnsw_config.take().unwrap_or_default();
            vector.hnsw_config = Some(merged_hnsw(Some(hnsw), old));
        }
        if let Some(diff) = diff.quantization_config {
            vector.quantization_config = quantized(diff)?;
        }
        update_vector_storage(vector, &diff);
    }
    Ok(())
}

fn update_sparse(
    vectors: Option<&mut SparseVectorConfig>,
    changed: SparseVectorConfig,
) -> Result<(), Status> {
    let vectors = vectors.map(|it| &mut it.map);
    let Some(vectors) = vectors else {
        let name = changed.map.keys().next().map_or("", String::as_str);
        return Err(unknown_vector(name));
    };
    for (name, change) in changed.map {
        let vector = vectors.get_mut(&name);
        let vector = vector.ok_or_else(|| unknown_vector(&name))?;
        if change.index.is_some() {
            vector.index = change.index;
        }
        if change.modifier.is_some() {
            vector.modifier = change.modifier;
        }
    }
    Ok(())
}

pub(super) fn unknown_vector(name: &str) -> Status {
    Status::invalid_argument(format!(
        "Wrong input: Not existing vector name error: {name}"
    ))
}

fn quantized(diff: QuantizationConfigDiff) -> Result<Option<QuantizationConfig>, Status> {
    use quantization_config::Quantization;
    use quantization_config_diff::Quantization as Diff;
    let quantization = match diff.quantization {
        None => {
            return Err(Status::invalid_argument(
                "Unable to convert quantization config",
            ));
        }
        Some(Diff::Disabled(_)) => return Ok(None),
        Some(Diff::Scalar(it)) => Quantization::Scalar(it),
        Some(Diff::Product(it)) => Quantization::Product(it),
        Some(Diff::Binary(it)) => Quantization::Binary(it),
        Some(Diff::Turboquant(it)) => Quantization::Turboquant(it),
    };
    let config = QuantizationConfig {
        quantization: Some(quantization),
    };
    check_quantization(Some(&config))?;
    Ok(Some(config))
}

fn check_quantization(config: Option<&QuantizationConfig>) -> Result<(), Status> {
    let quantization = config.and_then(|it| it.quantization.as_ref());
    let Some(quantization_config::Quantization::Scalar(scalar)) = quantization else {
        return Ok(());
    };
    match scalar.quantile {
        Some(quantile) if !(0.5..=1.0).contains(&quantile) => Err(invalid(
            "quantization_config.scalar.quantile",
            &quantile,
            "must be from 0.5 to 1.0",
        )),
        _ => Ok(()),
    }
}

fn check_hnsw(hnsw: Option<&HnswConfigDiff>) -> Result<(), Status> {
    match hnsw.and_then(|it| it.ef_construct) {
        Some(small @ 0..=3) => Err(invalid(
            "hnsw_config.ef_construct",
            &small,
            "must be 4 or larger",
        )),
        _ => Ok(()),
    }
}

fn invalid(field: &str, value: &dyn std::fmt::Display, why: &str) -> Status {
    Status::invalid_argument(format!(
        "Validation error in body: [{field}: value {value} invalid, {why}]"
    ))
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
pub(super) fn merged_hnsw(new: Option<HnswConfigDiff>, old: HnswConfigDiff) -> HnswConfigDiff {
    let Some(new) = new else { return old };
    over!(
        new,
        old,
        m,
        ef_construct,
        full_scan_threshold,
        max_indexing_threads,
        on_disk,
        payload_m,
        inline_storage,
        memory
    )
}

fn merged_optimizers(
    new: Option<OptimizersConfigDiff>,
    old: OptimizersConfigDiff,
) -> OptimizersConfigDiff {
    let Some(new) = new else { return old };
    over!(
        new,
        old,
        deleted_threshold,
        vacuum_min_vector_number,
        default_segment_number,
        max_segment_size,
        memmap_threshold,
        indexing_threshold,
        flush_interval_sec,
        max_optimization_threads,
        prevent_unoptimized
    )
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
mod deprecated {
    use qdrant_client::qdrant::{
        CollectionParams, CollectionParamsDiff, CreateCollection, VectorParams, VectorParamsDiff,
    };

    pub fn on_disk_payload(request: &CreateCollection) -> bool {
        request.on_disk_payload.unwrap_or(true)
    }

    pub fn diff_on_disk_payload(diff: &CollectionParamsDiff) -> Option<bool> {
        diff.on_disk_payload
    }

    pub fn set_on_disk_payload(params: &mut CollectionParams, on_disk: bool) {
        params.on_disk_payload = on_disk;
    }

    pub fn update_vector_storage(vector: &mut VectorParams, diff: &VectorParamsDiff) {
        vector.on_disk = diff.on_disk.or(vector.on_disk);
        vector.memory = diff.memory.or(vector.memory);
    }
}
