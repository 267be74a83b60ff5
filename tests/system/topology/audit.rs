//! What an audit finds of stores that were damaged behind the pipeline's back.

use penstock::audit::Audit;
use penstock_schemas::topics;
use penstock_stages::blobs::Blobs;
use penstock_stages::index::VectorStore;
use penstock_stages::link::GraphStore;
use uuid::Uuid;

use super::world::{World, papers};

/// Missing, orphaned, stale, mixed, wrong, of wrong dimension.
type Counts = [u64; 6];

fn counts(audit: &Audit) -> Counts {
    [
        audit.missing,
        audit.orphaned,
        audit.stale,
        audit.mixed,
        audit.wrong,
        audit.wrong_dimension,
    ]
}

async fn check(damage: impl AsyncFnOnce(&World, &[Uuid]), expect: Counts) {
    let papers = papers(2);
    let world = World::undisturbed(&papers).await;
    let chunks = world.bus.read(topics::CHUNKS).unwrap();
    let of_first = chunks
        .iter()
        .filter(|it| it.lineage.document_guid == papers[0].id());
    let of_first: Vec<Uuid> = of_first.map(|it| it.chunk_guid).collect();
    assert!(of_first.len() > 2);
    damage(&world, &of_first).await;
    let audit = world.audit().await;
    assert_eq!(counts(&audit), expect, "{audit:#?}");
    assert_eq!(audit.documents, 2);
    assert!(!audit.is_sound() && !audit.findings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_damage_is_told_apart() {
    check(
        async |world, chunks| {
            world.vectors.remove_chunks(&chunks[..2]).await.unwrap();
            world.graph.remove_chunks(&chunks[..1]).await.unwrap();
        },
        [3, 0, 0, 0, 0, 0],
    )
    .await;
    check(
        async |world, chunks| {
            world
                .vectors
                .damage(chunks[0], |_, visible| *visible = false)
        },
        [1, 0, 0, 0, 0, 0],
    )
    .await;
    check(
        async |world, chunks| {
            world.vectors.damage(chunks[0], |point, _| {
                point.chunk.lineage.group = "others".to_owned();
            });
            world.vectors.damage(chunks[1], |point, _| {
                point.chunk.content_hash = "0".repeat(64);
            });
            world.vectors.damage(chunks[2], |point, _| {
                point.chunk.lineage.edition = Uuid::from_u128(9);
            });
        },
        [0, 0, 0, 0, 3, 0],
    )
    .await;
    check(
        async |world, chunks| {
            world
                .vectors
                .damage(chunks[0], |point, _| point.dense = vec![0.0; 8]);
            world
                .vectors
                .damage(chunks[1], |point, _| point.dense.clear());
            world.vectors.damage(chunks[2], |point, _| {
                point.model = "fake@111111111111".to_owned();
            });
        },
        [0, 0, 0, 0, 0, 3],
    )
    .await;
    // A copy under an id that nobody derives, of a document that nobody knows, and one of a document that is there.
    check(
        async |world, _| {
            let mut strange = world.bus.read(topics::EMBEDDINGS).unwrap().remove(0);
            for document in [Uuid::from_u128(7), strange.chunk.lineage.document_guid] {
                strange.chunk.chunk_guid = Uuid::from_u128(document.as_u128() ^ 1);
                strange.chunk.lineage.document_guid = document;
                strange.chunk.lineage.edition = Uuid::from_u128(8);
                let point = penstock_stages::index::Point {
                    chunk: strange.chunk.clone(),
                    model: strange.model.clone(),
                    dense: strange.vector.clone(),
                    bm25: Default::default(),
                    entity_types: Vec::new(),
                };
                let id = point.chunk.chunk_guid;
                world.vectors.insert(vec![point]).await.unwrap();
                world.vectors.damage(id, |_, visible| *visible = true);
            }
        },
        [0, 1, 1, 1, 0, 0],
    )
    .await;
    check(
        async |world, _| {
            let keys = world.blobs.keys("");
            let manifest = keys.iter().find(|it| it.contains("manifest-")).unwrap();
            world.blobs.delete(manifest).await.unwrap();
        },
        [1, 0, 0, 0, 0, 0],
    )
    .await;
}
