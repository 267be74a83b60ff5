//! Members come and go in the middle of the work; the result is that of an undisturbed run.

use std::time::Duration;

use penstock::pipeline::{group_of, topology};
use penstock_schemas::Completion;

use super::world::{World, close, papers};

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_change_nothing() {
    let papers = papers(10);
    let calm = World::undisturbed(&papers).await;
    let whole = calm.age();

    let world = World::new();
    for faults in [
        &world.vectors.faults,
        &world.graph.faults,
        &world.embedder.faults,
    ] {
        faults.set_delay(Duration::from_millis(40));
    }
    world.bus.set_produce_delay(Duration::from_millis(5));
    let mut members = vec![world.start()];
    world.send_all(&papers).await;
    for turn in 1..=8 {
        let age = turn * whole / 10;
        world
            .until("a moment in the middle", |world| {
                world.age() >= age || world.is_quiet()
            })
            .await;
        match turn % 4 {
            1 => members.push(world.start()),
            2 => rebalance(&world),
            3 => members.push(world.start()),
            _ => close(members.remove(0)).await,
        }
    }
    world.quiet().await;
    for member in members {
        close(member).await;
    }
    world.assert_no_letters();
    assert_eq!(world.sound().await, papers.len() as u64);
    for paper in &papers {
        let outcomes = world.outcomes(paper);
        assert_eq!(
            outcomes.last(),
            Some(&(1, Completion::Visible)),
            "{}",
            paper.key
        );
    }
    assert_eq!(world.contents(), calm.contents());
}

/// A member alone loses all its partitions and gets them back, again and again.
#[tokio::test(start_paused = true)]
async fn partitions_that_come_back_are_taken_up_where_they_were_left() {
    let papers = papers(5);
    let calm = World::undisturbed(&papers).await;
    let world = World::new();
    world.vectors.faults.set_delay(Duration::from_millis(40));
    let member = world.start();
    world.send_all(&papers).await;
    for turn in 1..10 {
        let age = turn * calm.age() / 10;
        world
            .until("a moment in the middle", |world| {
                world.age() >= age || world.is_quiet()
            })
            .await;
        rebalance(&world);
    }
    world.quiet().await;
    close(member).await;
    world.assert_no_letters();
    world.sound().await;
    assert_eq!(world.contents(), calm.contents());
}

fn rebalance(world: &World) {
    for stage in topology() {
        world.bus.rebalance(&group_of(stage.name));
    }
}
