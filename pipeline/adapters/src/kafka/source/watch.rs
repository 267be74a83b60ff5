//! The watchdog. A consumer may be given nothing though there is more, while it polls and beats like one that is well
//! (rust-rdkafka #638, #665, #848). Offsets alone do not show it: where a transaction was aborted, or compaction has
//! taken the last records, the end is never reached. So what a silent partition holds is read beside the group.

use std::collections::{HashMap, HashSet};
use std::sync::Weak;
use std::time::Duration;

use penstock_runtime::Partition;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::context::Context;
use crate::kafka::config::KafkaConfig;
use crate::kafka::read::Reading;

/// How long a partition may be silent before it is looked into, and again until the suspicion counts. Twice this is less
/// than a session.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// A partition of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The assignment it came with.
    pub generation: u64,
    /// The offset of the next record.
    pub next: i64,
    /// When the last one came.
    pub heard: Instant,
}

/// A record that is there and was not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missed {
    pub partition: Partition,
    generation: u64,
    /// Where we stand.
    pub next: i64,
}

pub(super) struct Watch {
    patience: Duration,
    due: Instant,
    looking: Option<JoinHandle<Option<Missed>>>,
    suspected: Option<Missed>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self::with(PATIENCE)
    }

    pub(super) fn with(patience: Duration) -> Self {
        Self {
            patience,
            due: Instant::now() + patience,
            looking: None,
            suspected: None,
        }
    }

    /// Resolves once a record was found missing twice, with some patience in between. Cancel-safe.
    pub(super) async fn missed(
        &mut self,
        config: &KafkaConfig,
        consumer: &Weak<BaseConsumer<Context>>,
        known: &HashMap<Partition, Known>,
        paused: &HashSet<Partition>,
    ) -> Missed {
        loop {
            if let Some(looking) = &mut self.looking {
                let found = looking.await.ok().flatten();
                self.looking = None;
                self.due = Instant::now() + self.patience;
                let found = found.filter(|it| is_missed(it, known, paused));
                match found {
                    Some(found) if self.suspected.as_ref() == Some(&found) => {
                        self.suspected = None;
                        return found;
                    }
                    found => self.suspected = found,
                }
            }
            sleep_until(self.due).await;
            let now = Instant::now();
            self.due = now + self.patience;
            let silent: Vec<Missed> = known
                .iter()
                .filter(|(partition, it)| {
                    !paused.contains(*partition) && it.heard + self.patience <= now
                })
                .map(|(partition, it)| Missed {
                    partition: partition.clone(),
                    generation: it.generation,
                    next: it.next,
                })
                .collect();
            if !silent.is_empty() {
                let (config, consumer) = (config.clone(), consumer.clone());
                self.looking = Some(tokio::spawn(look(config, consumer, silent)));
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}

fn is_missed(
    found: &Missed,
    known: &HashMap<Partition, Known>,
    paused: &HashSet<Partition>,
) -> bool {
    let stands = known.get(&found.partition);
    stands.is_some_and(|it| it.generation == found.generation && it.next == found.next)
        && !paused.contains(&found.partition)
}

/// The first of these partitions that holds a record where we stand.
async fn look(
    config: KafkaConfig,
    consumer: Weak<BaseConsumer<Context>>,
    silent: Vec<Missed>,
) -> Option<Missed> {
    for missed in silent {
        if !may_hold(consumer.clone(), &missed).await {
            continue;
        }
        let Partition { topic, number } = &missed.partition;
        let found = match Reading::start_at(&config, topic, *number, missed.next).await {
            Ok(mut reading) => reading.next().await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok(Some(_)) => return Some(missed),
            Ok(None) => {}
            // Brokers that do not answer us do not answer the consumer either.
            Err(failure) => tracing::debug!(partition = %missed.partition, %failure, "watchdog"),
        }
    }
    None
}

/// Whether the partition goes on behind where we stand. A consumer that cannot tell may well be stuck.
async fn may_hold(consumer: Weak<BaseConsumer<Context>>, missed: &Missed) -> bool {
    let (partition, next) = (missed.partition.clone(), missed.next);
    let asked = tokio::task::spawn_blocking(move || {
        let consumer = consumer.upgrade()?;
        consumer
            .fetch_watermarks(&partition.topic, partition.number, LOOKUP_LIMIT)
            .ok()
    });
    match asked.await {
        Ok(Some((_, end))) => next < end,
        _ => true,
    }
}
