//! What a command works with: the data folder, the log, the stores, the model.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use penstock_adapters::candle::Candle;
use penstock_adapters::kafka::{Admin, KafkaConfig, fold_readable, lags};
use penstock_adapters::registry::{self, Registry};
use penstock_runtime::Failure;
use penstock_schemas::{Codec, Document, content_hash, topics};
use penstock_stages::embed::Embedder;
use penstock_stages::link::Rules;
use penstock_stages::shard::{ShardConfig, Tokens};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::engines::Broker;
use crate::pipeline::{group_of, topology};

/// Held for as long as a process owns the folder.
pub const OWNER_LOCK: &str = "owner.lock";
/// Where the owner serves the others.
const OWNER_FILE: &str = "owner.json";

/// How the owner of a data folder is reached. The file is readable by its user only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// host:port of its server, on loopback.
    pub address: String,
    /// Sent with every request.
    pub token: String,
    /// host:port of the log.
    pub kafka: String,
    /// Digest of what its stages make results with.
    pub recipe: String,
}

/// The data folder, for as long as this process owns it.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

/// Whether the folder is ours or another process's.
pub enum Ownership {
    Ours(Folder),
    Others(Owner),
}

impl Folder {
    /// Takes the folder, or tells who has it.
    pub fn take(path: &Path) -> Result<Ownership, Failure> {
        let wrong = |what: &str, error: std::io::Error| {
            Failure::fatal(format!("data folder {}: {what}: {error}", path.display()))
        };
        std::fs::create_dir_all(path).map_err(|error| wrong("cannot be made", error))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(OWNER_LOCK))
            .map_err(|error| wrong("cannot be written", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Ownership::Ours(Self {
                path: path.to_owned(),
                _lock: lock,
            })),
            Err(std::fs::TryLockError::WouldBlock) => read_owner(path).map(Ownership::Others),
            Err(std::fs::TryLockError::Error(error)) => Err(wrong("cannot be locked", error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells other processes how to reach this one.
    pub fn announce(&self, owner: &Owner) -> Result<(), Failure> {
        let write = || -> std::io::Result<()> {
            let temporary = self.path.join("owner.json.new");
            // A file of an earlier run may be there, with other permissions.
            if temporary.exists() {
                std::fs::remove_file(&temporary)?;
            }
            let mut file = File::options()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(serde_json::to_string(owner)?.as_bytes())?;
            std::fs::rename(&temporary, self.path.join(OWNER_FILE))
        };
        write().map_err(|error| {
            Failure::fatal(format!(
                "data folder {}: {OWNER_FILE} cannot be written: {error}",
                self.path.display()
            ))
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody serves here any more. A file that stays is harmless: the lock tells.
        let _ = std::fs::remove_file(self.path.join(OWNER_FILE));
    }
}

fn read_owner(path: &Path) -> Result<Owner, Failure> {
    let text = std::fs::read_to_string(path.join(OWNER_FILE)).map_err(|_| {
        Failure::fatal(format!(
            "data folder {}: another process owns it and is just starting or stopping: try again, or use another --data",
            path.display()
        ))
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::fatal(format!(
            "data folder {}: {OWNER_FILE} is damaged: {error}: stop the process that owns the folder",
            path.display()
        ))
    })
}

/// The model, its tokenizer and the rules: all that shapes a result.
#[derive(Clone)]
pub struct Craft {
    pub embedder: Arc<dyn Embedder>,
    pub tokens: Arc<Tokens>,
    pub rules: Arc<Rules>,
    pub shard: ShardConfig,
    /// Digest of extractor, chunking, model and rules.
    pub recipe: String,
}

impl Craft {
    pub fn load(config: &Config) -> Result<Self, Failure> {
        let dir = config.model_dir();
        let embedder = Candle::load(&dir, threads(config.embed.threads))?;
        let tokens = Tokens::load(&dir)?;
        let rules = load_rules(config)?;
        let info = embedder.info().clone();
        let shard = config.shard_config();
        shard.check(info.max_tokens)?;
        let recipe = serde_json::json!([
            penstock_stages::parse::REVISION,
            shard.recipe(),
            penstock_stages::embed::RECIPE,
            info.name,
            rules.digest(),
        ]);
        Ok(Self {
            embedder: Arc::new(embedder),
            tokens: Arc::new(tokens),
            rules: Arc::new(rules),
            shard,
            recipe: content_hash(recipe.to_string().as_bytes()),
        })
    }
}

/// The entity rules in the files of `link.rules`; where it is empty text, the built-in ones.
pub fn load_rules(config: &Config) -> Result<Rules, Failure> {
    let folder = &config.link.rules;
    if folder.is_empty() {
        return Rules::built_in();
    }
    let wrong = |what: &str| Failure::fatal(format!("link.rules {folder}: {what}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| wrong(&error.to_string()))? {
        let path = entry.map_err(|error| wrong(&error.to_string()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".yaml") {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| wrong(&format!("{name}: {error}")))?;
            files.push((name.into_owned(), text));
        }
    }
    if files.is_empty() {
        return Err(wrong("there is no *.yaml in it"));
    }
    // The order shapes the recipe: the same files in any folder are the same rules.
    files.sort();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Rules::load(&files)
}

/// The number of threads to use where `set` is 0: one per core.
pub fn threads(set: usize) -> usize {
    match set {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        set => set,
    }
}

/// The log: a cluster, or the broker in this process.
pub struct Log {
    pub kafka: KafkaConfig,
    pub codec: Codec,
    broker: Option<Broker>,
}

impl Log {
    /// Starts the embedded broker and makes missing topics; of a cluster, only says how it is reached.
    pub async fn open(config: &Config, folder: &Path) -> Result<Self, Failure> {
        if !config.is_embedded() {
            return Self::of_cluster(config).await;
        }
        let broker = Broker::start(&folder.join("log")).await?;
        let kafka = KafkaConfig::embedded(broker.address());
        Admin::new(&kafka)?
            .ensure_topics(&topics::all(), config.kafka.partitions, 1)
            .await?;
        Ok(Self {
            kafka,
            codec: Codec::default(),
            broker: Some(broker),
        })
    }

    /// Looks up in the registry, where there is one, how records are written.
    pub async fn of_cluster(config: &Config) -> Result<Self, Failure> {
        let codec = match config.registry() {
            None => Codec::default(),
            Some(settings) => {
                registry::codec(Registry::new(&settings)?, &topics::subjects()).await?
            }
        };
        Ok(Self {
            kafka: config.cluster(),
            codec,
            broker: None,
        })
    }

    /// The log of the process that owns the folder.
    pub async fn of_owner(config: &Config, owner: &Owner) -> Result<Self, Failure> {
        if !config.is_embedded() {
            return Self::of_cluster(config).await;
        }
        Ok(Self {
            kafka: KafkaConfig::embedded(owner.kafka.clone()),
            codec: Codec::default(),
            broker: None,
        })
    }

    /// Tells every record of `rag.documents.v1`, older versions first. Any program may write there; what cannot be read is
    /// split's to report.
    pub async fn fold_documents(&self, mut tell: impl FnMut(Document)) -> Result<(), Failure> {
        let (kafka, codec) = (&self.kafka, &self.codec);
        fold_readable(kafka, codec, topics::DOCUMENTS.name(), None, |record| {
            let value = record.value.as_deref().unwrap_or_default();
            if let Ok(document) = codec.decode(value) {
                tell(document);
            }
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Lets topics of intermediate work start again empty, once every stage has done all that is in them; until then it
    /// does nothing. Of the embedded log only: a cluster has its retention.
    pub async fn start_again_empty(&self) -> Result<(), Failure> {
        let Some(broker) = &self.broker else {
            return Ok(());
        };
        let intermediate: Vec<String> = topics::all()
            .into_iter()
            .filter(|it| it.intermediate)
            .map(|it| it.name)
            .collect();
        let mut done = Vec::new();
        // In the order records flow: what a stage is done with, the next one has before it is looked at.
        for stage in topology() {
            for lag in lags(&self.kafka, &group_of(stage.name), stage.from).await? {
                if lag.records() > 0 {
                    return Ok(());
                }
                if intermediate.iter().any(|name| name == stage.from) {
                    done.push((stage.from.to_owned(), lag.partition, lag.end));
                }
            }
        }
        broker.trim(&done).await
    }

    pub async fn close(self) {
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
    }
}

/// Resolves when the disk of the data folder is almost full: what is in flight could not be kept much longer.
pub async fn disk_full(folder: PathBuf) -> Failure {
    const LEAST: u64 = 16 << 20;
    const EVERY: std::time::Duration = std::time::Duration::from_secs(1);
    loop {
        match fs4::available_space(&folder) {
            Ok(free) if free < LEAST => {
                return Failure::fatal(format!(
                    "data folder {}: only {} MiB of space are left on its disk: free some and run it again, nothing is lost",
                    folder.display(),
                    free >> 20
                ));
            }
            // What cannot be asked is not full; writing will tell.
            Ok(_) | Err(_) => tokio::time::sleep(EVERY).await,
        }
    }
}
