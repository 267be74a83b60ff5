use penstock_stages::link::ChunkRef;
use penstock_stages::scope::Scope;
use uuid::Uuid;

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
    graph.remove_dangling().await.unwrap();
    let counts = graph.counts().await.unwrap();
    assert_eq!(counts.dangling, 0, "{counts:?}");
}

#[tokio::test]
async fn chunks_go_by_name_with_what_they_held_up() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let one = edition(
        "a.md",
        1,
        &[&[("Load", LOAD, "")], &[("Date", "2025-01-01", "")]],
    );
    let other = edition("b.md", 1, &[&[("Load", LOAD, "")]]);
    for it in [&one, &other] {
        it.put(&graph).await;
        it.show(&graph).await;
    }
    let count = async |scope: Scope| graph.count_of(&scope).await.unwrap();
    let (document, group) = (one.lineage.document_guid, &one.lineage.group);
    // Itself, a section, two chunks; of the group also a source, two entities, and the other document with its chunk.
    assert_eq!(count(Scope::Document(document)).await, 4);
    assert_eq!(count(Scope::Group(group.clone())).await, 9);
    assert_eq!(count(Scope::Group("others".into())).await, 0);
    graph.remove_chunks(&one.ids()[1..]).await.unwrap();
    assert_eq!(count(Scope::Document(document)).await, 2);
    graph.remove_chunks(&one.ids()).await.unwrap();
    assert_eq!(count(Scope::Document(document)).await, 0);
    assert_eq!(
        count(Scope::Group(group.clone())).await,
        4,
        "the load is mentioned elsewhere"
    );
    assert_eq!(graph.counts().await.unwrap().dangling, 0);
}

#[tokio::test]
async fn a_chunk_is_told_with_what_it_says_of_itself() {
    let place = place();
    let graph = SqlGraph::open(&place.file).unwrap();
    let it = edition("a.md", 1, &[&[]]);
    it.put(&graph).await;
    let (chunk, lineage) = (&it.rows[0].chunk, &it.lineage);
    let mut expect = ChunkRef {
        chunk_guid: chunk.chunk_guid,
        document_guid: lineage.document_guid,
        edition: lineage.edition,
        version: lineage.version,
        group: lineage.group.clone(),
        visible: false,
        part: 0,
        ordinal: 0,
        content_hash: chunk.content_hash.clone(),
    };
    assert_eq!(graph.scroll(None, 9).await.unwrap(), [expect.clone()]);
    // What is gone is not known, and the chunk is told all the same.
    Db::open(&place.file)
        .unwrap()
        .batch("PRAGMA foreign_keys = OFF; DELETE FROM documents; DELETE FROM editions")
        .unwrap();
    (expect.version, expect.group) = (Uuid::nil(), String::new());
    assert_eq!(graph.scroll(None, 9).await.unwrap(), [expect]);
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
