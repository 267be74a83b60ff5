//! Counts what stages emit, for the summary of `ingest`.

use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Batch, BatchStage, Emit, Failure, Gauge, Verdict};
use penstock_schemas::Lineage;
use penstock_stages::embed::EmbedCounters;

/// Work done by this process.
#[derive(Debug, Default)]
pub struct Counters {
    pub pages: Gauge,
    pub chunks: Gauge,
    pub embed: Arc<EmbedCounters>,
}

/// A stage whose outputs are looked at on their way.
pub struct Counted<S, F> {
    stage: S,
    look: F,
}

impl<S: BatchStage, F: Fn(&S::Out) + Send + Sync + 'static> Counted<S, F> {
    pub fn new(stage: S, look: F) -> Self {
        Self { stage, look }
    }
}

#[async_trait]
impl<S: BatchStage, F: Fn(&S::Out) + Send + Sync + 'static> BatchStage for Counted<S, F> {
    type In = S::In;
    type Out = S::Out;

    fn cost(&self, input: &Self::In) -> u64 {
        self.stage.cost(input)
    }

    fn lineage(&self, input: &Self::In) -> Option<Lineage> {
        self.stage.lineage(input)
    }

    async fn process(&self, batch: &Batch<Self::In>) -> Result<Vec<Verdict<Self::Out>>, Failure> {
        let verdicts = self.stage.process(batch).await?;
        for emit in verdicts.iter().flatten() {
            emit.outputs.iter().for_each(&self.look);
        }
        Ok(verdicts)
    }

    async fn assigned(&self, partitions: &[i32]) -> Result<(), Failure> {
        self.stage.assigned(partitions).await
    }

    async fn tick(&self) -> Result<Vec<Emit<Self::Out>>, Failure> {
        self.stage.tick().await
    }
}
