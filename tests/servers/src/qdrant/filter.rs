//! Filters in the engine's words.

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{self as asked, FieldCondition, Match};
use qdrant_edge::external::ordered_float::OrderedFloat;
use qdrant_edge::{
    Condition, DateTimeWrapper, Filter, HasIdCondition, HasVectorCondition, IsEmptyCondition,
    IsNullCondition, MatchExcept, MatchPhrase, MatchText, MatchTextAny, MinShould, Nested,
    NestedCondition, Range, RangeInterface, ValueVariants, ValuesCount,
};
use tonic::Status;

use super::convert::point_id;
use super::index::path;

pub(super) fn filter(filter: asked::Filter) -> Result<Filter, Status> {
    let min_should = match filter.min_should {
        None => None,
        Some(min_should) => Some(MinShould {
            conditions: conditions(min_should.conditions)?.unwrap_or_default(),
            min_count: min_should.min_count as usize,
        }),
    };
    Ok(Filter {
        should: conditions(filter.should)?,
        min_should,
        must: conditions(filter.must)?,
        must_not: conditions(filter.must_not)?,
    })
}

/// None where there are none.
fn conditions(conditions: Vec<asked::Condition>) -> Result<Option<Vec<Condition>>, Status> {
    if conditions.is_empty() {
        return Ok(None);
    }
    let converted: Result<Vec<Condition>, Status> = conditions.into_iter().map(condition).collect();
    Ok(Some(converted?))
}

fn condition(condition: asked::Condition) -> Result<Condition, Status> {
    let malformed = || Status::invalid_argument("Malformed Condition type");
    Ok(match condition.condition_one_of.ok_or_else(malformed)? {
        ConditionOneOf::Field(condition) => Condition::Field(field(condition)?),
        ConditionOneOf::Filter(inner) => Condition::Filter(filter(inner)?),
        ConditionOneOf::HasId(condition) => {
            let ids: Result<Vec<_>, Status> = condition.has_id.into_iter().map(point_id).collect();
            Condition::HasId(ids?.into_iter().collect::<HasIdCondition>())
        }
        ConditionOneOf::IsEmpty(condition) => {
            Condition::IsEmpty(IsEmptyCondition::from(path(&condition.key)?))
        }
        ConditionOneOf::IsNull(condition) => {
            Condition::IsNull(IsNullCondition::from(path(&condition.key)?))
        }
        ConditionOneOf::HasVector(condition) => {
            Condition::HasVector(HasVectorCondition::from(condition.has_vector))
        }
        ConditionOneOf::Nested(condition) => {
            let inner = condition.filter.ok_or_else(malformed)?;
            Condition::Nested(NestedCondition::new(Nested {
                key: path(&condition.key)?,
                filter: filter(inner)?,
            }))
        }
        ConditionOneOf::Slice(_) => return Err(Status::unimplemented("slices are not served")),
    })
}

fn field(condition: FieldCondition) -> Result<qdrant_edge::FieldCondition, Status> {
    if condition.geo_bounding_box.is_some()
        || condition.geo_radius.is_some()
        || condition.geo_polygon.is_some()
    {
        return Err(Status::unimplemented("geo conditions are not served"));
    }
    let range = match (condition.range, condition.datetime_range) {
        (Some(range), _) => Some(RangeInterface::Float(Range {
            lt: range.lt.map(OrderedFloat),
            gt: range.gt.map(OrderedFloat),
            gte: range.gte.map(OrderedFloat),
            lte: range.lte.map(OrderedFloat),
        })),
        (None, Some(range)) => Some(RangeInterface::DateTime(Range {
            lt: range.lt.map(|it| time(it.seconds, it.nanos)).transpose()?,
            gt: range.gt.map(|it| time(it.seconds, it.nanos)).transpose()?,
            gte: range.gte.map(|it| time(it.seconds, it.nanos)).transpose()?,
            lte: range.lte.map(|it| time(it.seconds, it.nanos)).transpose()?,
        })),
        (None, None) => None,
    };
    let count = |number: Option<u64>| number.map(|it| it as usize);
    Ok(qdrant_edge::FieldCondition {
        key: path(&condition.key)?,
        r#match: condition.r#match.map(matches).transpose()?,
        range,
        geo_bounding_box: None,
        geo_radius: None,
        geo_polygon: None,
        values_count: condition.values_count.map(|it| ValuesCount {
            lt: count(it.lt),
            gt: count(it.gt),
            gte: count(it.gte),
            lte: count(it.lte),
        }),
        is_empty: condition.is_empty,
        is_null: condition.is_null,
    })
}

fn matches(wanted: Match) -> Result<qdrant_edge::Match, Status> {
    let malformed = || Status::invalid_argument("Malformed Match condition");
    let value = qdrant_edge::Match::new_value;
    let except = |any: qdrant_edge::Match| match any {
        qdrant_edge::Match::Any(any) => qdrant_edge::Match::Except(MatchExcept { except: any.any }),
        other => other,
    };
    Ok(match wanted.match_value.ok_or_else(malformed)? {
        MatchValue::Keyword(keyword) => value(ValueVariants::String(keyword)),
        MatchValue::Integer(integer) => value(ValueVariants::Integer(integer)),
        MatchValue::Boolean(flag) => value(ValueVariants::Bool(flag)),
        MatchValue::Keywords(any) => qdrant_edge::Match::from(any.strings),
        MatchValue::Integers(any) => qdrant_edge::Match::from(any.integers),
        MatchValue::ExceptKeywords(any) => except(qdrant_edge::Match::from(any.strings)),
        MatchValue::ExceptIntegers(any) => except(qdrant_edge::Match::from(any.integers)),
        MatchValue::Text(text) => qdrant_edge::Match::Text(MatchText { text }),
        MatchValue::TextAny(text_any) => qdrant_edge::Match::TextAny(MatchTextAny { text_any }),
        MatchValue::Phrase(phrase) => qdrant_edge::Match::Phrase(MatchPhrase { phrase }),
        MatchValue::Prefix(_) | MatchValue::Substring(_) => {
            return Err(Status::unimplemented(
                "prefixes and substrings are not served",
            ));
        }
    })
}

fn time(seconds: i64, nanos: i32) -> Result<DateTimeWrapper, Status> {
    let malformed = || Status::invalid_argument("Malformed timestamp");
    let nanos = u32::try_from(nanos).map_err(|_| malformed())?;
    let time = chrono::DateTime::from_timestamp(seconds, nanos).ok_or_else(malformed)?;
    Ok(DateTimeWrapper(time))
}
