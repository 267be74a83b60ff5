//! What is still kept, until when, and dropping it before its time.

use std::collections::BTreeMap;

use penstock_runtime::Failure;
use penstock_schemas::TopicSpec;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::admin::Admin;
use super::classify;
use super::config::KafkaConfig;
use super::reader::{LIMIT, ask, blocking, reader};

/// How long a topic keeps records, by its settings in force. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    pub compacted: bool,
    /// None: for ever.
    pub retention: Option<i64>,
    /// Records go by the segment: the oldest of one may outlive its time by so much.
    pub segment: i64,
}

impl Admin {
    /// Of those of the topics that are there.
    pub async fn keeping(&self, specs: &[TopicSpec]) -> Result<BTreeMap<String, Keeping>, Failure> {
        let cluster = self.cluster().await?;
        let settings = self.settings(specs, &cluster).await?;
        let mut all = BTreeMap::new();
        for spec in specs {
            let Some(found) = settings.get(&spec.name) else {
                continue;
            };
            let value = |name: &str| found.get(name).map(|it| it.value.as_str());
            let number = |name: &str| value(name).and_then(|it| it.parse::<i64>().ok());
            let policy = value("cleanup.policy").unwrap_or_default();
            // A broker that does not tell keeps what we declare.
            let declared = spec
                .retention_hours
                .map(|hours| i64::from(hours) * 3_600_000);
            let retention = match policy.contains("delete") {
                true => number("retention.ms").filter(|it| *it >= 0),
                false => None,
            };
            let keeping = Keeping {
                compacted: policy.contains("compact"),
                retention: match policy {
                    "" => declared,
                    _ => retention,
                },
                segment: number("segment.ms").unwrap_or_default(),
            };
            all.insert(spec.name.clone(), keeping);
        }
        Ok(all)
    }

    /// Drops every record of these partitions that stands before its offset, for good and for everybody.
    pub async fn delete_records(
        &self,
        topic: &str,
        before: &BTreeMap<i32, i64>,
    ) -> Result<(), Failure> {
        if before.is_empty() {
            return Ok(());
        }
        let doing = format!("delete records of {topic}");
        let mut list = TopicPartitionList::new();
        for (number, offset) in before {
            list.add_partition_offset(topic, *number, Offset::Offset(*offset))
                .map_err(|error| classify(&error, &doing))?;
        }
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let results = self
            .client
            .delete_records(&list, &options)
            .await
            .map_err(|error| classify(&error, &doing))?;
        for element in results.elements() {
            element.error().map_err(|error| classify(&error, &doing))?;
        }
        Ok(())
    }
}

/// Every consumer group of the cluster.
pub async fn groups(config: &KafkaConfig) -> Result<Vec<String>, Failure> {
    let config = config.clone();
    blocking("list groups", move || {
        let consumer = reader(&config, "penstock.admin")?;
        let list = ask(&consumer, "list groups", |limit| {
            consumer.fetch_group_list(None, limit)
        })?;
        let names = list.groups().iter().map(|it| it.name().to_owned());
        Ok(names.collect())
    })
    .await
}
