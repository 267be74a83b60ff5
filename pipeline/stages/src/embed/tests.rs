use std::collections::HashMap;
use std::sync::Mutex;

use penstock_runtime::Input;
use penstock_schemas::{About, Lineage, content_hash};

use super::*;

/// Texts to vectors by rule: `nan` and `zero` are what they say, anything else is its length.
struct Ruled {
    info: ModelInfo,
    seen: Mutex<Vec<String>>,
}

#[async_trait]
impl Embedder for Ruled {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Failure> {
        self.seen.lock().unwrap().extend(texts.clone());
        let vector = |text: &String| match text.as_str() {
            "nan" => vec![f32::NAN, 1.0],
            "zero" => vec![0.0, 0.0],
            "short" => vec![1.0],
            text => vec![text.len() as f32, 1.0],
        };
        if texts.iter().any(|text| text == "down") {
            return Err(Failure::transient("the model is down"));
        }
        Ok(texts.iter().map(vector).collect())
    }
}

type Key = (String, Uuid, String, String);

#[derive(Default)]
struct Remembering(Mutex<HashMap<Key, Vec<f32>>>);

#[async_trait]
impl VectorCache for Remembering {
    async fn get(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Vec<f32>>>, Failure> {
        let all = self.0.lock().unwrap();
        let key = |hash: &String| (group.to_owned(), document, model.to_owned(), hash.clone());
        Ok(hashes
            .iter()
            .map(|hash| all.get(&key(hash)).cloned())
            .collect())
    }

    async fn put(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), Failure> {
        let mut all = self.0.lock().unwrap();
        for (hash, vector) in vectors {
            let key = (group.to_owned(), document, model.to_owned(), hash.clone());
            all.insert(key, vector.clone());
        }
        Ok(())
    }

    async fn forget(&self, _group: &str, document: Uuid) -> Result<(), Failure> {
        self.0.lock().unwrap().retain(|key, _| key.1 != document);
        Ok(())
    }
}

struct Setting {
    embedder: Arc<Ruled>,
    counters: Arc<EmbedCounters>,
    stage: Embed,
}

fn setting() -> Setting {
    let embedder = Arc::new(Ruled {
        info: ModelInfo {
            name: "ruled@1".to_owned(),
            dimension: 2,
            max_tokens: 16,
        },
        seen: Mutex::default(),
    });
    let counters = Arc::new(EmbedCounters::default());
    let stage = Embed::new(
        embedder.clone(),
        Arc::new(Remembering::default()),
        counters.clone(),
    );
    Setting {
        embedder,
        counters,
        stage,
    }
}

fn input(text: &str, document: u128) -> Input<Chunk> {
    Input {
        record: Chunk {
            lineage: Lineage {
                group: "g".to_owned(),
                document_guid: Uuid::from_u128(document),
                version: Uuid::nil(),
                edition: Uuid::nil(),
                stamped: 0,
            },
            part: 0,
            chunk_guid: Uuid::from_u128(document),
            ordinal: 0,
            text: text.to_owned(),
            start_char: 0,
            end_char: text.len() as i64,
            page_first: None,
            page_last: None,
            heading_path: Vec::new(),
            content_hash: content_hash(text.as_bytes()),
            tokens: 3,
            about: About {
                source: String::new(),
                key: String::new(),
                path: String::new(),
                title: None,
                author: None,
                language: None,
                created_at: None,
                attributes: BTreeMap::new(),
            },
        },
        headers: Vec::new(),
        partition: 0,
        offset: 0,
    }
}

#[tokio::test]
async fn a_text_goes_through_the_model_once() {
    let it = setting();
    let batch = [input("a", 1), input("bb", 1), input("a", 1), input("a", 2)];
    for _ in 0..2 {
        let verdicts = it.stage.process(&batch).await.unwrap();
        let lengths: Vec<f32> = verdicts
            .iter()
            .map(|verdict| verdict.as_ref().unwrap().outputs[0].vector[0])
            .collect();
        assert_eq!(lengths, [1.0, 2.0, 1.0, 1.0]);
    }
    assert_eq!(*it.embedder.seen.lock().unwrap(), ["a", "bb", "a"]);
    assert_eq!(it.counters.embedded(), 3);
    assert_eq!(it.counters.cached(), 4);
    assert_eq!(it.counters.tokens(), 9);
}

#[tokio::test]
async fn defective_vectors_never_leave_and_are_not_cached() {
    let it = setting();
    let batch = [
        input("nan", 1),
        input("ok", 1),
        input("zero", 1),
        input("short", 1),
    ];
    for _ in 0..2 {
        let verdicts = it.stage.process(&batch).await.unwrap();
        for (verdict, word) in verdicts
            .iter()
            .zip(["not a number", "", "all zeros", "has 2"])
        {
            match verdict {
                Ok(emit) => assert_eq!((word, emit.outputs.len()), ("", 1)),
                Err(failure) => {
                    assert_eq!(failure.class(), "poison");
                    assert!(
                        !word.is_empty() && failure.reason().contains(word),
                        "{failure}"
                    );
                }
            }
        }
    }
    assert_eq!(
        it.counters.cached(),
        1,
        "only the sound vector is known the second time"
    );
}

#[tokio::test]
async fn a_model_that_is_down_concerns_the_batch_but_not_cached_texts() {
    let it = setting();
    it.stage.process(&[input("a", 1)]).await.unwrap();
    let failure = it.stage.process(&[input("down", 1)]).await.unwrap_err();
    assert_eq!(failure.class(), "transient");
    assert!(it.stage.process(&[input("a", 1)]).await.unwrap()[0].is_ok());
}
