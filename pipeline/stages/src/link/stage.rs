use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Batch, BatchStage, Emit, Failure, Nothing, Verdict};
use penstock_schemas::{Chunk, Indexed};

use super::port::{GraphStore, Linked};
use super::rules::Rules;

/// Finds the entities that chunks mention and writes both into the graph, a batch at a time. Emits progress only.
pub struct Link {
    rules: Arc<Rules>,
    graph: Arc<dyn GraphStore>,
}

impl Link {
    pub fn new(rules: Arc<Rules>, graph: Arc<dyn GraphStore>) -> Self {
        Self { rules, graph }
    }
}

#[async_trait]
impl BatchStage for Link {
    type In = Indexed;
    type Out = Nothing;

    async fn process(&self, batch: &Batch<Indexed>) -> Result<Vec<Verdict<Nothing>>, Failure> {
        let chunks: Vec<Chunk> = batch.iter().map(|it| it.record.chunk.clone()).collect();
        let rules = self.rules.clone();
        // A batch costs tens of milliseconds of search: too long for a thread that others wait on.
        let search = tokio::task::spawn_blocking(move || {
            let rows = chunks.into_iter().map(|chunk| Linked {
                mentions: rules.find(&chunk.text),
                chunk,
            });
            rows.collect()
        });
        let rows = match search.await {
            Ok(rows) => rows,
            // The loop isolates a panic to the record that causes it.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => {
                return Err(Failure::transient(format!(
                    "the search for entities was stopped: {error}"
                )));
            }
        };
        self.graph.write(rows).await?;
        let done = batch
            .iter()
            .map(|input| Ok(Emit::done(input.record.chunk.chunk_guid)));
        Ok(done.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use penstock_runtime::{Input, Note};
    use penstock_schemas::{About, Lineage};
    use uuid::Uuid;

    use super::*;
    use crate::link::{ChunkRef, GraphCounts, Neighbour};
    use crate::scope::Scope;

    /// Remembers what was written, and fails as told.
    #[derive(Default)]
    struct Remembers {
        rows: Mutex<Vec<Linked>>,
        failure: Option<Failure>,
    }

    #[async_trait]
    impl GraphStore for Remembers {
        async fn write(&self, rows: Vec<Linked>) -> Result<(), Failure> {
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            self.rows
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(rows);
            Ok(())
        }
        async fn retain_chunks(&self, _: Uuid, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
            Ok(())
        }
        async fn show(&self, _: Uuid, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
            Ok(())
        }
        async fn drop_editions(&self, _: Uuid, _: &[Uuid]) -> Result<(), Failure> {
            Ok(())
        }
        async fn remove_chunks(&self, _: &[Uuid]) -> Result<(), Failure> {
            Ok(())
        }
        async fn remove_dangling(&self) -> Result<(), Failure> {
            Ok(())
        }
        async fn neighbours(&self, _: &[Uuid]) -> Result<Vec<Vec<Neighbour>>, Failure> {
            Ok(Vec::new())
        }
        async fn scroll(&self, _: Option<Uuid>, _: usize) -> Result<Vec<ChunkRef>, Failure> {
            Ok(Vec::new())
        }
        async fn dump(&self) -> Result<Vec<String>, Failure> {
            Ok(Vec::new())
        }
        async fn count_of(&self, _: &Scope) -> Result<u64, Failure> {
            Ok(0)
        }
        async fn counts(&self) -> Result<GraphCounts, Failure> {
            Ok(GraphCounts::default())
        }
        async fn health(&self) -> Result<String, Failure> {
            Ok(String::new())
        }
    }

    fn input(number: u128, text: &str) -> Input<Indexed> {
        let chunk = Chunk {
            lineage: Lineage {
                group: "default".into(),
                document_guid: Uuid::nil(),
                version: Uuid::nil(),
                edition: Uuid::nil(),
                stamped: 0,
            },
            part: 0,
            chunk_guid: Uuid::from_u128(number),
            ordinal: 0,
            text: text.into(),
            start_char: 0,
            end_char: 0,
            page_first: None,
            page_last: None,
            heading_path: Vec::new(),
            content_hash: String::new(),
            tokens: 1,
            about: About {
                source: "docs".into(),
                key: "a".into(),
                path: "a".into(),
                title: None,
                author: None,
                language: None,
                created_at: None,
                attributes: BTreeMap::new(),
            },
        };
        Input {
            record: Indexed {
                chunk,
                model: "m".into(),
            },
            headers: Vec::new(),
            partition: 0,
            offset: 0,
        }
    }

    #[tokio::test]
    async fn a_batch_is_one_write_and_every_chunk_is_done() {
        let graph = Arc::new(Remembers::default());
        let link = Link::new(Arc::new(Rules::built_in().unwrap()), graph.clone());
        let batch = [
            input(1, "Load LD-48213 is delayed."),
            input(2, "Nothing here."),
        ];
        let verdicts = link.process(&batch).await.unwrap();
        let done: Vec<Vec<Uuid>> = verdicts
            .into_iter()
            .map(|verdict| match verdict.unwrap().note {
                Note::Outputs { ids, .. } => ids,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(done, [vec![Uuid::from_u128(1)], vec![Uuid::from_u128(2)]]);
        let rows = graph.rows.lock().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].mentions[0].normal_form, "LD-48213");
        assert_eq!(rows[0].mentions[0].fields["status"], "delayed");
        assert!(rows[1].mentions.is_empty());
    }

    #[tokio::test]
    async fn what_the_graph_refuses_is_the_verdict_on_the_batch() {
        let failure = Failure::transient("graph is busy");
        let graph = Remembers {
            failure: Some(failure.clone()),
            ..Remembers::default()
        };
        let link = Link::new(Arc::new(Rules::built_in().unwrap()), Arc::new(graph));
        let refused = link.process(&[input(1, "x")]).await.unwrap_err();
        assert_eq!(refused, failure);
    }
}
