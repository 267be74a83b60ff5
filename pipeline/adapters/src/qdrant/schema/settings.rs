//! A collection as flat settings, `field` → value: the declared one and the one that is there in the same words.

use std::collections::BTreeMap;

use penstock_stages::index::{BM25, CollectionSpec, DENSE, PayloadIndex, QuantizationKind};

/// Settings by field, such as `vectors.dense.size`.
pub(super) type Settings = BTreeMap<String, String>;

/// Shown where a setting that is compared is not there.
pub(super) const NOT_SET: &str = "not set";

/// What is declared. What the file leaves open is not among it, and so not compared.
pub(super) fn declared(spec: &CollectionSpec) -> Settings {
    let mut settings = Settings::new();
    let mut set = |field: &str, value: String| {
        settings.insert(field.to_owned(), value);
    };
    set("shard_number", spec.shard_number.to_string());
    set("replication_factor", spec.replication_factor.to_string());
    set(
        "write_consistency_factor",
        spec.write_consistency_factor.to_string(),
    );
    set("on_disk_payload", spec.on_disk_payload.to_string());

    let dense = &spec.vectors.dense;
    let mut of_dense = |key: &str, value: String| set(&format!("vectors.{DENSE}.{key}"), value);
    of_dense("size", dense.size.to_string());
    of_dense("distance", dense.distance.name().to_owned());
    of_dense("on_disk", dense.on_disk.to_string());
    of_dense("hnsw.m", dense.hnsw.m.to_string());
    of_dense("hnsw.ef_construct", dense.hnsw.ef_construct.to_string());
    of_dense("hnsw.on_disk", dense.hnsw.on_disk.to_string());
    of_dense(
        "hnsw.indexing_threshold",
        dense.hnsw.indexing_threshold.to_string(),
    );
    let quantization = &dense.quantization;
    of_dense("quantization.type", quantization.kind.name().to_owned());
    if quantization.kind != QuantizationKind::None {
        of_dense(
            "quantization.always_ram",
            quantization.always_ram.to_string(),
        );
    }
    if quantization.kind == QuantizationKind::Scalar {
        let quantile = quantization.quantile.map(|it| it.to_string());
        of_dense(
            "quantization.quantile",
            quantile.unwrap_or_else(|| NOT_SET.to_owned()),
        );
    }
    if let Some(compression) = quantization.compression {
        of_dense("quantization.compression", compression.name().to_owned());
    }

    let sparse = &spec.sparse_vectors.bm25;
    set(
        &format!("sparse_vectors.{BM25}.modifier"),
        sparse.modifier.name().to_owned(),
    );
    set(
        &format!("sparse_vectors.{BM25}.on_disk"),
        sparse.on_disk.to_string(),
    );

    let strict = &spec.strict_mode;
    set("strict_mode.enabled", strict.enabled.to_string());
    set(
        "strict_mode.unindexed_filtering_retrieve",
        strict.unindexed_filtering_retrieve.to_string(),
    );
    set(
        "strict_mode.unindexed_filtering_update",
        strict.unindexed_filtering_update.to_string(),
    );
    if let Some(limit) = strict.max_query_limit {
        set("strict_mode.max_query_limit", limit.to_string());
    }
    if let Some(limit) = strict.upsert_max_batchsize {
        set("strict_mode.upsert_max_batchsize", limit.to_string());
    }

    for (field, index) in &spec.payload_indexes {
        let PayloadIndex { kind, is_tenant } = index;
        set(&index_of(field), index_words(kind.name(), *is_tenant));
    }
    if let Some(alias) = &spec.alias {
        set(&alias_of(alias), spec.collection.clone());
    }
    settings
}

/// The setting of a payload index.
pub(super) fn index_of(field: &str) -> String {
    format!("payload_indexes.{field}")
}

/// The setting of an alias, whose value is the collection it stands for.
pub(super) fn alias_of(alias: &str) -> String {
    format!("alias.{alias}")
}

/// How a payload index is written in a plan.
pub(super) fn index_words(kind: &str, is_tenant: bool) -> String {
    match is_tenant {
        true => format!("{kind}, tenant"),
        false => kind.to_owned(),
    }
}
