use super::super::statement::split;

#[test]
fn statements_end_at_semicolons_of_their_own() {
    let check = |text: &str, expect: &[(usize, &str)]| {
        let found = split("f", text).expect(text);
        let found: Vec<(usize, &str)> = found.iter().map(|it| (it.line, &*it.text)).collect();
        assert_eq!(found, expect, "{text:?}");
    };
    check("MATCH (n) RETURN n;", &[(1, "MATCH (n) RETURN n")]);
    check(
        "MATCH (a) RETURN a;MATCH (b) RETURN b;",
        &[(1, "MATCH (a) RETURN a"), (1, "MATCH (b) RETURN b")],
    );
    check(
        "\n\nMATCH (n)\nRETURN n\n;\n\n",
        &[(3, "MATCH (n)\nRETURN n")],
    );
    // In strings, with quotes and escapes.
    check("MERGE (:A {b: 'x;y'});", &[(1, "MERGE (:A {b: 'x;y'})")]);
    check(
        "MERGE (:A {b: \"x;'y\"});",
        &[(1, "MERGE (:A {b: \"x;'y\"})")],
    );
    check(
        r"MERGE (:A {b: 'it\'s; so'});",
        &[(1, r"MERGE (:A {b: 'it\'s; so'})")],
    );
    check(
        r"MERGE (:A {b: 'end\\'}); MATCH (n) RETURN n;",
        &[(1, r"MERGE (:A {b: 'end\\'})"), (1, "MATCH (n) RETURN n")],
    );
    check(
        "MERGE (:A {b: 'two\nlines;'});\nMATCH (n) RETURN n;",
        &[
            (1, "MERGE (:A {b: 'two\nlines;'})"),
            (3, "MATCH (n) RETURN n"),
        ],
    );
    check(
        "MERGE (:A {b: 'x\\\n;'});\nMATCH (n) RETURN n;",
        &[(1, "MERGE (:A {b: 'x\\\n;'})"), (3, "MATCH (n) RETURN n")],
    );
    check(
        "MERGE (:A {b: '// no; comment /* none'});",
        &[(1, "MERGE (:A {b: '// no; comment /* none'})")],
    );
    // In names.
    check(
        "MATCH (n:`a;b`) RETURN n;",
        &[(1, "MATCH (n:`a;b`) RETURN n")],
    );
    check(
        "MATCH (n:`a``;b\\`) RETURN n;",
        &[(1, "MATCH (n:`a``;b\\`) RETURN n")],
    );
    // In comments.
    check(
        "// first; comment\nMATCH (n) RETURN n; // after;",
        &[(2, "MATCH (n) RETURN n")],
    );
    check(
        "/* a;\n * b\n */ MATCH (n) /* ; */ RETURN n;",
        &[(3, "MATCH (n) /* ; */ RETURN n")],
    );
    check(
        "MATCH (n) // it's\nRETURN n;",
        &[(1, "MATCH (n) // it's\nRETURN n")],
    );
    check(
        "MATCH (n) RETURN n; /* \"unended */",
        &[(1, "MATCH (n) RETURN n")],
    );
    check(
        "/**/MATCH (n) RETURN n.a / n.b;",
        &[(1, "MATCH (n) RETURN n.a / n.b")],
    );
    check(
        "MATCH (n) RETURN 'ü;→' + \"\u{1f600};\";",
        &[(1, "MATCH (n) RETURN 'ü;→' + \"\u{1f600};\"")],
    );
}

#[test]
fn marked_statements_are_of_the_enterprise_edition() {
    let text = "// enterprise-only\nMATCH (a) RETURN a;\nMATCH (b) RETURN b;\n//enterprise-only\n/* why */\nMATCH (c) RETURN c;";
    let marks: Vec<bool> = split("f", text)
        .unwrap()
        .iter()
        .map(|it| it.enterprise_only)
        .collect();
    assert_eq!(marks, [true, false, true]);
}

#[test]
fn what_a_statement_makes_and_drops_is_known_by_name() {
    let check = |text: &str, makes: Option<&str>, drops: Option<&str>| {
        let statement = &split("f", text).expect(text)[0];
        assert_eq!(
            (statement.makes(), statement.drops()),
            (makes, drops),
            "{text}"
        );
    };
    check(
        "CREATE INDEX a IF NOT EXISTS FOR (n:N) ON (n.x);",
        Some("a"),
        None,
    );
    check(
        "create fulltext index a if not exists FOR (n:N) ON EACH [n.x];",
        Some("a"),
        None,
    );
    check(
        "CREATE CONSTRAINT a IF NOT EXISTS FOR (n:N) REQUIRE n.x IS UNIQUE;",
        Some("a"),
        None,
    );
    check("DROP INDEX a IF EXISTS;", None, Some("a"));
    check("DROP CONSTRAINT a IF EXISTS;", None, Some("a"));
    check("MATCH (n:CREATE) SET n.x = 'INDEX a';", None, None);
}

#[test]
fn malformed_files_are_refused_with_line_and_reason() {
    let check = |text: &str, line: usize, says: &str| {
        let failure = split("V009__x.cypher", text).expect_err(text);
        assert_eq!(failure.class(), "fatal");
        let place = format!("V009__x.cypher line {line}: ");
        assert!(
            failure.reason().starts_with(&place),
            "{failure}: not {place}"
        );
        assert!(failure.reason().contains(says), "{failure} lacks {says:?}");
    };
    check("", 1, "holds no statement");
    check("// only a comment\n", 1, "holds no statement");
    check("MATCH (n)\nRETURN n", 1, "not ended by a semicolon");
    check(
        "MATCH (n) RETURN n;\n\nMATCH (m)\nRETURN 'm;\n",
        4,
        "a string is not ended",
    );
    check("MATCH (n) RETURN \"n;\n", 1, "a string is not ended");
    check(
        "MATCH (n:`a;b) RETURN n;\n",
        1,
        "name in backticks is not ended",
    );
    check(
        "MATCH (n) RETURN n;\n/* for ever\n",
        2,
        "comment is not ended",
    );
    check("MATCH (n) RETURN n;;\n", 1, "semicolon without a statement");
    check(";\n", 1, "semicolon without a statement");
    check("\nCREATE (n:N);", 2, "use MERGE");
    check(
        "CREATE INDEX a FOR (n:N) ON (n.x);",
        1,
        "needs IF NOT EXISTS",
    );
    check(
        "CREATE INDEX IF NOT EXISTS FOR (n:N) ON (n.x);",
        1,
        "has no plain name",
    );
    check(
        "CREATE INDEX `a b` IF NOT EXISTS FOR (n:N) ON (n.x);",
        1,
        "has no plain name",
    );
    check(
        "CREATE CONSTRAINT a FOR (n:N) REQUIRE n.x IS UNIQUE;",
        1,
        "needs IF NOT EXISTS",
    );
    check("DROP INDEX a;", 1, "needs IF EXISTS");
    check("DROP DATABASE neo4j IF EXISTS;", 1, "DROP is of an index");
    check(
        ":begin\nMATCH (n) RETURN n;",
        1,
        "no statement of a migration",
    );
    check(
        "MATCH (n) RETURN n;\nDELETE n;",
        2,
        "no statement of a migration",
    );
    check(
        "MATCH (n) RETURN n;\n// enterprise-only\n",
        2,
        "stands before no statement",
    );
    check(
        "MATCH (n)\n// enterprise-only\nRETURN n;",
        2,
        "stands before its statement",
    );
}
