//! Broken off at any moment and started again: the stores end as if nothing had happened.

use std::collections::BTreeSet;
use std::time::Duration;

use penstock::pipeline::group_of;
use penstock_schemas::{Completion, topics};
use penstock_tests::{assert_same, moments};

use super::world::{Paper, World, close, header, papers};

/// New documents, an update, and an older version that comes late.
fn history() -> Vec<Paper> {
    let mut all = papers(3);
    all.push(Paper::about("rules.md", 1, "berth four"));
    all.push(Paper::about("rules.md", 3, "berth nine"));
    all.push(Paper::about("rules.md", 2, "berth six"));
    all
}

/// Waits for quiet. A record that chance has struck three times while it ran alone looks as if it killed its process: such
/// letters are put back, as an operator would. Returns how many.
async fn quiet_but_for_the_wrongly_accused(world: &World) -> usize {
    let place =
        |letter: &_| ["dlq.topic", "dlq.partition", "dlq.offset"].map(|it| header(letter, it));
    let mut put_back = BTreeSet::new();
    loop {
        let unheard = |world: &World| {
            let letters = world.letters().into_iter();
            letters
                .filter(|it| !put_back.contains(&place(it)))
                .collect::<Vec<_>>()
        };
        world
            .until("quiet", |world| {
                !unheard(world).is_empty() || world.is_quiet()
            })
            .await;
        let letters = unheard(world);
        if letters.is_empty() {
            return put_back.len();
        }
        for letter in letters {
            assert_eq!(header(&letter, "dlq.class"), "killed", "{letter:?}");
            // The same may have been told twice.
            if put_back.insert(place(&letter)) {
                world.redrive(&letter);
            }
        }
    }
}

async fn check(seed: u64) {
    const CRASHES: usize = 6;
    let papers = history();
    let calm = World::undisturbed(&papers).await;
    let mut world = World::new();
    for policy in world.policies.every() {
        // Some crashes then fall behind a commit, some before it.
        policy.commit_every = Duration::from_millis(10);
    }
    for faults in [
        &world.vectors.faults,
        &world.graph.faults,
        &world.blobs.faults,
        &world.cache.faults,
    ] {
        faults.set_delay(Duration::from_millis(4));
    }
    world.bus.set_produce_delay(Duration::from_millis(20));
    world.send_all(&papers).await;
    let mut crashes = 0;
    for moment in moments(seed).take(CRASHES) {
        let pipeline = world.start();
        let age = world.age() + 1 + (moment * calm.age() as f64 / 4.0) as usize;
        world
            .until("the moment of the crash", |world| {
                world.age() >= age || world.is_quiet()
            })
            .await;
        crashes += usize::from(!world.is_quiet());
        drop(pipeline);
    }
    assert!(
        crashes > 2,
        "seed {seed}: only {crashes} crashes in the middle of the work"
    );
    let pipeline = world.start();
    let put_back = quiet_but_for_the_wrongly_accused(&world).await;
    close(pipeline).await;
    world.sound().await;
    for paper in &papers[..3] {
        let outcomes = world.outcomes(paper);
        let visible = |it: &(u128, Completion)| *it == (1, Completion::Visible);
        assert!(
            outcomes.last().is_some_and(visible),
            "seed {seed}: nobody was told of {}",
            paper.key
        );
        assert!(put_back > 0 || outcomes.iter().all(visible));
    }
    assert_eq!(world.visible(&papers[3]), Some(3));
    assert_same(&calm.contents(), &world.contents());
    // A crash may leave a manifest behind that nothing names; the daily collection takes it.
    let (left, expected) = (world.collect().await, calm.collect().await);
    assert_eq!(left, expected, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn crashes_leave_no_trace() {
    check(1).await;
}

#[tokio::test(start_paused = true)]
async fn crashes_at_other_moments_leave_no_trace() {
    check(2).await;
}

#[tokio::test(start_paused = true)]
async fn crashes_at_still_other_moments_leave_no_trace() {
    check(3).await;
}

/// The ledger has it that there is something to sweep, and then nobody is there to do it.
#[tokio::test(start_paused = true)]
async fn what_came_late_is_swept_after_a_crash() {
    let new = Paper::about("rules.md", 2, "berth nine");
    let old = Paper::about("rules.md", 1, "berth four");
    let world = World::undisturbed(std::slice::from_ref(&new)).await;
    let before = world.contents();
    let pipeline = world.start();
    world.send(&old).await;
    let linked = |world: &World| {
        let progress = world.bus.read(topics::PROGRESS).unwrap();
        let mut of_old = progress
            .iter()
            .filter(|it| it.lineage.version.as_u128() == 1);
        of_old.any(|it| it.stage == "link")
    };
    world.until("all of it is written", linked).await;
    world.vectors.faults.set_down(true);
    let settle = group_of("settle");
    world.bus.caught_up(&settle, topics::PROGRESS.name()).await;
    drop(pipeline);
    assert!(
        world.contents().len() > before.len(),
        "it was swept before the crash"
    );

    world.vectors.faults.set_down(false);
    let pipeline = world.start();
    world.quiet().await;
    // Until settle has started nothing tells a ledger with nothing to do from one nobody has read.
    tokio::time::sleep(Duration::from_secs(5)).await;
    close(pipeline).await;
    assert_eq!(world.contents(), before);
    world.sound().await;
}
