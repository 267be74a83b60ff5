//! The answer of the server as settings.
#![allow(
    deprecated,
    reason = "servers before 1.20 answer `on_disk`, newer ones `memory` as well"
)]

use penstock_stages::index::{BM25, DENSE};
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::quantization_config::Quantization;
use qdrant_client::qdrant::vectors_config::Config as Vectors;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionInfo, CollectionParams, CompressionRatio, Distance, HnswConfigDiff,
    Memory, Modifier, OptimizersConfigDiff, PayloadSchemaInfo, PayloadSchemaType,
    QuantizationConfig, StrictModeConfig, VectorParams,
};

use super::settings::{Settings, index_of, index_words};

/// Every setting that may be declared, in the declaration's words, with the server's defaults where it names none.
pub(super) fn settings_of(info: &CollectionInfo) -> Settings {
    let config = info.config.clone().unwrap_or_default();
    let params = config.params.clone().unwrap_or_default();
    let mut settings = of_params(&params);
    if let Some(dense) = dense_of(&params) {
        of_dense(&mut settings, dense, &config);
    }
    of_sparse(&mut settings, &params);
    of_strict_mode(&mut settings, config.strict_mode_config.as_ref());
    for (field, index) in &info.payload_schema {
        settings.insert(index_of(field), index_of_live(index));
    }
    settings
}

fn of_params(params: &CollectionParams) -> Settings {
    let stored = params.payload.as_ref().and_then(|it| it.memory);
    let on_disk = is_on_disk(Some(params.on_disk_payload), stored);
    [
        ("shard_number", params.shard_number.to_string()),
        (
            "replication_factor",
            params.replication_factor.unwrap_or(1).to_string(),
        ),
        (
            "write_consistency_factor",
            params.write_consistency_factor.unwrap_or(1).to_string(),
        ),
        ("on_disk_payload", on_disk.to_string()),
    ]
    .into_iter()
    .map(|(field, value)| (field.to_owned(), value))
    .collect()
}

fn dense_of(params: &CollectionParams) -> Option<&VectorParams> {
    match params.vectors_config.as_ref()?.config.as_ref()? {
        Vectors::ParamsMap(vectors) => vectors.map.get(DENSE),
        Vectors::Params(_) => None,
    }
}

fn of_dense(settings: &mut Settings, dense: &VectorParams, config: &CollectionConfig) {
    let mut set = |key: &str, value: String| {
        settings.insert(format!("vectors.{DENSE}.{key}"), value);
    };
    set("size", dense.size.to_string());
    set("distance", distance_of(dense.distance).to_owned());
    set(
        "on_disk",
        is_on_disk(dense.on_disk, dense.memory).to_string(),
    );
    // A vector's own settings are laid over those of the collection.
    let own = dense.hnsw_config.unwrap_or_default();
    let common = config.hnsw_config.unwrap_or_default();
    let number = |of: fn(&HnswConfigDiff) -> Option<u64>| {
        of(&own).or_else(|| of(&common)).unwrap_or_default()
    };
    set("hnsw.m", number(|it| it.m).to_string());
    set(
        "hnsw.ef_construct",
        number(|it| it.ef_construct).to_string(),
    );
    let on_disk = is_on_disk(own.on_disk.or(common.on_disk), own.memory.or(common.memory));
    set("hnsw.on_disk", on_disk.to_string());
    let threshold = |it: &OptimizersConfigDiff| it.indexing_threshold.map(|it| it.to_string());
    if let Some(threshold) = config.optimizer_config.as_ref().and_then(threshold) {
        set("hnsw.indexing_threshold", threshold);
    }
    let quantization = dense
        .quantization_config
        .or(config.quantization_config)
        .and_then(|it: QuantizationConfig| it.quantization);
    for (key, value) in of_quantization(quantization) {
        set(&format!("quantization.{key}"), value);
    }
}

fn of_quantization(quantization: Option<Quantization>) -> Vec<(&'static str, String)> {
    let kind = |name: &str| ("type", name.to_owned());
    // Where nothing is said it lies where the vectors do, which is no promise of memory.
    let always_ram = |flag: Option<bool>, memory: Option<i32>| {
        let pinned = memory.and_then(|it| Memory::try_from(it).ok()) == Some(Memory::Pinned);
        ("always_ram", (pinned || flag == Some(true)).to_string())
    };
    match quantization {
        None => vec![kind("none")],
        Some(Quantization::Scalar(it)) => {
            let mut settings = vec![kind("scalar"), always_ram(it.always_ram, it.memory)];
            settings.extend(it.quantile.map(|it| ("quantile", it.to_string())));
            settings
        }
        Some(Quantization::Binary(it)) => {
            vec![kind("binary"), always_ram(it.always_ram, it.memory)]
        }
        Some(Quantization::Product(it)) => {
            let compression = match CompressionRatio::try_from(it.compression) {
                Ok(CompressionRatio::X4) => "x4",
                Ok(CompressionRatio::X8) => "x8",
                Ok(CompressionRatio::X16) => "x16",
                Ok(CompressionRatio::X32) => "x32",
                Ok(CompressionRatio::X64) => "x64",
                Err(_) => "unknown",
            };
            vec![
                kind("product"),
                always_ram(it.always_ram, it.memory),
                ("compression", compression.to_owned()),
            ]
        }
        Some(Quantization::Turboquant(_)) => vec![kind("turbo")],
    }
}

fn of_sparse(settings: &mut Settings, params: &CollectionParams) {
    let vectors = params.sparse_vectors_config.as_ref();
    let Some(bm25) = vectors.and_then(|it| it.map.get(BM25)) else {
        return;
    };
    let modifier = match bm25.modifier.and_then(|it| Modifier::try_from(it).ok()) {
        Some(Modifier::Idf) => "idf",
        Some(Modifier::None) | None => "none",
    };
    let index = bm25.index.unwrap_or_default();
    let on_disk = is_on_disk(index.on_disk, index.memory);
    settings.insert(
        format!("sparse_vectors.{BM25}.modifier"),
        modifier.to_owned(),
    );
    settings.insert(
        format!("sparse_vectors.{BM25}.on_disk"),
        on_disk.to_string(),
    );
}

fn of_strict_mode(settings: &mut Settings, strict: Option<&StrictModeConfig>) {
    let strict = strict.cloned().unwrap_or_default();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.insert(format!("strict_mode.{key}"), value);
        }
    };
    // What is not limited is allowed.
    let allowed = |flag: Option<bool>| Some(flag.unwrap_or(true).to_string());
    set("enabled", Some((strict.enabled == Some(true)).to_string()));
    set(
        "unindexed_filtering_retrieve",
        allowed(strict.unindexed_filtering_retrieve),
    );
    set(
        "unindexed_filtering_update",
        allowed(strict.unindexed_filtering_update),
    );
    set(
        "max_query_limit",
        strict.max_query_limit.map(|it| it.to_string()),
    );
    set(
        "upsert_max_batchsize",
        strict.upsert_max_batchsize.map(|it| it.to_string()),
    );
}

fn index_of_live(index: &PayloadSchemaInfo) -> String {
    let kind = match PayloadSchemaType::try_from(index.data_type) {
        Ok(PayloadSchemaType::Keyword) => "keyword",
        Ok(PayloadSchemaType::Integer) => "integer",
        Ok(PayloadSchemaType::Float) => "float",
        Ok(PayloadSchemaType::Bool) => "bool",
        Ok(PayloadSchemaType::Datetime) => "datetime",
        Ok(PayloadSchemaType::Uuid) => "uuid",
        Ok(PayloadSchemaType::Geo) => "geo",
        Ok(PayloadSchemaType::Text) => "text",
        Ok(PayloadSchemaType::UnknownType) | Err(_) => "unknown",
    };
    let is_tenant = match index
        .params
        .as_ref()
        .and_then(|it| it.index_params.as_ref())
    {
        Some(IndexParams::KeywordIndexParams(it)) => it.is_tenant,
        Some(IndexParams::UuidIndexParams(it)) => it.is_tenant,
        _ => None,
    };
    index_words(kind, is_tenant == Some(true))
}

fn distance_of(distance: i32) -> &'static str {
    match Distance::try_from(distance) {
        Ok(Distance::Cosine) => "cosine",
        Ok(Distance::Euclid) => "euclid",
        Ok(Distance::Dot) => "dot",
        Ok(Distance::Manhattan) => "manhattan",
        Ok(Distance::UnknownDistance) | Err(_) => "unknown",
    }
}

/// `memory` is the newer word, and wins.
fn is_on_disk(flag: Option<bool>, memory: Option<i32>) -> bool {
    match memory.and_then(|it| Memory::try_from(it).ok()) {
        Some(Memory::Cold) => true,
        Some(Memory::Cached | Memory::Pinned) => false,
        Some(Memory::Unknown) | None => flag.unwrap_or(false),
    }
}
