//! Strict mode: what a collection refuses to do because it would be slow.

use std::collections::HashMap;

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{
    Condition, FieldCondition, Filter, PayloadSchemaInfo, PayloadSchemaType, StrictModeConfig,
};
use tonic::Status;

use super::collection::Collection;
use PayloadSchemaType::{Bool, Datetime, Float, Geo, Integer, Keyword, Text, Uuid};

/// What a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Retrieval,
    Update,
}

/// The collection's rules, where it is strict.
fn rules(collection: &Collection) -> Option<StrictModeConfig> {
    let rules = collection.config().strict_mode_config?;
    (rules.enabled == Some(true)).then_some(rules)
}

/// Refuses a filter on a field without an index of the kind it takes, or one that is too large.
pub(super) fn check_filter(
    collection: &Collection,
    filter: Option<&Filter>,
    purpose: For,
) -> Result<(), Status> {
    let (Some(filter), Some(rules)) = (filter, rules(collection)) else {
        return Ok(());
    };
    let mut fields = Vec::new();
    collect(filter, "", &mut fields);
    if let Some(most) = rules.filter_max_conditions
        && fields.len() as u64 > most
    {
        return Err(refused(
            &format!("Filter condition limit reached ({} > {most})", fields.len()),
            "Reduce the amount of conditions of your filter.",
        ));
    }
    let largest = fields.iter().map(|it| it.size).max().unwrap_or_default();
    if let Some(most) = rules.condition_max_size
        && largest as u64 > most
    {
        return Err(refused(
            &format!("Condition size limit reached ({largest} > {most})"),
            "Reduce the size of your condition.",
        ));
    }
    let unindexed = match purpose {
        For::Retrieval => rules.unindexed_filtering_retrieve,
        For::Update => rules.unindexed_filtering_update,
    };
    if unindexed != Some(false) {
        return Ok(());
    }
    collection.with_schema(|schema| {
        let missing = fields.iter().find(|it| !it.is_indexed(schema));
        missing.map_or(Ok(()), |it| Err(it.unindexed()))
    })
}

pub(super) fn check_limit(collection: &Collection, limit: u64) -> Result<(), Status> {
    let most = rules(collection).and_then(|it| it.max_query_limit);
    within("limit", limit, most.map(u64::from))
}

pub(super) fn check_batch(collection: &Collection, points: usize) -> Result<(), Status> {
    let most = rules(collection).and_then(|it| it.upsert_max_batchsize);
    within("upsert limit", points as u64, most)
}

fn within(what: &str, value: u64, most: Option<u64>) -> Result<(), Status> {
    match most {
        Some(most) if value > most => Err(refused(
            &format!("Limit exceeded {value} > {most} for \"{what}\""),
            &format!("Reduce the \"{what}\" parameter to or below {most}."),
        )),
        _ => Ok(()),
    }
}

fn refused(what: &str, help: &str) -> Status {
    Status::invalid_argument(format!("Bad request: {what}. Help: {help}"))
}

/// A field a filter looks at, and the kinds of index that serve it; none: any.
struct Field {
    key: String,
    kinds: &'static [PayloadSchemaType],
    /// Values it is compared with.
    size: usize,
}

impl Field {
    fn is_indexed(&self, schema: &HashMap<String, PayloadSchemaInfo>) -> bool {
        let index = schema.get(&self.key);
        index.is_some_and(|it| self.kinds.is_empty() || self.kinds.contains(&it.data_type()))
    }

    fn unindexed(&self) -> Status {
        let mut kinds: Vec<String> = self
            .kinds
            .iter()
            .map(|kind| kind.as_str_name().to_lowercase())
            .collect();
        kinds.sort_unstable();
        refused(
            &format!(
                "Index required but not found for \"{}\" of one of the following types: [{}]",
                self.key,
                kinds.join(", ")
            ),
            "Create an index for this key or use a different filter.",
        )
    }
}

fn collect(filter: &Filter, prefix: &str, fields: &mut Vec<Field>) {
    let some = filter.min_should.iter().flat_map(|it| &it.conditions);
    let all = filter.should.iter().chain(&filter.must);
    for condition in all.chain(&filter.must_not).chain(some) {
        collect_one(condition, prefix, fields);
    }
}

fn collect_one(condition: &Condition, prefix: &str, fields: &mut Vec<Field>) {
    let mut add = |key: &str, kinds, size| {
        let key = format!("{prefix}{key}");
        fields.push(Field { key, kinds, size });
    };
    match &condition.condition_one_of {
        Some(ConditionOneOf::Field(field)) => {
            let (kinds, size) = kinds(field);
            add(&field.key, kinds, size);
        }
        Some(ConditionOneOf::IsEmpty(it)) => add(&it.key, &[], 0),
        Some(ConditionOneOf::IsNull(it)) => add(&it.key, &[], 0),
        Some(ConditionOneOf::Filter(inner)) => collect(inner, prefix, fields),
        Some(ConditionOneOf::Nested(nested)) => {
            if let Some(inner) = &nested.filter {
                let key = nested.key.trim_end_matches("[]");
                collect(inner, &format!("{prefix}{key}[]."), fields);
            }
        }
        Some(
            ConditionOneOf::HasId(_) | ConditionOneOf::HasVector(_) | ConditionOneOf::Slice(_),
        )
        | None => {}
    }
}

fn kinds(field: &FieldCondition) -> (&'static [PayloadSchemaType], usize) {
    let wanted = field
        .r#match
        .as_ref()
        .and_then(|it| it.match_value.as_ref());
    match wanted {
        Some(MatchValue::Keyword(_)) => return (&[Keyword, Uuid], 1),
        Some(MatchValue::Keywords(any) | MatchValue::ExceptKeywords(any)) => {
            return (&[Keyword, Uuid], any.strings.len());
        }
        Some(MatchValue::Integer(_)) => return (&[Integer], 1),
        Some(MatchValue::Integers(any) | MatchValue::ExceptIntegers(any)) => {
            return (&[Integer], any.integers.len());
        }
        Some(MatchValue::Boolean(_)) => return (&[Bool], 1),
        Some(MatchValue::Prefix(_) | MatchValue::Substring(_)) => return (&[Keyword], 1),
        Some(MatchValue::Text(_) | MatchValue::TextAny(_) | MatchValue::Phrase(_)) => {
            return (&[Text], 1);
        }
        None => {}
    }
    if field.range.is_some() {
        return (&[Float, Integer], 1);
    }
    if field.datetime_range.is_some() {
        return (&[Datetime], 1);
    }
    let geo = field.geo_bounding_box.is_some() || field.geo_radius.is_some();
    if geo || field.geo_polygon.is_some() {
        return (&[Geo], 1);
    }
    (&[], 0)
}
