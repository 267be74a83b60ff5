//! What a declaration must say beyond being readable.

use super::spec::{
    CollectionSpec, DenseVector, Distance, IndexType, Modifier, Quantization, QuantizationKind,
};

/// Indexes that searches, sweeps and flips cannot do without.
const REQUIRED: [(&str, IndexType); 6] = [
    ("group_guid", IndexType::Keyword),
    ("source_guid", IndexType::Keyword),
    ("document_guid", IndexType::Keyword),
    ("edition", IndexType::Keyword),
    ("language", IndexType::Keyword),
    ("visible", IndexType::Bool),
];

/// What is wrong, and at which key.
pub(super) struct Wrong {
    pub(super) path: Vec<String>,
    pub(super) reason: String,
}

/// `path` is dotted.
fn wrong(path: &str, says: &str) -> Wrong {
    Wrong {
        path: path.split('.').map(str::to_owned).collect(),
        reason: format!("{path}{says}"),
    }
}

/// As `wrong`, of an index, whose field may itself hold dots.
fn wrong_index(field: &str, says: &str) -> Wrong {
    Wrong {
        path: vec!["payload_indexes".to_owned(), field.to_owned()],
        reason: format!("payload_indexes.{field}{says}"),
    }
}

pub(super) fn check(spec: &CollectionSpec) -> Result<(), Wrong> {
    names(spec)?;
    copies(spec)?;
    dense(&spec.vectors.dense)?;
    quantization(&spec.vectors.dense.quantization)?;
    if spec.sparse_vectors.bm25.modifier != Modifier::Idf {
        return Err(wrong(
            "sparse_vectors.bm25.modifier",
            " must be idf: term weights are made for it",
        ));
    }
    for (key, limit) in [
        (
            "strict_mode.max_query_limit",
            spec.strict_mode.max_query_limit.map(u64::from),
        ),
        (
            "strict_mode.upsert_max_batchsize",
            spec.strict_mode.upsert_max_batchsize,
        ),
    ] {
        if limit.is_some_and(|limit| limit < 1_000) {
            return Err(wrong(
                key,
                " must be at least 1000: batches and pages are of up to so many points",
            ));
        }
    }
    indexes(spec)
}

fn plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    !name.is_empty() && name.len() <= 255 && name.chars().all(allowed)
}

fn names(spec: &CollectionSpec) -> Result<(), Wrong> {
    let of = |key: &str, name: &str| match plain(name) {
        true => Ok(()),
        false => Err(wrong(
            key,
            &format!(" {name:?} must be 1 to 255 of a-z, 0-9, _ and -"),
        )),
    };
    of("collection", &spec.collection)?;
    let Some(alias) = &spec.alias else {
        return Ok(());
    };
    of("alias", alias)?;
    if *alias == spec.collection {
        return Err(wrong(
            "alias",
            &format!(" {alias:?} is the collection's own name, must be another one"),
        ));
    }
    Ok(())
}

fn copies(spec: &CollectionSpec) -> Result<(), Wrong> {
    for (key, count, most) in [
        ("shard_number", spec.shard_number, 1_000),
        ("replication_factor", spec.replication_factor, 100),
        (
            "write_consistency_factor",
            spec.write_consistency_factor,
            100,
        ),
    ] {
        if !(1..=most).contains(&count) {
            return Err(wrong(key, &format!(" is {count}, must be 1 to {most}")));
        }
    }
    if spec.write_consistency_factor > spec.replication_factor {
        return Err(wrong(
            "write_consistency_factor",
            &format!(
                " is {}, there are only {} copies (replication_factor)",
                spec.write_consistency_factor, spec.replication_factor
            ),
        ));
    }
    Ok(())
}

fn dense(dense: &DenseVector) -> Result<(), Wrong> {
    let within =
        |key: &str, is: usize, least: usize, most: usize| match (least..=most).contains(&is) {
            true => Ok(()),
            false => Err(wrong(
                &format!("vectors.dense.{key}"),
                &format!(" is {is}, must be {least} to {most}"),
            )),
        };
    within("size", dense.size, 1, 65_536)?;
    if dense.distance != Distance::Cosine {
        return Err(wrong(
            "vectors.dense.distance",
            &format!(
                " is {}, must be cosine: embeddings are compared by angle",
                dense.distance.name()
            ),
        ));
    }
    let hnsw = &dense.hnsw;
    within("hnsw.m", hnsw.m, 2, 256)?;
    within("hnsw.ef_construct", hnsw.ef_construct, 4, 10_000)?;
    for (key, kilobytes) in [
        ("indexing_threshold", hnsw.indexing_threshold),
        (
            "embedded_indexing_threshold",
            hnsw.embedded_indexing_threshold,
        ),
    ] {
        if kilobytes == 0 {
            return Err(wrong(
                &format!("vectors.dense.hnsw.{key}"),
                " is 0, must be at least 1 kilobyte",
            ));
        }
    }
    Ok(())
}

fn quantization(is: &Quantization) -> Result<(), Wrong> {
    let wrong = |key: &str, says: &str| wrong(&format!("vectors.dense.quantization{key}"), says);
    let belongs = |key: &str, set: bool, fits: bool| match set && !fits {
        true => Err(wrong(
            key,
            &format!(" does not belong to type {}", is.kind.name()),
        )),
        false => Ok(()),
    };
    belongs(
        ".quantile",
        is.quantile.is_some(),
        is.kind == QuantizationKind::Scalar,
    )?;
    belongs(
        ".compression",
        is.compression.is_some(),
        is.kind == QuantizationKind::Product,
    )?;
    belongs(
        ".always_ram",
        is.always_ram,
        is.kind != QuantizationKind::None,
    )?;
    belongs(".rescore", is.rescore, is.kind != QuantizationKind::None)?;
    belongs(
        ".oversampling",
        is.oversampling.is_some(),
        is.kind != QuantizationKind::None,
    )?;
    if is.kind == QuantizationKind::Product && is.compression.is_none() {
        return Err(wrong(
            ".type",
            " product needs compression: x4, x8, x16, x32 or x64",
        ));
    }
    if is.quantile.is_some_and(|it| !(0.5..=1.0).contains(&it)) {
        return Err(wrong(".quantile", " must be 0.5 to 1"));
    }
    if is
        .oversampling
        .is_some_and(|it| !(1.0..=100.0).contains(&it))
    {
        return Err(wrong(".oversampling", " must be 1 to 100"));
    }
    if is.oversampling.is_some() && !is.rescore {
        return Err(wrong(
            ".oversampling",
            " needs rescore: true: without it the candidates are the hits",
        ));
    }
    Ok(())
}

fn indexes(spec: &CollectionSpec) -> Result<(), Wrong> {
    for (field, index) in &spec.payload_indexes {
        if !field.split('.').all(plain) {
            return Err(wrong_index(
                field,
                ": no field name: keys of a-z, 0-9, _ and -, joined by dots",
            ));
        }
        if index.is_tenant && index.kind != IndexType::Keyword {
            return Err(wrong_index(field, ": is_tenant needs type keyword"));
        }
    }
    for (field, kind) in REQUIRED {
        match spec.payload_indexes.get(field) {
            Some(index) if index.kind == kind => {}
            Some(index) => {
                return Err(wrong_index(
                    field,
                    &format!(
                        " has type {}, filters need {}",
                        index.kind.name(),
                        kind.name()
                    ),
                ));
            }
            None => {
                return Err(wrong_index(
                    field,
                    " is missing: searches and sweeps filter on it",
                ));
            }
        }
    }
    for (field, index) in &spec.payload_indexes {
        let tells_tenants_apart = field == "group_guid";
        if index.is_tenant != tells_tenants_apart {
            return Err(wrong_index(
                field,
                ": is_tenant must stand at group_guid, and there alone",
            ));
        }
    }
    Ok(())
}
