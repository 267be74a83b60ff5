//! The same points in both stores give the same answers.

use penstock_stages::index::bm25;

use super::*;
use crate::embedded::qdrant_edge::QdrantEdge;
use crate::vector_store::{DIMENSION, id, point};

const WORDS: [&str; 12] = [
    "brake", "axle", "load", "kingpin", "trailer", "invoice", "driver", "tyre", "Kiel", "LD-48213",
    "customs", "fuel",
];

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % sides
    }

    fn text(&mut self) -> String {
        let words: Vec<&str> = (0..3 + self.roll(9))
            .map(|_| WORDS[self.roll(WORDS.len())])
            .collect();
        words.join(" ")
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSION)
            .map(|_| self.roll(2000) as f32 / 1000.0 - 1.0)
            .collect()
    }
}

/// 40 documents, some of two editions, of two groups, three sources and three languages.
fn points(dice: &mut Dice) -> Vec<Point> {
    let mut points = Vec::new();
    for document in 1..=40 {
        for edition in 1..=1 + dice.roll(2) as u128 {
            for ordinal in 0..1 + dice.roll(12) as i32 {
                let mut point = point(document, edition, ordinal, &dice.text());
                point.dense = dice.vector();
                let chunk = &mut point.chunk;
                chunk.part = dice.roll(3) as i32;
                chunk.lineage.group = ["freight", "other"][document as usize % 2].to_owned();
                chunk.about.source = ["files", "mail", "ftp"][document as usize % 3].to_owned();
                let languages = [None, Some("de".to_owned()), Some("en".to_owned())];
                chunk.about.language = languages[document as usize % 3].clone();
                let attributes = &mut chunk.about.attributes;
                attributes.insert("depot".into(), "Kiel \"Ost\" – 7".into());
                attributes.insert("impact_score".into(), ["1", "0.5"][dice.roll(2)].into());
                points.push(point);
            }
        }
    }
    points
}

#[tokio::test]
async fn searches_dumps_and_pages_are_those_of_the_embedded_store() {
    let (remote, _server) = fresh().await;
    let dir = tempfile::tempdir().unwrap();
    let embedded = QdrantEdge::open(dir.path(), &spec(), DIMENSION).unwrap();
    let mut dice = Dice(7);
    let points = points(&mut dice);
    for store in [&remote as &dyn VectorStore, &embedded] {
        store.insert(points.clone()).await.unwrap();
        for document in (1..=40).filter(|document| document % 7 != 0) {
            for edition in 1..=2 {
                store.show(id(document), id(edition)).await.unwrap();
            }
        }
        store.drop_editions(id(5), &[id(1)]).await.unwrap();
        let kept: Vec<Uuid> = points
            .iter()
            .map(|it| it.chunk.chunk_guid)
            .step_by(2)
            .collect();
        store.retain_chunks(id(8), id(1), &kept).await.unwrap();
    }

    let mut found = 0;
    for round in 0..60 {
        let search = Search {
            dense: if round % 5 == 0 {
                Vec::new()
            } else {
                dice.vector()
            },
            bm25: bm25::encode_query(&if round % 7 == 0 {
                String::new()
            } else {
                dice.text()
            }),
            limit: [1, 3, 10, 80][round % 4],
            group: ["freight", "other", "none"][round % 13 % 3].to_owned(),
            source: (round % 3 == 0).then(|| "mail".to_owned()),
            language: (round % 4 == 3).then(|| "de".to_owned()),
        };
        let ours = remote.search(&search).await.unwrap();
        assert_eq!(ours, embedded.search(&search).await.unwrap(), "{search:?}");
        found += ours.len();
    }
    assert!(found > 300, "{found}");

    for document in 0..=41 {
        let ours = remote.dump(id(document)).await.unwrap();
        assert_eq!(
            ours,
            embedded.dump(id(document)).await.unwrap(),
            "{document}"
        );
    }
    let mut after = None;
    loop {
        let page = remote.scroll(after, 17).await.unwrap();
        assert_eq!(page, embedded.scroll(after, 17).await.unwrap());
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_guid);
    }
    assert_eq!(
        remote.count().await.unwrap(),
        embedded.count().await.unwrap()
    );
    assert_eq!(
        remote.model().await.unwrap(),
        embedded.model().await.unwrap()
    );
}

#[tokio::test]
async fn a_group_finds_its_own_whatever_it_is_called() {
    let (store, _server) = fresh().await;
    let long = "g".repeat(10_000);
    let groups = [
        "plain",
        "it's",
        "\"quoted\"",
        "\\",
        "'; DROP",
        "{\"match\": 1}",
        "*",
        "%",
        "",
        " ",
        "Ü–漢字🚚",
        "a\u{0}b",
        "a\nb",
        "true",
        "7",
        "null",
        &long,
    ];
    for (n, group) in groups.iter().enumerate() {
        let document = n as u128 + 1;
        let mut point = point(document, 1, 0, "brake");
        point.chunk.lineage.group = (*group).to_owned();
        store.insert(vec![point]).await.unwrap();
        store.show(id(document), id(1)).await.unwrap();
    }
    for (n, group) in groups.iter().enumerate() {
        let mut search = crate::vector_store::question("brake", [1.0, 0.0, 0.0, 0.0]);
        search.group = (*group).to_owned();
        let hits = store.search(&search).await.unwrap();
        let documents: Vec<Uuid> = hits.iter().map(|hit| hit.document_guid).collect();
        assert_eq!(documents, [id(n as u128 + 1)], "{group:?}");
    }
}
