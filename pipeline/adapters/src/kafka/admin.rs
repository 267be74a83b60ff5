use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_runtime::Failure;
use penstock_schemas::TopicSpec;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::classify;
use super::config::KafkaConfig;
use super::declared::settings_of;
use super::reader::{LIMIT, ask, blocking, reader};

pub(super) const POLL: Duration = Duration::from_millis(50);

/// Creates, checks and deletes topics.
pub struct Admin {
    pub(super) config: KafkaConfig,
    pub(super) client: AdminClient<DefaultClientContext>,
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
        let settings: Vec<Vec<(&str, String)>> = missing
            .iter()
            .map(|spec| settings_of(spec, replication))
            .collect();
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
        let cluster = self.cluster().await?;
        let topics = cluster.topics.into_iter();
        Ok(topics.map(|(name, it)| (name, it.partitions)).collect())
    }

    /// The cluster as it shows itself now. The first to ask: a login that is refused shows here.
    pub(super) async fn cluster(&self) -> Result<Cluster, Failure> {
        let config = self.config.clone();
        blocking("list topics", move || {
            let consumer = reader(&config, "penstock.admin")?;
            let metadata = ask(&consumer, "list topics", |limit| {
                consumer.fetch_metadata(None, limit)
            })?;
            let topics = metadata
                .topics()
                .iter()
                .filter(|topic| topic.error().is_none())
                .map(|topic| {
                    let replicas = topic.partitions().iter().map(|it| it.replicas().len());
                    let shape = Shape {
                        partitions: topic.partitions().len() as i32,
                        replication: replicas.min().unwrap_or_default() as i32,
                    };
                    (topic.name().to_owned(), shape)
                })
                .collect();
            Ok(Cluster {
                brokers: metadata.brokers().len(),
                topics,
            })
        })
        .await
    }

    pub(super) async fn until(
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

/// What a cluster consists of.
pub(super) struct Cluster {
    pub(super) brokers: usize,
    pub(super) topics: BTreeMap<String, Shape>,
}

/// A topic's extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
}

pub(super) fn refused(doing: &str, topic: &str, code: RDKafkaErrorCode) -> Failure {
    classify(
        &rdkafka::error::KafkaError::AdminOp(code),
        &format!("{doing} {topic}"),
    )
}
