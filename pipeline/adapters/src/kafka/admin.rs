use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_runtime::Failure;
use penstock_schemas::TopicSpec;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::classify;
use super::config::{KafkaConfig, MAX_RECORD};

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Creates, checks and deletes topics.
pub struct Admin {
    config: KafkaConfig,
    client: AdminClient<DefaultClientContext>,
}

impl Admin {
    pub fn new(config: &KafkaConfig) -> Result<Self, Failure> {
        let mut settings = config.client();
        config.apply(&mut settings);
        let client = settings
            .create()
            .map_err(|error| classify(&error, "open the topic client"))?;
        Ok(Self {
            config: config.clone(),
            client,
        })
    }

    /// Creates the topics that are missing and returns their names; those that exist stay as they are. Returns once
    /// the cluster serves them all. A co-partitioned topic with another number of partitions is Fatal: settle's state
    /// would be torn.
    pub async fn ensure_topics(
        &self,
        specs: &[TopicSpec],
        partitions: i32,
        replication: i32,
    ) -> Result<Vec<String>, Failure> {
        let existing = self.partitions().await?;
        for spec in specs.iter().filter(|spec| spec.co_partitioned) {
            if let Some(found) = existing
                .get(&spec.name)
                .filter(|found| **found != partitions)
            {
                return Err(Failure::fatal(format!(
                    "topic {} has {found} partitions, expected {partitions}: the count is fixed once there is data; \
                     set kafka.partitions = {found}",
                    spec.name
                )));
            }
        }
        let missing: Vec<&TopicSpec> = specs
            .iter()
            .filter(|spec| !existing.contains_key(&spec.name))
            .collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let settings: Vec<Vec<(&str, String)>> =
            missing.iter().map(|spec| settings_of(spec)).collect();
        let new: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(&settings)
            .map(|(spec, settings)| {
                let topic =
                    NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(replication));
                settings
                    .iter()
                    .fold(topic, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        let doing = "create topics";
        let results = self
            .client
            .create_topics(&new, &AdminOptions::new().operation_timeout(Some(LIMIT)))
            .await
            .map_err(|error| classify(&error, doing))?;
        let mut created = Vec::new();
        for result in results {
            match result {
                Ok(name) => created.push(name),
                // Somebody else was quicker.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(refused("create topic", &name, code)),
            }
        }
        self.until("create topics", |now| {
            missing.iter().all(|spec| now.contains_key(&spec.name))
        })
        .await?;
        Ok(created)
    }

    /// What is wrong with these topics, a line each; nothing when all is well.
    pub async fn check(
        &self,
        specs: &[TopicSpec],
        partitions: i32,
    ) -> Result<Vec<String>, Failure> {
        let existing = self.partitions().await?;
        let problem = |spec: &TopicSpec| match existing.get(&spec.name) {
            None => Some(format!(
                "topic {} is missing; run `penstock topics apply`",
                spec.name
            )),
            Some(found) if spec.co_partitioned && *found != partitions => Some(format!(
                "topic {} has {found} partitions, expected {partitions}",
                spec.name
            )),
            Some(_) => None,
        };
        Ok(specs.iter().filter_map(problem).collect())
    }

    /// Deletes topics, with their records and the groups' positions on them. No error where one is gone already.
    /// Nobody may be reading them.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<(), Failure> {
        if names.is_empty() {
            return Ok(());
        }
        let results = self
            .client
            .delete_topics(names, &AdminOptions::new().operation_timeout(Some(LIMIT)))
            .await
            .map_err(|error| classify(&error, "delete topics"))?;
        for result in results {
            match result {
                Ok(_)
                | Err((
                    _,
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
                )) => {}
                Err((name, code)) => return Err(refused("delete topic", &name, code)),
            }
        }
        self.until("delete topics", |now| {
            names.iter().all(|name| !now.contains_key(*name))
        })
        .await
    }

    /// Makes topics start again empty.
    pub async fn recreate(
        &self,
        specs: &[TopicSpec],
        partitions: i32,
        replication: i32,
    ) -> Result<(), Failure> {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        self.delete_topics(&names).await?;
        // A real cluster deletes in the background and may refuse the name for a moment.
        let deadline = Instant::now() + LIMIT;
        loop {
            let created = self.ensure_topics(specs, partitions, replication).await?;
            if created.len() == specs.len() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::transient(format!(
                    "recreate topics: not all were gone after {} s; try again",
                    LIMIT.as_secs()
                )));
            }
            self.delete_topics(&names).await?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Every topic of the cluster, with its number of partitions.
    pub async fn partitions(&self) -> Result<BTreeMap<String, i32>, Failure> {
        let config = self.config.clone();
        blocking("list topics", move || {
            let consumer = reader(&config, "penstock.admin")?;
            let metadata = consumer
                .fetch_metadata(None, LIMIT)
                .map_err(|error| classify(&error, "list topics"))?;
            Ok(metadata
                .topics()
                .iter()
                .filter(|topic| topic.error().is_none())
                .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
                .collect())
        })
        .await
    }

    async fn until(
        &self,
        doing: &str,
        done: impl Fn(&BTreeMap<String, i32>) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + LIMIT;
        while !done(&self.partitions().await?) {
            if Instant::now() >= deadline {
                return Err(Failure::transient(format!(
                    "{doing}: the cluster does not show it after {} s; try again",
                    LIMIT.as_secs()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// How far a group is behind on one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    pub partition: i32,
    /// The next offset the group will read; none where it has not committed.
    pub committed: Option<i64>,
    /// The first offset that is there.
    pub first: i64,
    /// One past the last record.
    pub end: i64,
}

impl Lag {
    /// Records between the group and the end.
    pub fn records(&self) -> i64 {
        (self.end - self.committed.unwrap_or(self.first).max(self.first)).max(0)
    }
}

/// Where `group` stands on every partition of `topic`. Asks without joining the group.
pub async fn lags(config: &KafkaConfig, group: &str, topic: &str) -> Result<Vec<Lag>, Failure> {
    let (config, group, topic) = (config.clone(), group.to_owned(), topic.to_owned());
    blocking("look up lag", move || {
        let doing = format!("look up the lag of {group} on {topic}");
        let consumer = reader(&config, &group)?;
        let mut list = TopicPartitionList::new();
        for number in numbers(&consumer, &topic)? {
            list.add_partition(&topic, number);
        }
        let committed = consumer
            .committed_offsets(list, LIMIT)
            .map_err(|error| classify(&error, &doing))?;
        let mut lags = Vec::new();
        for element in committed.elements() {
            let partition = element.partition();
            let (first, end) = consumer
                .fetch_watermarks(&topic, partition, LIMIT)
                .map_err(|error| classify(&error, &doing))?;
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            lags.push(Lag {
                partition,
                committed,
                first,
                end,
            });
        }
        Ok(lags)
    })
    .await
}

/// A consumer that asks and reads, and never joins its group.
pub(super) fn reader(config: &KafkaConfig, group: &str) -> Result<BaseConsumer, Failure> {
    config
        .consumer(group)
        .set("enable.partition.eof", "true")
        .create()
        .map_err(|error| classify(&error, "open a reader"))
}

/// The partitions of a topic. A topic that is not there is Fatal.
pub(super) fn numbers(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>, Failure> {
    let doing = format!("look up topic {topic}");
    let metadata = consumer
        .fetch_metadata(Some(topic), LIMIT)
        .map_err(|error| classify(&error, &doing))?;
    let mut numbers: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic && found.error().is_none())
        .flat_map(|found| found.partitions().iter().map(|partition| partition.id()))
        .collect();
    if numbers.is_empty() {
        return Err(Failure::fatal(format!(
            "topic {topic} does not exist; create it with `penstock topics apply`"
        )));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// librdkafka's lookups block: off the runtime with them.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::fatal(format!("{doing}: {error}")))?
}

fn refused(doing: &str, topic: &str, code: RDKafkaErrorCode) -> Failure {
    classify(
        &rdkafka::error::KafkaError::AdminOp(code),
        &format!("{doing} {topic}"),
    )
}

/// A topic's settings, by Kafka's names.
fn settings_of(spec: &TopicSpec) -> Vec<(&'static str, String)> {
    let policy = match (spec.compacted, spec.retention_hours) {
        (true, Some(_)) => "compact,delete",
        (true, None) => "compact",
        (false, _) => "delete",
    };
    let retention = spec
        .retention_hours
        .map_or(-1, |hours| i64::from(hours) * 3_600_000);
    vec![
        ("cleanup.policy", policy.to_owned()),
        ("retention.ms", retention.to_string()),
        ("max.message.bytes", MAX_RECORD.to_string()),
    ]
}
