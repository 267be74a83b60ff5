use penstock_stages::index::{
    CollectionSpec, Compression, Distance, IndexType, Quantization, QuantizationKind,
};

use super::super::{Change, Effect, Rebuild, apply, compare};
use super::{node, spec};

type Edit = fn(&mut CollectionSpec);

fn fields(changes: &[Change]) -> Vec<(&str, Effect)> {
    changes.iter().map(|it| (&*it.field, it.effect)).collect()
}

/// Quantizations that differ in every setting.
fn quantization(kind: QuantizationKind) -> Quantization {
    Quantization {
        kind,
        quantile: (kind == QuantizationKind::Scalar).then_some(0.95),
        compression: (kind == QuantizationKind::Product).then_some(Compression::X16),
        always_ram: true,
        rescore: true,
        oversampling: Some(2.0),
    }
}

/// What is changed in the file, the field, and the values before and after.
const IN_PLACE: &[(Edit, &str, &str, &str)] = &[
    (
        |it| it.replication_factor = 3,
        "replication_factor",
        "2",
        "3",
    ),
    (
        |it| it.write_consistency_factor = 1,
        "write_consistency_factor",
        "2",
        "1",
    ),
    (
        |it| it.on_disk_payload = false,
        "on_disk_payload",
        "true",
        "false",
    ),
    (
        |it| it.vectors.dense.on_disk = false,
        "vectors.dense.on_disk",
        "true",
        "false",
    ),
    (
        |it| it.vectors.dense.hnsw.m = 32,
        "vectors.dense.hnsw.m",
        "16",
        "32",
    ),
    (
        |it| it.vectors.dense.hnsw.ef_construct = 200,
        "vectors.dense.hnsw.ef_construct",
        "128",
        "200",
    ),
    (
        |it| it.vectors.dense.hnsw.on_disk = false,
        "vectors.dense.hnsw.on_disk",
        "true",
        "false",
    ),
    (
        |it| it.vectors.dense.hnsw.indexing_threshold = 9,
        "vectors.dense.hnsw.indexing_threshold",
        "20000",
        "9",
    ),
    (
        |it| it.sparse_vectors.bm25.on_disk = false,
        "sparse_vectors.bm25.on_disk",
        "true",
        "false",
    ),
    (
        |it| it.strict_mode.enabled = false,
        "strict_mode.enabled",
        "true",
        "false",
    ),
    (
        |it| it.strict_mode.unindexed_filtering_retrieve = true,
        "strict_mode.unindexed_filtering_retrieve",
        "false",
        "true",
    ),
    (
        |it| it.strict_mode.unindexed_filtering_update = true,
        "strict_mode.unindexed_filtering_update",
        "false",
        "true",
    ),
    (
        |it| it.strict_mode.max_query_limit = Some(5_000),
        "strict_mode.max_query_limit",
        "",
        "5000",
    ),
    (
        |it| it.strict_mode.upsert_max_batchsize = Some(9_000),
        "strict_mode.upsert_max_batchsize",
        "",
        "9000",
    ),
];

#[tokio::test]
async fn each_field_that_can_be_changed_in_place_is_shown_and_changed() {
    let (_server, config) = node().await;
    apply(&config, &spec(), Rebuild::Never).await.unwrap();
    let mut declared = spec();
    for (edit, field, was, is) in IN_PLACE {
        edit(&mut declared);
        let changes = compare(&config, &declared).await.unwrap();
        assert_eq!(fields(&changes), [(*field, Effect::InPlace)]);
        assert_eq!(
            changes[0].live.as_deref().unwrap_or_default(),
            *was,
            "{field}"
        );
        assert_eq!(changes[0].declared, *is, "{field}");
        let applied = apply(&config, &declared, Rebuild::Never)
            .await
            .expect(field);
        assert_eq!(applied.done, changes);
        assert_eq!(compare(&config, &declared).await.unwrap(), [], "{field}");
    }
}

#[tokio::test]
async fn quantization_is_changed_in_place() {
    let (_server, config) = node().await;
    apply(&config, &spec(), Rebuild::Never).await.unwrap();
    let mut declared = spec();
    let kinds = [
        QuantizationKind::Scalar,
        QuantizationKind::Binary,
        QuantizationKind::Product,
    ];
    for kind in kinds {
        declared.vectors.dense.quantization = quantization(kind);
        let changes = compare(&config, &declared).await.unwrap();
        assert!(
            changes
                .iter()
                .any(|it| it.field == "vectors.dense.quantization.type")
        );
        assert!(
            changes.iter().all(|it| it.effect == Effect::InPlace),
            "{changes:?}"
        );
        apply(&config, &declared, Rebuild::Never).await.unwrap();
        assert_eq!(compare(&config, &declared).await.unwrap(), []);

        declared.vectors.dense.quantization.always_ram = false;
        let changes = compare(&config, &declared).await.unwrap();
        assert_eq!(
            fields(&changes),
            [("vectors.dense.quantization.always_ram", Effect::InPlace)]
        );
        // What only a search looks at is none of the collection's.
        declared.vectors.dense.quantization.always_ram = true;
        declared.vectors.dense.quantization.rescore = false;
        assert_eq!(compare(&config, &declared).await.unwrap(), []);
    }
    declared.vectors.dense.quantization = spec().vectors.dense.quantization;
    let changes = compare(&config, &declared).await.unwrap();
    assert_eq!(
        fields(&changes),
        [("vectors.dense.quantization.type", Effect::InPlace)]
    );
    apply(&config, &declared, Rebuild::Never).await.unwrap();
    assert_eq!(compare(&config, &declared).await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_reconciled_is_refused_with_both_sides() {
    let (_server, config) = node().await;
    apply(&config, &spec(), Rebuild::Never).await.unwrap();
    let refused = async |edit: Edit, field: &str, says: &[&str]| {
        let mut declared = spec();
        edit(&mut declared);
        // Nothing else is done beside it.
        declared.vectors.dense.hnsw.m = 64;
        let changes = compare(&config, &declared).await.unwrap();
        let change = changes.iter().find(|it| it.field == field).expect(field);
        assert_eq!(change.effect, Effect::Refused);
        for rebuild in [Rebuild::Never, Rebuild::Allowed] {
            let failure = apply(&config, &declared, rebuild).await.unwrap_err();
            assert_eq!(failure.class(), "fatal");
            for says in says {
                assert!(failure.reason().contains(says), "{failure} lacks {says}");
            }
        }
        assert_eq!(compare(&config, &spec()).await.unwrap(), [], "{field}");
    };
    let file = "declared in schemas/qdrant/chunks.yaml";
    let on_cluster = "in collection chunks on the cluster";
    refused(
        |it| it.vectors.dense.size = 768,
        "vectors.dense.size",
        &["768", file, "384", on_cluster],
    )
    .await;
    refused(
        |it| it.vectors.dense.distance = Distance::Dot,
        "vectors.dense.distance",
        &["dot", file, "cosine", on_cluster],
    )
    .await;
    // The name is an alias of something else.
    refused(
        |it| {
            it.collection = "chunks_current".to_owned();
            it.alias = None;
        },
        "collection",
        &[
            "collection chunks_current",
            file,
            "alias of collection chunks",
        ],
    )
    .await;
}

#[tokio::test]
async fn payload_indexes_are_added_and_rebuilt_only_when_told() {
    let (server, config) = node().await;
    let mut before = spec();
    before.payload_indexes.remove("doc_type");
    before.payload_indexes.get_mut("chunk_index").unwrap().kind = IndexType::Float;
    before
        .payload_indexes
        .get_mut("group_guid")
        .unwrap()
        .is_tenant = false;
    apply(&config, &before, Rebuild::Never).await.unwrap();

    let changes = compare(&config, &spec()).await.unwrap();
    assert_eq!(
        fields(&changes),
        [
            ("payload_indexes.chunk_index", Effect::Rebuild),
            ("payload_indexes.doc_type", Effect::InPlace),
            ("payload_indexes.group_guid", Effect::Rebuild),
        ]
    );
    assert_eq!(changes[0].live.as_deref(), Some("float"));
    assert_eq!(changes[2].declared, "keyword, tenant");
    let applied = apply(&config, &spec(), Rebuild::Never).await.unwrap();
    assert_eq!(
        fields(&applied.done),
        [("payload_indexes.doc_type", Effect::InPlace)]
    );
    assert_eq!(applied.left.len(), 2);
    assert_eq!(server.calls("Points/DeleteFieldIndex"), 0);

    let applied = apply(&config, &spec(), Rebuild::Allowed).await.unwrap();
    assert_eq!(applied.done.len(), 2);
    assert_eq!(applied.left, []);
    assert_eq!(compare(&config, &spec()).await.unwrap(), []);
}
