//! The collection as declared in `schemas/qdrant/chunks.yaml`: one file for every adapter of `VectorStore`.

use std::collections::BTreeMap;

use penstock_runtime::Failure;
use serde::Deserialize;

/// Name of the dense vector.
pub const DENSE: &str = "dense";
/// Name of the sparse vector.
pub const BM25: &str = "bm25";

const DECLARED: &str = include_str!("../../../../schemas/qdrant/chunks.yaml");
const FILE: &str = "schemas/qdrant/chunks.yaml";

/// Indexes that searches, sweeps and flips cannot do without.
const REQUIRED: [(&str, IndexType); 6] = [
    ("group_guid", IndexType::Keyword),
    ("source_guid", IndexType::Keyword),
    ("document_guid", IndexType::Keyword),
    ("edition", IndexType::Keyword),
    ("language", IndexType::Keyword),
    ("visible", IndexType::Bool),
];

/// A collection: its vectors and what is indexed of the payload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionSpec {
    pub collection: String,
    pub vectors: Vectors,
    pub sparse_vectors: SparseVectors,
    pub on_disk_payload: bool,
    #[serde(deserialize_with = "distinct")]
    pub payload_indexes: BTreeMap<String, PayloadIndex>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    pub dense: DenseVector,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseVector {
    /// Numbers in a vector.
    pub size: usize,
    pub distance: Distance,
    pub on_disk: bool,
    pub hnsw: Hnsw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    Cosine,
    Dot,
    Euclid,
    Manhattan,
}

impl Distance {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclid => "euclid",
            Self::Manhattan => "manhattan",
        }
    }
}

/// The graph over a segment's vectors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hnsw {
    /// Edges per node.
    pub m: usize,
    /// Candidates looked at while building.
    pub ef_construct: usize,
    pub on_disk: bool,
    /// Kilobytes of vectors from which their graph is built. Qdrant counts those of a segment, the embedded engine all.
    pub indexing_threshold: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseVectors {
    pub bm25: SparseVector,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseVector {
    pub modifier: Modifier,
    pub on_disk: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modifier {
    /// The engine weighs a term by its inverse document frequency.
    Idf,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadIndex {
    #[serde(rename = "type")]
    pub kind: IndexType,
    /// The field that tells tenants apart.
    #[serde(default)]
    pub is_tenant: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexType {
    Keyword,
    Integer,
    Float,
    Bool,
    Datetime,
    Uuid,
}

impl CollectionSpec {
    /// The collection of this build.
    pub fn declared() -> Result<Self, Failure> {
        Self::parse(DECLARED)
    }

    /// Reads and checks a declaration.
    pub fn parse(yaml: &str) -> Result<Self, Failure> {
        let spec: Self = serde_yaml_ng::from_str(yaml)
            .map_err(|error| Failure::fatal(format!("{FILE} cannot be read: {error}")))?;
        spec.check()
            .map_err(|reason| Failure::fatal(format!("{FILE}: {reason}")))?;
        Ok(spec)
    }

    /// Refuses a model whose vectors do not fit.
    pub fn check_dimension(&self, model: &str, dimension: usize) -> Result<(), Failure> {
        let size = self.vectors.dense.size;
        if size == dimension {
            return Ok(());
        }
        Err(Failure::fatal(format!(
            "model {model} gives vectors of {dimension} numbers, collection {} is declared with {size} in {FILE}: \
             use a model of {size} dimensions, or change `size` and ingest into an empty data folder",
            self.collection
        )))
    }

    fn check(&self) -> Result<(), String> {
        let plain = |name: &str, extra: &str| {
            !name.is_empty()
                && name.len() <= 255
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        if !plain(&self.collection, "_-") {
            return Err(format!(
                "collection {:?} must be 1 to 255 of a-z, 0-9, _ and -",
                self.collection
            ));
        }
        let dense = &self.vectors.dense;
        if !(1..=65_536).contains(&dense.size) {
            return Err(format!(
                "vectors.dense.size is {}, must be 1 to 65536",
                dense.size
            ));
        }
        if dense.distance != Distance::Cosine {
            return Err(format!(
                "vectors.dense.distance is {}, must be cosine: embeddings are compared by angle",
                dense.distance.name()
            ));
        }
        if !(2..=256).contains(&dense.hnsw.m) {
            return Err(format!(
                "vectors.dense.hnsw.m is {}, must be 2 to 256",
                dense.hnsw.m
            ));
        }
        if !(4..=10_000).contains(&dense.hnsw.ef_construct) {
            return Err(format!(
                "vectors.dense.hnsw.ef_construct is {}, must be 4 to 10000",
                dense.hnsw.ef_construct
            ));
        }
        if dense.hnsw.indexing_threshold == 0 {
            return Err(
                "vectors.dense.hnsw.indexing_threshold is 0, must be at least 1 kilobyte"
                    .to_owned(),
            );
        }
        if self.sparse_vectors.bm25.modifier != Modifier::Idf {
            return Err(
                "sparse_vectors.bm25.modifier must be idf: term weights are made for it".to_owned(),
            );
        }
        self.check_indexes(plain)
    }

    fn check_indexes(&self, plain: impl Fn(&str, &str) -> bool) -> Result<(), String> {
        for (field, index) in &self.payload_indexes {
            if !field.split('.').all(|key| plain(key, "_-")) {
                return Err(format!(
                    "payload_indexes: {field:?} is no field name: keys of a-z, 0-9, _ and -, joined by dots"
                ));
            }
            if index.is_tenant && index.kind != IndexType::Keyword {
                return Err(format!(
                    "payload_indexes.{field}: is_tenant needs type keyword"
                ));
            }
        }
        for (field, kind) in REQUIRED {
            match self.payload_indexes.get(field) {
                Some(index) if index.kind == kind => {}
                Some(index) => {
                    return Err(format!(
                        "payload_indexes.{field} has type {:?}, filters need {kind:?}",
                        index.kind
                    ));
                }
                None => {
                    return Err(format!(
                        "payload_indexes.{field} is missing: searches and sweeps filter on it"
                    ));
                }
            }
        }
        let tenants: Vec<&String> = self
            .payload_indexes
            .iter()
            .filter_map(|(field, index)| index.is_tenant.then_some(field))
            .collect();
        if tenants != ["group_guid"] {
            return Err(format!(
                "payload_indexes: is_tenant stands at {tenants:?}, must stand at group_guid alone"
            ));
        }
        Ok(())
    }
}

/// A map in which a key given twice is an error, not the last one wins.
fn distinct<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, PayloadIndex>, D::Error> {
    struct Visitor;

    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = BTreeMap<String, PayloadIndex>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("fields and their index")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut entries: A,
        ) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((field, index)) = entries.next_entry::<String, PayloadIndex>()? {
                if map.insert(field.clone(), index).is_some() {
                    return Err(serde::de::Error::custom(format!(
                        "payload_indexes: {field} is given twice"
                    )));
                }
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The declared file with `from` replaced by `to` must be refused with a reason that names `says`.
    fn check(from: &str, to: &str, says: &str) {
        assert!(DECLARED.contains(from), "{from:?} is not in the file");
        let yaml = DECLARED.replacen(from, to, 1);
        let failure = CollectionSpec::parse(&yaml).expect_err(to);
        assert_eq!(failure.class(), "fatal");
        assert!(
            failure.reason().contains(says) && failure.reason().contains(FILE),
            "{failure} does not say {says:?}"
        );
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
            "indexing_threshold: 600000",
            "indexing_threshold: 0",
            "indexing_threshold is 0",
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
            "visible has type Keyword",
        );
        check(
            "    type: keyword\n    is_tenant: true",
            "    type: uuid\n    is_tenant: true",
            "is_tenant needs type keyword",
        );
        check("    is_tenant: true\n", "", "must stand at group_guid");
        check(
            "  source_guid:\n    type: keyword",
            "  source_guid:\n    type: keyword\n    is_tenant: true",
            "source_guid",
        );
        check("  impact_tier:", "  impact tier:", "impact tier");
        check("  impact_tier:", "  impact_score:", "impact_score");
        check("  impact_tier:", "  attributes..x:", "attributes..x");
    }

    #[test]
    fn a_custom_attribute_can_be_indexed() {
        let yaml = DECLARED.replace("  impact_tier:", "  attributes.depot:");
        let spec = CollectionSpec::parse(&yaml).unwrap();
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
}
