//! Looks at the log from outside, beside the proxies: where every group stands, and where every topic ends.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use penstock::pipeline::{group_of, topology};
use penstock_schemas::{dead_letters_of, topics};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{oneshot, watch};

/// Partitions of every topic.
pub const PARTITIONS: i32 = 4;
const EVERY: Duration = Duration::from_millis(500);
/// For one question; a broker may be away.
const LIMIT: Duration = Duration::from_millis(1500);

/// A stage as seen from the log.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    pub stage: &'static str,
    pub from: &'static str,
}

/// Every stage, in the order records flow.
pub fn watched() -> Vec<Watched> {
    let stages = topology();
    let of = |stage: &penstock::pipeline::StageSpec| Watched {
        stage: stage.name,
        from: stage.from,
    };
    stages.iter().map(of).collect()
}

/// Topics whose ends are looked at.
pub fn looked_at() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for stage in topology() {
        names.push(stage.from.to_owned());
        names.push(dead_letters_of(stage.from));
    }
    names.push(topics::LEDGER.name().to_owned());
    names
}

/// One look. Ends are looked up after positions: what was committed because of something finds it below the ends.
#[derive(Debug, Clone)]
pub struct Sample {
    pub at: Instant,
    /// By stage, then by partition: the next record to be read, 0 where nothing was committed.
    pub committed: Vec<Vec<i64>>,
    /// By topic: one past the last record of each partition.
    pub ends: BTreeMap<String, Vec<i64>>,
}

impl Sample {
    /// What a stage has not committed of one partition.
    pub fn lag(&self, stage: usize, from: &str, partition: usize) -> i64 {
        let committed = self.committed.get(stage).and_then(|it| it.get(partition));
        let end = self.ends.get(from).and_then(|it| it.get(partition));
        (end.copied().unwrap_or(0) - committed.copied().unwrap_or(0)).max(0)
    }

    /// What a stage has not committed at all.
    pub fn waiting(&self, stage: usize, from: &str) -> i64 {
        (0..PARTITIONS as usize)
            .map(|it| self.lag(stage, from, it))
            .sum()
    }
}

/// The eye on the log. Its thread ends with it.
pub struct Watch {
    asked: Sender<oneshot::Sender<Arc<Sample>>>,
    history: Arc<Mutex<Vec<Arc<Sample>>>>,
    latest: watch::Receiver<Option<Arc<Sample>>>,
}

impl Watch {
    /// Begins to look at the cluster at `brokers`.
    pub fn start(brokers: &str) -> KafkaResult<Self> {
        let stages = watched();
        let consumers: Vec<BaseConsumer> = stages
            .iter()
            .map(|it| consumer(brokers, &group_of(it.stage)))
            .collect::<KafkaResult<_>>()?;
        let history: Arc<Mutex<Vec<Arc<Sample>>>> = Arc::default();
        let (asked, questions) = channel();
        let (sender, latest) = watch::channel(None);
        let eye = Eye {
            stages,
            consumers,
            topics: looked_at(),
            history: history.clone(),
            latest: sender,
        };
        thread::spawn(move || eye.run(&questions));
        Ok(Self {
            asked,
            history,
            latest,
        })
    }

    /// A look that begins after this call; none where the log cannot be seen for a minute.
    pub async fn now(&self) -> Option<Arc<Sample>> {
        let (reply, answer) = oneshot::channel();
        self.asked.send(reply).ok()?;
        answer.await.ok()
    }

    /// Follows the looks as they come.
    pub fn follow(&self) -> watch::Receiver<Option<Arc<Sample>>> {
        self.latest.clone()
    }

    /// All looks so far, in order of time.
    pub fn history(&self) -> Vec<Arc<Sample>> {
        locked(&self.history).clone()
    }
}

struct Eye {
    stages: Vec<Watched>,
    consumers: Vec<BaseConsumer>,
    topics: Vec<String>,
    history: Arc<Mutex<Vec<Arc<Sample>>>>,
    latest: watch::Sender<Option<Arc<Sample>>>,
}

impl Eye {
    fn run(self, questions: &Receiver<oneshot::Sender<Arc<Sample>>>) {
        let mut open: Vec<oneshot::Sender<Arc<Sample>>> = Vec::new();
        loop {
            if open.is_empty() {
                match questions.recv_timeout(EVERY) {
                    Ok(question) => open.push(question),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            open.extend(questions.try_iter());
            // Where it cannot be seen now, the next look will tell.
            if let Ok(sample) = self.look() {
                let sample = Arc::new(sample);
                locked(&self.history).push(sample.clone());
                self.latest.send_replace(Some(sample.clone()));
                for question in open.drain(..) {
                    let _ = question.send(sample.clone());
                }
            }
        }
    }

    fn look(&self) -> KafkaResult<Sample> {
        let at = Instant::now();
        let mut committed = Vec::new();
        for (stage, consumer) in self.stages.iter().zip(&self.consumers) {
            let mut list = TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                list.add_partition(stage.from, partition);
            }
            let found = consumer.committed_offsets(list, LIMIT)?;
            let offset = |partition| match found.find_partition(stage.from, partition) {
                Some(element) => match element.offset() {
                    Offset::Offset(offset) => offset,
                    _ => 0,
                },
                None => 0,
            };
            committed.push((0..PARTITIONS).map(offset).collect());
        }
        let mut ends = BTreeMap::new();
        if let Some(consumer) = self.consumers.first() {
            for topic in &self.topics {
                let end = |partition| {
                    let (_, end) = consumer.fetch_watermarks(topic, partition, LIMIT)?;
                    Ok(end)
                };
                let found: KafkaResult<Vec<i64>> = (0..PARTITIONS).map(end).collect();
                ends.insert(topic.clone(), found?);
            }
        }
        Ok(Sample {
            at,
            committed,
            ends,
        })
    }
}

/// Asks for a group's positions and never joins it.
fn consumer(brokers: &str, group: &str) -> KafkaResult<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("client.id", "chaos-watch")
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.max.ms", "500")
        .set("topic.metadata.refresh.interval.ms", "2000")
        .create()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
