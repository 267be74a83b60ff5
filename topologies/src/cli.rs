//! The command line: a contract, scripts rely on it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

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
    /// Show how every stage and store is doing
    Status,
    /// Make or check the topics of a cluster
    Topics {
        #[command(subcommand)]
        what: TopicsCommand,
    },
    /// Compare the ledger with both stores
    Audit,
    /// Forget a document, or all of a group, in every store
    Forget(ForgetArgs),
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum TopicsCommand {
    /// Create what is missing, change what differs where that is safe; refuse what is not
    Apply,
    /// Show what differs: exit 0 nothing, 2 something
    Check,
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct ForgetArgs {
    #[arg(long, value_name = "GUID")]
    pub document: Option<Uuid>,
    /// Every document of the group
    #[arg(long)]
    pub group: Option<String>,
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
