use super::*;

#[tokio::test]
async fn what_dangles_is_counted() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let it = edition(
        "a.md",
        1,
        &[&[("Load", LOAD, "")], &[("Date", "2025-01-01", "")], &[]],
    );
    it.put(&graph).await;
    it.show(&graph).await;
    // Damage done behind the graph's back.
    let check = |sql: &str| {
        Db::open(&place.file)
            .unwrap()
            .batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
            .unwrap()
    };
    for (damage, dangling) in [
        (
            "DELETE FROM mentions WHERE start_char = 0 AND chunk = (SELECT chunk FROM chunks WHERE ordinal = 0)",
            1,
        ),
        ("DELETE FROM entities WHERE label = 'Date'", 2),
        ("DELETE FROM chunks WHERE ordinal = 2", 3),
        ("DELETE FROM sections", 4),
        ("DELETE FROM sources", 5),
    ] {
        check(damage);
        assert_eq!(
            graph.counts().await.unwrap().dangling,
            dangling,
            "after {damage}"
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_the_graph_as_it_was() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let small = edition("a.md", 1, &[&[("Load", LOAD, "")]]);
    small.put(&graph).await;
    small.show(&graph).await;
    let before = graph.dump().await.unwrap();
    let limit =
        |pages: &'static str| graph.call(move |db| db.rows(pages, (), |row| row.integer(0)));
    limit("PRAGMA max_page_count = 60").await.unwrap();
    let mentions: &[(&str, &str, &str)] = &[("Load", LOAD, ""), ("Date", "2025-01-01", "")];
    let large = edition("b.md", 1, vec![mentions; 2000].as_slice());
    let failure = graph.write(large.rows.clone()).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::Transient { reason, .. } if reason.contains("free space")),
        "{failure:?}"
    );
    assert_eq!(graph.dump().await.unwrap(), before);
    limit("PRAGMA max_page_count = 100000").await.unwrap();
    large.put(&graph).await;
    assert_eq!(graph.scroll(None, 3000).await.unwrap().len(), 2001);
}

#[test]
fn files_that_are_not_ours_are_refused() {
    let check = |prepare: &dyn Fn(&std::path::Path), expect: &str| {
        let place = place();
        prepare(&place.file);
        let refused = SqlGraph::open(&place.file)
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default();
        assert!(
            refused.contains(expect),
            "{refused:?} does not say {expect:?}"
        );
    };
    check(
        &|file| {
            drop(SqlGraph::open(file).unwrap());
            Db::open(file)
                .unwrap()
                .batch("UPDATE layout SET version = 7")
                .unwrap();
        },
        "has layout 7, this program knows 1: use a newer penstock",
    );
    check(
        &|file| {
            Db::open(file)
                .unwrap()
                .batch("CREATE TABLE other (a)")
                .unwrap()
        },
        "a database of something else",
    );
    check(
        &|file| std::fs::write(file, vec![b'x'; 9000]).unwrap(),
        "move it away and ingest again",
    );
    check(&|file| std::fs::create_dir(file).unwrap(), "cannot open");
    let nowhere = SqlGraph::open(std::path::Path::new("/nonexistent/folder/graph"))
        .err()
        .unwrap();
    assert_eq!(nowhere.class(), "fatal");
}

#[tokio::test]
async fn health_is_one_line() {
    let place = place();
    let health = SqlGraph::open(&place.file).unwrap().health().await.unwrap();
    assert!(
        health.contains("0 chunks") && !health.contains('\n'),
        "{health}"
    );
}
#[tokio::test]
async fn groups_never_meet() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let ours = edition("a.md", 1, &[&[("Load", LOAD, "")]]);
    ours.put(&graph).await;
    let mut theirs = edition("a.md", 2, &[&[("Load", LOAD, "")]]);
    for row in &mut theirs.rows {
        row.chunk.lineage.group = "other".into();
    }
    let refused = graph.write(theirs.rows.clone()).await.unwrap_err();
    assert_eq!(refused.class(), "poison", "{refused}");
    assert_eq!(
        graph.counts().await.unwrap().nodes,
        4,
        "a refused write leaves nothing"
    );
    // With an id of its own it is another document, and its load another entity.
    for row in &mut theirs.rows {
        row.chunk.lineage.document_guid = document_guid("other", "docs", "a.md");
    }
    graph.write(theirs.rows).await.unwrap();
    assert_eq!(graph.counts().await.unwrap().nodes, 8);
}
