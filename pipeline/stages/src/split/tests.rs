use std::collections::BTreeMap;

use penstock_schemas::{Blob, Unit, content_hash};
use uuid::Uuid;

use super::*;
use crate::parse::made::{MemoryBlobs, input, pdf};

fn document(bytes: &[u8], path: &str) -> Document {
    let sha256 = content_hash(bytes);
    Document {
        document_guid: Uuid::from_u128(1),
        group: "g".into(),
        source: "s".into(),
        key: path.into(),
        version: Uuid::from_u128(2),
        deleted: false,
        path: path.into(),
        blob: Some(Blob {
            key: format!("g/{}/{}/{sha256}", Uuid::from_u128(1), Uuid::from_u128(2)),
            sha256,
            size: bytes.len() as i64,
        }),
        title: Some("given".into()),
        author: None,
        language: None,
        created_at: None,
        attributes: BTreeMap::new(),
    }
}

async fn split(bytes: &[u8], document: Document) -> Verdict<Part> {
    let blobs = Arc::new(MemoryBlobs::default());
    if let Some(blob) = &document.blob {
        blobs.write(&blob.key, bytes.to_vec().into()).await.unwrap();
    }
    Split::new("recipe".into(), blobs, Limits::default())
        .process(&input(document))
        .await
}

#[tokio::test]
async fn documents_become_parts() {
    async fn check(bytes: &[u8], path: &str, kind: &str, expect: &[Option<(Unit, i64, i64)>]) {
        let document = document(bytes, path);
        let emit = split(bytes, document.clone()).await.unwrap();
        let ranges: Vec<Option<(Unit, i64, i64)>> = emit
            .outputs
            .iter()
            .map(|part| part.range.as_ref().map(|r| (r.unit, r.first, r.last)))
            .collect();
        assert_eq!(ranges, expect, "{path}");
        for (number, part) in emit.outputs.iter().enumerate() {
            assert_eq!(part.kind, kind);
            assert_eq!(
                (part.part, part.parts),
                (number as i32, expect.len() as i32)
            );
            assert_eq!(part.about.title.as_deref(), Some("given"));
        }
        let Note::Outputs {
            ids,
            run: None,
            opened: Some(opened),
            lineage: Some(lineage),
        } = emit.note
        else {
            panic!("{path}: {:?}", emit.note);
        };
        assert!(ids.is_empty());
        assert_eq!(opened.parts, expect.len() as i32);
        assert_eq!(opened.blob, document.blob);
        assert_eq!(opened.recipe, "recipe");
        assert_eq!(
            lineage.edition,
            edition_id(document.document_guid, document.version, "recipe")
        );
        assert_eq!(*lineage, emit.outputs[0].lineage);
    }
    check(b"some words", "a.txt", "txt", &[None]).await;
    check(&pdf(&[Some("x"); 25]), "a.pdf", "pdf", &[None]).await;
    check(
        &pdf(&[Some("x"); 60]),
        "a.pdf",
        "pdf",
        &[
            Some((Unit::Pages, 1, 25)),
            Some((Unit::Pages, 26, 50)),
            Some((Unit::Pages, 51, 60)),
        ],
    )
    .await;
    let long = "seventeen letters\n".repeat(500_000);
    let cut = (8 << 20) / 18 * 18;
    check(
        long.as_bytes(),
        "a.txt",
        "txt",
        &[
            Some((Unit::Bytes, 0, cut - 1)),
            Some((Unit::Bytes, cut, long.len() as i64 - 1)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_deletion_is_news_without_parts() {
    let mut gone = document(b"", "a.txt");
    gone.deleted = true;
    gone.blob = None;
    let emit = split(b"", gone).await.unwrap();
    assert!(emit.outputs.is_empty());
    let Note::Deleted { opened, lineage } = emit.note else {
        panic!("{:?}", emit.note);
    };
    assert_eq!((opened.parts, opened.blob), (0, None));
    assert_eq!(lineage.version, Uuid::from_u128(2));
}

#[tokio::test]
async fn what_cannot_be_read_is_poison() {
    async fn check(bytes: &[u8], expect: &str) {
        let failure = split(bytes, document(bytes, "a")).await.unwrap_err();
        assert_eq!(failure.class(), "poison");
        assert!(failure.reason().contains(expect), "{failure}");
    }
    check(b"", "empty").await;
    check(b"\x7fELF\0", "ELF program").await;
    check(b"%PDF-1.7\nnothing", "damaged PDF").await;
    let mut bare = document(b"x", "a");
    bare.blob = None;
    let failure = split(b"", bare).await.unwrap_err();
    assert!(failure.reason().contains("names no blob"), "{failure}");
    let mut foreign = document(b"x", "a");
    foreign.group = "h".into();
    let failure = split(b"x", foreign).await.unwrap_err();
    assert!(
        failure.reason().contains("belongs to another document"),
        "{failure}"
    );
    let blobs = Arc::new(MemoryBlobs::default());
    let limits = Limits {
        source_bytes: 3,
        ..Limits::default()
    };
    let failure = Split::new("r".into(), blobs, limits)
        .process(&input(document(b"four", "a")))
        .await
        .unwrap_err();
    assert_eq!(
        failure.reason(),
        "source size: 4 bytes, above the limit of 3 bytes"
    );
}
