use std::sync::Mutex;

use penstock_runtime::{Input, Note};
use uuid::Uuid;

use super::*;
use crate::scope::Scope;

/// Remembers each insert; fails while told to.
#[derive(Default)]
struct Remembers {
    inserts: Mutex<Vec<Vec<Point>>>,
    failure: Option<Failure>,
    model: Option<String>,
}

#[async_trait]
impl VectorStore for Remembers {
    async fn insert(&self, points: Vec<Point>) -> Result<(), Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.inserts.lock().unwrap().push(points);
        Ok(())
    }
    async fn retain_chunks(&self, _: Uuid, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
        unreachable!("index only inserts")
    }
    async fn show(&self, _: Uuid, _: Uuid) -> Result<(), Failure> {
        unreachable!("index only inserts")
    }
    async fn drop_editions(&self, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
        unreachable!("index only inserts")
    }
    async fn remove_chunks(&self, _: &[Uuid]) -> Result<(), Failure> {
        unreachable!("index only inserts")
    }
    async fn search(&self, _: &Search) -> Result<Vec<Hit>, Failure> {
        unreachable!("index only inserts")
    }
    async fn scroll(&self, _: Option<Uuid>, _: usize) -> Result<Vec<PointRef>, Failure> {
        unreachable!("index only inserts")
    }
    async fn dump(&self, _: Uuid) -> Result<Vec<serde_json::Value>, Failure> {
        unreachable!("index only inserts")
    }
    async fn model(&self) -> Result<Option<String>, Failure> {
        Ok(self.model.clone())
    }
    async fn count(&self) -> Result<u64, Failure> {
        unreachable!("index only inserts")
    }
    async fn count_of(&self, _: &Scope) -> Result<u64, Failure> {
        unreachable!("index only inserts")
    }
    async fn health(&self) -> Result<String, Failure> {
        unreachable!("index only inserts")
    }
}

fn index(store: Arc<Remembers>) -> Index {
    let entity_types: EntityTypes = Arc::new(|text: &str| {
        let mut found = vec!["Load".to_owned(), "Driver".to_owned(), "Load".to_owned()];
        found.retain(|_| text.contains("chunk"));
        found
    });
    let model = ModelInfo {
        name: "tiny@000000000000".into(),
        dimension: 2,
        max_tokens: 16,
    };
    Index::new(store, entity_types, model)
}

fn input(ordinal: i32, change: impl FnOnce(&mut Embedding)) -> Input<Embedding> {
    let point = testing::point(1, 2, 0, ordinal);
    let mut record = Embedding {
        chunk: point.chunk,
        model: point.model,
        vector: point.dense,
    };
    change(&mut record);
    Input {
        record,
        headers: Vec::new(),
        partition: 0,
        offset: i64::from(ordinal),
    }
}

#[tokio::test]
async fn a_batch_is_one_insert_and_an_output_each() {
    let store = Arc::new(Remembers::default());
    let batch = [input(0, |_| {}), input(1, |_| {})];
    let verdicts = index(store.clone()).process(&batch).await.unwrap();

    assert_eq!(verdicts.len(), 2);
    for (verdict, input) in verdicts.into_iter().zip(&batch) {
        let emit = verdict.unwrap();
        assert_eq!(emit.outputs[0].chunk, input.record.chunk);
        assert_eq!(emit.outputs[0].model, input.record.model);
        let Note::Outputs { ids, .. } = emit.note else {
            panic!("no outputs");
        };
        assert_eq!(ids, [input.record.chunk.chunk_guid]);
    }
    let inserts = store.inserts.lock().unwrap();
    assert_eq!(inserts.len(), 1);
    assert_eq!(inserts[0].len(), 2);
    let point = &inserts[0][1];
    assert_eq!(point.chunk, batch[1].record.chunk);
    assert_eq!(point.dense, [1.0, 0.0]);
    assert_eq!(point.bm25, bm25::encode_document(&point.chunk.text));
    assert_eq!(point.entity_types, ["Driver", "Load"]);
}

#[tokio::test]
async fn vectors_that_mean_nothing_are_poison_and_the_others_go_in() {
    for bad in [
        vec![0.0, 0.0],
        vec![-0.0, 0.0],
        vec![f32::NAN, 1.0],
        vec![f32::INFINITY, 0.0],
    ] {
        let store = Arc::new(Remembers::default());
        let batch = [
            input(0, |_| {}),
            input(1, |record| record.vector = bad.clone()),
            input(2, |_| {}),
        ];
        let verdicts = index(store.clone()).process(&batch).await.unwrap();
        let failure = verdicts[1].as_ref().unwrap_err();
        assert_eq!(failure.class(), "poison", "{bad:?}");
        let chunk = batch[1].record.chunk.chunk_guid.to_string();
        assert!(failure.reason().contains(&chunk));
        assert!(verdicts[0].is_ok() && verdicts[2].is_ok());
        assert_eq!(store.inserts.lock().unwrap()[0].len(), 2);
    }
}

#[tokio::test]
async fn a_batch_of_poison_alone_writes_nothing() {
    let store = Arc::new(Remembers::default());
    let batch = [input(0, |record| record.vector = vec![0.0, 0.0])];
    let verdicts = index(store.clone()).process(&batch).await.unwrap();
    assert!(verdicts[0].is_err());
    assert!(store.inserts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_model_or_dimension_is_refused_with_both_sides_named() {
    async fn check(change: fn(&mut Embedding), says: [&str; 2]) {
        let store = Arc::new(Remembers::default());
        let batch = [input(0, |_| {}), input(1, change)];
        let failure = index(store.clone()).process(&batch).await.unwrap_err();
        assert_eq!(failure.class(), "fatal");
        for part in says {
            assert!(failure.reason().contains(part), "{failure}: {part}");
        }
        assert!(store.inserts.lock().unwrap().is_empty());
    }
    check(
        |record| record.model = "huge@1".into(),
        ["huge@1", "tiny@000000000000"],
    )
    .await;
    check(
        |record| record.vector = vec![1.0, 0.0, 0.0],
        ["3 numbers", "gives 2"],
    )
    .await;
    check(|record| record.vector.clear(), ["0 numbers", "gives 2"]).await;
}

#[tokio::test]
async fn what_the_store_says_is_the_verdict_on_the_batch() {
    let store = Arc::new(Remembers {
        failure: Some(Failure::transient("disk full")),
        ..Remembers::default()
    });
    let failure = index(store).process(&[input(0, |_| {})]).await.unwrap_err();
    assert_eq!(failure, Failure::transient("disk full"));
}

#[tokio::test]
async fn a_store_that_another_model_filled_is_refused_before_the_first_record() {
    let filled_by = |model: Option<&str>| {
        Arc::new(Remembers {
            model: model.map(str::to_owned),
            ..Remembers::default()
        })
    };
    for fine in [None, Some("tiny@000000000000"), Some("moved@000000000000")] {
        index(filled_by(fine)).assigned(&[0]).await.unwrap();
    }
    let refused = index(filled_by(Some("huge@1"))).assigned(&[0]).await;
    let failure = refused.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    for part in ["huge@1", "tiny@000000000000", "--data"] {
        assert!(failure.reason().contains(part), "{failure}: {part}");
    }
}
