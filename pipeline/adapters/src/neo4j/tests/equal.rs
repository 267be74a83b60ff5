//! The same documents give the same graph in both stores, whatever stands in them.

use penstock_schemas::{chunk_guid, content_hash, document_guid, edition_id};
use uuid::Uuid;

use super::*;
use crate::embedded::graph::SqlGraph;
use crate::graph::tests::Edition;

/// Text that is a statement, a quote, an escape, another script, nothing, or a lot.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        "it's \"quoted\" `ticked` $rows {brace}",
        "') DETACH DELETE n //",
        "}) MATCH (n) DETACH DELETE n RETURN ({a:'",
        "\\u0027 \\ \\\\ %00 \n\r\t",
        "Zoë Großmann 東京 ✈\u{fe0f} \u{1f69a} \u{202e}thgir",
        "",
        " ",
        "null",
        "\u{1}\u{7f}",
    ]
    .map(str::to_owned)
    .into();
    all.push("长".repeat(3_400));
    all.push("x".repeat(10_240));
    all
}

/// An edition of a document whose names are all `text`.
fn named(text: &str, version: u64) -> Edition {
    let mut it = edition(
        text,
        version,
        &[
            &[("Load", text, "status=s"), ("Customer", text, "")],
            &[("Customer", "Alder & Finch", "name=n")],
            &[("Load", text, "")],
        ],
    );
    let document = document_guid(text, text, text);
    it.lineage.group = text.into();
    it.lineage.document_guid = document;
    it.lineage.edition = edition_id(document, it.lineage.version, "recipe");
    for row in &mut it.rows {
        let chunk = &mut row.chunk;
        chunk.text = format!("{text} {}", chunk.ordinal);
        chunk.lineage = it.lineage.clone();
        chunk.content_hash = content_hash(chunk.text.as_bytes());
        chunk.chunk_guid = chunk_guid(
            document,
            it.lineage.edition,
            0,
            chunk.ordinal,
            &chunk.content_hash,
        );
        chunk.about.source = text.into();
        chunk.about.title = Some(text.into());
        chunk.about.attributes = [(text.to_owned(), text.to_owned())].into();
        if !chunk.heading_path.is_empty() {
            chunk.heading_path = vec![text.into(), "Loading".into()];
        }
        for mention in &mut row.mentions {
            mention.passage = text.into();
            for value in mention.fields.values_mut() {
                *value = text.into();
            }
        }
    }
    it
}

struct Both<'a> {
    graph: &'a dyn GraphStore,
    sql: SqlGraph,
    _folder: tempfile::TempDir,
}

impl<'a> Both<'a> {
    fn of(world: &'a Remote) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            graph: &world.graph,
            sql: SqlGraph::open(&folder.path().join("graph.sqlite")).unwrap(),
            _folder: folder,
        }
    }

    fn stores(&self) -> [&dyn GraphStore; 2] {
        [self.graph, &self.sql]
    }

    async fn put(&self, edition: &Edition) {
        for store in self.stores() {
            edition.put(store).await;
        }
    }

    async fn show(&self, edition: &Edition) {
        for store in self.stores() {
            edition.show(store).await;
        }
    }

    async fn check(&self, when: &str) -> usize {
        let [found, expected] = self.stores();
        let (lines, same) = (found.dump().await.unwrap(), expected.dump().await.unwrap());
        for (line, same) in lines.iter().zip(&same) {
            assert_eq!(line, same, "{when}");
        }
        assert_eq!(lines.len(), same.len(), "{when}");
        let counts = found.counts().await.unwrap();
        assert_eq!(counts, expected.counts().await.unwrap(), "{when}");
        assert_eq!(counts.dangling, 0, "{when}");
        let chunks = found.scroll(None, usize::MAX).await.unwrap();
        assert_eq!(chunks, expected.scroll(None, usize::MAX).await.unwrap());
        let ids: Vec<Uuid> = chunks.iter().map(|it| it.chunk_guid).collect();
        let around = found.neighbours(&ids).await.unwrap();
        assert_eq!(around, expected.neighbours(&ids).await.unwrap(), "{when}");
        lines.len()
    }
}

#[tokio::test]
async fn both_stores_say_the_same_of_hostile_documents() {
    let world = world();
    let both = Both::of(&world);
    both.check("with nothing in it").await;
    let texts = hostile();
    let first: Vec<Edition> = texts.iter().map(|text| named(text, 1)).collect();
    let second: Vec<Edition> = texts.iter().map(|text| named(text, 2)).collect();
    for it in &first {
        both.put(it).await;
    }
    both.check("with nothing shown").await;
    for it in &first {
        both.show(it).await;
    }
    let lines = both.check("with all shown").await;
    assert!(lines > 15 * texts.len(), "{lines} lines");
    for it in &second {
        both.put(it).await;
        both.show(it).await;
        both.put(&first[0]).await;
    }
    both.check("with all updated and one old one come late")
        .await;
    for it in second.iter().step_by(2) {
        for store in both.stores() {
            let lineage = &it.lineage;
            store
                .retain_chunks(lineage.document_guid, lineage.edition, &it.ids()[1..])
                .await
                .unwrap();
        }
    }
    both.check("with some chunks swept").await;
    for it in first.iter().chain(&second) {
        for store in both.stores() {
            store
                .drop_editions(it.lineage.document_guid, &[it.lineage.edition])
                .await
                .unwrap();
        }
    }
    assert_eq!(both.check("with all of it gone").await, 0);
    assert_eq!(world.graph.counts().await.unwrap().nodes, 0);
}
