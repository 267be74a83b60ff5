//! Payload indexes in the engine's words.

use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::{
    CreateFieldIndexCollection, FieldType, PayloadIndexParams, PayloadSchemaInfo, PayloadSchemaType,
};
use qdrant_edge::{
    BoolIndexParams, CreateIndex, DatetimeIndexParams, FieldIndexOperations, FloatIndexParams,
    GeoIndexParams, IntegerIndexParams, JsonPath, KeywordIndexParams, PayloadFieldSchema,
    PayloadSchemaParams, TextIndexParams, UpdateOperation, UuidIndexParams,
};
use tonic::Status;

/// What a request asks for, as `info` gives it back.
pub(super) fn schema(request: &CreateFieldIndexCollection) -> Result<PayloadSchemaInfo, Status> {
    let params = request.field_index_params.as_ref();
    let by_params = params.and_then(|params| kind(params.index_params.as_ref()?));
    let data_type = match (by_params, request.field_type) {
        (Some(kind), _) => kind,
        (None, Some(_)) => match request.field_type() {
            FieldType::Keyword => PayloadSchemaType::Keyword,
            FieldType::Integer => PayloadSchemaType::Integer,
            FieldType::Float => PayloadSchemaType::Float,
            FieldType::Geo => PayloadSchemaType::Geo,
            FieldType::Text => PayloadSchemaType::Text,
            FieldType::Bool => PayloadSchemaType::Bool,
            FieldType::Datetime => PayloadSchemaType::Datetime,
            FieldType::Uuid => PayloadSchemaType::Uuid,
        },
        (None, None) => {
            return Err(Status::invalid_argument(
                "Wrong input: Unable to infer type for the field. Please specify `field_type`",
            ));
        }
    };
    Ok(PayloadSchemaInfo {
        data_type: data_type.into(),
        params: params.cloned(),
        points: None,
    })
}

fn kind(params: &IndexParams) -> Option<PayloadSchemaType> {
    Some(match params {
        IndexParams::KeywordIndexParams(_) => PayloadSchemaType::Keyword,
        IndexParams::IntegerIndexParams(_) => PayloadSchemaType::Integer,
        IndexParams::FloatIndexParams(_) => PayloadSchemaType::Float,
        IndexParams::GeoIndexParams(_) => PayloadSchemaType::Geo,
        IndexParams::TextIndexParams(_) => PayloadSchemaType::Text,
        IndexParams::BoolIndexParams(_) => PayloadSchemaType::Bool,
        IndexParams::DatetimeIndexParams(_) => PayloadSchemaType::Datetime,
        IndexParams::UuidIndexParams(_) => PayloadSchemaType::Uuid,
    })
}

pub(super) fn create(field: &str, schema: &PayloadSchemaInfo) -> Result<UpdateOperation, Status> {
    let create = CreateIndex {
        field_name: path(field)?,
        field_schema: Some(PayloadFieldSchema::FieldParams(params(schema)?)),
    };
    Ok(UpdateOperation::FieldIndexOperation(
        FieldIndexOperations::CreateIndex(create),
    ))
}

pub(super) fn delete(field: &str) -> Result<UpdateOperation, Status> {
    Ok(UpdateOperation::FieldIndexOperation(
        FieldIndexOperations::DeleteIndex(path(field)?),
    ))
}

pub(super) fn path(field: &str) -> Result<JsonPath, Status> {
    field.parse().map_err(|()| {
        Status::invalid_argument(format!("Wrong input: Invalid json path: '{field}'"))
    })
}

/// On disk as asked; of what a field's type has beside that, whether it tells tenants apart.
fn params(schema: &PayloadSchemaInfo) -> Result<PayloadSchemaParams, Status> {
    let given = schema.params.as_ref();
    let given = given.and_then(|PayloadIndexParams { index_params }| index_params.as_ref());
    let on_disk = given.and_then(on_disk);
    Ok(match schema.data_type() {
        PayloadSchemaType::Keyword => PayloadSchemaParams::Keyword(KeywordIndexParams {
            is_tenant: given.and_then(|it| match it {
                IndexParams::KeywordIndexParams(params) => params.is_tenant,
                _ => None,
            }),
            on_disk,
            ..KeywordIndexParams::default()
        }),
        PayloadSchemaType::Uuid => PayloadSchemaParams::Uuid(UuidIndexParams {
            is_tenant: given.and_then(|it| match it {
                IndexParams::UuidIndexParams(params) => params.is_tenant,
                _ => None,
            }),
            on_disk,
            ..UuidIndexParams::default()
        }),
        PayloadSchemaType::Integer => PayloadSchemaParams::Integer(IntegerIndexParams {
            on_disk,
            ..IntegerIndexParams::default()
        }),
        PayloadSchemaType::Float => PayloadSchemaParams::Float(FloatIndexParams {
            on_disk,
            ..FloatIndexParams::default()
        }),
        PayloadSchemaType::Bool => PayloadSchemaParams::Bool(BoolIndexParams {
            on_disk,
            ..BoolIndexParams::default()
        }),
        PayloadSchemaType::Datetime => PayloadSchemaParams::Datetime(DatetimeIndexParams {
            on_disk,
            ..DatetimeIndexParams::default()
        }),
        PayloadSchemaType::Geo => PayloadSchemaParams::Geo(GeoIndexParams {
            on_disk,
            ..GeoIndexParams::default()
        }),
        PayloadSchemaType::Text => PayloadSchemaParams::Text(TextIndexParams {
            on_disk,
            ..TextIndexParams::default()
        }),
        PayloadSchemaType::UnknownType => {
            return Err(Status::invalid_argument("Malformed payload schema"));
        }
    })
}

#[allow(
    deprecated,
    reason = "a server of this version still takes what clients of the last one send"
)]
fn on_disk(params: &IndexParams) -> Option<bool> {
    match params {
        IndexParams::KeywordIndexParams(it) => it.on_disk,
        IndexParams::IntegerIndexParams(it) => it.on_disk,
        IndexParams::FloatIndexParams(it) => it.on_disk,
        IndexParams::GeoIndexParams(it) => it.on_disk,
        IndexParams::TextIndexParams(it) => it.on_disk,
        IndexParams::BoolIndexParams(it) => it.on_disk,
        IndexParams::DatetimeIndexParams(it) => it.on_disk,
        IndexParams::UuidIndexParams(it) => it.on_disk,
    }
}
