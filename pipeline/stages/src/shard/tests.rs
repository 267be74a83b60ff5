use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use bytes::Bytes;
use penstock_schemas::{About, Lineage};

use super::*;
use crate::parse::made::MemoryBlobs;

/// The tokenizer of the model that `scripts/fetch-model.sh` has put in place.
pub(crate) static TOKENS: LazyLock<Arc<Tokens>> = LazyLock::new(|| {
    let dir = std::env::var_os("PENSTOCK_EMBED_MODEL").map_or_else(
        || {
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
                || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"),
                PathBuf::from,
            );
            cache.join("penstock/models/all-MiniLM-L6-v2")
        },
        PathBuf::from,
    );
    Arc::new(Tokens::load(&dir).unwrap())
});

fn lineage() -> Lineage {
    Lineage {
        group: "g".to_owned(),
        document_guid: Uuid::from_u128(1),
        version: Uuid::from_u128(2),
        edition: Uuid::from_u128(3),
        stamped: 4,
    }
}

async fn shard_bytes(text: &[u8], parts: i32, pages: Vec<PageStart>) -> Verdict<Chunk> {
    let store = Arc::new(MemoryBlobs::default());
    let text = blobs::store(store.as_ref(), "g/d/v/", Bytes::copy_from_slice(text))
        .await
        .unwrap();
    let shard = Shard::new(store, Arc::clone(&TOKENS), ShardConfig::default());
    let record = Section {
        lineage: lineage(),
        part: 0,
        parts,
        text,
        pages,
        about: About {
            source: "s".to_owned(),
            key: "k".to_owned(),
            path: "p".to_owned(),
            title: None,
            author: None,
            language: None,
            created_at: None,
            attributes: BTreeMap::new(),
        },
    };
    let input = Input {
        record,
        headers: Vec::new(),
        partition: 0,
        offset: 0,
    };
    shard.process(&input).await
}

/// Positions cut exactly the chunks' text out of `text`, no chunk is over the limits, and nothing but white space and
/// marks is lost between them.
pub(super) fn cuts_of(text: &str, chunks: &[Chunk]) {
    let characters: Vec<char> = text.chars().collect();
    let mut covered = vec![false; characters.len()];
    for (number, chunk) in chunks.iter().enumerate() {
        let (start, end) = (chunk.start_char as usize, chunk.end_char as usize);
        let body: String = characters[start..end].iter().collect();
        assert_eq!(body, chunk.text);
        covered[start..end].fill(true);
        assert_eq!(chunk.tokens as usize, TOKENS.count(&body).unwrap());
        assert!(chunk.tokens <= 224, "{} tokens: {body:?}", chunk.tokens);
        assert!(body.len() <= 224 * 16);
        assert_eq!(chunk.ordinal as usize, number);
        assert_eq!(chunk.content_hash, content_hash(body.as_bytes()));
    }
    // Nothing but white space and marks is lost.
    let lost: String = characters
        .iter()
        .zip(&covered)
        .filter(|(_, covered)| !**covered)
        .map(|(c, _)| *c)
        .collect();
    assert!(
        !lost.chars().any(char::is_alphanumeric),
        "lost {:?}",
        lost.trim()
    );
}

/// Every promise that holds for any text; returns the chunks.
async fn check(text: &str) -> Vec<Chunk> {
    let emit = shard_bytes(text.as_bytes(), 1, Vec::new()).await.unwrap();
    cuts_of(text, &emit.outputs);
    let Note::Outputs { ids, run, .. } = emit.note else {
        panic!("not outputs");
    };
    assert!(run.is_some());
    let own: Vec<Uuid> = emit.outputs.iter().map(|chunk| chunk.chunk_guid).collect();
    assert_eq!(ids, own);
    let mut distinct = own.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), own.len());
    emit.outputs
}

fn prose(sentences: usize) -> String {
    (0..sentences)
        .map(|n| {
            format!(
                "Sentence number {n} says that load L-{n} was picked up in Hamburg on time. {}",
                if n % 9 == 8 { "\n\n" } else { "" }
            )
        })
        .collect()
}

#[tokio::test]
async fn every_text_is_cut_within_the_promises() {
    let table: String = (0..300)
        .map(|n| format!("| L-{n} | Köln | Wien | {} EUR |\n", n * 17))
        .collect();
    let texts = [
        "One.".to_owned(),
        prose(400),
        format!("# Loads\n\n| id | from | to | price |\n|---|---|---|---|\n{table}"),
        format!("```\n{}```\n", "let x = f(y);\n".repeat(500)),
        "積荷は東京港で引き渡されます。".repeat(200),
        "👨‍👩‍👧‍👦🇩🇪é\u{0301}".repeat(800),
        "x".repeat(50_000),
        "https://example.org/a?b=c&d=%20".repeat(400),
        format!("{}\n{}", "#".repeat(3000), "* ".repeat(3000) + "end"),
        "> ".repeat(500) + "deep",
        "\u{feff}a\u{0}b\u{200b}c \r\n d\u{2028}e".repeat(300),
    ];
    for text in &texts {
        let chunks = check(text).await;
        assert!(!chunks.is_empty());
    }
}

#[tokio::test]
async fn chunks_overlap_and_end_with_sentences() {
    let text = prose(200).replace("\n\n", "");
    let chunks = check(&text).await;
    assert!(chunks.len() > 5);
    for pair in chunks.windows(2) {
        assert!(pair[1].start_char < pair[0].end_char, "no overlap");
        assert!(pair[1].start_char > pair[0].start_char);
        assert!(pair[0].text.ends_with("on time."), "{:?}", pair[0].text);
        assert!(pair[0].tokens > 150);
    }
}

#[tokio::test]
async fn chunks_keep_the_headings_above_them() {
    let text = format!(
        "# Manual\n\nIntro.\n\n## Tyres\n\n{}\n\n## Brakes\n\n{}",
        prose(40),
        prose(40)
    );
    let chunks = check(&text).await;
    assert_eq!(chunks[0].heading_path, ["Manual"]);
    let last = chunks.last().unwrap();
    assert_eq!(last.heading_path, ["Manual", "Brakes"]);
    assert!(
        chunks
            .iter()
            .any(|chunk| chunk.heading_path == ["Manual", "Tyres"])
    );
    let brakes = chunks
        .iter()
        .find(|chunk| chunk.text.starts_with("## Brakes"))
        .unwrap();
    assert_eq!(brakes.heading_path, ["Manual", "Brakes"]);
}

#[tokio::test]
async fn chunks_know_their_pages() {
    let page = "Ein Satz über Reifen. ".repeat(30);
    let text = page.repeat(4);
    let length = page.chars().count() as i64;
    let starts = (0..4)
        .map(|number| PageStart {
            page: number + 11,
            start_char: i64::from(number) * length,
        })
        .collect();
    let emit = shard_bytes(text.as_bytes(), 1, starts).await.unwrap();
    for chunk in &emit.outputs {
        assert_eq!(
            chunk.page_first,
            Some((chunk.start_char / length) as i32 + 11)
        );
        assert_eq!(
            chunk.page_last,
            Some(((chunk.end_char - 1) / length) as i32 + 11)
        );
    }
    assert!(
        emit.outputs
            .iter()
            .any(|chunk| chunk.page_first != chunk.page_last)
    );
    assert_eq!(pages(&[], 0, 5), (None, None));
    let late = [PageStart {
        page: 3,
        start_char: 10,
    }];
    assert_eq!(pages(&late, 0, 20), (Some(3), Some(3)));
    assert_eq!(pages(&late, 0, 5), (None, None));
}

#[tokio::test]
async fn nothing_to_read_is_poison_or_a_filter() {
    for text in ["", " \n\t\n", "---\n\n***\n", "\u{feff}\u{200b}"] {
        let alone = shard_bytes(text.as_bytes(), 1, Vec::new())
            .await
            .unwrap_err();
        assert!(matches!(&alone, Failure::Poison(reason) if reason.starts_with("empty")));
        let one_of_two = shard_bytes(text.as_bytes(), 2, Vec::new()).await.unwrap();
        assert!(matches!(one_of_two.note, Note::Filtered));
    }
    let broken = shard_bytes(b"abc\xff", 1, Vec::new()).await.unwrap_err();
    assert!(matches!(&broken, Failure::Poison(reason) if reason.contains("not UTF-8 at byte 3")));
}

#[tokio::test]
async fn the_same_part_gives_the_same_chunks() {
    let text = prose(100);
    let (a, b) = (check(&text).await, check(&text).await);
    assert_eq!(a, b);
}

#[tokio::test]
async fn windows_leave_no_seam() {
    // Without a heading the overlap goes on across all windows.
    let text = prose(2000).replace("\n\n", "");
    assert!(text.len() > 5 * 24 * 1024);
    let chunks = check(&text).await;
    for pair in chunks.windows(2) {
        assert!(pair[1].start_char < pair[0].end_char);
        assert!(pair[0].tokens > 150);
    }
}

#[tokio::test]
async fn large_parts_and_endless_lines_are_cut() {
    let line = "word after word without an end ".repeat(33_000);
    assert!(check(&line).await.len() > 500);
    let solid = "0123456789abcdef".repeat(64 * 1024);
    assert!(check(&solid).await.len() > 200);
}

#[test]
fn wrong_sizes_are_refused() {
    fn check(max_tokens: usize, overlap_tokens: usize, expect: Option<&str>) {
        let config = ShardConfig {
            max_tokens,
            overlap_tokens,
        };
        let reason = config.check(256).err();
        match (expect, reason) {
            (None, None) => {}
            (Some(part), Some(failure)) => assert!(failure.reason().contains(part)),
            other => panic!("{other:?}"),
        }
    }
    check(256, 128, None);
    check(16, 0, None);
    check(15, 0, Some("shard.max_tokens is 15, set it to 16 to 256"));
    check(257, 0, Some("shard.max_tokens"));
    check(100, 51, Some("shard.overlap_tokens"));
}
