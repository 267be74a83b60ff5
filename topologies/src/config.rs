//! Configuration: a plain struct, read in one place. Defaults, file, environment, flags: later wins.

mod layers;
mod neo4j;
mod properties;
mod qdrant;
mod registry;
#[cfg(test)]
mod tests;
mod throttle;

use std::path::PathBuf;
use std::time::Duration;

use penstock_adapters::kafka::{KafkaConfig, Shape};
use penstock_adapters::neo4j::Neo4jConfig;
use penstock_adapters::qdrant::QdrantConfig;
use penstock_adapters::registry::RegistryConfig;
use penstock_stages::settle::Partial;
use penstock_stages::shard::ShardConfig;
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::cli::Common;

pub use neo4j::Neo4jSettings;
pub use properties::{Properties, Secret};
pub use qdrant::QdrantSettings;
pub use registry::RegistrySettings;
pub use throttle::ThrottleSettings;

/// All that can be set. Empty text means not set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Folder of the embedded engines.
    pub data: PathBuf,
    pub kafka: KafkaSettings,
    pub registry: RegistrySettings,
    pub objects: ObjectSettings,
    pub qdrant: QdrantSettings,
    pub neo4j: Neo4jSettings,
    pub parse: ParseSettings,
    pub shard: ShardSettings,
    pub embed: EmbedSettings,
    pub link: LinkSettings,
    pub settle: SettleSettings,
    pub throttle: ThrottleSettings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KafkaSettings {
    /// host:port, comma-separated; empty: everything is embedded.
    pub brokers: String,
    /// Partitions of topics that are created.
    pub partitions: i32,
    /// Copies of each partition, on a cluster. With three or more, a write waits for two.
    pub replication: i32,
    /// Any other librdkafka setting.
    pub properties: Properties,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectSettings {
    /// Where the bytes of documents lie: s3://BUCKET/PREFIX, gs://…, az://…, or file:///PATH, a folder that all processes
    /// share; empty: in the data folder, of one process.
    pub url: String,
    /// Settings of such a store by `object_store`'s names. Credentials may also stand where its own tools look for them.
    pub properties: Properties,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParseSettings {
    /// Parsing threads; 0: one per core.
    pub threads: usize,
    /// Largest source, MiB.
    pub max_source_mib: u64,
    /// Most pages of a document.
    pub max_pages: u32,
    /// Longest time for one part, seconds.
    pub max_seconds: u64,
    /// Most bytes that compressed content of a document may inflate to, MiB.
    pub max_decompressed_mib: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardSettings {
    /// Longest chunk in tokens of the model, special tokens included. What it leaves of the model's limit is room for
    /// title and headings.
    pub max_tokens: usize,
    /// Tokens a chunk repeats of the one before.
    pub overlap_tokens: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbedSettings {
    /// Folder of the model; empty: the one `make model` fetched.
    pub model: String,
    /// Threads; 0: one per core.
    pub threads: usize,
    /// Tokens in a batch.
    pub batch_tokens: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkSettings {
    /// Folder of entity rules (`*.yaml`); empty: the ones that come with Penstock.
    pub rules: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettleSettings {
    /// hide: a document with dead letters keeps its older edition; show: it is shown with its gaps named.
    pub partial: PartialSetting,
    /// Editions without progress for so many hours are swept.
    pub abandon_after_hours: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialSetting {
    Hide,
    Show,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "./penstock-data".into(),
            kafka: KafkaSettings {
                brokers: String::new(),
                partitions: 2,
                replication: 3,
                properties: Properties::default(),
            },
            registry: RegistrySettings::default(),
            objects: ObjectSettings {
                url: String::new(),
                properties: Properties::default(),
            },
            qdrant: QdrantSettings::default(),
            neo4j: Neo4jSettings::default(),
            parse: ParseSettings {
                threads: 0,
                max_source_mib: 1024,
                max_pages: 20_000,
                max_seconds: 120,
                max_decompressed_mib: 512,
            },
            shard: ShardSettings {
                max_tokens: 224,
                overlap_tokens: 32,
            },
            embed: EmbedSettings {
                model: String::new(),
                threads: 0,
                batch_tokens: 4096,
            },
            link: LinkSettings {
                rules: String::new(),
            },
            settle: SettleSettings {
                partial: PartialSetting::Hide,
                abandon_after_hours: 7 * 24,
            },
            throttle: ThrottleSettings::default(),
        }
    }
}

impl Config {
    /// Defaults, then the file, then PENSTOCK_* of `environment`, then flags. The error is one line that says what is
    /// wrong and where.
    pub fn load(
        common: &Common,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let table = layers::table(common, environment)?;
        let config: Self = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| {
                format!("configuration: {}", layers::one_line(&error))
            })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |key: &str, value: &dyn std::fmt::Display, want: &str| {
            Err(format!("{key} is {value}, expected {want}"))
        };
        if !(1..=1024).contains(&self.kafka.partitions) {
            return wrong("kafka.partitions", &self.kafka.partitions, "1 to 1024");
        }
        if !(1..=32).contains(&self.kafka.replication) {
            return wrong("kafka.replication", &self.kafka.replication, "1 to 32");
        }
        self.cluster()
            .check()
            .map_err(|failure| failure.reason().to_owned())?;
        if let Some(registry) = self.registry() {
            if self.is_embedded() {
                return Err(
                    "registry.url needs kafka.brokers: without a cluster nobody else reads the records"
                        .to_owned(),
                );
            }
            self.registry.check(&registry)?;
        }
        if self.is_embedded() && !self.objects.url.is_empty() {
            return wrong(
                "objects.url",
                &self.objects.url,
                "nothing without kafka.brokers: objects then lie in the data folder",
            );
        }
        self.check_stores()?;
        // What the model takes is known only when it is loaded; no BERT takes more than this.
        const LONGEST: usize = 512;
        self.shard_config()
            .check(LONGEST)
            .map_err(|failure| failure.to_string())?;
        for (key, value) in [
            ("parse.max_source_mib", self.parse.max_source_mib),
            ("parse.max_pages", u64::from(self.parse.max_pages)),
            ("parse.max_seconds", self.parse.max_seconds),
            (
                "parse.max_decompressed_mib",
                self.parse.max_decompressed_mib,
            ),
            ("embed.batch_tokens", self.embed.batch_tokens),
            (
                "settle.abandon_after_hours",
                self.settle.abandon_after_hours,
            ),
        ] {
            if value == 0 {
                return wrong(key, &value, "more than 0");
            }
        }
        self.throttle.check()
    }

    /// Stores on the network come as two, for stages that share a log and objects.
    fn check_stores(&self) -> Result<(), String> {
        let torn = |set: &str, missing: &str| {
            Err(format!(
                "{set} is set and {missing} is not: the two stores are kept in step, set both or neither"
            ))
        };
        match (self.qdrant(), self.neo4j()) {
            (None, None) => return Ok(()),
            (Some(_), None) => return torn("qdrant.url", "neo4j.url"),
            (None, Some(_)) => return torn("neo4j.url", "qdrant.url"),
            (Some(qdrant), Some(neo4j)) => {
                self.qdrant.check(&qdrant)?;
                self.neo4j.check(&neo4j)?;
            }
        }
        let need = if self.is_embedded() {
            "kafka.brokers: without a cluster the stores lie in the data folder"
        } else if !self.is_shared() {
            "objects.url: what all processes share, such as s3://BUCKET/PREFIX"
        } else {
            return Ok(());
        };
        Err(format!("qdrant.url and neo4j.url need {need}"))
    }

    /// True where no cluster is configured.
    pub fn is_embedded(&self) -> bool {
        self.kafka.brokers.is_empty()
    }

    /// True where stages run as processes of their own, and `ingest` only sends and waits.
    pub fn is_shared(&self) -> bool {
        !self.is_embedded() && !self.objects.url.is_empty()
    }

    /// How the configured cluster is reached.
    pub fn cluster(&self) -> KafkaConfig {
        KafkaConfig {
            properties: self.kafka.properties.0.clone(),
            ..KafkaConfig::new(self.kafka.brokers.clone())
        }
    }

    /// How the schema registry is reached; none: there is none.
    pub fn registry(&self) -> Option<RegistryConfig> {
        self.registry.config()
    }

    /// How the vector store on the network is reached; none: it lies in the data folder.
    pub fn qdrant(&self) -> Option<QdrantConfig> {
        self.qdrant.config()
    }

    /// How the graph on the network is reached; none: it lies in the data folder.
    pub fn neo4j(&self) -> Option<Neo4jConfig> {
        self.neo4j.config()
    }

    /// How topics of the cluster are to be.
    pub fn topic_shape(&self) -> Shape {
        Shape {
            partitions: self.kafka.partitions,
            replication: self.kafka.replication,
        }
    }

    /// Folder of the model.
    pub fn model_dir(&self) -> PathBuf {
        if !self.embed.model.is_empty() {
            return PathBuf::from(&self.embed.model);
        }
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .unwrap_or_else(|| PathBuf::from(".cache"));
        cache.join("penstock/models/all-MiniLM-L6-v2")
    }

    pub fn shard_config(&self) -> ShardConfig {
        ShardConfig {
            max_tokens: self.shard.max_tokens,
            overlap_tokens: self.shard.overlap_tokens,
        }
    }

    pub fn partial(&self) -> Partial {
        match self.settle.partial {
            PartialSetting::Hide => Partial::Hide,
            PartialSetting::Show => Partial::Show,
        }
    }

    pub fn abandon_after(&self) -> Duration {
        Duration::from_secs(self.settle.abandon_after_hours * 60 * 60)
    }
}
