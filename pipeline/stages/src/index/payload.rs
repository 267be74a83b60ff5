//! A point's payload: what searches return and filter on.

use chrono::{DateTime, SecondsFormat};
use penstock_schemas::About;
use serde_json::{Map, Value, json};

use super::Point;

/// Raised when a field changes its meaning.
const SCHEMA_VERSION: i64 = 1;

/// Attributes of the source that are fields of their own.
const PROMOTED: [&str; 3] = ["doc_type", "impact_score", "impact_tier"];

/// The payload of a point not yet visible. What a chunk does not have is left out. A source's own attributes stand in
/// `attributes`, so that none can take the place of a field.
pub fn payload(point: &Point) -> Value {
    let chunk = &point.chunk;
    let lineage = &chunk.lineage;
    let about = &chunk.about;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };

    put("document_guid", json!(lineage.document_guid));
    put("group_guid", json!(lineage.group));
    put("source_guid", json!(about.source));
    put("edition", json!(lineage.edition));
    put("version", json!(lineage.version));
    put("visible", json!(false));
    put("part", json!(chunk.part));
    put("chunk_index", json!(chunk.ordinal));
    put("start_char", json!(chunk.start_char));
    put("end_char", json!(chunk.end_char));
    put("page_first", json!(chunk.page_first));
    put("page_last", json!(chunk.page_last));
    put("heading_path", json!(chunk.heading_path));
    put("text", json!(chunk.text));
    put("title", json!(about.title));
    put("path", json!(about.path));
    put("language", json!(about.language));
    put("doc_type", json!(about.attributes.get("doc_type")));
    put("entity_type", json!(point.entity_types));
    put("impact_score", json!(impact_score(about)));
    put("impact_tier", json!(about.attributes.get("impact_tier")));
    put("created_at", json!(about.created_at.and_then(datetime)));
    put("model", json!(point.model));
    put("content_hash", json!(chunk.content_hash));
    put("schema_version", json!(SCHEMA_VERSION));
    put("attributes", attributes(about));
    Value::Object(fields)
}

/// A score that is no finite number is left out: the field is indexed as a float.
fn impact_score(about: &About) -> Option<f64> {
    let score = about.attributes.get("impact_score")?;
    score.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}

/// RFC 3339 in UTC; none for a time outside the calendar.
fn datetime(milliseconds: i64) -> Option<String> {
    Some(
        DateTime::from_timestamp_millis(milliseconds)?.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

fn attributes(about: &About) -> Value {
    let own: Map<String, Value> = about
        .attributes
        .iter()
        .filter(|(name, _)| !PROMOTED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    if own.is_empty() {
        Value::Null
    } else {
        Value::Object(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::point;

    #[test]
    fn a_full_point_has_exactly_these_fields() {
        let mut point = point(1, 2, 3, 4);
        point.chunk.about.title = Some("Fahrerhandbuch".into());
        point.chunk.about.language = Some("de".into());
        point.chunk.about.created_at = Some(1_700_000_000_123);
        for (name, value) in [
            ("doc_type", "manual"),
            ("impact_score", "0.75"),
            ("impact_tier", "high"),
            ("depot", "Kiel"),
            ("visible", "true"),
        ] {
            point
                .chunk
                .about
                .attributes
                .insert(name.into(), value.into());
        }
        point.chunk.page_first = Some(7);
        point.chunk.page_last = Some(8);
        point.chunk.heading_path = vec!["Sicherheit".into(), "Bremsen".into()];
        point.entity_types = vec!["Driver".into(), "Load".into()];
        let chunk = &point.chunk;
        assert_eq!(
            payload(&point),
            json!({
                "document_guid": chunk.lineage.document_guid.to_string(),
                "group_guid": "freight",
                "source_guid": "files",
                "edition": chunk.lineage.edition.to_string(),
                "version": chunk.lineage.version.to_string(),
                "visible": false,
                "part": 3,
                "chunk_index": 4,
                "start_char": 0,
                "end_char": chunk.end_char,
                "page_first": 7,
                "page_last": 8,
                "heading_path": ["Sicherheit", "Bremsen"],
                "text": chunk.text,
                "title": "Fahrerhandbuch",
                "path": "docs/1.md",
                "language": "de",
                "doc_type": "manual",
                "entity_type": ["Driver", "Load"],
                "impact_score": 0.75,
                "impact_tier": "high",
                "created_at": "2023-11-14T22:13:20.123Z",
                "model": "tiny@000000000000",
                "content_hash": chunk.content_hash,
                "schema_version": 1,
                "attributes": {"depot": "Kiel", "visible": "true"},
            })
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let point = point(1, 1, 0, 0);
        let Value::Object(fields) = payload(&point) else {
            panic!("no object");
        };
        for absent in [
            "title",
            "language",
            "page_first",
            "created_at",
            "attributes",
        ] {
            assert!(!fields.contains_key(absent), "{absent}");
        }
        assert_eq!(fields["entity_type"], json!([]));
    }

    #[test]
    fn a_score_that_is_no_number_is_left_out() {
        for (written, expect) in [
            ("1", json!(1.0)),
            (" -2.5 ", json!(-2.5)),
            ("NaN", Value::Null),
            ("inf", Value::Null),
            ("high", Value::Null),
            ("", Value::Null),
        ] {
            let mut point = point(1, 1, 0, 0);
            let attributes = &mut point.chunk.about.attributes;
            attributes.insert("impact_score".into(), written.into());
            let payload = payload(&point);
            assert_eq!(payload["impact_score"], expect, "{written:?}");
        }
    }

    #[test]
    fn a_time_outside_the_calendar_is_left_out() {
        for time in [i64::MIN, i64::MAX] {
            let mut point = point(1, 1, 0, 0);
            point.chunk.about.created_at = Some(time);
            assert!(payload(&point)["created_at"].is_null());
        }
    }
}
