//! Points, payloads and writes between the client's words and the engine's.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{
    self as asked, DenseVector, MultiDenseVector, NamedVectorsOutput, PointStruct, PointsSelector,
    RetrievedPoint, UpdateMode, Value, VectorOutput, VectorsOutput, WithPayloadSelector,
    WithVectorsSelector, vector, vector_output, vectors_output, with_payload_selector,
    with_vectors_selector,
};
use qdrant_edge::external::uuid::Uuid;
use qdrant_edge::{
    ConditionalInsertOperation, Filter, Payload, PayloadOps, PayloadSelectorExclude, PointId,
    PointInsertOperations, PointOperations, PointStructPersisted, Record, ScoredPoint,
    SetPayloadOp, SparseVector, UpdateOperation, VectorInternal, VectorPersisted,
    VectorStructInternal, VectorStructPersisted, WithPayloadInterface, WithVector,
};
use serde_json::{Map, Number};
use tonic::Status;

use super::filter::filter;
use super::index::path;
use super::journal::Entry;

pub(super) fn operation(entry: Entry) -> Result<UpdateOperation, Status> {
    match entry {
        Entry::Upsert(request) => upsert(request),
        Entry::Delete(request) => Ok(UpdateOperation::PointOperation(
            match selected(request.points)? {
                Selected::Ids(ids) => PointOperations::DeletePoints { ids },
                Selected::By(filter) => PointOperations::DeletePointsByFilter(filter),
            },
        )),
        Entry::SetPayload(request) => {
            let (points, filter) = match selected(request.points_selector)? {
                Selected::Ids(ids) => (Some(ids), None),
                Selected::By(filter) => (None, Some(filter)),
            };
            let payload = Payload(object(request.payload));
            let key = request.key.as_deref().map(path).transpose()?;
            let set = SetPayloadOp {
                payload,
                points,
                filter,
                key,
            };
            Ok(UpdateOperation::PayloadOperation(PayloadOps::SetPayload(
                set,
            )))
        }
    }
}

fn upsert(request: asked::UpsertPoints) -> Result<UpdateOperation, Status> {
    let mode = match request.update_mode() {
        UpdateMode::Upsert => qdrant_edge::UpdateMode::Upsert,
        UpdateMode::InsertOnly => qdrant_edge::UpdateMode::InsertOnly,
        UpdateMode::UpdateOnly => qdrant_edge::UpdateMode::UpdateOnly,
    };
    let condition = request.update_filter.map(filter).transpose()?;
    let points: Result<Vec<PointStructPersisted>, Status> =
        request.points.into_iter().map(point).collect();
    let points_op = PointInsertOperations::PointsList(points?);
    let plain = condition.is_none() && mode == qdrant_edge::UpdateMode::Upsert;
    Ok(UpdateOperation::PointOperation(if plain {
        PointOperations::UpsertPoints(points_op)
    } else {
        PointOperations::UpsertPointsConditional(ConditionalInsertOperation {
            points_op,
            condition: condition.unwrap_or_default(),
            update_mode: Some(mode),
        })
    }))
}

fn point(point: PointStruct) -> Result<PointStructPersisted, Status> {
    let id = point.id.ok_or_else(|| expected("id"))?;
    let vectors = point.vectors.and_then(|it| it.vectors_options);
    let vector = match vectors.ok_or_else(|| expected("vectors"))? {
        VectorsOptions::Vector(vector) => match stored(vector)? {
            VectorPersisted::Dense(dense) => VectorStructPersisted::Single(dense),
            VectorPersisted::MultiDense(multi) => VectorStructPersisted::MultiDense(multi),
            VectorPersisted::Sparse(_) => {
                return Err(Status::invalid_argument("Sparse vector must have a name"));
            }
        },
        VectorsOptions::Vectors(named) => {
            let pairs = named.vectors.into_iter();
            let stored: Result<HashMap<_, _>, Status> = pairs
                .map(|(name, vector)| Ok((name, stored(vector)?)))
                .collect();
            VectorStructPersisted::Named(stored?)
        }
    };
    Ok(PointStructPersisted {
        id: point_id(id)?,
        vector,
        payload: Some(Payload(object(point.payload))),
    })
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
fn stored(vector: asked::Vector) -> Result<VectorPersisted, Status> {
    Ok(match vector.vector {
        Some(vector::Vector::Dense(dense)) => VectorPersisted::Dense(dense.data),
        Some(vector::Vector::Sparse(sparse_vector)) => {
            VectorPersisted::Sparse(sparse(sparse_vector.indices, sparse_vector.values)?)
        }
        Some(vector::Vector::MultiDense(multi)) => {
            VectorPersisted::MultiDense(multi.vectors.into_iter().map(|it| it.data).collect())
        }
        Some(_) => return Err(Status::unimplemented("inference is not served")),
        None => match vector.indices {
            Some(indices) => VectorPersisted::Sparse(sparse(indices.data, vector.data)?),
            None => VectorPersisted::Dense(vector.data),
        },
    })
}

pub(super) fn sparse(indices: Vec<u32>, values: Vec<f32>) -> Result<SparseVector, Status> {
    SparseVector::new(indices, values).map_err(|error| {
        Status::invalid_argument(format!(
            "Validation error in body: [sparse vector: {error}]"
        ))
    })
}

pub(super) enum Selected {
    Ids(Vec<PointId>),
    By(Filter),
}

pub(super) fn selected(selector: Option<PointsSelector>) -> Result<Selected, Status> {
    let selector = selector.and_then(|it| it.points_selector_one_of);
    match selector.ok_or_else(|| expected("points selector"))? {
        PointsSelectorOneOf::Points(list) => {
            let ids: Result<Vec<PointId>, Status> = list.ids.into_iter().map(point_id).collect();
            Ok(Selected::Ids(ids?))
        }
        PointsSelectorOneOf::Filter(wanted) => Ok(Selected::By(filter(wanted)?)),
    }
}

fn expected(what: &str) -> Status {
    Status::invalid_argument(format!("Empty {what} is not allowed"))
}

pub(super) fn point_id(id: asked::PointId) -> Result<PointId, Status> {
    match id.point_id_options.ok_or_else(|| expected("point id"))? {
        PointIdOptions::Num(number) => Ok(PointId::NumId(number)),
        PointIdOptions::Uuid(text) => match Uuid::parse_str(&text) {
            Ok(uuid) => Ok(PointId::Uuid(uuid)),
            Err(_) => Err(Status::invalid_argument(format!(
                "Unable to parse UUID: {text}"
            ))),
        },
    }
}

pub(super) fn told_id(id: PointId) -> asked::PointId {
    let options = match id {
        PointId::NumId(number) => PointIdOptions::Num(number),
        PointId::Uuid(uuid) => PointIdOptions::Uuid(uuid.to_string()),
    };
    asked::PointId {
        point_id_options: Some(options),
    }
}

pub(super) fn with_payload(
    selector: Option<WithPayloadSelector>,
    otherwise: bool,
) -> Result<WithPayloadInterface, Status> {
    use with_payload_selector::SelectorOptions;
    let paths = |fields: &[String]| -> Result<Vec<_>, Status> {
        fields.iter().map(|field| path(field)).collect()
    };
    Ok(match selector.and_then(|it| it.selector_options) {
        None => WithPayloadInterface::Bool(otherwise),
        Some(SelectorOptions::Enable(enable)) => WithPayloadInterface::Bool(enable),
        Some(SelectorOptions::Include(include)) => {
            WithPayloadInterface::Fields(paths(&include.fields)?)
        }
        Some(SelectorOptions::Exclude(exclude)) => {
            PayloadSelectorExclude::new(paths(&exclude.fields)?).into()
        }
    })
}

pub(super) fn with_vectors(selector: Option<WithVectorsSelector>) -> WithVector {
    use with_vectors_selector::SelectorOptions;
    match selector.and_then(|it| it.selector_options) {
        None => WithVector::Bool(false),
        Some(SelectorOptions::Enable(enable)) => WithVector::Bool(enable),
        Some(SelectorOptions::Include(include)) => WithVector::Selector(include.names),
    }
}

pub(super) fn told(record: Record) -> RetrievedPoint {
    RetrievedPoint {
        id: Some(told_id(record.id)),
        payload: told_payload(record.payload),
        vectors: record.vector.map(told_vectors),
        shard_key: None,
        order_value: None,
    }
}

pub(super) fn told_scored(point: ScoredPoint) -> asked::ScoredPoint {
    asked::ScoredPoint {
        id: Some(told_id(point.id)),
        payload: told_payload(point.payload),
        score: point.score,
        version: point.version,
        vectors: point.vector.map(told_vectors),
        shard_key: None,
        order_value: None,
    }
}

fn told_payload(payload: Option<Payload>) -> HashMap<String, Value> {
    let fields = payload.map(|it| it.0).unwrap_or_default();
    let pairs = fields.into_iter();
    pairs.map(|(name, it)| (name, Value::from(it))).collect()
}

fn told_vectors(vectors: VectorStructInternal) -> VectorsOutput {
    use vectors_output::VectorsOptions;
    let options = match vectors {
        VectorStructInternal::Single(dense) => {
            VectorsOptions::Vector(told_vector(VectorInternal::Dense(dense)))
        }
        VectorStructInternal::MultiDense(multi) => {
            VectorsOptions::Vector(told_vector(VectorInternal::MultiDense(multi)))
        }
        VectorStructInternal::Named(named) => {
            let pairs = named.into_iter();
            VectorsOptions::Vectors(NamedVectorsOutput {
                vectors: pairs.map(|(name, it)| (name, told_vector(it))).collect(),
            })
        }
    };
    VectorsOutput {
        vectors_options: Some(options),
    }
}

fn told_vector(vector: VectorInternal) -> VectorOutput {
    let vector = match vector {
        VectorInternal::Dense(data) => vector_output::Vector::Dense(DenseVector { data }),
        VectorInternal::Sparse(sparse) => vector_output::Vector::Sparse(asked::SparseVector {
            values: sparse.values,
            indices: sparse.indices,
        }),
        VectorInternal::MultiDense(multi) => {
            let rows = multi.flattened_vectors.chunks(multi.dim.max(1));
            vector_output::Vector::MultiDense(MultiDenseVector {
                vectors: rows.map(|row| DenseVector { data: row.to_vec() }).collect(),
            })
        }
    };
    VectorOutput {
        vector: Some(vector),
        ..VectorOutput::default()
    }
}

fn object(fields: HashMap<String, Value>) -> Map<String, serde_json::Value> {
    let pairs = fields.into_iter();
    pairs.map(|(name, value)| (name, json(value))).collect()
}

fn json(value: Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::DoubleValue(number)) => {
            Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
        }
        Some(Kind::IntegerValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::StructValue(inner)) => serde_json::Value::Object(object(inner.fields)),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
    }
}
