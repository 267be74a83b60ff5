use std::sync::Mutex;

use penstock_runtime::{Input, Note};
use penstock_schemas::{About, Lineage};

use super::*;
use crate::shard::tests::TOKENS;

/// Makes a vector of each text's length; "nan", "zero" and "short" in it make broken ones.
struct Model {
    info: ModelInfo,
    asked: Mutex<Vec<Vec<String>>>,
    failure: Option<Failure>,
}

#[async_trait]
impl Embedder for Model {
    fn info(&self) -> &ModelInfo {
        &self.info
    }
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Failure> {
        self.asked.lock().unwrap().push(texts.clone());
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let vector = |text: &String| {
            if text.contains("nan") {
                vec![1.0, f32::NAN, 0.0]
            } else if text.contains("zero") {
                vec![0.0; 3]
            } else if text.contains("short") {
                vec![1.0]
            } else {
                vec![1.0, text.len() as f32, 0.0]
            }
        };
        Ok(texts.iter().map(vector).collect())
    }
}

type Key = (String, Uuid, String, String);

#[derive(Default)]
struct Cache(Mutex<HashMap<Key, Vec<f32>>>);

#[async_trait]
impl VectorCache for Cache {
    async fn get(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Vec<f32>>>, Failure> {
        let known = self.0.lock().unwrap();
        let key = |hash: &String| (group.into(), document, model.into(), hash.clone());
        Ok(hashes
            .iter()
            .map(|hash| known.get(&key(hash)).cloned())
            .collect())
    }
    async fn put(
        &self,
        group: &str,
        document: Uuid,
        model: &str,
        vectors: &[(String, Vec<f32>)],
    ) -> Result<(), Failure> {
        let mut known = self.0.lock().unwrap();
        for (hash, vector) in vectors {
            known.insert(
                (group.into(), document, model.into(), hash.clone()),
                vector.clone(),
            );
        }
        Ok(())
    }
    async fn count(&self, group: &str, document: Uuid) -> Result<u64, Failure> {
        let known = self.0.lock().unwrap();
        let of_it = known.keys().filter(|it| it.0 == group && it.1 == document);
        Ok(of_it.count() as u64)
    }
    async fn forget(&self, _group: &str, document: Uuid) -> Result<(), Failure> {
        self.0.lock().unwrap().retain(|key, _| key.1 != document);
        Ok(())
    }
}

struct Bench {
    stage: Embed,
    model: Arc<Model>,
    cache: Arc<Cache>,
    counters: Arc<EmbedCounters>,
}

fn bench(failure: Option<Failure>) -> Bench {
    let model = Arc::new(Model {
        info: ModelInfo {
            name: "m@1".to_owned(),
            dimension: 3,
            max_tokens: 256,
        },
        asked: Mutex::default(),
        failure,
    });
    let cache = Arc::new(Cache::default());
    let counters = Arc::new(EmbedCounters::default());
    let stage = Embed::new(
        model.clone(),
        cache.clone(),
        Arc::clone(&TOKENS),
        counters.clone(),
    );
    Bench {
        stage,
        model,
        cache,
        counters,
    }
}

impl Bench {
    fn counted(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            read(&self.counters.embedded),
            read(&self.counters.cached),
            read(&self.counters.tokens),
        )
    }
}

fn chunk(document: u128, text: &str, title: Option<&str>, headings: &[&str]) -> Chunk {
    Chunk {
        lineage: Lineage {
            group: "g".to_owned(),
            document_guid: Uuid::from_u128(document),
            version: Uuid::nil(),
            edition: Uuid::nil(),
            stamped: 0,
        },
        part: 0,
        chunk_guid: Uuid::from_u128(document + text.len() as u128),
        ordinal: 0,
        text: text.to_owned(),
        start_char: 0,
        end_char: 0,
        page_first: None,
        page_last: None,
        heading_path: headings.iter().map(|&name| name.to_owned()).collect(),
        content_hash: content_hash(text.as_bytes()),
        tokens: TOKENS.count(text).unwrap() as i32,
        about: About {
            source: "s".to_owned(),
            key: "k".to_owned(),
            path: "p".to_owned(),
            title: title.map(str::to_owned),
            author: None,
            language: None,
            created_at: None,
            attributes: BTreeMap::new(),
        },
    }
}

fn batch(chunks: Vec<Chunk>) -> Vec<Input<Chunk>> {
    let input = |record| Input {
        record,
        headers: Vec::new(),
        partition: 0,
        offset: 0,
    };
    chunks.into_iter().map(input).collect()
}

fn plain(document: u128, text: &str) -> Chunk {
    chunk(document, text, None, &[])
}

#[tokio::test]
async fn every_chunk_gets_its_vector_once() {
    let bench = bench(None);
    let inputs = batch(vec![
        plain(1, "one"),
        plain(2, "second"),
        plain(1, "one"),
        plain(2, "one"),
    ]);
    let verdicts = bench.stage.process(&inputs).await.unwrap();
    for (verdict, input) in verdicts.iter().zip(&inputs) {
        let emit = verdict.as_ref().unwrap();
        let [embedding] = emit.outputs.as_slice() else {
            panic!("one output each");
        };
        assert_eq!(embedding.chunk, input.record);
        assert_eq!(embedding.model, "m@1");
        assert_eq!(embedding.vector[1], input.record.text.len() as f32);
        assert!(
            matches!(&emit.note, Note::Outputs { ids, .. } if *ids == [input.record.chunk_guid])
        );
    }
    assert_eq!(*bench.model.asked.lock().unwrap(), [["one", "second"]]);
    assert_eq!(bench.counted(), (4, 0, 6));

    // Again: nothing to compute.
    let again = bench.stage.process(&inputs).await.unwrap();
    assert_eq!(
        again[3].as_ref().unwrap().outputs,
        verdicts[3].as_ref().unwrap().outputs
    );
    assert_eq!(bench.model.asked.lock().unwrap().len(), 1);
    assert_eq!(bench.counted(), (4, 4, 6));

    // Another document's text is not this one's: its cache is forgotten with it.
    bench.cache.forget("g", Uuid::from_u128(1)).await.unwrap();
    bench.stage.process(&inputs).await.unwrap();
    assert_eq!(bench.model.asked.lock().unwrap()[1], ["one"]);
    assert_eq!(bench.counted(), (6, 6, 9));
}

#[tokio::test]
async fn broken_vectors_are_the_chunks_own_poison() {
    let bench = bench(None);
    let inputs = batch(vec![
        plain(1, "fine"),
        plain(1, "nan"),
        plain(1, "zero"),
        plain(1, "ok"),
    ]);
    let verdicts = bench.stage.process(&inputs).await.unwrap();
    let classes: Vec<&str> = verdicts
        .iter()
        .map(|verdict| verdict.as_ref().map_or_else(Failure::class, |_| "ok"))
        .collect();
    assert_eq!(classes, ["ok", "poison", "poison", "ok"]);
    assert_eq!(bench.cache.0.lock().unwrap().len(), 2);

    let failure = bench
        .stage
        .process(&batch(vec![plain(1, "short")]))
        .await
        .unwrap_err();
    assert_eq!(failure.class(), "fatal");
}

#[tokio::test]
async fn a_broken_vector_in_the_cache_is_made_again() {
    for broken in [vec![0.0; 3], vec![f32::NAN; 3], vec![1.0]] {
        let bench = bench(None);
        let inputs = batch(vec![plain(1, "one")]);
        let key = (
            "g".to_owned(),
            Uuid::from_u128(1),
            "m@1".to_owned(),
            content_hash(b"one"),
        );
        bench.cache.0.lock().unwrap().insert(key, broken);
        let verdicts = bench.stage.process(&inputs).await.unwrap();
        assert_eq!(
            verdicts[0].as_ref().unwrap().outputs[0].vector,
            [1.0, 3.0, 0.0]
        );
        assert_eq!(bench.counted(), (1, 0, 3));
    }
}

#[tokio::test]
async fn a_failure_of_the_model_concerns_the_batch() {
    for failure in [
        Failure::transient("out of memory"),
        Failure::poison("NaN of text 1"),
        Failure::fatal("gone"),
    ] {
        let bench = bench(Some(failure.clone()));
        let result = bench
            .stage
            .process(&batch(vec![plain(1, "a"), plain(1, "b")]))
            .await;
        assert_eq!(result.err(), Some(failure));
        assert_eq!(bench.counted(), (0, 0, 0));
    }
}

#[tokio::test]
async fn title_and_headings_stand_before_the_text_within_the_limit() {
    fn check(chunk: &Chunk, expect: &str) {
        let wanted = bench(None).stage.text_of(chunk).unwrap();
        assert_eq!(wanted.text, expect);
        assert_eq!(wanted.hash, content_hash(expect.as_bytes()));
        assert!(TOKENS.count(&wanted.text).unwrap() <= 256);
    }
    let of = |text, title, headings: &[&str]| chunk(1, text, title, headings);
    check(&of("Text.", None, &[]), "Text.");
    check(
        &of("Text.", Some("Manual"), &["Tyres", "Winter"]),
        "Manual > Tyres > Winter\nText.",
    );
    check(
        &of("Text.", Some("Manual"), &["manual", " ", "Winter"]),
        "Manual > Winter\nText.",
    );
    check(
        &of("## Winter\nText.", Some("Manual"), &["Winter"]),
        "Manual\n## Winter\nText.",
    );
    let long = "a heading of many words ".repeat(7);
    check(
        &of("Text.", Some("Manual"), &[&long, "In"]),
        "Manual > In\nText.",
    );
    let longer = long.repeat(3);
    check(&of("Text.", Some(&longer), &["Out", "In"]), "In\nText.");
    check(&of("Text.", Some(&longer), &[&longer]), "Text.");
    let full = "word ".repeat(254);
    check(&of(full.trim(), Some("Manual"), &[]), full.trim());
    let nearly = "word ".repeat(252);
    check(
        &of(nearly.trim(), Some("Manual"), &["Tyres"]),
        &format!("Manual\n{}", nearly.trim()),
    );
}

#[tokio::test]
async fn cost_is_tokens() {
    let stage = bench(None).stage;
    assert_eq!(stage.cost(&plain(1, "three words here")), 5);
    assert_eq!(stage.process(&[]).await.unwrap().len(), 0);
}
