//! What is promised of any text, on every sample: split, parsed and cut as the pipeline does it.

use std::path::{Path, PathBuf};

use penstock_schemas::{Document, document_guid};

use super::tests::{TOKENS, cuts_of};
use super::*;
use crate::blobs::version_prefix;
use crate::parse::made::{MemoryBlobs, input};
use crate::parse::{Limits, Parse};
use crate::split::Split;

/// Files below `folder`, sidecars aside.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if !path.to_string_lossy().ends_with(".meta.yaml") {
            found.push(path);
        }
    }
}

fn document(path: &str, blob: penstock_schemas::Blob) -> Document {
    Document {
        document_guid: document_guid("g", "samples", path),
        group: "g".into(),
        source: "samples".into(),
        key: path.into(),
        version: Uuid::from_u128(2),
        deleted: false,
        path: path.into(),
        blob: Some(blob),
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: Default::default(),
    }
}

/// Parts and chunks of a sample, each chunk held against the parsed text it was cut from.
async fn check(path: &str, bytes: Vec<u8>) -> (usize, usize) {
    let store = Arc::new(MemoryBlobs::default());
    let prefix = version_prefix("g", document_guid("g", "samples", path), Uuid::from_u128(2));
    let blob = blobs::store(store.as_ref(), &prefix, bytes.into())
        .await
        .unwrap();
    let split = Split::new("recipe".into(), store.clone(), Limits::default());
    let parse = Parse::new(store.clone(), Limits::default(), 1);
    let shard = Shard::new(store.clone(), Arc::clone(&TOKENS), ShardConfig::default());
    let parts = split.process(&input(document(path, blob))).await.unwrap();
    let mut count = 0;
    for part in &parts.outputs {
        let sections = parse.process(&input(part.clone())).await.unwrap();
        for section in sections.outputs {
            let text = blobs::load(store.as_ref(), &section.text).await.unwrap();
            let text = String::from_utf8(text.into()).unwrap();
            let chunks = shard.process(&input(section)).await.unwrap().outputs;
            cuts_of(&text, &chunks);
            count += chunks.len();
        }
    }
    (parts.outputs.len(), count)
}

#[tokio::test]
async fn positions_cut_exactly_the_chunks_text_out_of_every_sample() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let mut all = Vec::new();
    // Only folders of documents: what else lies in samples/ makes them or tells of them.
    for entry in std::fs::read_dir(&samples).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["broken", "generate", "truth"].contains(&name.as_str()) {
            files(&path, &mut all);
        }
    }
    assert!(all.len() >= 30, "{} samples", all.len());
    let (mut parts, mut chunks) = (0, 0);
    for file in all {
        let path = file.strip_prefix(&samples).unwrap().display().to_string();
        let (of_parts, of_chunks) = check(&path, std::fs::read(&file).unwrap()).await;
        assert!(of_chunks > 0, "{path} has no chunk");
        parts += of_parts;
        chunks += of_chunks;
    }
    assert!(
        chunks > parts && parts > 40,
        "{parts} parts, {chunks} chunks"
    );
}
