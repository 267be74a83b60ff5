//! A pipeline on the bus, and what there is to see of it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use penstock::audit::{Audit, Book, audit};
use penstock::config::Config;
use penstock::pipeline::{Parts, Pipeline, StageSpec, group_of, topology};
use penstock::policies::Policies;
use penstock::system::Craft;
use penstock_runtime::bus::{Bus, Happened};
use penstock_runtime::{Record, Stop, put_back};
use penstock_schemas::{
    Codec, Completed, Completion, Document, LedgerEntry, OpenEdition, Step, dead_letters_of,
    document_guid, topics,
};
use penstock_stages::blobs::{self, Blobs};
use penstock_stages::link::Rules;
use penstock_stages::settle::{Stores, collect_blobs};
use penstock_stages::shard::{ShardConfig, Tokens};
use penstock_tests::fakes::{
    BusStreams, FakeBlobs, FakeCache, FakeEmbedder, FakeGraph, FakeVectors,
};
use uuid::Uuid;

pub const GROUP: &str = "freight";
const SOURCE: &str = "papers";

/// For a broken test only, in paused time.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// One version of a document, or its deletion, as a producer sends it.
#[derive(Debug, Clone)]
pub struct Paper {
    pub key: String,
    pub version: u128,
    pub bytes: Option<Bytes>,
}

impl Paper {
    pub fn new(key: &str, version: u128, bytes: impl Into<Bytes>) -> Self {
        Self {
            key: key.to_owned(),
            version,
            bytes: Some(bytes.into()),
        }
    }

    pub fn deletion(key: &str, version: u128) -> Self {
        Self {
            key: key.to_owned(),
            version,
            bytes: None,
        }
    }

    /// Headings with a few lines each, about `about`: several chunks.
    pub fn about(key: &str, version: u128, about: &str) -> Self {
        let section = |number: usize| {
            format!(
                "## Part {number} of {key}\n\n\
                 Load LD-4821{number} is about {about}. It left the harbour at dawn with paper and steel.\n\n\
                 The driver of part {number} waits for {about} at the gate of the terminal in the north.\n\n"
            )
        };
        let sections: String = (0..4).map(section).collect();
        Self::new(key, version, format!("# {key}\n\n{sections}"))
    }

    pub fn id(&self) -> Uuid {
        document_guid(GROUP, SOURCE, &self.key)
    }
}

/// So many documents of several chunks each.
pub fn papers(count: usize) -> Vec<Paper> {
    let paper = |number| {
        Paper::about(
            &format!("paper-{number}.md"),
            1,
            &format!("matter {number}"),
        )
    };
    (0..count).map(paper).collect()
}

/// The log, the stores and the model; pipelines come and go on them.
pub struct World {
    pub bus: Bus,
    pub vectors: Arc<FakeVectors>,
    pub graph: Arc<FakeGraph>,
    pub blobs: Arc<FakeBlobs>,
    pub cache: Arc<FakeCache>,
    pub embedder: Arc<FakeEmbedder>,
    pub config: Config,
    pub policies: Policies,
}

impl World {
    pub fn new() -> Self {
        let mut config = Config::default();
        // Paused time runs ahead of a parser's thread; it must not run out for it.
        config.parse.max_seconds = 1_000_000;
        config.parse.threads = 2;
        config.shard.max_tokens = 32;
        config.shard.overlap_tokens = 0;
        let mut policies = Policies::of(&config);
        for policy in policies.every() {
            policy.jitter_seed = Some(7);
        }
        Self {
            bus: Bus::with_all_topics(2),
            vectors: Arc::default(),
            graph: Arc::default(),
            blobs: Arc::default(),
            cache: Arc::default(),
            embedder: Arc::default(),
            policies,
            config,
        }
    }

    /// What comes of `papers` where nothing goes wrong.
    pub async fn undisturbed(papers: &[Paper]) -> Self {
        let world = Self::new();
        let pipeline = world.start();
        for paper in papers {
            world.send(paper).await;
        }
        world.quiet().await;
        close(pipeline).await;
        world
    }

    pub fn stores(&self) -> Stores {
        Stores {
            vectors: self.vectors.clone(),
            graph: self.graph.clone(),
            blobs: self.blobs.clone(),
            cache: self.cache.clone(),
        }
    }

    /// Starts every stage, as one more process.
    pub fn start(&self) -> Pipeline {
        Pipeline::start(Arc::new(self.parts()), &[], Stop::new()).unwrap()
    }

    /// What the stages of a process are built from.
    pub fn parts(&self) -> Parts {
        let streams = Arc::new(BusStreams::new(self.bus.clone()));
        let craft = Craft {
            embedder: self.embedder.clone(),
            tokens: tokens(),
            rules: rules(),
            shard: ShardConfig {
                max_tokens: self.config.shard.max_tokens,
                overlap_tokens: self.config.shard.overlap_tokens,
            },
            recipe: "recipe".to_owned(),
        };
        let mut parts = Parts::new(self.config.clone(), streams, self.stores(), craft).unwrap();
        parts.policies = self.policies.clone();
        parts
    }

    /// Stores the bytes and publishes the record.
    pub async fn send(&self, paper: &Paper) {
        let mut document = Document {
            document_guid: paper.id(),
            group: GROUP.to_owned(),
            source: SOURCE.to_owned(),
            key: paper.key.clone(),
            version: Uuid::from_u128(paper.version),
            deleted: paper.bytes.is_none(),
            path: paper.key.clone(),
            blob: None,
            title: None,
            author: None,
            language: None,
            created_at: None,
            attributes: BTreeMap::new(),
        };
        if let Some(bytes) = paper.bytes.clone() {
            let prefix = blobs::version_prefix(GROUP, paper.id(), document.version);
            let stored = blobs::store(self.blobs.as_ref(), &prefix, bytes).await;
            document.blob = Some(stored.unwrap());
        }
        self.bus.publish(topics::DOCUMENTS, &document).unwrap();
    }

    pub async fn send_all(&self, papers: &[Paper]) {
        for paper in papers {
            self.send(paper).await;
        }
    }

    /// Resolves once `reached` holds; asked after every change of the log.
    pub async fn until(&self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let waiting = self.bus.until(|_| reached(self));
        if tokio::time::timeout(LIMIT, waiting).await.is_err() {
            let lags: Vec<String> = topology().iter().map(|it| self.lag_line(it)).collect();
            panic!("{what} did not happen: {lags:#?} {:#?}", self.ledger());
        }
    }

    /// Resolves when every record is worked off and settle has nothing left to do.
    pub async fn quiet(&self) {
        self.until("quiet", Self::is_quiet).await;
    }

    pub fn is_quiet(&self) -> bool {
        let worked_off = |stage: &StageSpec| self.bus.lag(&group_of(stage.name), stage.from) == 0;
        topology().iter().all(worked_off) && self.ledger().values().all(is_at_rest)
    }

    fn lag_line(&self, stage: &StageSpec) -> String {
        let lag = self.bus.lag(&group_of(stage.name), stage.from);
        format!("{} lags {lag}", stage.name)
    }

    /// Records appended and offsets committed so far.
    pub fn age(&self) -> usize {
        self.bus.history().len()
    }

    /// The newest ledger entry of every document.
    pub fn ledger(&self) -> BTreeMap<Uuid, LedgerEntry> {
        let newest: BTreeMap<_, _> = self
            .bus
            .records(topics::LEDGER.name())
            .into_iter()
            .map(|record| (record.key, record.value.unwrap()))
            .collect();
        let codec = Codec::default();
        let decoded = newest
            .values()
            .map(|value| codec.decode::<LedgerEntry>(value).unwrap());
        decoded.map(|entry| (entry.document_guid, entry)).collect()
    }

    pub fn entry(&self, paper: &Paper) -> LedgerEntry {
        self.ledger().remove(&paper.id()).unwrap()
    }

    /// The version readers see, by the ledger.
    pub fn visible(&self, paper: &Paper) -> Option<u128> {
        let visible = self.entry(paper).visible?;
        Some(visible.lineage.version.as_u128())
    }

    pub fn completions(&self) -> Vec<Completed> {
        self.bus.read(topics::COMPLETED).unwrap()
    }

    /// Version and outcome of every completion of a document, in order.
    pub fn outcomes(&self, paper: &Paper) -> Vec<(u128, Completion)> {
        let of_it = |it: &Completed| it.lineage.document_guid == paper.id();
        let all = self.completions().into_iter().filter(of_it);
        all.map(|it| (it.lineage.version.as_u128(), it.outcome))
            .collect()
    }

    /// Every dead letter.
    pub fn letters(&self) -> Vec<Record> {
        let topics = topology().into_iter().map(|it| dead_letters_of(it.from));
        topics.flat_map(|topic| self.bus.records(&topic)).collect()
    }

    pub fn assert_no_letters(&self) {
        let letters = self.letters();
        let shown: Vec<String> = letters.iter().map(|it| header(it, "dlq.reason")).collect();
        assert!(shown.is_empty(), "{shown:#?}");
    }

    /// Puts a dead letter back: our headers off but for the count, to the topic it came from.
    pub fn redrive(&self, letter: &Record) {
        let topic = header(letter, "dlq.topic");
        self.bus.append(put_back(letter, &topic)).unwrap();
    }

    /// All that is in both stores, with ids and visibility.
    pub fn contents(&self) -> Vec<String> {
        let mut lines = self.vectors.contents();
        lines.extend(self.graph.contents());
        lines
    }

    /// The objects that stay once all that nothing names is collected.
    pub async fn collect(&self) -> Vec<String> {
        for entry in self.ledger().values() {
            let blobs = self.blobs.as_ref();
            let now = blobs.clock().await.unwrap();
            collect_blobs(blobs, entry, now).await.unwrap();
        }
        self.blobs.keys("")
    }

    pub async fn audit(&self) -> Audit {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::new(folder.path(), &Codec::default()).unwrap();
        for record in self.bus.records(topics::LEDGER.name()) {
            book.hear(&record).unwrap();
        }
        audit(&book, &self.stores(), 20).await.unwrap()
    }

    /// Asserts that stores and ledger agree, that nobody committed what was not his, and returns the number of visible
    /// documents.
    pub async fn sound(&self) -> u64 {
        let audit = self.audit().await;
        assert!(audit.is_sound(), "{audit:#?}");
        let trespassed = |it: &Happened| matches!(it, Happened::Trespassed { .. });
        assert!(!self.bus.history().iter().any(trespassed));
        audit.documents
    }
}

/// Stops as a process does that is asked to.
pub async fn close(pipeline: Pipeline) {
    pipeline.close(Duration::from_secs(20)).await.unwrap();
}

pub fn header(record: &Record, name: &str) -> String {
    let found = record.headers.iter().find(|(it, _)| it == name);
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

fn is_at_rest(entry: &LedgerEntry) -> bool {
    let superseded = |version: Uuid| {
        let visible = entry.visible.as_ref();
        entry.deleted >= Some(version) || visible.is_some_and(|it| it.lineage.version > version)
    };
    let rests = |open: &OpenEdition| match open.step {
        Step::Failed => true,
        // One that will never be seen is still to be swept.
        Step::Abandoned => !superseded(open.lineage.version),
        _ => false,
    };
    let removed = entry.deleted.is_none() || entry.removed_at.is_some();
    removed && entry.open.iter().all(rests)
}

fn tokens() -> Arc<Tokens> {
    static TOKENS: OnceLock<Arc<Tokens>> = OnceLock::new();
    let load = || {
        let mut config = Config::default();
        if let Ok(model) = std::env::var("PENSTOCK_EMBED_MODEL") {
            config.embed.model = model;
        }
        Arc::new(Tokens::load(&config.model_dir()).unwrap())
    };
    TOKENS.get_or_init(load).clone()
}

fn rules() -> Arc<Rules> {
    static RULES: OnceLock<Arc<Rules>> = OnceLock::new();
    RULES
        .get_or_init(|| Arc::new(Rules::built_in().unwrap()))
        .clone()
}
