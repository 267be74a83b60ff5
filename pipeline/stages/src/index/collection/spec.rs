//! The declaration's words.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A collection: its vectors, what is indexed of the payload, and how a cluster keeps it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionSpec {
    /// Where it is declared, for messages.
    #[serde(skip)]
    pub file: String,
    pub collection: String,
    /// The name readers outside may use: it stays when a collection takes the place of another.
    #[serde(default)]
    pub alias: Option<String>,
    /// Parts that are spread over the nodes.
    pub shard_number: u32,
    /// Copies of each shard.
    pub replication_factor: u32,
    /// Copies that must have a write before it is done.
    pub write_consistency_factor: u32,
    pub vectors: Vectors,
    pub sparse_vectors: SparseVectors,
    pub on_disk_payload: bool,
    pub strict_mode: StrictMode,
    #[serde(deserialize_with = "distinct")]
    pub payload_indexes: BTreeMap<String, PayloadIndex>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    pub dense: DenseVector,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseVector {
    /// Numbers in a vector.
    pub size: usize,
    pub distance: Distance,
    pub on_disk: bool,
    pub hnsw: Hnsw,
    pub quantization: Quantization,
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
    /// Kilobytes of vectors in a segment from which their graph is built.
    pub indexing_threshold: usize,
    /// The same for all vectors of the embedded engine.
    pub embedded_indexing_threshold: usize,
}

/// A small copy of the vectors that is searched first. The embedded engine keeps none.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    #[serde(rename = "type")]
    pub kind: QuantizationKind,
    /// Scalar: the share of values that keep their place, 0.5 to 1; the others are cut off.
    #[serde(default)]
    pub quantile: Option<f32>,
    /// Product: how much smaller.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// Kept in memory, whether or not the vectors are on disk.
    #[serde(default)]
    pub always_ram: bool,
    /// The best are ordered anew by their whole vectors.
    #[serde(default)]
    pub rescore: bool,
    /// How many times more candidates than hits are looked at again.
    #[serde(default)]
    pub oversampling: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuantizationKind {
    None,
    /// A byte a number.
    Scalar,
    /// A bit a number.
    Binary,
    /// Groups of numbers by the nearest of 256 centres.
    Product,
}

impl QuantizationKind {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Scalar => "scalar",
            Self::Binary => "binary",
            Self::Product => "product",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    X4,
    X8,
    X16,
    X32,
    X64,
}

impl Compression {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::X4 => "x4",
            Self::X8 => "x8",
            Self::X16 => "x16",
            Self::X32 => "x32",
            Self::X64 => "x64",
        }
    }
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

impl Modifier {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idf => "idf",
            Self::None => "none",
        }
    }
}

/// What the server refuses to do, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrictMode {
    pub enabled: bool,
    /// Reads may filter on fields without an index.
    pub unindexed_filtering_retrieve: bool,
    /// Updates and deletes may.
    pub unindexed_filtering_update: bool,
    /// Hits, or points of a page, that one request may ask for.
    #[serde(default)]
    pub max_query_limit: Option<u32>,
    /// Points of one upsert.
    #[serde(default)]
    pub upsert_max_batchsize: Option<u64>,
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

impl IndexType {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Datetime => "datetime",
            Self::Uuid => "uuid",
        }
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
