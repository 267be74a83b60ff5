//! Between our records and Qdrant's: conditions, points, and payloads read back.

use std::collections::HashMap;

use penstock_runtime::Failure;
use penstock_stages::index::{BM25, DENSE, Hit, Point, PointRef, payload};
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{
    Condition, DenseVector, NamedVectors, PayloadIncludeSelector, PointId, PointStruct,
    PointsIdsList, PointsSelector, RepeatedStrings, RetrievedPoint, SparseVector, Value, Vector,
    Vectors, VectorsSelector, WithPayloadSelector, WithVectorsSelector, points_selector, vector,
    vector_output, with_payload_selector, with_vectors_selector,
};
use uuid::Uuid;

pub(super) type Fields = HashMap<String, Value>;

pub(super) fn one_of<T: ToString>(field: &str, values: impl IntoIterator<Item = T>) -> Condition {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    match <[String; 1]>::try_from(values) {
        // Named: of text with a blank in it the client makes another kind of match, which no keyword index serves.
        Ok([value]) => Condition::matches(field, MatchValue::Keyword(value)),
        Err(strings) => {
            Condition::matches(field, MatchValue::Keywords(RepeatedStrings { strings }))
        }
    }
}

pub(super) fn visible(visible: bool) -> Condition {
    Condition::matches("visible", visible)
}

pub(super) fn has_id(chunks: &[Uuid]) -> Condition {
    Condition::has_id(chunks.iter().map(|chunk| chunk.to_string()))
}

/// All points a filter finds.
pub(super) fn by(filter: qdrant_client::qdrant::Filter) -> Option<PointsSelector> {
    Some(PointsSelector {
        points_selector_one_of: Some(points_selector::PointsSelectorOneOf::Filter(filter)),
    })
}

pub(super) fn these(ids: Vec<PointId>) -> Option<PointsSelector> {
    Some(PointsSelector {
        points_selector_one_of: Some(points_selector::PointsSelectorOneOf::Points(
            PointsIdsList { ids },
        )),
    })
}

/// Which fields to read back.
pub(super) fn only<const N: usize>(fields: [&str; N]) -> Option<WithPayloadSelector> {
    let include = PayloadIncludeSelector {
        fields: fields.map(str::to_owned).to_vec(),
    };
    Some(WithPayloadSelector {
        selector_options: Some(with_payload_selector::SelectorOptions::Include(include)),
    })
}

/// The dense vector is to be read too.
pub(super) fn with_dense() -> Option<WithVectorsSelector> {
    let include = VectorsSelector {
        names: vec![DENSE.to_owned()],
    };
    Some(WithVectorsSelector {
        selector_options: Some(with_vectors_selector::SelectorOptions::Include(include)),
    })
}

/// A point as it is sent. Its text and vectors move, nothing is written as JSON.
pub(super) fn sent(point: Point) -> Result<PointStruct, Failure> {
    let serde_json::Value::Object(fields) = payload(&point) else {
        return Err(Failure::fatal("a payload is not an object"));
    };
    let dense = DenseVector { data: point.dense };
    let bm25 = SparseVector {
        values: point.bm25.values,
        indices: point.bm25.indices,
    };
    let vectors = HashMap::from([
        (DENSE.to_owned(), named(vector::Vector::Dense(dense))),
        (BM25.to_owned(), named(vector::Vector::Sparse(bm25))),
    ]);
    Ok(PointStruct {
        id: Some(PointId::from(point.chunk.chunk_guid.to_string())),
        payload: fields
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect(),
        vectors: Some(Vectors {
            vectors_options: Some(VectorsOptions::Vectors(NamedVectors { vectors })),
        }),
    })
}

fn named(vector: vector::Vector) -> Vector {
    Vector {
        vector: Some(vector),
        ..Vector::default()
    }
}

/// Fields that `point_ref` reads.
pub(super) const AUDITED: [&str; 9] = [
    "document_guid",
    "edition",
    "version",
    "group_guid",
    "visible",
    "part",
    "chunk_index",
    "content_hash",
    "model",
];

/// A point as audit sees it; none where its id is no chunk's.
pub(super) fn point_ref(point: &RetrievedPoint) -> Option<PointRef> {
    let fields = &point.payload;
    let id = |name: &str| guid(fields, name).unwrap_or_default();
    let text = |name: &str| text(fields, name).unwrap_or_default().to_owned();
    let number = |name: &str| i32::try_from(integer(fields, name)?).ok();
    let number = |name: &str| number(name).unwrap_or(-1);
    let visible = fields.get("visible").and_then(|it| it.kind.as_ref());
    Some(PointRef {
        chunk_guid: chunk(point.id.as_ref())?,
        document_guid: id("document_guid"),
        edition: id("edition"),
        version: id("version"),
        group: text("group_guid"),
        visible: visible == Some(&Kind::BoolValue(true)),
        part: number("part"),
        ordinal: number("chunk_index"),
        content_hash: text("content_hash"),
        model: text("model"),
        dense: dense(point).unwrap_or_default(),
    })
}

/// Document, version and edition.
pub(super) fn edition(fields: &Fields) -> Option<(Uuid, Uuid, Uuid)> {
    Some((
        guid(fields, "document_guid")?,
        guid(fields, "version")?,
        guid(fields, "edition")?,
    ))
}

pub(super) fn hit(chunk_guid: Uuid, fields: &Fields, score: f32) -> Option<Hit> {
    let text = |name: &str| text(fields, name).map(str::to_owned);
    let page = |name: &str| i32::try_from(integer(fields, name)?).ok();
    let headings = match fields.get("heading_path").and_then(|it| it.kind.as_ref()) {
        Some(Kind::ListValue(list)) => list.values.as_slice(),
        _ => &[],
    };
    Some(Hit {
        chunk_guid,
        document_guid: guid(fields, "document_guid")?,
        edition: guid(fields, "edition")?,
        version: guid(fields, "version")?,
        score,
        path: text("path")?,
        title: text("title"),
        page_first: page("page_first"),
        page_last: page("page_last"),
        heading_path: headings
            .iter()
            .filter_map(|heading| match &heading.kind {
                Some(Kind::StringValue(heading)) => Some(heading.clone()),
                _ => None,
            })
            .collect(),
        text: text("text")?,
    })
}

/// The dense vector, where it was read too.
pub(super) fn dense(point: &RetrievedPoint) -> Option<Vec<f32>> {
    match point.vectors.as_ref()?.get_vector_by_name(DENSE)? {
        vector_output::Vector::Dense(dense) => Some(dense.data),
        vector_output::Vector::Sparse(_) | vector_output::Vector::MultiDense(_) => None,
    }
}

/// None where the id is not a chunk's.
pub(super) fn chunk(id: Option<&PointId>) -> Option<Uuid> {
    match id?.point_id_options.as_ref()? {
        PointIdOptions::Uuid(id) => Uuid::parse_str(id).ok(),
        PointIdOptions::Num(_) => None,
    }
}

pub(super) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    match fields.get(name)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

pub(super) fn integer(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name)?.kind.as_ref()? {
        Kind::IntegerValue(number) => Some(*number),
        _ => None,
    }
}

fn guid(fields: &Fields, name: &str) -> Option<Uuid> {
    Uuid::parse_str(text(fields, name)?).ok()
}
