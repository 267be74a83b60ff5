//! Replay is nothing special: doing it all again changes nothing.

use penstock::pipeline::{group_of, topology};
use penstock_schemas::topics;

use super::world::{Paper, World, close, papers};

#[tokio::test(start_paused = true)]
async fn replaying_everything_changes_nothing_and_embeds_nothing() {
    let mut all = papers(3);
    all.push(Paper::about("rules.md", 1, "berth four"));
    all.push(Paper::about("rules.md", 2, "berth nine"));
    let world = World::undisturbed(&all).await;
    let before = world.contents();
    let embedded = world.embedder.embedded().len();
    let told = world.completions().len();
    let parts = world.bus.read(topics::PARTS).unwrap().len();

    for stage in topology() {
        world.bus.rewind(&group_of(stage.name));
    }
    let pipeline = world.start();
    world.quiet().await;
    close(pipeline).await;

    assert_eq!(
        world.bus.read(topics::PARTS).unwrap().len(),
        2 * parts,
        "all was done again"
    );
    assert_eq!(world.contents(), before);
    assert_eq!(world.embedder.embedded().len(), embedded);
    assert_eq!(world.completions().len(), told, "nobody is told twice");
    world.assert_no_letters();
    world.sound().await;
}

/// A replay of the first stage alone, while a newer version of a document is visible.
#[tokio::test(start_paused = true)]
async fn replaying_split_leaves_nothing_of_older_versions() {
    let old = Paper::about("rules.md", 1, "berth four");
    let new = Paper::about("rules.md", 2, "berth nine");
    let world = World::undisturbed(&[old, new.clone()]).await;
    let before = world.contents();
    world.bus.rewind(&group_of("split"));
    let pipeline = world.start();
    world.quiet().await;
    close(pipeline).await;
    assert_eq!(world.contents(), before);
    assert_eq!(world.visible(&new), Some(2));
    world.sound().await;
}
