//! Topics made and mended as they are declared.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use penstock_runtime::Failure;
use penstock_schemas::TopicSpec;
use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewPartitions, OwnedResourceSpecifier,
    ResourceSpecifier,
};

use super::admin::{Admin, Cluster, POLL, Shape, refused};
use super::classify;
use super::declared::{Difference, Found, Remedy, Settings, compare_settings, compare_shape};
use super::reader::LIMIT;

impl Admin {
    /// Those of `names` that the cluster does not have.
    pub async fn missing(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        let cluster = self.cluster().await?;
        let missing = names.iter().filter(|it| !cluster.topics.contains_key(*it));
        Ok(missing.cloned().collect())
    }

    /// Every difference between these topics and the cluster's.
    pub async fn differences(
        &self,
        specs: &[TopicSpec],
        want: Shape,
    ) -> Result<Vec<Difference>, Failure> {
        let cluster = self.cluster().await?;
        let settings = self.settings(specs, &cluster).await?;
        let mut differences = Vec::new();
        for spec in specs {
            match cluster.topics.get(&spec.name) {
                None => differences.push(Difference {
                    topic: spec.name.clone(),
                    setting: "topic".to_owned(),
                    is: None,
                    should_be: format!(
                        "{} partitions, replication {}",
                        want.partitions, want.replication
                    ),
                    remedy: Remedy::Create,
                }),
                Some(shape) => {
                    differences.extend(compare_shape(spec, *shape, want));
                    let found = settings.get(&spec.name);
                    differences.extend(compare_settings(spec, found, want.replication));
                }
            }
        }
        Ok(differences)
    }

    /// Makes the topics as declared, or, where that cannot be done safely, changes nothing and says what is in the way.
    /// Returns what was changed.
    pub async fn apply(
        &self,
        specs: &[TopicSpec],
        want: Shape,
    ) -> Result<Vec<Difference>, Failure> {
        let differences = self.differences(specs, want).await?;
        let refused: Vec<String> = differences
            .iter()
            .filter_map(|it| match it.remedy {
                Remedy::ByHand(why) => Some(format!("{it}: {why}")),
                _ => None,
            })
            .collect();
        if !refused.is_empty() {
            return Err(Failure::fatal(format!(
                "topics were left as they are: {}",
                refused.join("; ")
            )));
        }
        let missing: Vec<TopicSpec> = specs
            .iter()
            .filter(|spec| {
                let create = |it: &&Difference| it.remedy == Remedy::Create;
                differences
                    .iter()
                    .filter(create)
                    .any(|it| it.topic == spec.name)
            })
            .cloned()
            .collect();
        if !missing.is_empty() {
            self.enough_brokers(want.replication).await?;
            self.ensure_topics(&missing, want.partitions, want.replication)
                .await?;
        }
        self.grow(&differences).await?;
        self.alter(specs, &differences).await?;
        self.until_same(specs, want).await?;
        Ok(differences)
    }

    /// A cluster says yes a moment before it shows it.
    async fn until_same(&self, specs: &[TopicSpec], want: Shape) -> Result<(), Failure> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let Some(left) = self.differences(specs, want).await?.into_iter().next() else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Failure::transient(format!(
                    "apply topics: after {} s the cluster still shows {left}; try again",
                    LIMIT.as_secs()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn enough_brokers(&self, replication: i32) -> Result<(), Failure> {
        let brokers = self.cluster().await?.brokers;
        if (brokers as i32) < replication {
            return Err(Failure::fatal(format!(
                "kafka.replication is {replication}, but the cluster shows {brokers} brokers: \
                 set kafka.replication = {brokers}, or bring up the others"
            )));
        }
        Ok(())
    }

    async fn grow(&self, differences: &[Difference]) -> Result<(), Failure> {
        let grown: Vec<(&str, i32)> = differences
            .iter()
            .filter_map(|it| match it.remedy {
                Remedy::Grow(to) => Some((it.topic.as_str(), to)),
                _ => None,
            })
            .collect();
        if grown.is_empty() {
            return Ok(());
        }
        let new: Vec<NewPartitions<'_>> = grown
            .iter()
            .map(|(topic, to)| NewPartitions::new(topic, *to as usize))
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let results = self
            .client
            .create_partitions(&new, &options)
            .await
            .map_err(|error| classify(&error, "add partitions"))?;
        for result in results {
            result.map_err(|(topic, code)| refused("add partitions to topic", &topic, code))?;
        }
        self.until("add partitions", |now| {
            grown.iter().all(|(topic, to)| now.get(*topic) == Some(to))
        })
        .await
    }

    /// Kafka's request replaces all of a topic's own settings, so those that are not ours are sent along. One that
    /// somebody changes in the same moment is lost.
    async fn alter(&self, specs: &[TopicSpec], differences: &[Difference]) -> Result<(), Failure> {
        let changed: Vec<&Difference> = differences
            .iter()
            .filter(|it| it.remedy == Remedy::Alter)
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let cluster = self.cluster().await?;
        let now = self.settings(specs, &cluster).await?;
        let mut wanted: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for it in &changed {
            let own = wanted.entry(&it.topic).or_insert_with(|| {
                let found = now.get(&it.topic).into_iter().flatten();
                found
                    .filter(|(_, it)| it.is_own)
                    .map(|(name, it)| (name.as_str(), it.value.as_str()))
                    .collect()
            });
            own.insert(&it.setting, &it.should_be);
        }
        let requests: Vec<AlterConfig<'_>> = wanted
            .iter()
            .map(|(topic, settings)| {
                let request = AlterConfig::new(ResourceSpecifier::Topic(topic));
                settings
                    .iter()
                    .fold(request, |request, (name, value)| request.set(name, value))
            })
            .collect();
        let results = self
            .client
            .alter_configs(&requests, &AdminOptions::new())
            .await
            .map_err(|error| classify(&error, "change topic settings"))?;
        for result in results {
            result
                .map_err(|(of, code)| refused("change settings of topic", &name_of(&of), code))?;
        }
        Ok(())
    }

    /// Settings in force of those of the topics that are there.
    pub(super) async fn settings(
        &self,
        specs: &[TopicSpec],
        cluster: &Cluster,
    ) -> Result<HashMap<String, Settings>, Failure> {
        let there: Vec<ResourceSpecifier<'_>> = specs
            .iter()
            .filter(|spec| cluster.topics.contains_key(&spec.name))
            .map(|spec| ResourceSpecifier::Topic(&spec.name))
            .collect();
        if there.is_empty() {
            return Ok(HashMap::new());
        }
        let results = self
            .client
            .describe_configs(&there, &AdminOptions::new())
            .await
            .map_err(|error| classify(&error, "look up topic settings"))?;
        let mut all = HashMap::new();
        for result in results {
            let ConfigResource { specifier, entries } = result.map_err(|code| {
                classify(
                    &rdkafka::error::KafkaError::AdminOp(code),
                    "look up topic settings",
                )
            })?;
            let settings = entries
                .into_iter()
                .map(|it| {
                    let found = Found {
                        is_own: it.source == ConfigSource::DynamicTopic,
                        value: it.value.unwrap_or_default(),
                    };
                    (it.name, found)
                })
                .collect();
            all.insert(name_of(&specifier), settings);
        }
        Ok(all)
    }
}

fn name_of(of: &OwnedResourceSpecifier) -> String {
    match of {
        OwnedResourceSpecifier::Topic(name) | OwnedResourceSpecifier::Group(name) => name.clone(),
        OwnedResourceSpecifier::Broker(number) => number.to_string(),
    }
}
