//! What the world does wrong for a while is waited out: nothing is dead-lettered, nothing is lost.

use std::time::Duration;

use penstock_runtime::Failure;
use penstock_runtime::bus::ProduceFault;
use penstock_schemas::Completion;
use penstock_tests::fakes::Faults;

use super::world::{Paper, World, close, papers};

/// Everything is as if nothing had happened.
async fn assert_unharmed(world: &World, papers: &[Paper]) {
    world.assert_no_letters();
    assert_eq!(world.sound().await, papers.len() as u64);
    for paper in papers {
        assert_eq!(
            world.outcomes(paper),
            [(1, Completion::Visible)],
            "{}",
            paper.key
        );
    }
    assert_eq!(
        world.contents(),
        World::undisturbed(papers).await.contents()
    );
}

async fn check_outage(faults: impl Fn(&World) -> &Faults) {
    let papers = papers(4);
    let world = World::new();
    let pipeline = world.start();
    faults(&world).set_down(true);
    world.send_all(&papers).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let (_, failed) = faults(&world).counts();
    // Retried, but by probes: not once for each record and moment.
    assert!(
        (3..100).contains(&failed),
        "{failed} attempts in a hundred seconds"
    );
    assert!(world.ledger().values().all(|entry| entry.visible.is_none()));
    world.assert_no_letters();
    faults(&world).set_down(false);
    world.quiet().await;
    close(pipeline).await;
    assert_unharmed(&world, &papers).await;
}

#[tokio::test(start_paused = true)]
async fn a_vector_store_that_is_down_is_waited_for() {
    check_outage(|world| &world.vectors.faults).await;
}

#[tokio::test(start_paused = true)]
async fn a_graph_that_is_down_is_waited_for() {
    check_outage(|world| &world.graph.faults).await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_out_of_memory_is_waited_for() {
    check_outage(|world| &world.embedder.faults).await;
}

/// A call in five fails, before its work or after it, and the log stumbles too.
#[tokio::test(start_paused = true)]
async fn stores_that_stumble_lose_nothing() {
    let papers = papers(6);
    let mut world = World::new();
    for policy in world.policies.every() {
        // With luck as bad as here a record may fail so often that it is given up; that is another test's.
        policy.retry.exhausted_after = u64::MAX;
    }
    let busy = || Failure::transient("leader election");
    let stumble = [
        ProduceFault::Refused(busy()),
        ProduceFault::None,
        ProduceFault::Partly(1, busy()),
        ProduceFault::None,
        ProduceFault::AckLost(busy()),
    ];
    world
        .bus
        .fail_produce(std::iter::repeat_n(stumble, 8).flatten());
    world.bus.fail_commit([busy(), busy(), busy()]);
    let pipeline = world.start();
    for faults in [
        &world.vectors.faults,
        &world.graph.faults,
        &world.cache.faults,
    ] {
        faults.refuse_every(7);
        faults.lose_every(11);
    }
    world.send_all(&papers).await;
    world.quiet().await;
    close(pipeline).await;
    for faults in [
        &world.vectors.faults,
        &world.graph.faults,
        &world.cache.faults,
    ] {
        faults.refuse_every(0);
        faults.lose_every(0);
    }
    world.assert_no_letters();
    assert_eq!(world.sound().await, papers.len() as u64);
    for paper in &papers {
        // Told at least once: an answer of the log that was lost is sent again.
        let outcomes = world.outcomes(paper);
        assert!(!outcomes.is_empty(), "{}: nobody was told", paper.key);
        assert!(
            outcomes.iter().all(|it| *it == (1, Completion::Visible)),
            "{outcomes:?}"
        );
    }
    assert_eq!(
        world.contents(),
        World::undisturbed(&papers).await.contents()
    );
}

/// A step of settle that fails for one document takes nothing away from the others of the same tick.
#[tokio::test(start_paused = true)]
async fn every_document_is_told_of_though_steps_fail() {
    let papers = papers(8);
    let world = World::new();
    let pipeline = world.start();
    world.send_all(&papers).await;
    world
        .until("all is in the stores", |world| {
            let linked = |entry: &penstock_schemas::LedgerEntry| {
                entry.visible.is_some() || entry.open.iter().any(|it| !it.linked.is_empty())
            };
            let ledger = world.ledger();
            ledger.len() == papers.len() && ledger.values().all(linked)
        })
        .await;
    world.graph.faults.refuse_every(4);
    world.quiet().await;
    world.graph.faults.refuse_every(0);
    close(pipeline).await;
    assert_unharmed(&world, &papers).await;
}
