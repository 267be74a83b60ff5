//! The loop. Nothing else commits, produces, retries or sleeps.

mod assignment;
mod begin;
mod care;
mod careful;
mod commit;
mod consumer;
mod delivered;
mod hear;
mod judge;
mod pauses;
mod work;

use std::sync::Arc;

use penstock_schemas::{Codec, Topic};
use tokio::time::{Instant, sleep_until};

use crate::gauges::{Gauges, Summary};
use crate::policy::Policy;
use crate::{Attempts, BatchStage, Failure, Route, Sink, Source, Stop};
use consumer::Consumer;

/// A stage between its topics.
pub struct Wiring<S: BatchStage, R> {
    /// Names the stage in progress, dead letters and logs.
    pub name: String,
    pub stage: S,
    pub from: Topic<S::In>,
    pub to: R,
    pub codec: Codec,
    /// Remembers which records were at work when a process was killed; none: nothing is remembered.
    pub attempts: Option<Attempts>,
}

/// Runs a stage until it is stopped, its source ends, or something is wrong that only people can mend.
///
/// A soft stop finishes what was taken, save what fails for a transient reason; a hard one abandons it. Either way what
/// is closed is committed, and the rest is read again by whoever comes next.
pub async fn run<S, R>(
    wiring: Wiring<S, R>,
    mut source: Box<dyn Source>,
    sink: Arc<dyn Sink>,
    policy: Policy,
    gauges: Arc<Gauges>,
    stop: Stop,
) -> Result<Summary, Failure>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    let before = gauges.summary();
    let mut consumer = Consumer::new(wiring, sink, policy, gauges.clone());
    let outcome = turn(&mut consumer, source.as_mut(), &stop).await;
    if outcome.is_err() {
        consumer.see_through().await;
    }
    consumer.leave(source.as_mut()).await;
    source.close().await;
    outcome.map(|()| gauges.summary() - before)
}

async fn turn<S, R>(
    consumer: &mut Consumer<S, R>,
    source: &mut dyn Source,
    stop: &Stop,
) -> Result<(), Failure>
where
    S: BatchStage,
    R: Route<S::Out>,
{
    let hard = stop.hardly();
    let soft = stop.softly();
    tokio::pin!(hard, soft);
    loop {
        let now = Instant::now();
        if stop.is_soft() {
            consumer.take_no_more(now);
        }
        consumer.let_go(source, now).await?;
        consumer.commit(source, now).await?;
        consumer.begin(now)?;
        consumer.pause(source, now)?;
        if consumer.is_done() {
            return Ok(());
        }
        let wake = consumer.wake_at(now);
        tokio::select! {
            biased;
            () = &mut hard => return Ok(()),
            () = &mut soft, if consumer.takes_more() => {}
            event = source.next(), if consumer.listens(now) => {
                consumer.hear(event)?;
                consumer.take_ready(source)?;
            }
            Some(done) = consumer.tasks.join_next() => consumer.judge(done)?,
            () = sleep_until(wake) => {}
        }
    }
}

#[cfg(test)]
mod tests;
