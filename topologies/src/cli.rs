//! The command line: a contract, scripts rely on it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use uuid::Uuid;

use crate::dead_letters::{moment, span};
use crate::replay::Span;

/// Documents to a searchable vector index and a knowledge graph, kept in step.
#[derive(Debug, Parser)]
#[command(name = "penstock", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Configuration file (TOML). Environment (PENSTOCK_*) and flags win over it
    #[arg(long, global = true, value_name = "FILE", env = "PENSTOCK_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of the embedded engines [default: ./penstock-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print one JSON document to stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Set any configuration key, such as shard.max_tokens=128; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read documents and run all stages until every one is accounted for
    Ingest(IngestArgs),
    /// Find passages, with their document and what the graph knows beside them
    Query(QueryArgs),
    /// Run stages as consumers until stopped (none named: all)
    Run {
        #[arg(value_name = "STAGE")]
        stages: Vec<String>,
    },
    /// Show the topology: stages, topics, groups, dead letters
    Describe {
        /// As a graph for Graphviz
        #[arg(long)]
        dot: bool,
    },
    /// Show how every stage and store is doing, or what has become of one document
    Status(StatusArgs),
    /// Make or check the topics of a cluster, and their schemas in its registry
    Topics {
        #[command(subcommand)]
        what: TopicsCommand,
    },
    /// Make the collection of Qdrant and the schema of Neo4j, change them, or show what would change
    Schema {
        #[command(subcommand)]
        what: SchemaCommand,
    },
    /// Compare the ledger with both stores, and mend what differs
    Audit(AuditArgs),
    /// Look at dead letters, mend them, put them back, skip what cannot be worked
    DeadLetters {
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Look after the object store
    Objects {
        #[command(subcommand)]
        command: ObjectsCommand,
    },
    /// Let a stage do again what it has done, beside its live group
    Replay(ReplayArgs),
    /// Forget a document, or all of a group, in every store
    Forget(ForgetArgs),
    /// Send made-up documents through the configured system, look at them in both stores, and forget them: exit 0 all is
    /// well, 2 something is not
    Smoke(SmokeArgs),
    /// Measure a part of the pipeline
    Bench(BenchArgs),
}

#[derive(Debug, Clone, Args)]
pub struct IngestArgs {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Tenant
    #[arg(long, default_value = "default")]
    pub group: String,
    /// Name of the source [default: the folder's absolute path]
    #[arg(long)]
    pub source: Option<String>,
    /// Remove documents of this source whose file is gone
    #[arg(long)]
    pub prune: bool,
    /// Send documents again that were dead-lettered and have not changed
    #[arg(long)]
    pub retry: bool,
}

#[derive(Debug, Clone, Args)]
pub struct QueryArgs {
    pub text: String,
    /// How many passages
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub limit: u16,
    /// Tenant
    #[arg(long, default_value = "default")]
    pub group: String,
    /// Only documents of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Only documents in this language (ISO 639-1)
    #[arg(long)]
    pub language: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The life of this document: its editions, where it waits, what died of it
    #[arg(long, value_name = "GUID")]
    pub document: Option<Uuid>,
    /// While no stage has anything to do, name documents that have not got on for so long
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = span)]
    pub stopped_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum TopicsCommand {
    /// Create what is missing, change what differs where that is safe; refuse what is not
    Apply,
    /// Show what differs: exit 0 nothing, 2 something
    Check,
}

#[derive(Debug, Clone, Subcommand)]
pub enum SchemaCommand {
    /// Show what differs from what is declared: exit 0 nothing, 2 something, 1 something that is refused
    Plan(SchemaFiles),
    /// Make both stores as declared, and wait until all is built: exit 0 done, 2 something was left that needs --rebuild
    Apply(SchemaApplyArgs),
    /// Take the last migration of Neo4j back, or all above a version. Data stays
    Undo(SchemaUndoArgs),
    /// List what was applied and when, and what is still to be done
    Status(SchemaFiles),
}

#[derive(Debug, Clone, Args)]
pub struct SchemaFiles {
    /// Folder with qdrant/chunks.yaml and neo4j/V*.cypher [default: those of this build]
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct SchemaApplyArgs {
    #[command(flatten)]
    pub files: SchemaFiles,
    /// Also build anew what cannot be changed in place: shards (their points come back by replaying index), indexes of
    /// another type, an alias of another collection
    #[arg(long)]
    pub rebuild: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub struct SchemaUndoArgs {
    #[command(flatten)]
    pub files: SchemaFiles,
    /// Where
    #[arg(value_name = "STORE", default_value = "neo4j")]
    pub store: SchemaStore,
    /// Everything above this version; 0 for everything
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u32>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaStore {
    Neo4j,
    Qdrant,
}

#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// Remove what is too much, do again what is missing, and audit again
    #[arg(long)]
    pub repair: bool,
    /// With --repair: give up after so long without a document finished (90s, 30m, 2h)
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = span)]
    pub deadline: Duration,
    /// With --repair: also where the ledger names less than half of what is in the stores
    #[arg(long, requires = "repair")]
    pub even_if_most: bool,
    /// Findings to name
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub findings: usize,
}

#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("whose").required(true)))]
pub struct ForgetArgs {
    #[arg(long, group = "whose", value_name = "GUID")]
    pub document: Option<Uuid>,
    /// Every document of the group
    #[arg(long, group = "whose", value_name = "G")]
    pub group: Option<String>,
    /// Also drop records from topics, as far as nobody needs them any more
    #[arg(long)]
    pub purge: bool,
    /// Give up after so long without a step forward (90s, 30m, 2h)
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = span)]
    pub deadline: Duration,
}

#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Letters that wait, or counts of them
    List(ListArgs),
    /// One letter: the decoded record, why it is dead, what was done to it
    Show(AtArgs),
    /// Put letters back into the topic they died on, mended or as they are
    Redrive(RedriveArgs),
    /// Make a letter of a record that kills its process, and move its group past it
    Skip(SkipArgs),
}

#[derive(Debug, Clone, Args)]
pub struct AtArgs {
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    #[arg(value_name = "PARTITION")]
    pub partition: i32,
    #[arg(value_name = "OFFSET")]
    pub offset: i64,
}

/// Letters that pass all that are set.
#[derive(Debug, Clone, Default, Args)]
pub struct LetterFilter {
    /// Only letters of this stage
    #[arg(long)]
    pub stage: Option<String>,
    /// Only letters whose reason contains this
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only this class: undecodable, poison, panic, exhausted, killed, skipped
    #[arg(long)]
    pub class: Option<String>,
    /// Only letters that died then or later: a time (RFC 3339, or a date), or how long ago (90s, 30m, 2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<i64>,
    /// Only letters that died before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<i64>,
    /// Only letters of this document
    #[arg(long, value_name = "GUID")]
    pub document: Option<Uuid>,
    /// Only letters of this topic
    #[arg(long)]
    pub topic: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub filter: LetterFilter,
    /// Counts, with first and last time, instead of letters
    #[arg(long, value_name = "WHAT")]
    pub by: Option<GroupBy>,
    /// Also letters that were put back
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    Reason,
    Stage,
    Class,
    Document,
}

#[derive(Debug, Clone, Args)]
pub struct RedriveArgs {
    /// Exactly the letter at this place, as list names it
    #[arg(value_name = "TOPIC", requires = "partition")]
    pub at_topic: Option<String>,
    #[arg(value_name = "PARTITION", requires = "offset")]
    pub partition: Option<i32>,
    #[arg(value_name = "OFFSET")]
    pub offset: Option<i64>,
    #[command(flatten)]
    pub filter: LetterFilter,
    /// Every letter that waits
    #[arg(long)]
    pub all: bool,
    /// Show what would happen, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Records a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// Mend each decoded record first, by an expression in the language of jq
    #[arg(long, value_name = "EXPR")]
    pub edit: Option<String>,
    /// Leave letters that were put back this often
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_redrives: u32,
}

impl RedriveArgs {
    pub fn at(&self) -> Option<AtArgs> {
        Some(AtArgs {
            topic: self.at_topic.clone()?,
            partition: self.partition?,
            offset: self.offset?,
        })
    }
}

#[derive(Debug, Clone, Args)]
pub struct SkipArgs {
    /// The record, in the topic its stage reads
    #[command(flatten)]
    pub at: AtArgs,
    /// The consumer group it is in the way of [default: the one of the stage]
    #[arg(long)]
    pub group: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ObjectsCommand {
    /// Remove objects that no record names
    Collect(CollectArgs),
}

#[derive(Debug, Clone, Args)]
pub struct CollectArgs {
    /// Show what would be removed, and why, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Only what was written so long ago, by the store's clock: 36h, 7d; at least 24h
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = span)]
    pub older_than: Duration,
    /// Also where most of what is there is of documents the log knows nothing of
    #[arg(long)]
    pub even_if_most: bool,
}

#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("what").required(true)))]
pub struct ReplayArgs {
    /// split, parse, shard, embed, index or link
    pub stage: String,
    /// All that its topic holds
    #[arg(long, group = "what")]
    pub beginning: bool,
    /// Records not older than this: a time (RFC 3339, or a date), or how long ago (90s, 30m, 2h, 7d)
    #[arg(long, group = "what", value_name = "TIME", value_parser = moment)]
    pub since: Option<i64>,
    /// Records of this document
    #[arg(long, group = "what", value_name = "GUID")]
    pub document: Option<Uuid>,
    /// Go on with a replay that was interrupted
    #[arg(long, group = "what", value_name = "ID")]
    pub resume: Option<String>,
    /// Count the records, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Of split: have all of it written to the stores again, though it is finished; for stores that were lost
    #[arg(long, conflicts_with = "dry_run")]
    pub reopen: bool,
}

impl ReplayArgs {
    /// None for one that is gone on with.
    pub fn span(&self) -> Option<Span> {
        match (self.beginning, self.since, self.document) {
            (true, _, _) => Some(Span::Beginning),
            (_, Some(time), _) => Some(Span::Since(time)),
            (_, _, Some(id)) => Some(Span::Document(id)),
            (false, None, None) => None,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct SmokeArgs {
    /// How long the documents may take to be visible, and to be gone again: 90s, 10m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    pub what: BenchKind,
    /// Files or folders to measure with [default: samples]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchKind {
    /// Pages a second, beside pdftotext
    Parse,
    /// Tokens a second, short and long texts
    Embed,
    /// Documents a second through all stages, in a folder of its own
    Ingest,
}
