use penstock_stages::link::GraphCounts;

use super::*;

pub(crate) async fn a_newer_edition_replaces_an_older_one_and_never_the_other_way(
    world: &mut dyn World,
) {
    let graph = world.graph();
    let old = edition(
        "a.md",
        1,
        &[
            &[
                ("Driver", "Maria Keller", "status=active"),
                ("Load", LOAD, ""),
            ],
            &[],
            &[],
        ],
    );
    let new = edition(
        "a.md",
        2,
        &[&[("Driver", "Maria Keller", "employee_id=EMP-1042")], &[]],
    );
    old.put(graph).await;
    old.show(graph).await;
    new.put(graph).await;
    assert_eq!(
        fields(graph, "Maria Keller").await.unwrap(),
        "status=active",
        "an invisible mention states nothing"
    );

    let document = new.lineage.document_guid;
    graph
        .show(document, new.lineage.edition, &new.ids())
        .await
        .unwrap();
    let visible: Vec<Uuid> = graph
        .scroll(None, 100)
        .await
        .unwrap()
        .iter()
        .filter(|it| it.visible)
        .map(|it| it.edition)
        .collect();
    assert_eq!(
        visible,
        vec![new.lineage.edition; 2],
        "never two editions at once"
    );
    assert_eq!(
        fields(graph, "Maria Keller").await.unwrap(),
        "employee_id=EMP-1042"
    );
    assert_eq!(fields(graph, LOAD).await, None);

    let before = graph.dump().await.unwrap();
    graph
        .show(document, old.lineage.edition, &old.ids())
        .await
        .unwrap();
    assert_eq!(
        graph.dump().await.unwrap(),
        before,
        "an older edition is not shown over a newer one"
    );
    graph
        .drop_editions(document, &[old.lineage.edition])
        .await
        .unwrap();
    assert_eq!(graph.dump().await.unwrap(), before);
    // Source, document, section, 2 chunks, 1 entity.
    assert_eq!(graph.counts().await.unwrap().nodes, 6);
}

pub(crate) async fn what_the_last_run_does_not_name_is_swept(world: &mut dyn World) {
    let graph = world.graph();
    let it = edition(
        "a.md",
        1,
        &[
            &[("Load", LOAD, "status=open")],
            &[("Load", "LD-00001", "")],
            &[],
        ],
    );
    it.put(graph).await;
    let (document, edition, ids) = (it.lineage.document_guid, it.lineage.edition, it.ids());
    graph.show(document, edition, &ids).await.unwrap();
    for _ in 0..2 {
        graph
            .retain_chunks(document, edition, &ids[1..])
            .await
            .unwrap();
        assert_eq!(fields(graph, LOAD).await, None, "its only mention is gone");
        let counts = graph.counts().await.unwrap();
        // Source, document, section, 2 chunks, 1 entity; FROM, 1 + 2 PART_OF, NEXT, MENTIONS.
        assert_eq!(
            counts,
            GraphCounts {
                nodes: 6,
                edges: 6,
                dangling: 0,
                entities: 1
            }
        );
    }
    graph.retain_chunks(document, edition, &[]).await.unwrap();
    assert_eq!(graph.counts().await.unwrap(), GraphCounts::default());
    graph.show(document, edition, &ids).await.unwrap();
    assert_eq!(
        graph.counts().await.unwrap(),
        GraphCounts::default(),
        "showing what is gone brings nothing back"
    );
}

pub(crate) async fn two_editions_of_one_version_do_not_mix(world: &mut dyn World) {
    let graph = world.graph();
    let first = edition_by("small chunks", "a.md", 1, &[&[("Load", LOAD, "status=a")]]);
    let mut second = edition_by("large chunks", "a.md", 1, &[&[("Load", LOAD, "status=b")]]);
    for row in &mut second.rows {
        row.chunk.lineage.stamped = 2;
    }
    first.put(graph).await;
    second.put(graph).await;
    second.show(graph).await;
    assert_eq!(fields(graph, LOAD).await.unwrap(), "status=b");
    // Late writes of the superseded edition stay unseen, and are swept.
    first.put(graph).await;
    graph
        .show(
            first.lineage.document_guid,
            first.lineage.edition,
            &first.ids(),
        )
        .await
        .unwrap();
    assert_eq!(fields(graph, LOAD).await.unwrap(), "status=b");
    graph
        .drop_editions(first.lineage.document_guid, &[first.lineage.edition])
        .await
        .unwrap();
    assert_eq!(graph.scroll(None, 9).await.unwrap().len(), 1);
}

pub(crate) async fn the_newest_version_states_a_field_in_any_order(world: &mut dyn World) {
    let old = edition(
        "a.md",
        1,
        &[&[("Load", LOAD, "status=planned,pickup_location=Ulm")]],
    );
    let new = edition("b.md", 2, &[&[("Load", LOAD, "status=delivered")]]);
    for order in [[&old, &new], [&new, &old]] {
        world.empty().await;
        let graph = world.graph();
        for it in order {
            it.put(graph).await;
        }
        for it in order {
            it.show(graph).await;
        }
        assert_eq!(
            fields(graph, LOAD).await.unwrap(),
            "pickup_location=Ulm,status=delivered"
        );
        graph
            .drop_editions(new.lineage.document_guid, &[new.lineage.edition])
            .await
            .unwrap();
        assert_eq!(
            fields(graph, LOAD).await.unwrap(),
            "pickup_location=Ulm,status=planned"
        );
        graph
            .drop_editions(old.lineage.document_guid, &[old.lineage.edition])
            .await
            .unwrap();
        assert_eq!(
            graph.counts().await.unwrap(),
            GraphCounts::default(),
            "nothing is left behind"
        );
    }
}

/// What settle and link do to one document, in their order.
#[derive(Clone, Copy)]
enum Step {
    /// One row of an edition.
    Write(usize, usize),
    /// Sweep what the run does not name, show, sweep older editions.
    Show(usize),
}

/// Steps of two documents with two editions each, interleaved at random; a step may be done again at once, and writes of
/// the old edition may come again late, as replays do.
pub(crate) async fn any_interleaving_and_any_replay_gives_the_same_graph(world: &mut dyn World) {
    let status = |value: &'static str| [("Load", LOAD, value)];
    let (planned, open, delivered) = (
        status("status=planned"),
        status("status=open"),
        status("status=delivered"),
    );
    let editions = [
        [
            edition("a.md", 1, &[&planned, &[], &open]),
            edition("a.md", 3, &[&[], &open]),
        ],
        [
            edition("b.md", 2, &[&open, &planned]),
            edition(
                "b.md",
                4,
                &[&[("Driver", "Ann Lee", "name=Ann Lee")], &delivered],
            ),
        ],
    ];
    let mut expected = None;
    for seed in 0..world.rounds() {
        let mut random = seed;
        let mut pick = |below: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        world.empty().await;
        let graph = world.graph();
        let mut left: Vec<Vec<Step>> = Vec::new();
        for document in &editions {
            let mut steps = Vec::new();
            for (number, edition) in document.iter().enumerate() {
                steps.extend((0..edition.rows.len()).map(|row| Step::Write(number, row)));
                steps.push(Step::Show(number));
            }
            steps.reverse();
            left.push(steps);
        }
        while left.iter().any(|steps| !steps.is_empty()) {
            let document = pick(2);
            let Some(step) = left[document].pop() else {
                continue;
            };
            let late = Step::Write(0, 0);
            // The first run is the straight one.
            let again = if seed == 0 { 1 } else { 1 + pick(2) };
            for _ in 0..again {
                do_step(graph, &editions[document], step).await;
            }
            if matches!(step, Step::Show(1)) && again == 2 {
                do_step(graph, &editions[document], late).await;
                let oldest = &editions[document][0].lineage;
                graph
                    .drop_editions(oldest.document_guid, &[oldest.edition])
                    .await
                    .unwrap();
            }
        }
        let found = (graph.dump().await.unwrap(), graph.counts().await.unwrap());
        assert_eq!(found.1.dangling, 0);
        assert_eq!(
            &found,
            expected.get_or_insert_with(|| found.clone()),
            "with seed {seed}"
        );
    }
}

async fn do_step(graph: &dyn GraphStore, editions: &[Edition; 2], step: Step) {
    match step {
        Step::Write(edition, row) => graph
            .write(vec![editions[edition].rows[row].clone()])
            .await
            .unwrap(),
        Step::Show(edition) => editions[edition].show(graph).await,
    }
}
