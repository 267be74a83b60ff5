use super::*;

/// `OLDER` with `from` replaced by `to`.
fn edited(from: &str, to: &str) -> String {
    assert!(OLDER.contains(from), "{from:?} is not in the schema");
    OLDER.replacen(from, to, 1)
}

#[test]
fn malformed_schemas_are_refused() {
    for (from, to) in [
        (r#""type":"record""#, r#""type":"recrod""#),
        (r#""name":"Completed","#, ""),
        (r#""name":"Completed""#, r#""name":"1Completed""#),
        (r#"{"name":"path","type":"string"}"#, r#"{"name":"path"}"#),
        (
            r#"{"name":"path","type":"string"}"#,
            r#"{"name":"path","type":"text"}"#,
        ),
        (
            r#"{"name":"path","type":"string"}"#,
            r#"{"name":"path","type":["string","string"]}"#,
        ),
        (
            r#"{"name":"path","type":"string"}"#,
            r#"{"name":"chunks","type":"string"}"#,
        ),
        (
            r#""symbols":["visible","failed","removed"]"#,
            r#""symbols":["visible","visible"]"#,
        ),
        (
            r#""symbols":["visible","failed","removed"]"#,
            r#""symbols":["not visible"]"#,
        ),
        (
            r#"{"name":"at","type":"long"}]}"#,
            r#"{"name":"at","type":"long"}]"#,
        ),
    ] {
        let schema = edited(from, to);
        assert!(Schema::parse_str(&schema).is_err(), "{schema}");
    }
}

#[test]
fn writers_of_more_or_of_narrower_fields_are_known() {
    let known = |schema: &str| {
        let writer: &'static Schema = Box::leak(Box::new(Schema::parse_str(schema).unwrap()));
        ResolvedSchemas::of::<Completed>().unwrap().know(writer)
    };
    for (from, to) in [
        (
            r#"{"name":"at","type":"long"}"#,
            r#"{"name":"at","type":"int"}"#,
        ),
        (
            r#"{"name":"path","type":"string"}"#,
            r#"{"name":"more","type":"string"},{"name":"path","type":"string"}"#,
        ),
    ] {
        let schema = edited(from, to);
        known(&schema).expect(&schema);
    }
}
