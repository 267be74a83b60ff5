use penstock_stages::link::GraphCounts;

use super::*;

pub(crate) async fn an_edition_is_seen_once_shown(world: &mut dyn World) {
    let graph = world.graph();
    let one = edition(
        "a.md",
        1,
        &[
            &[
                ("Load", LOAD, "status=delayed,load_number=LD-48213"),
                ("Date", "2025-03-14", ""),
            ],
            &[("Customer", "Alder & Finch", "name=Alder & Finch")],
            &[("Load", LOAD, "status=delivered")],
        ],
    );
    one.put(graph).await;
    assert_eq!(
        graph.dump().await.unwrap(),
        Vec::<String>::new(),
        "nothing is visible before show"
    );
    assert_eq!(
        graph.neighbours(&one.ids()).await.unwrap(),
        vec![vec![], vec![], vec![]]
    );
    let seen = graph.scroll(None, 10).await.unwrap();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter()
            .all(|chunk| !chunk.visible && chunk.edition == one.lineage.edition)
    );
    // Source, document, section, 3 chunks, 3 entities; FROM, 1 + 3 PART_OF, 4 MENTIONS.
    let counts = GraphCounts {
        nodes: 9,
        edges: 9,
        dangling: 0,
        entities: 0,
    };
    assert_eq!(graph.counts().await.unwrap(), counts);

    one.show(graph).await;
    let counts = GraphCounts {
        nodes: 9,
        edges: 11,
        dangling: 0,
        entities: 3,
    };
    assert_eq!(graph.counts().await.unwrap(), counts, "two NEXT more");
    assert_eq!(graph.dump().await.unwrap().len(), 20);
    assert_eq!(
        fields(graph, LOAD).await.unwrap(),
        "load_number=LD-48213,status=delayed",
        "the first place wins"
    );

    let ids = one.ids();
    let around = graph.neighbours(&[ids[1], Uuid::nil()]).await.unwrap();
    let around: Vec<Vec<String>> = around
        .iter()
        .map(|found| {
            found
                .iter()
                .map(|it| format!("{} {} {}", it.relation, it.label, it.name))
                .collect()
        })
        .collect();
    assert_eq!(
        around,
        vec![
            vec![
                "PART_OF Section Guide > Loading".to_owned(),
                format!(
                    "PART_OF Document {}",
                    one.rows[0].chunk.about.title.clone().unwrap()
                ),
                "FROM Source docs".into(),
                format!(
                    "NEXT Chunk {}…",
                    one.rows[0].chunk.text.chars().take(80).collect::<String>()
                ),
                format!("NEXT Chunk {}", one.rows[2].chunk.text),
                "MENTIONS Customer Alder & Finch".into(),
            ],
            vec![]
        ]
    );
}

pub(crate) async fn doing_a_thing_again_changes_nothing_and_it_outlives_the_process(
    world: &mut dyn World,
) {
    let one = edition("a.md", 1, &[&[("Load", LOAD, "status=delayed")], &[]]);
    let two = edition("b.md", 2, &[&[("Load", LOAD, "status=delivered")]]);
    let graph = world.graph();
    for it in [&one, &two] {
        it.put(graph).await;
        it.show(graph).await;
    }
    let before = (graph.dump().await.unwrap(), graph.counts().await.unwrap());
    world.reopen().await;
    let graph = world.graph();
    assert_eq!(
        (graph.dump().await.unwrap(), graph.counts().await.unwrap()),
        before
    );
    for it in [&two, &one] {
        it.put(graph).await;
        assert_eq!(
            (graph.dump().await.unwrap(), graph.counts().await.unwrap()),
            before,
            "a write lowers no visibility"
        );
        it.show(graph).await;
        assert_eq!(
            (graph.dump().await.unwrap(), graph.counts().await.unwrap()),
            before
        );
    }
}

pub(crate) async fn next_follows_the_order_and_passes_over_what_is_missing(world: &mut dyn World) {
    let graph = world.graph();
    let it = edition("a.md", 1, &[&[], &[], &[]]);
    it.put(graph).await;
    let ids = it.ids();
    let order = [ids[2], Uuid::from_u128(7), ids[0], ids[2], ids[1]];
    graph
        .show(it.lineage.document_guid, it.lineage.edition, &order)
        .await
        .unwrap();
    let lines = graph.dump().await.unwrap();
    let next: Vec<String> = lines
        .iter()
        .filter(|line| line.contains("\"NEXT\""))
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["properties"]["ids"]
                .to_string()
        })
        .collect();
    assert_eq!(
        next,
        [[ids[0], ids[1]], [ids[2], ids[0]]].map(|pair| serde_json::to_string(&pair).unwrap())
    );
}

pub(crate) async fn runs_over_the_same_documents_differ_only_in_what_depends_on_the_version(
    world: &mut dyn World,
) {
    let mentions: &[&[(&str, &str, &str)]] = &[
        &[("Load", LOAD, "status=a")],
        &[("Load", LOAD, "status=b")],
        &[("Load", LOAD, "status=c")],
    ];
    let mut dumps = Vec::new();
    for version in 1..6 {
        world.empty().await;
        let graph = world.graph();
        let it = edition("a.md", version, mentions);
        it.put(graph).await;
        it.show(graph).await;
        let lines = graph.dump().await.unwrap();
        dumps.push(lines.iter().map(|line| stable(line)).collect::<Vec<_>>());
    }
    assert!(
        dumps.windows(2).all(|pair| pair[0] == pair[1]),
        "{dumps:#?}"
    );
}

fn stable(line: &str) -> String {
    let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
    let properties = line["properties"].as_object_mut().unwrap();
    for name in ["ids", "edition", "version", "stamped"] {
        properties.remove(name);
    }
    if let Some(about) = properties.get_mut("about") {
        about["title"] = "".into();
    }
    line.to_string()
}

pub(crate) async fn pages_of_the_scroll_join_up(world: &mut dyn World) {
    let graph = world.graph();
    let it = edition("a.md", 1, [&[] as &[_]; 7].as_slice());
    it.put(graph).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = graph.scroll(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_guid);
        seen.extend(page.iter().map(|chunk| chunk.chunk_guid));
    }
    let mut expected = it.ids();
    expected.sort();
    assert_eq!(seen, expected);
}

pub(crate) async fn groups_never_meet(world: &mut dyn World) {
    let graph = world.graph();
    let ours = edition("a.md", 1, &[&[("Load", LOAD, "")]]);
    ours.put(graph).await;
    let mut theirs = edition("a.md", 2, &[&[("Load", LOAD, "")]]);
    for row in &mut theirs.rows {
        row.chunk.lineage.group = "other".into();
    }
    let refused = graph.write(theirs.rows.clone()).await.unwrap_err();
    assert_eq!(refused.class(), "poison", "{refused}");
    assert_eq!(
        graph.counts().await.unwrap().nodes,
        4,
        "a refused write leaves nothing"
    );
    // With an id of its own it is another document, and its load another entity.
    for row in &mut theirs.rows {
        row.chunk.lineage.document_guid = document_guid("other", "docs", "a.md");
    }
    graph.write(theirs.rows).await.unwrap();
    assert_eq!(graph.counts().await.unwrap().nodes, 8);
}
