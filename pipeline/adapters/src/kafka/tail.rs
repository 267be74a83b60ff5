use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_runtime::{Failure, Record};
use rdkafka::consumer::Consumer;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::config::KafkaConfig;
use super::connection::is_of_connection;
use super::reader::{Reader, assign, blocking, numbers, reader, watermarks};
use super::{classify, convert};

const POLL: Duration = Duration::from_millis(50);
const CHANNEL: usize = 256;

/// What is written to a topic from now on.
pub struct Tail {
    topic: String,
    records: mpsc::Receiver<Result<Record, Failure>>,
}

impl Tail {
    /// Takes the ends of all partitions before it returns: whatever is produced later is heard.
    pub async fn start(config: &KafkaConfig, topic: &str) -> Result<Self, Failure> {
        Self::start_where(config, topic, |_| true).await
    }

    /// Hears only what `wanted` says yes to; it is asked on the tail's own thread.
    pub async fn start_where(
        config: &KafkaConfig,
        topic: &str,
        wanted: impl Fn(&Record) -> bool + Send + 'static,
    ) -> Result<Self, Failure> {
        let (config, name) = (config.clone(), topic.to_owned());
        let consumer = blocking("follow a topic", move || {
            let consumer = reader(&config, "penstock.tail")?;
            let mut ends = BTreeMap::new();
            for number in numbers(&consumer, &name)? {
                ends.insert(number, watermarks(&consumer, &name, number)?.1);
            }
            assign(&consumer, &name, &ends)?;
            Ok(consumer)
        })
        .await?;
        let (sender, records) = mpsc::channel(CHANNEL);
        let name: Arc<str> = topic.into();
        std::thread::Builder::new()
            .name(format!("tail {topic}"))
            .spawn(move || follow(&consumer, &name, wanted, &sender))
            .map_err(|error| {
                Failure::fatal(format!("follow {topic}: start its thread: {error}"))
            })?;
        Ok(Self {
            topic: topic.to_owned(),
            records,
        })
    }

    /// The next record, of any partition. Cancel-safe.
    pub async fn next(&mut self) -> Result<Record, Failure> {
        self.records.recv().await.unwrap_or_else(|| self.ended())
    }

    /// The next record, if one was heard by now.
    pub fn try_next(&mut self) -> Result<Option<Record>, Failure> {
        match self.records.try_recv() {
            Ok(record) => record.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => self.ended().map(Some),
        }
    }

    fn ended(&self) -> Result<Record, Failure> {
        Err(Failure::fatal(format!(
            "following {} has ended",
            self.topic
        )))
    }
}

/// Until nobody listens any more. It has no group to keep alive, so it may wait for room.
fn follow(
    consumer: &Reader,
    topic: &Arc<str>,
    wanted: impl Fn(&Record) -> bool,
    records: &mpsc::Sender<Result<Record, Failure>>,
) {
    while !records.is_closed() {
        let item = match consumer.poll(POLL) {
            None | Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => continue,
            Some(Ok(message)) => {
                let record = convert::record(&message, topic);
                if !wanted(&record) {
                    continue;
                }
                Ok(record)
            }
            Some(Err(error)) => match consumer.context().refused() {
                Some(refused) => Err(refused),
                None => match classify(&error, &format!("follow {topic}")) {
                    // librdkafka goes on trying.
                    Failure::Transient { .. } => continue,
                    _ if is_of_connection(&error) => continue,
                    failure => Err(failure),
                },
            },
        };
        if records.blocking_send(item).is_err() {
            return;
        }
    }
}
