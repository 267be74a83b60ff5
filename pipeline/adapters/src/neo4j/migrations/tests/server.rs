use super::super::{State, apply, check, declared, plan_undo, state, undo};
use super::on_neo4j;

/// Nodes of every label, as the pipeline writes them.
const FILL: &str = "\
    UNWIND range(1, 200) AS i \
    CREATE (s:Source {source_guid: 's' + i, group_guid: 'g', name: 'source ' + i}) \
    CREATE (d:Document {document_guid: 'd' + i, group_guid: 'g', path: 'a/' + i + '.md', edition: 'e' + i})-[:FROM]->(s) \
    CREATE (h:Section {section_guid: 'h' + i, document_guid: 'd' + i, edition: 'e' + i, heading_path: ['A']})-[:PART_OF]->(d) \
    CREATE (c:Chunk {chunk_guid: 'c' + i, document_guid: 'd' + i, edition: 'e' + i, text: 'Acme', visible: true})-[:PART_OF]->(h) \
    CREATE (c)-[:MENTIONS]->(:Entity:Customer {entity_guid: 'n' + i, group_guid: 'g', label: 'Customer', \
        normal_form: 'acme ' + i, name: 'Acme ' + i})";

fn versions(state: &State) -> Vec<u32> {
    state.applied.iter().map(|it| it.version).collect()
}

#[test]
fn every_migration_goes_up_down_and_up_again() {
    on_neo4j(|neo4j| async move {
        let migrations = declared().unwrap();
        for fill in [None, Some(FILL)] {
            neo4j.empty().await;
            if let Some(fill) = fill {
                neo4j.run(fill).await;
            }
            let data = "MATCH (n) WHERE NOT n:SchemaVersion AND NOT n:SchemaLock \
                        WITH labels(n)[0] AS label, count(n) AS count RETURN label + toString(count) AS line ORDER BY line";
            let before = neo4j.lines(data).await;
            let mut stages = vec![neo4j.schema().await];
            for count in 1..=migrations.len() {
                let known = &migrations[..count];
                apply(&neo4j.config, known).await.unwrap();
                let up = neo4j.schema().await;
                let undone = undo(&neo4j.config, known, None).await.unwrap();
                assert_eq!(undone.steps.len(), 1);
                assert_eq!(
                    neo4j.schema().await,
                    stages[count - 1],
                    "V{count:03} undone"
                );
                apply(&neo4j.config, known).await.unwrap();
                assert_eq!(neo4j.schema().await, up, "V{count:03} again");
                assert!(up.len() > stages[count - 1].len());
                stages.push(up);
            }
            let plan = plan_undo(&neo4j.config, &migrations, Some(0))
                .await
                .unwrap();
            assert_eq!(plan.len(), migrations.len());
            undo(&neo4j.config, &migrations, Some(0)).await.unwrap();
            assert_eq!(neo4j.schema().await, stages[0]);
            apply(&neo4j.config, &migrations).await.unwrap();
            assert_eq!(neo4j.schema().await, stages[migrations.len()]);
            assert_eq!(neo4j.lines(data).await, before);
        }
    });
}

#[test]
fn what_is_applied_is_remembered_and_not_done_again() {
    on_neo4j(|neo4j| async move {
        let migrations = declared().unwrap();
        let planned = state(&neo4j.config, &migrations).await.unwrap();
        assert_eq!(planned.edition, "community");
        assert_eq!(planned.pending.len(), migrations.len());
        assert!(neo4j.nodes().await.is_empty(), "a plan writes nothing");
        assert!(neo4j.schema().await.is_empty(), "a plan makes nothing");

        let done = apply(&neo4j.config, &migrations).await.unwrap();
        assert_eq!(done.steps, planned.pending);
        // Marked ones are skipped with a word.
        assert!(!done.steps[0].skipped.is_empty());
        assert!(
            done.steps[0]
                .skipped
                .iter()
                .all(|it| it.contains("IS NOT NULL"))
        );
        let nodes = neo4j.nodes().await;
        let schema = neo4j.schema().await;

        let again = apply(&neo4j.config, &migrations).await.unwrap();
        assert_eq!(again, Default::default());
        assert_eq!((neo4j.nodes().await, neo4j.schema().await), (nodes, schema));
        let found = state(&neo4j.config, &migrations).await.unwrap();
        assert!(found.is_current());
        assert_eq!(versions(&found), [1, 2, 3]);
        for (applied, migration) in found.applied.iter().zip(&migrations) {
            assert_eq!(applied.checksum, migration.checksum);
            assert_eq!(applied.name, migration.name);
            assert!(applied.applied_at.starts_with("20") && applied.duration_ms >= 0);
        }
        assert_eq!(found.applied[0].skipped, done.steps[0].skipped.len() as i64);
    });
}

#[test]
fn of_two_at_once_the_second_finds_nothing_to_do() {
    on_neo4j(|neo4j| async move {
        let migrations = declared().unwrap();
        let one = || apply(&neo4j.config, &migrations);
        let all = tokio::join!(one(), one(), one());
        let steps = [all.0, all.1, all.2].map(|it| it.unwrap().steps.len());
        assert_eq!(steps.iter().sum::<usize>(), migrations.len(), "{steps:?}");
        let found = state(&neo4j.config, &migrations).await.unwrap();
        assert_eq!(versions(&found), [1, 2, 3]);
        assert!(found.is_current());
        let locks = neo4j.lines("MATCH (l:SchemaLock) RETURN coalesce(l.owner, 'free') AS line");
        assert_eq!(locks.await, ["free"]);
    });
}

#[test]
fn stages_are_told_what_is_missing_and_the_command() {
    on_neo4j(|neo4j| async move {
        let refused = async |says: &[&str]| {
            let failure = check(&neo4j.config).await.unwrap_err();
            assert_eq!(failure.class(), "fatal");
            for says in [says, &["penstock schema apply"]].concat() {
                assert!(failure.reason().contains(says), "{failure} lacks {says}");
            }
        };
        let migrations = declared().unwrap();
        refused(&["V001__initial_schema", "2 more"]).await;
        apply(&neo4j.config, &migrations[..2]).await.unwrap();
        refused(&["V003__document_indexes"]).await;
        apply(&neo4j.config, &migrations).await.unwrap();
        check(&neo4j.config).await.unwrap();

        // By hand.
        let schema = neo4j.schema().await;
        neo4j.run("DROP CONSTRAINT chunk_guid").await;
        refused(&["chunk_guid"]).await;
        let done = apply(&neo4j.config, &migrations).await.unwrap();
        assert_eq!(done.repaired, ["chunk_guid"]);
        assert_eq!(neo4j.schema().await, schema);
        check(&neo4j.config).await.unwrap();

        // A newer release was here.
        neo4j
            .run(
                "CREATE (:SchemaVersion {version: 4, name: 'later', checksum: 'c', applied_at: datetime(), \
                 duration_ms: 1, skipped: 0})",
            )
            .await;
        check(&neo4j.config).await.unwrap();
        let failure = undo(&neo4j.config, &migrations, None).await.unwrap_err();
        assert!(failure.reason().contains("another release"), "{failure}");
    });
}
