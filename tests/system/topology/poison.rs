//! What is broken is put aside with its provenance, and nothing else suffers.

use penstock_runtime::REDRIVES;
use penstock_schemas::{Completion, topics};

use super::world::{Paper, World, close, header, papers};

#[tokio::test(start_paused = true)]
async fn broken_documents_become_dead_letters_and_the_others_finish() {
    let whole = papers(3);
    let broken = [
        // split cannot count its pages.
        (
            Paper::new("broken.pdf", 1, "%PDF-1.7\nno more than this"),
            "split",
            topics::DOCUMENTS.name(),
        ),
        // Nothing in it: parse finds no text.
        (
            Paper::new("blank.md", 1, "\n \n"),
            "parse",
            topics::PARTS.name(),
        ),
    ];
    let world = World::new();
    let pipeline = world.start();
    for (paper, _, _) in &broken {
        world.send(paper).await;
    }
    world.send_all(&whole).await;
    world.quiet().await;
    close(pipeline).await;

    let letters = world.letters();
    assert_eq!(letters.len(), broken.len());
    for ((paper, stage, topic), letter) in broken.iter().zip(&letters) {
        let told = |name: &str| header(letter, name);
        assert_eq!(&*letter.partition.topic, format!("{topic}.dlq"));
        assert_eq!(
            (told("dlq.stage").as_str(), told("dlq.class").as_str()),
            (*stage, "poison")
        );
        assert_eq!(
            (told("dlq.topic").as_str(), told(REDRIVES).as_str()),
            (*topic, "0")
        );
        let place = (
            told("dlq.partition").parse().unwrap(),
            told("dlq.offset").parse().unwrap(),
        );
        let original = world
            .bus
            .records(topic)
            .into_iter()
            .find(|it| (it.partition.number, it.offset) == place);
        let original = original.unwrap();
        assert_eq!(
            (&letter.key, &letter.value),
            (&original.key, &original.value),
            "untouched"
        );
        assert_eq!(
            world.outcomes(paper),
            [(1, Completion::Failed)],
            "{}",
            paper.key
        );
        let open = world.entry(paper).open;
        assert_eq!(
            open[0].dead[0].reason,
            told("dlq.reason"),
            "the ledger names the reason"
        );
    }
    assert_eq!(world.sound().await, whole.len() as u64);
    assert_eq!(
        world.contents(),
        World::undisturbed(&whole).await.contents()
    );
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_record_is_put_aside() {
    let world = World::new();
    let pipeline = world.start();
    let garbage = bytes::Bytes::from_static(b"{\"no\": \"avro\"}");
    for topic in [
        topics::DOCUMENTS.name(),
        topics::PARTS.name(),
        topics::PROGRESS.name(),
    ] {
        world
            .bus
            .append_to(topic, 0, Some(garbage.clone()), Vec::new())
            .unwrap();
    }
    let whole = papers(2);
    world.send_all(&whole).await;
    world.quiet().await;
    close(pipeline).await;
    let classes: Vec<String> = world
        .letters()
        .iter()
        .map(|it| header(it, "dlq.class"))
        .collect();
    assert_eq!(classes, ["undecodable"; 3]);
    assert_eq!(
        world.contents(),
        World::undisturbed(&whole).await.contents()
    );
}

#[tokio::test(start_paused = true)]
async fn one_bad_chunk_fails_its_edition_until_it_is_redriven() {
    let old = Paper::about("rules.md", 1, "berth four");
    let new = Paper::about("rules.md", 2, "berth nine");
    let other = Paper::about("other.md", 1, "cranes");
    let world = World::undisturbed(std::slice::from_ref(&old)).await;
    let before = world.vectors.visible_editions(old.id());
    world.embedder.refuse(Some("part 2 waits for berth nine"));

    let pipeline = world.start();
    world.send_all(&[new.clone(), other.clone()]).await;
    world.quiet().await;
    let letters = world.letters();
    assert_eq!(letters.len(), 1, "one chunk alone is at fault");
    let letter = &letters[0];
    assert_eq!(
        (
            header(letter, "dlq.stage").as_str(),
            header(letter, "dlq.class").as_str()
        ),
        ("embed", "poison")
    );
    assert_eq!(world.outcomes(&new)[1..], [(2, Completion::Failed)]);
    assert_eq!(world.outcomes(&other), [(1, Completion::Visible)]);
    // Readers keep what they had.
    assert_eq!(world.visible(&new), Some(1));
    assert_eq!(world.vectors.visible_editions(old.id()), before);
    assert_eq!(
        world.graph.visible_edition(old.id()).as_ref(),
        before.first()
    );
    world.sound().await;

    // Still at fault: another letter, that knows it was put back once.
    world.redrive(letter);
    world.quiet().await;
    let letters = world.letters();
    assert_eq!(letters.len(), 2);
    let again = letters
        .iter()
        .find(|it| header(it, REDRIVES) == "1")
        .unwrap();
    assert_eq!(again.value, letter.value);

    world.embedder.refuse(None);
    world.redrive(again);
    world.quiet().await;
    close(pipeline).await;
    assert_eq!(world.outcomes(&new).last(), Some(&(2, Completion::Visible)));
    assert_eq!(world.visible(&new), Some(2));
    assert!(world.entry(&new).open.is_empty());
    world.sound().await;
    let calm = World::undisturbed(&[old, new, other]).await;
    assert_eq!(world.contents(), calm.contents());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_store_costs_one_record_at_most() {
    let whole = papers(3);
    let world = World::new();
    let pipeline = world.start();
    world.send_all(&whole).await;
    let begun = |world: &World| !world.bus.records(topics::PARTS.name()).is_empty();
    world.until("the work has begun", begun).await;
    world.vectors.faults.panic_next(1);
    world.quiet().await;
    close(pipeline).await;
    // A batch that panics is halved and tried again: what panicked once does no harm, unless it stood alone.
    assert!(world.letters().len() <= 1);
    for letter in world.letters() {
        assert_eq!(header(&letter, "dlq.class"), "panic");
    }
    world.sound().await;
}
