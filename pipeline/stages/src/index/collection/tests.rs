use super::*;

/// The declared file with `from` replaced by `to` must be refused with a reason that names `says`, the file, and the
/// line where one line was changed.
fn check(from: &str, to: &str, says: &str) {
    let start = DECLARED.find(from).expect(from);
    let yaml = DECLARED.replacen(from, to, 1);
    let failure = CollectionSpec::parse(FILE, &yaml).expect_err(to);
    assert_eq!(failure.class(), "fatal");
    let (place, reason) = failure.reason().split_once(": ").unwrap();
    assert!(reason.contains(says), "{failure} does not say {says:?}");
    let line = place
        .strip_prefix(FILE)
        .and_then(|it| it.strip_prefix(" line "));
    let line: usize = line.expect(place).parse().unwrap();
    if !from.contains('\n') && !to.is_empty() {
        let changed = DECLARED[..start].matches('\n').count() + 1;
        assert_eq!(line, changed, "{failure}");
    }
}

#[test]
fn the_declared_collection_is_what_the_stage_writes() {
    let spec = CollectionSpec::declared().unwrap();
    assert_eq!(spec.vectors.dense.size, 384);
    assert_eq!(spec.vectors.dense.distance, Distance::Cosine);
    assert_eq!(spec.sparse_vectors.bm25.modifier, Modifier::Idf);
    assert!(spec.payload_indexes["group_guid"].is_tenant);
    assert_eq!(spec.payload_indexes["created_at"].kind, IndexType::Datetime);
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    check("collection: chunks", "colection: chunks", "colection");
    check("  dense:\n", "  danse:\n", "danse");
    check("    size: 384", "    sise: 384", "sise");
    check("      m: 16", "      mm: 16", "mm");
    check("  bm25:\n", "  bm52:\n", "bm52");
    check("    modifier: idf", "    modifire: idf", "modifire");
    check("    is_tenant: true", "    tenant: true", "tenant");
}

#[test]
fn wrong_values_are_refused() {
    check("collection: chunks", "collection: a/b", "a/b");
    check("collection: chunks", "collection: ''", "collection");
    check("size: 384", "size: 0", "size is 0");
    check("size: 384", "size: 65537", "65537");
    check("size: 384", "size: -1", "-1");
    check("size: 384", "size: many", "many");
    check("distance: cosine", "distance: dot", "must be cosine");
    check("distance: cosine", "distance: cosin", "cosin");
    check("m: 16", "m: 1", "hnsw.m is 1");
    check("ef_construct: 128", "ef_construct: 3", "ef_construct is 3");
    check(
        " indexing_threshold: 20000",
        " indexing_threshold: 0",
        "hnsw.indexing_threshold is 0",
    );
    check(
        "embedded_indexing_threshold: 600000",
        "embedded_indexing_threshold: 0",
        "embedded_indexing_threshold is 0",
    );
    check("modifier: idf", "modifier: none", "modifier must be idf");
    check("type: float", "type: decimal", "decimal");
    check(
        "on_disk_payload: true",
        "on_disk_payload: perhaps",
        "perhaps",
    );
}

#[test]
fn what_is_missing_is_named() {
    check("    size: 384\n", "", "size");
    check("on_disk_payload: true\n", "", "on_disk_payload");
    check("  edition:\n    type: keyword\n", "", "edition is missing");
    check("  visible:\n    type: bool\n", "", "visible is missing");
}

#[test]
fn indexes_fit_the_filters() {
    check(
        "  visible:\n    type: bool",
        "  visible:\n    type: keyword",
        "visible has type keyword",
    );
    check(
        "    type: keyword\n    is_tenant: true",
        "    type: uuid\n    is_tenant: true",
        "is_tenant needs type keyword",
    );
    check(
        "    is_tenant: true\n",
        "",
        "is_tenant must stand at group_guid",
    );
    check(
        "  source_guid:\n    type: keyword",
        "  source_guid:\n    type: keyword\n    is_tenant: true",
        "source_guid",
    );
    check("  impact_tier:", "  impact tier:", "impact tier");
    check("  impact_tier:\n", "  impact_score:\n", "impact_score");
    check("  impact_tier:", "  attributes..x:", "attributes..x");
}

#[test]
fn a_custom_attribute_can_be_indexed() {
    let yaml = DECLARED.replace("  impact_tier:", "  attributes.depot:");
    let spec = CollectionSpec::parse(FILE, &yaml).unwrap();
    assert!(spec.payload_indexes.contains_key("attributes.depot"));
}

#[test]
fn a_model_that_does_not_fit_is_named_with_both_sizes() {
    let spec = CollectionSpec::declared().unwrap();
    assert!(spec.check_dimension("a@1", 384).is_ok());
    let failure = spec.check_dimension("b@2", 768).unwrap_err();
    assert_eq!(failure.class(), "fatal");
    for part in ["b@2", "768", "384", "chunks"] {
        assert!(failure.reason().contains(part), "{failure}");
    }
}

#[test]
fn copies_and_shards_can_be_meant() {
    check("shard_number: 3", "shard_number: 0", "shard_number is 0");
    check("replication_factor: 2", "replication_factor: 101", "101");
    check(
        "write_consistency_factor: 2",
        "write_consistency_factor: 3",
        "only 2 copies",
    );
    check("alias: chunks_current", "alias: chunks", "own name");
    check("alias: chunks_current", "alias: a b", "a b");
    check(
        "  unindexed_filtering_update: false",
        "  unindexed_filtering_updat: false",
        "unindexed_filtering_updat",
    );
    check(
        "strict_mode:\n",
        "strict_mode:\n  max_query_limit: 10\n",
        "max_query_limit must be at least 1000",
    );
    check(
        "strict_mode:\n",
        "strict_mode:\n  upsert_max_batchsize: 999\n",
        "upsert_max_batchsize must be at least 1000",
    );
}

#[test]
fn quantization_takes_what_belongs_to_its_type() {
    let quantization = |settings: &str| {
        let from = "      type: none\n";
        let to = settings
            .split(", ")
            .map(|it| format!("      {it}\n"))
            .collect::<String>();
        assert!(DECLARED.contains(from));
        DECLARED.replacen(from, &to, 1)
    };
    for settings in [
        "type: none",
        "type: scalar",
        "type: scalar, quantile: 0.99, always_ram: true, rescore: true, oversampling: 2.0",
        "type: binary, rescore: true, oversampling: 3",
        "type: product, compression: x16, always_ram: true",
    ] {
        CollectionSpec::parse(FILE, &quantization(settings)).expect(settings);
    }
    let refused = |settings: &str, says: &str| {
        let failure = CollectionSpec::parse(FILE, &quantization(settings)).expect_err(settings);
        assert!(failure.reason().contains(says), "{failure} lacks {says:?}");
    };
    refused("type: ternary", "ternary");
    refused(
        "type: none, always_ram: true",
        "does not belong to type none",
    );
    refused(
        "type: binary, quantile: 0.9",
        "does not belong to type binary",
    );
    refused(
        "type: scalar, compression: x4",
        "does not belong to type scalar",
    );
    refused("type: scalar, quantile: 0.1", "quantile must be 0.5 to 1");
    refused("type: scalar, quantile: .nan", "quantile must be 0.5 to 1");
    refused("type: product", "needs compression");
    refused("type: product, compression: x5", "x5");
    refused("type: binary, oversampling: 2", "needs rescore");
    refused(
        "type: binary, rescore: true, oversampling: 0.5",
        "must be 1 to 100",
    );
    refused("quantile: 0.9", "missing field `type`");
}

#[test]
fn malformed_files_are_refused_with_line_and_reason() {
    let refused = |yaml: &str, line: usize, says: &str| {
        let failure = CollectionSpec::parse("other.yaml", yaml).expect_err(yaml);
        let place = format!("other.yaml line {line}: ");
        assert!(
            failure.reason().starts_with(&place),
            "{failure}: not {place}"
        );
        assert!(failure.reason().contains(says), "{failure} lacks {says:?}");
    };
    refused("", 1, "missing field `collection`");
    refused("- a\n- b\n", 1, "sequence");
    refused(
        "collection: a\ncollection: b\n",
        1,
        "duplicate field `collection`",
    );
    refused("collection: a\n  alias: b\n", 2, "mapping values");
    refused("collection: [a\nalias: b\n", 1, "sequence");
    refused("collection: a\nshard_number: three\n", 2, "three");
    // Where the parser notices these is its own affair.
    for yaml in [
        "collection: \"a\nalias: b\n",
        "collection: a\n\tshard_number: 1\n",
        "collection: *name\n",
        "collection: a\n---\ncollection: b\n",
    ] {
        let failure = CollectionSpec::parse("other.yaml", yaml).expect_err(yaml);
        assert!(failure.reason().starts_with("other.yaml"), "{failure}");
    }
}
