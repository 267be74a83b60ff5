//! Documents of several types in, visible in both stores out.

use std::collections::BTreeSet;

use penstock_schemas::{Completion, topics};
use penstock_tests::root;
use uuid::Uuid;

use super::world::{Paper, World, close};

const SAMPLES: [&str; 9] = [
    "customers/castellan-visit.md",
    "customers/hollerbach-kundenblatt.odt",
    "customers/kestrel-onboarding.html",
    "drivers/driver-roster.xlsx",
    "drivers/licence-checks.csv",
    "invoices/INV-2025-00317.pdf",
    "loads/LD-48213-waybill.txt",
    "loads/LD-48560-damage-report.docx",
    "mail/delay-notice.eml",
];

fn samples() -> Vec<Paper> {
    let read = |name: &&str| std::fs::read(root().join("samples").join(name)).unwrap();
    SAMPLES
        .iter()
        .map(|name| Paper::new(name, 1, read(name)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn documents_of_all_types_become_visible_in_both_stores() {
    let world = World::new();
    let pipeline = world.start();
    let papers = samples();
    world.send_all(&papers).await;
    world.quiet().await;
    close(pipeline).await;

    world.assert_no_letters();
    assert_eq!(world.sound().await, papers.len() as u64);
    let chunks = world.bus.read(topics::CHUNKS).unwrap();
    for paper in &papers {
        let mut of_it: Vec<_> = chunks
            .iter()
            .filter(|it| it.lineage.document_guid == paper.id())
            .collect();
        of_it.sort_by_key(|it| (it.part, it.ordinal));
        let order: Vec<Uuid> = of_it.iter().map(|it| it.chunk_guid).collect();
        let edition = of_it[0].lineage.edition;

        let visible = world.entry(paper).visible.unwrap();
        assert_eq!(
            (visible.lineage.edition, visible.chunks as usize),
            (edition, order.len())
        );
        assert_eq!(
            world.vectors.visible_editions(paper.id()),
            BTreeSet::from([edition])
        );
        assert_eq!(world.graph.visible_edition(paper.id()), Some(edition));
        assert_eq!(world.graph.order(paper.id()), order, "{}", paper.key);
        assert_eq!(
            world.outcomes(paper),
            [(1, Completion::Visible)],
            "{}",
            paper.key
        );
    }
    // The same text twice in a batch is embedded once, so not more than there are chunks.
    assert!(!world.embedder.embedded().is_empty());
    assert!(world.embedder.embedded().len() <= chunks.len());
    let waybill = world
        .graph
        .contents()
        .iter()
        .any(|it| it.contains("\"normal_form\":\"LD-48213\""));
    assert!(waybill, "the waybill's load is in the graph");
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_takes_the_place_of_the_older() {
    let old = Paper::about("rules.md", 1, "berth four");
    let new = Paper::about("rules.md", 2, "berth nine");
    let world = World::undisturbed(std::slice::from_ref(&old)).await;
    let pipeline = world.start();
    world.send(&new).await;
    let mut blind = false;
    world
        .until("the newer version", |world| {
            // Readers always find one, whole.
            blind |= world.vectors.visible_editions(old.id()).is_empty();
            blind |= world.graph.visible_edition(old.id()).is_none();
            world.is_quiet()
        })
        .await;
    close(pipeline).await;
    assert!(!blind, "readers found nothing for a moment");
    assert_eq!(world.visible(&new), Some(2));
    assert_eq!(
        world.outcomes(&new),
        [(1, Completion::Visible), (2, Completion::Visible)]
    );
    world.assert_no_letters();
    world.sound().await;
    assert_eq!(
        world.contents(),
        World::undisturbed(&[new]).await.contents()
    );
}
