use std::time::Instant;

use super::super::{apply, check, declared, state, undo};
use super::{of_texts, on_neo4j};

#[test]
fn a_changed_or_missing_past_is_refused_and_nothing_done() {
    on_neo4j(|neo4j| async move {
        let migrations = declared().unwrap();
        apply(&neo4j.config, &migrations[..2]).await.unwrap();
        let schema = neo4j.schema().await;
        let refused = async |says: &[&str]| {
            let nodes = neo4j.nodes().await;
            let failure = apply(&neo4j.config, &migrations).await.unwrap_err();
            assert_eq!(failure.class(), "fatal");
            for says in says {
                assert!(failure.reason().contains(says), "{failure} lacks {says}");
            }
            let plan = state(&neo4j.config, &migrations).await.unwrap();
            assert!(
                plan.refused
                    .is_some_and(|it| failure.reason().contains(&it))
            );
            check(&neo4j.config).await.unwrap_err();
            assert_eq!(neo4j.schema().await, schema);
            assert_eq!(neo4j.nodes().await, nodes);
        };
        neo4j
            .run("MATCH (v:SchemaVersion {version: 2}) SET v.checksum = 'abc'")
            .await;
        refused(&["V002__entity_indexes", "abc", &migrations[1].checksum]).await;
        let moved = format!(
            "MATCH (v:SchemaVersion {{version: 2}}) SET v.version = 3, v.checksum = '{}'",
            migrations[2].checksum
        );
        neo4j.run(&moved).await;
        refused(&["V002__entity_indexes", "out of order"]).await;
    });
}

#[test]
fn what_only_the_server_can_refuse_is_refused_before_the_first_statement() {
    on_neo4j(|neo4j| async move {
        let good = "CREATE INDEX a IF NOT EXISTS FOR (n:N) ON (n.x);\n";
        for (bad, line) in [
            ("CREATE INDEX b IF NOT EXISTS FOR n:N ON (n.x);", 2),
            (
                "CREATE CONSTRAINT b IF NOT EXISTS FOR (n:N) REQUIRE n.x IS UNIK;",
                2,
            ),
            (
                "CREATE CONSTRAINT b IF NOT EXISTS FOR (n:N) REQUIRE IS UNIQUE;",
                2,
            ),
            ("CREATE TEXT INDEX b IF NOT EXISTS FOR (n:N) ON (n.x;", 2),
            (
                "CREATE FULLTEXT INDEX b IF NOT EXISTS FOR (n:N) ON [n.x];",
                2,
            ),
            ("CREATE INDEX b IF NOT EXISTS FOR (n:N) ON (m.x);", 2),
            ("MATCH (n:N) SET n.x = ;", 2),
            ("MATCH (n:N\n) RETRUN n;", 3),
            ("MATCH (n:N) SET m.x = 1;", 2),
            ("CALL db.no.such.procedure();", 2),
        ] {
            let text = format!("{good}{bad}");
            let failure = apply(&neo4j.config, &of_texts(&[good, &text]))
                .await
                .expect_err(bad);
            assert_eq!(failure.class(), "fatal", "{failure}");
            let place = format!("folder/V002__m.cypher line {line}: ");
            assert!(
                failure.reason().starts_with(&place),
                "{failure}: not {place}"
            );
            assert!(neo4j.schema().await.is_empty(), "{bad} made an index");
            assert!(neo4j.nodes().await.is_empty(), "{bad} left a node");
        }
    });
}

#[test]
fn what_breaks_off_half_way_is_gone_on_with() {
    on_neo4j(|neo4j| async move {
        neo4j.run("UNWIND [1, 1] AS x CREATE (:N {x: x})").await;
        let migrations = of_texts(&["CREATE INDEX a IF NOT EXISTS FOR (n:N) ON (n.y);\n\
             CREATE CONSTRAINT b IF NOT EXISTS FOR (n:N) REQUIRE n.x IS UNIQUE;"]);
        let failure = apply(&neo4j.config, &migrations).await.unwrap_err();
        assert_eq!(failure.class(), "fatal", "{failure}");
        assert!(
            failure.reason().contains("folder/V001__m.cypher line 2: "),
            "{failure}"
        );
        assert_eq!(neo4j.schema().await.len(), 1);
        assert_eq!(
            state(&neo4j.config, &migrations)
                .await
                .unwrap()
                .pending
                .len(),
            1
        );

        neo4j.run("MATCH (n:N) WITH n LIMIT 1 DELETE n").await;
        assert_eq!(
            apply(&neo4j.config, &migrations).await.unwrap().steps.len(),
            1
        );
        assert_eq!(neo4j.schema().await.len(), 3);
        assert!(
            state(&neo4j.config, &migrations)
                .await
                .unwrap()
                .is_current()
        );
    });
}

#[test]
fn what_was_half_undone_counts_as_not_applied() {
    on_neo4j(|neo4j| async move {
        let migrations = declared().unwrap();
        apply(&neo4j.config, &migrations).await.unwrap();
        let schema = neo4j.schema().await;
        neo4j
            .run("MATCH (v:SchemaVersion {version: 3}) SET v.undoing = true")
            .await;
        neo4j.run("DROP INDEX chunk_document_edition").await;
        check(&neo4j.config).await.unwrap_err();
        let done = apply(&neo4j.config, &migrations).await.unwrap();
        assert_eq!(done.steps.len(), 1);
        assert_eq!(neo4j.schema().await, schema);
        // Or is undone to its end.
        neo4j
            .run("MATCH (v:SchemaVersion {version: 3}) SET v.undoing = true")
            .await;
        let undone = undo(&neo4j.config, &migrations, None).await.unwrap();
        assert_eq!(undone.steps[0].version, 3);
        let found = state(&neo4j.config, &migrations).await.unwrap();
        assert_eq!((found.applied.len(), found.pending.len()), (2, 1));
    });
}

#[test]
fn the_lock_of_a_process_that_died_does_not_stay() {
    on_neo4j(|neo4j| async move {
        let migrations = declared().unwrap();
        neo4j
            .run("CREATE (:SchemaLock {name: 'schema', owner: 'dead', expires_at: timestamp() + 1500})")
            .await;
        let start = Instant::now();
        let done = apply(&neo4j.config, &migrations).await.unwrap();
        assert_eq!(done.steps.len(), migrations.len());
        assert!(
            start.elapsed().as_millis() >= 1_000,
            "it was not waited for"
        );
        let owners = neo4j.lines("MATCH (l:SchemaLock) RETURN coalesce(l.owner, 'free') AS line");
        assert_eq!(owners.await, ["free"]);
    });
}

#[test]
fn the_same_under_another_name_is_not_taken_for_ours() {
    on_neo4j(|neo4j| async move {
        let migrations = of_texts(&["CREATE INDEX a IF NOT EXISTS FOR (n:N) ON (n.x);"]);
        neo4j.run("CREATE INDEX by_hand FOR (n:N) ON (n.x)").await;
        let failure = apply(&neo4j.config, &migrations).await.unwrap_err();
        assert_eq!(failure.class(), "fatal");
        assert!(failure.reason().contains("another name"), "{failure}");
        neo4j.run("DROP INDEX by_hand").await;
        assert_eq!(
            apply(&neo4j.config, &migrations).await.unwrap().steps.len(),
            1
        );
    });
}
