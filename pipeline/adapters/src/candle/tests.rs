use std::path::PathBuf;

use serde::Deserialize;

use super::*;

/// The model that `scripts/fetch-model.sh` has put in place.
fn model_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("PENSTOCK_EMBED_MODEL") {
        return dir.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"),
        PathBuf::from,
    );
    cache.join("penstock/models/all-MiniLM-L6-v2")
}

fn worker(threads: usize) -> Worker {
    Worker {
        model: Model::load(&model_dir()).unwrap(),
        tokens: Tokens::load(&model_dir()).unwrap(),
        processor: Processor::detect(),
        work: std::iter::repeat_with(Work::default)
            .take(threads)
            .collect(),
    }
}

#[derive(Deserialize)]
struct Reference {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    vector: Vec<f32>,
}

fn reference() -> Vec<Row> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/reference_vectors.json"
    );
    let bytes = std::fs::read(path).unwrap();
    serde_json::from_slice::<Reference>(&bytes).unwrap().rows
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    let rows = reference();
    assert!(rows.len() >= 20);
    let texts: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
    let vectors = worker(2).embed(&texts).unwrap();
    for (row, vector) in rows.iter().zip(&vectors) {
        let cosine = cosine(&row.vector, vector);
        assert!(cosine >= 0.9999, "{cosine} for {:?}", row.text);
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "length {length}");
    }
}

#[test]
fn a_batch_equals_its_texts_one_by_one_on_every_processor() {
    let texts: Vec<String> = reference().into_iter().map(|row| row.text).collect();
    let mut worker = worker(2);
    let batch = worker.embed(&texts).unwrap();
    worker.work.truncate(1);
    for (text, vector) in texts.iter().zip(&batch) {
        let alone = worker.embed(std::slice::from_ref(text)).unwrap();
        let apart = apart(&alone[0], vector);
        assert!(apart <= 1e-5, "{apart} for {text:?}");
    }
    let lesser = match worker.processor {
        Processor::Avx512 => vec![Processor::Avx2, Processor::Portable],
        Processor::Avx2 => vec![Processor::Portable],
        Processor::Portable => vec![],
    };
    for processor in lesser {
        worker.processor = processor;
        for (other, vector) in worker.embed(&texts[..20]).unwrap().iter().zip(&batch) {
            assert!(apart(other, vector) <= 1e-5, "on {processor:?}");
        }
    }
}

#[test]
fn a_text_over_the_limit_is_cut_at_the_limit() {
    let mut worker = worker(1);
    assert_eq!(worker.model.info.max_tokens, 256);
    let words = |count| "load ".repeat(count);
    let vectors = worker
        .embed(&[words(254), words(255), words(5000), words(253)])
        .unwrap();
    assert_eq!(vectors[0], vectors[1]);
    assert_eq!(vectors[0], vectors[2]);
    assert_ne!(vectors[0], vectors[3]);
}

#[test]
fn nan_and_zero_vectors_never_leave() {
    fn check(worker: &mut Worker, expect: &str) {
        let texts = ["fine".to_owned(), "poisonous!".to_owned()];
        let failure = worker.embed(&texts).unwrap_err();
        assert!(
            matches!(&failure, Failure::Poison(reason) if reason.contains(expect)),
            "{failure:?}"
        );
        assert!(failure.reason().contains("text 1 "), "{failure}");
    }
    let mut worker = worker(1);
    let id = worker.tokens.ids("!", 8).unwrap()[1] as usize;
    worker.model.encoder.words[id * 384 + 7] = f32::NAN;
    check(&mut worker, "NaN");
    worker.model.encoder.words[id * 384 + 7] = f32::INFINITY;
    check(&mut worker, "NaN");

    let layer = worker.model.encoder.layers.last_mut().unwrap();
    layer.norm.weight.fill(0.0);
    layer.norm.bias.fill(0.0);
    worker.model.encoder.words[id * 384 + 7] = 0.0;
    let failure = worker.embed(&["fine".to_owned()]).unwrap_err();
    assert!(matches!(&failure, Failure::Poison(reason) if reason.contains("all-zero")));
}

#[test]
fn a_panic_on_a_text_is_poison_and_the_thread_lives() {
    let mut worker = worker(2);
    // Dividing by this panics in every thread's pass.
    worker.model.encoder.heads = 0;
    let (jobs, waiting) = mpsc::channel(1);
    thread::spawn(move || worker.run(waiting));
    for count in [1, 40, 1] {
        let (reply, answer) = oneshot::channel();
        let texts = vec!["word ".repeat(60); count];
        jobs.blocking_send(Job { texts, reply }).unwrap();
        let failure = answer.blocking_recv().unwrap().unwrap_err();
        assert!(matches!(&failure, Failure::Poison(reason) if reason.contains("panicked")));
    }
}

#[test]
fn groups_cover_every_text_once_and_keep_to_the_budget() {
    fn check(lengths: &[usize], threads: usize, expect: usize) {
        let ids: Vec<Vec<u32>> = lengths.iter().map(|length| vec![0; *length]).collect();
        let groups = groups(&ids, threads);
        assert_eq!(groups.len(), expect, "{lengths:?}");
        let mut all: Vec<usize> = groups.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..lengths.len()));
        for group in groups {
            let rows: usize = group.iter().map(|index| lengths[*index]).sum();
            assert!(rows <= ROWS || group.len() == 1);
        }
    }
    check(&[], 2, 0);
    check(&[512], 2, 1);
    check(&[10, 20, 10], 2, 1);
    check(&[256, 256, 3], 2, 3);
    check(&[33; 64], 2, 10);
    check(&[40, 40, 40, 40], 2, 2);
}

#[tokio::test]
async fn a_missing_model_is_one_line_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let failure = Candle::load(dir.path(), 1).err().unwrap();
    assert_eq!(failure.class(), "fatal");
    assert!(!failure.reason().contains('\n'));
    assert!(failure.reason().contains("make model") && failure.reason().contains("embed.model"));
}

#[tokio::test]
async fn it_answers_through_the_port() {
    let candle = Candle::load(&model_dir(), 2).unwrap();
    assert_eq!(candle.info().name, "all-MiniLM-L6-v2@53aa51172d14");
    assert_eq!(candle.info().dimension, 384);
    let texts = ["trucks", "lorries", "a bowl of soup"].map(str::to_owned);
    let vectors = candle.embed(texts.to_vec()).await.unwrap();
    assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.2);
    assert!(candle.embed(Vec::new()).await.unwrap().is_empty());
}
