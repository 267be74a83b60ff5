//! Many at once, on the same nodes.

use std::sync::Arc;

use penstock_stages::link::Linked;
use tokio::task::JoinSet;

use super::*;
use crate::graph::tests::Edition;

const WRITERS: usize = 4;

/// Documents that all mention the same few entities.
fn entangled(documents: usize, version: u64) -> Vec<Edition> {
    let names: Vec<String> = (0..12).map(|number| format!("LD-{number:05}")).collect();
    let all = (0..documents).map(|document| {
        let mentions: Vec<Vec<(&str, &str, &str)>> = (0..6)
            .map(|chunk| {
                // Each in an order of its own.
                let mut order: Vec<usize> = (0..names.len()).collect();
                order.rotate_left((document * 5 + chunk * 7) % names.len());
                let mentions = order
                    .iter()
                    .map(|at| ("Load", names[*at].as_str(), "status=s"));
                mentions.collect()
            })
            .collect();
        let mentions: Vec<&[(&str, &str, &str)]> = mentions.iter().map(Vec::as_slice).collect();
        edition(&format!("{document}.md"), version, &mentions)
    });
    all.collect()
}

/// Writes `batches`, several at once; every one must get through.
async fn write_at_once(graph: &Arc<Neo4j>, batches: Vec<Vec<Linked>>) {
    let mut writers = JoinSet::new();
    let batches = Arc::new(std::sync::Mutex::new(batches));
    for _ in 0..WRITERS {
        let (graph, batches) = (graph.clone(), batches.clone());
        writers.spawn(async move {
            loop {
                let Some(batch) = batches.lock().unwrap().pop() else {
                    return;
                };
                graph.write(batch).await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_the_same_entities_all_get_through() {
    let world = world();
    let graph = Arc::new(Neo4j::open(&config(&world.server.address())).unwrap());
    let documents = entangled(40, 1);
    // Each batch of the documents' chunks is written twice, at about the same time.
    let batches: Vec<Vec<Linked>> = documents
        .chunks(5)
        .flat_map(|some| {
            let rows: Vec<Linked> = some.iter().flat_map(|it| it.rows.clone()).collect();
            let rows: Vec<Vec<Linked>> = rows.chunks(12).map(<[Linked]>::to_vec).collect();
            rows.into_iter()
                .flat_map(|it| [it.clone(), it])
                .collect::<Vec<_>>()
        })
        .collect();
    write_at_once(&graph, batches).await;
    eprintln!("{} transactions were begun again", graph.retries());
    let counts = graph.counts().await.unwrap();
    // 40 documents, a section and 6 chunks each, 12 entities, a source; FROM, PART_OF of 7, MENTIONS of 6 × 12.
    assert_eq!(counts.nodes, 40 * 8 + 12 + 1);
    assert_eq!(counts.edges, 40 * (1 + 7 + 72));
    assert_eq!(counts.dangling, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn showing_sweeping_and_writing_at_once_gives_the_graph_of_one_after_the_other() {
    let world = world();
    let graph = Arc::new(Neo4j::open(&config(&world.server.address())).unwrap());
    let (old, new) = (entangled(16, 1), entangled(16, 2));
    for it in &old {
        it.put(&*graph).await;
        it.show(&*graph).await;
    }
    for it in &new {
        it.put(&*graph).await;
        it.show(&*graph).await;
    }
    let expected = (graph.dump().await.unwrap(), graph.counts().await.unwrap());

    wipe(&world.server.address()).await;
    let mut tasks = JoinSet::new();
    for (old, new) in old.into_iter().zip(new) {
        let graph = graph.clone();
        tasks.spawn(async move {
            for it in [&old, &new] {
                it.put(&*graph).await;
                let (document, edition) = (it.lineage.document_guid, it.lineage.edition);
                graph.show(document, edition, &it.ids()).await.unwrap();
                // A replay, while others are shown.
                it.put(&*graph).await;
            }
            graph
                .drop_editions(old.lineage.document_guid, &[old.lineage.edition])
                .await
                .unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    eprintln!("{} transactions were begun again", graph.retries());
    let found = (graph.dump().await.unwrap(), graph.counts().await.unwrap());
    assert_eq!(found, expected);
}
