//! One consumer, each verdict.

use super::world::*;

#[tokio::test(start_paused = true)]
async fn every_verdict_ends_where_it_should() {
    let world = World::new(2);
    world.feed(
        2,
        &[
            Deed::Emit(3),
            Deed::Filter,
            Deed::Poison,
            Deed::Panic,
            Deed::Transient(2),
            Deed::BatchPoison,
            Deed::Emit(1),
        ],
    );
    world.garbage(0, Some(99));
    let summary = world.run_dry().await.unwrap();
    assert_eq!(
        world.outputs().into_iter().collect::<Vec<_>>(),
        [(0, 3), (4, 1), (6, 1)]
    );
    let dead: Vec<String> = world.dead().into_iter().map(|(_, class)| class).collect();
    assert_eq!(dead, ["panic", "poison", "poison", "undecodable"]);
    assert_eq!(summary.processed, 8);
    assert_eq!(summary.filtered, 1);
    assert_eq!(summary.dead_letters, 4);
}
