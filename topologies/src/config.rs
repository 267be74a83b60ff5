//! Configuration: a plain struct, read in one place. Defaults, file, environment, flags: later wins.

mod properties;
mod registry;
#[cfg(test)]
mod tests;
mod throttle;

use std::path::{Path, PathBuf};
use std::time::Duration;

use penstock_adapters::kafka::{KafkaConfig, Shape};
use penstock_adapters::registry::RegistryConfig;
use penstock_stages::settle::Partial;
use penstock_stages::shard::ShardConfig;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::cli::Common;

pub use properties::{Properties, Secret};
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
        let mut table = default_table()?;
        if let Some(path) = &common.config {
            let file = read_file(path)?;
            overlay(&mut table, file, "", &path.display().to_string())?;
        }
        for (name, text) in environment {
            set_from_environment(&mut table, &name, &text)?;
        }
        for setting in &common.set {
            let (key, text) = setting
                .split_once('=')
                .ok_or_else(|| format!("--set {setting}: expected KEY=VALUE"))?;
            set_key(&mut table, key, text, &format!("--set {setting}"))?;
        }
        if let Some(data) = &common.data {
            table.insert("data".into(), Value::String(data.display().to_string()));
        }
        let config: Self = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| format!("configuration: {}", one_line(&error)))?;
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

/// Environment names that are no configuration keys.
const OTHER_NAMES: [&str; 3] = ["PENSTOCK_CONFIG", "PENSTOCK_LOG", "PENSTOCK_CACHE"];

fn default_table() -> Result<Table, String> {
    Table::try_from(Config::default())
        .map_err(|error| format!("configuration defaults: {}", one_line(&error)))
}

fn read_file(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("configuration file {}: {error}", path.display()))?;
    text.parse::<Table>().map_err(|error| {
        // The error's own text shows the line, which may hold a secret.
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        format!(
            "configuration file {} line {line}: {}",
            path.display(),
            one_line(&error.message())
        )
    })
}

/// Lays `over` on `table`; a key that has no default is an error that names the nearest one.
fn overlay(table: &mut Table, over: Table, prefix: &str, origin: &str) -> Result<(), String> {
    for (key, value) in over {
        let path = format!("{prefix}{key}");
        match (table.get_mut(&key), value) {
            (Some(Value::Table(open)), Value::Table(inner)) if properties::is_open(&path) => {
                open.extend(inner);
            }
            (Some(Value::Table(inner)), Value::Table(value)) => {
                overlay(inner, value, &format!("{path}."), origin)?;
            }
            // The value is not shown: it may be a secret in the wrong place.
            (Some(Value::Table(_)), _) => {
                return Err(format!(
                    "{origin}: {path} is a section: write [{path}], its keys below"
                ));
            }
            (Some(slot), value) => *slot = value,
            (None, _) => return Err(unknown_key(&path, origin)),
        }
    }
    Ok(())
}

fn set_from_environment(table: &mut Table, name: &str, text: &str) -> Result<(), String> {
    if !name.starts_with("PENSTOCK_") || OTHER_NAMES.contains(&name) {
        return Ok(());
    }
    if let Some((section, property)) = properties::from_environment(name) {
        set_property(table, section, &property, text);
        return Ok(());
    }
    let key = known_keys()
        .into_iter()
        .find(|key| environment_name(key) == name);
    let Some(key) = key else {
        let names = known_keys().into_iter().map(|key| environment_name(&key));
        let hint = nearest(name, names).map_or(String::new(), |it| format!(", did you mean {it}"));
        return Err(format!("environment: unknown {name}{hint}"));
    };
    set_key(table, &key, text, &format!("environment {name}"))
}

/// Sets a dotted key from text, as the type its default has.
fn set_key(table: &mut Table, key: &str, text: &str, origin: &str) -> Result<(), String> {
    if let Some((section, property)) = properties::from_key(key) {
        set_property(table, section, property, text);
        return Ok(());
    }
    let slot = find_key(table, key).ok_or_else(|| unknown_key(key, origin))?;
    let wrong = |want: &str| format!("{origin}: {key} is {text:?}, expected {want}");
    *slot = match slot {
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Value::String(_) => Value::String(text.to_owned()),
        Value::Table(secret) if properties::is_file(secret) => Value::String(text.to_owned()),
        _ => return Err(wrong("a single value")),
    };
    Ok(())
}

fn set_property(table: &mut Table, section: &str, name: &str, text: &str) {
    let section = table.get_mut(section);
    if let Some(Value::Table(open)) = section.and_then(|it| it.get_mut("properties")) {
        open.insert(name.to_owned(), Value::String(text.to_owned()));
    }
}

fn find_key<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((name, rest)) => match table.get_mut(name)? {
            Value::Table(inner) => find_key(inner, rest),
            _ => None,
        },
    }
}

fn known_keys() -> Vec<String> {
    fn collect(table: &Table, prefix: &str, keys: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => collect(inner, &format!("{prefix}{key}."), keys),
                _ => keys.push(format!("{prefix}{key}")),
            }
        }
    }
    let mut keys = Vec::new();
    if let Ok(table) = default_table() {
        collect(&table, "", &mut keys);
    }
    keys
}

fn environment_name(key: &str) -> String {
    format!("PENSTOCK_{}", key.replace('.', "_").to_uppercase())
}

fn unknown_key(key: &str, origin: &str) -> String {
    let hint = nearest(key, known_keys().into_iter())
        .map_or(String::new(), |it| format!(", did you mean {it}"));
    format!("{origin}: unknown key {key}{hint}")
}

fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|it| (strsim::damerau_levenshtein(name, &it), it))
        .min()
        .map(|(_, it)| it)
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['|', '^']))
        .collect();
    lines.join("; ")
}
