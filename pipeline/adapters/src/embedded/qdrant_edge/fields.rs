//! Between our records and the engine's: conditions, operations, and payloads read back.

use penstock_runtime::Failure;
use penstock_stages::index::{BM25, DENSE, Hit, Point, PointRef, payload};
use qdrant_edge::{
    Condition, ConditionalInsertOperation, FieldCondition, Filter, HasIdCondition, JsonPath, Match,
    Payload, PayloadOps, PointId, PointInsertOperations, PointOperations, PointStructPersisted,
    Record, SetPayloadOp, SparseVector, UpdateMode, UpdateOperation, VectorInternal,
    VectorStructInternal, WithPayloadInterface,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub fn point_id(chunk: Uuid) -> PointId {
    PointId::Uuid(chunk)
}

/// The path of a field at the top of the payload.
fn path(field: &str) -> JsonPath {
    JsonPath {
        first_key: field.to_owned(),
        rest: Vec::new(),
    }
}

/// Which fields to read back.
pub fn only<const N: usize>(fields: [&str; N]) -> WithPayloadInterface {
    WithPayloadInterface::Fields(fields.iter().map(|field| path(field)).collect())
}

/// All of the conditions.
pub fn filter(conditions: impl Into<Vec<Condition>>) -> Filter {
    Filter {
        must: Some(conditions.into()),
        ..Filter::new()
    }
}

pub fn one_of<T: ToString>(field: &str, values: impl IntoIterator<Item = T>) -> Condition {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    let matches = match <[String; 1]>::try_from(values) {
        Ok([value]) => Match::from(value),
        Err(values) => Match::from(values),
    };
    Condition::Field(FieldCondition::new_match(path(field), matches))
}

pub fn visible(visible: bool) -> Condition {
    Condition::Field(FieldCondition::new_match(
        path("visible"),
        Match::from(visible),
    ))
}

pub fn has_id(chunks: &[Uuid]) -> Condition {
    Condition::HasId(HasIdCondition::from_iter(
        chunks.iter().copied().map(point_id),
    ))
}

/// Inserts what is not there. The mode decides; the condition only matters to the others.
pub fn insert(points: Vec<Point>) -> Result<UpdateOperation, Failure> {
    let points: Result<Vec<PointStructPersisted>, Failure> =
        points.into_iter().map(stored).collect();
    Ok(UpdateOperation::PointOperation(
        PointOperations::UpsertPointsConditional(ConditionalInsertOperation {
            points_op: PointInsertOperations::PointsList(points?),
            condition: Filter::new(),
            update_mode: Some(UpdateMode::InsertOnly),
        }),
    ))
}

fn stored(point: Point) -> Result<PointStructPersisted, Failure> {
    let id = point_id(point.chunk.chunk_guid);
    let Value::Object(fields) = payload(&point) else {
        return Err(Failure::fatal("a payload is not an object"));
    };
    let sparse = SparseVector {
        indices: point.bm25.indices,
        values: point.bm25.values,
    };
    let vectors = VectorStructInternal::Named(
        [
            (DENSE.to_owned(), VectorInternal::Dense(point.dense)),
            (BM25.to_owned(), VectorInternal::Sparse(sparse)),
        ]
        .into(),
    );
    Ok(PointStructPersisted {
        id,
        vector: vectors.into(),
        payload: Some(Payload(fields)),
    })
}

pub fn delete(filter: Filter) -> UpdateOperation {
    UpdateOperation::PointOperation(PointOperations::DeletePointsByFilter(filter))
}

pub fn show(filter: Filter) -> UpdateOperation {
    let mut fields = Map::new();
    fields.insert("visible".to_owned(), json!(true));
    UpdateOperation::PayloadOperation(PayloadOps::SetPayload(SetPayloadOp {
        payload: Payload(fields),
        points: None,
        filter: Some(filter),
        key: None,
    }))
}

/// Fields that `point_ref` reads.
pub const AUDITED: [&str; 9] = [
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
pub fn point_ref(record: &Record) -> Option<PointRef> {
    let id = |name: &str| guid(record, name).unwrap_or_default();
    let text = |name: &str| field(record, name).and_then(Value::as_str);
    let text = |name: &str| text(name).unwrap_or_default().to_owned();
    let number = |name: &str| i32::try_from(field(record, name)?.as_i64()?).ok();
    let number = |name: &str| number(name).unwrap_or(-1);
    Some(PointRef {
        chunk_guid: chunk(record)?,
        document_guid: id("document_guid"),
        edition: id("edition"),
        version: id("version"),
        group: text("group_guid"),
        visible: field(record, "visible").and_then(Value::as_bool) == Some(true),
        part: number("part"),
        ordinal: number("chunk_index"),
        content_hash: text("content_hash"),
        model: text("model"),
        dense: dense(record).unwrap_or_default(),
    })
}

/// Document, version and edition.
pub fn edition(record: &Record) -> Option<(Uuid, Uuid, Uuid)> {
    Some((
        guid(record, "document_guid")?,
        guid(record, "version")?,
        guid(record, "edition")?,
    ))
}

pub fn hit(record: &Record, score: f32) -> Option<Hit> {
    let text = |name: &str| Some(field(record, name)?.as_str()?.to_owned());
    let page = |name: &str| i32::try_from(field(record, name)?.as_i64()?).ok();
    let headings = field(record, "heading_path").and_then(Value::as_array);
    Some(Hit {
        chunk_guid: chunk(record)?,
        document_guid: guid(record, "document_guid")?,
        edition: guid(record, "edition")?,
        version: guid(record, "version")?,
        score,
        path: text("path")?,
        title: text("title"),
        page_first: page("page_first"),
        page_last: page("page_last"),
        heading_path: headings
            .into_iter()
            .flatten()
            .filter_map(|heading| heading.as_str().map(str::to_owned))
            .collect(),
        text: text("text")?,
    })
}

/// The dense vector, where it was read too.
pub fn dense(record: &Record) -> Option<Vec<f32>> {
    let Some(VectorStructInternal::Named(vectors)) = &record.vector else {
        return None;
    };
    match vectors.get(DENSE)? {
        VectorInternal::Dense(vector) => Some(vector.clone()),
        VectorInternal::Sparse(_) | VectorInternal::MultiDense(_) => None,
    }
}

fn chunk(record: &Record) -> Option<Uuid> {
    match record.id {
        PointId::Uuid(id) => Some(id),
        PointId::NumId(_) => None,
    }
}

fn field<'a>(record: &'a Record, name: &str) -> Option<&'a Value> {
    record.payload.as_ref()?.0.get(name)
}

fn guid(record: &Record, name: &str) -> Option<Uuid> {
    Uuid::parse_str(field(record, name)?.as_str()?).ok()
}
