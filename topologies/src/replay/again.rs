//! The log as the stage of a replay sees it.

use std::sync::Arc;

use async_trait::async_trait;
use penstock_runtime::{Backlog, Failure, Record, Sink, Source, Trails, Until};
use penstock_schemas::Codec;
use penstock_stages::settle::LedgerLog;

use super::plan::Plan;
use crate::pipeline::{Parts, group_of};
use crate::streams::{Stand, Streams};

struct Again {
    log: Arc<dyn Streams>,
    plan: Plan,
}

/// What the plan's stage is built from, beside the live stages of `parts`: behind them, in a group of its own, up to the
/// plan's ends.
pub fn again(parts: &Parts, plan: &Plan) -> Result<Parts, Failure> {
    let streams = Arc::new(Again {
        log: parts.streams.clone(),
        plan: plan.clone(),
    });
    let mut parts = parts
        .beside(streams)?
        .only(std::slice::from_ref(&plan.stage));
    parts.policies = parts.policies.behind();
    for gauges in parts.gauges.values() {
        // Nothing is begun before it is known how the live stage is doing.
        gauges.set_downstream(Backlog::of(u64::MAX / 2));
    }
    Ok(parts)
}

#[async_trait]
impl Trails for Again {
    async fn records(&self, topic: &str) -> Result<Vec<Record>, Failure> {
        self.log.records(topic).await
    }
}

#[async_trait]
impl Streams for Again {
    fn codec(&self) -> &Codec {
        self.log.codec()
    }

    fn group(&self, _stage: &str) -> String {
        self.plan.group()
    }

    fn source(&self, group: &str, topic: &str) -> Result<Box<dyn Source>, Failure> {
        let inner = self.log.source(group, topic)?;
        let bounded = Until::new(inner, self.plan.ends(), self.plan.wanted());
        Ok(Box::new(bounded))
    }

    fn sink(&self) -> Result<Arc<dyn Sink>, Failure> {
        self.log.sink()
    }

    fn ledger(&self) -> Arc<dyn LedgerLog> {
        self.log.ledger()
    }

    /// That of the group downstream, or of the live group beside it where more waits: live records come first.
    async fn stand(&self, group: &str, topic: &str) -> Result<Stand, Failure> {
        let downstream = self.log.stand(group, topic).await?;
        let live = group_of(&self.plan.stage);
        let live = self.log.stand(&live, &self.plan.topic).await?;
        Ok(Stand {
            waiting: downstream.waiting.max(live.waiting),
            ..downstream
        })
    }
}
