//! How fast points are written to Qdrant, beside its own Python client: as many points of the same size, to the same
//! endpoint, each answered when it is durable. README.md beside this tells what is measured.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use penstock_adapters::qdrant::{Qdrant, QdrantConfig};
use penstock_schemas::{About, Chunk, Lineage, chunk_guid, content_hash};
use penstock_servers::qdrant::Qdrant as Server;
use penstock_stages::index::{Point, VectorStore, bm25};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Numbers of a vector.
const SIZE: usize = 384;
/// Points handed over at once, as the index stage does.
const BATCH: usize = 2000;
/// Of `/proc`'s clock.
const TICKS: f64 = 100.0;

#[derive(Debug, Parser)]
#[command(about = "Writing points beside Qdrant's Python client")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Points a second and CPU of both
    Compare(Compare),
    /// One contender at work; the other command starts it
    Work {
        #[arg(long)]
        url: String,
        #[arg(long)]
        points: usize,
    },
}

#[derive(Debug, Args)]
struct Compare {
    #[arg(long, default_value_t = 100_000)]
    points: usize,
    /// A Python that has qdrant-client
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    #[arg(long)]
    json: bool,
}

/// What a contender says of itself, of the time between its first point and the last answer.
#[derive(Debug, Deserialize, Serialize)]
struct Run {
    seconds: f64,
    cpu_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    /// Points a second.
    value: f64,
    /// To the first contender.
    ratio: f64,
    cpu_seconds: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Task::Compare(args) => compare(&args).await,
        Task::Work { url, points } => work(&url, points).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench-upsert: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(args: &Compare) -> Result<(), String> {
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/upload_points.py");
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut rows: Vec<Row> = Vec::new();
    for parallel in [Some(1), Some(4), None] {
        let server = Server::start().await.map_err(|error| error.to_string())?;
        let python = |parallel: usize, points: usize| {
            let mut command = Command::new(&args.python);
            command.arg(&peer);
            command.args([parallel, server.port().into(), points].map(|it| it.to_string()));
            command
        };
        let command = match parallel {
            Some(parallel) => python(parallel, args.points),
            None => {
                // The collection is made by the peer for both.
                said("making the collection", python(1, 0)).await?;
                let mut command = Command::new(&own);
                command.args(["work", "--url", &server.url(), "--points"]);
                command.arg(args.points.to_string());
                command
            }
        };
        let name = match parallel {
            Some(parallel) => format!("qdrant-client upload_points, parallel={parallel}"),
            None => "penstock".to_owned(),
        };
        let run = said(&name, command).await?;
        let store = Qdrant::open(&QdrantConfig::new(server.url())).map_err(|it| it.to_string())?;
        let there = store.count().await.map_err(|it| it.to_string())?;
        if there != args.points as u64 {
            return Err(format!("{name}: {there} points are there"));
        }
        let value = args.points as f64 / run.seconds;
        rows.push(Row {
            name,
            unit: "points/s",
            value,
            ratio: value / rows.first().map_or(value, |first| first.value),
            cpu_seconds: run.cpu_seconds,
        });
    }
    if args.json {
        println!("{}", serde_json::json!({ "rows": rows }));
        return Ok(());
    }
    println!(
        "{:<44}{:>10}{:>8}{:>15}",
        "", "points/s", "ratio", "client's CPU s"
    );
    for row in rows {
        println!(
            "{:<44}{:>10.0}{:>8.2}{:>15.2}",
            row.name, row.value, row.ratio, row.cpu_seconds
        );
    }
    Ok(())
}

/// What a contender says when it is done.
async fn said(name: &str, mut command: Command) -> Result<Run, String> {
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.map_err(|error| error.to_string())?;
    let output = output.map_err(|error| format!("start {name}: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{name}: {words}"));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{name} said nothing that can be read: {error}"))
}

async fn work(url: &str, count: usize) -> Result<(), String> {
    let store = Qdrant::open(&QdrantConfig::new(url)).map_err(|it| it.to_string())?;
    let points: Vec<Point> = (0..count).map(point).collect();
    let mut points = points.into_iter();
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    loop {
        let batch: Vec<Point> = points.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        store.insert(batch).await.map_err(|it| it.to_string())?;
    }
    let run = Run {
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds()? - cpu,
    };
    println!("{}", serde_json::json!(run));
    Ok(())
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, String> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|error| error.to_string())?;
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat is odd")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|it| it.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
        return Err("/proc/self/stat is odd".to_owned());
    };
    Ok((user + system) / TICKS)
}

/// A chunk of usual length; its words and vector differ from those of others.
fn point(number: usize) -> Point {
    let words = |n: usize| format!("word{} ", (number * 31 + n * n) % 20_000);
    let text: String = (0..110).map(words).collect();
    let hash = content_hash(text.as_bytes());
    let document = Uuid::from_u128(number as u128 / 10 + 1);
    let edition = Uuid::from_u128(7);
    let ordinal = (number % 10) as i32;
    let mut dense: Vec<f32> = (0..SIZE)
        .map(|n| ((number * 7 + n * 13) as f32).sin())
        .collect();
    let length = dense.iter().map(|it| it * it).sum::<f32>().sqrt();
    dense.iter_mut().for_each(|it| *it /= length);
    let bm25 = bm25::encode_document(&text);
    Point {
        chunk: Chunk {
            lineage: Lineage {
                group: "bench".to_owned(),
                document_guid: document,
                version: Uuid::from_u128(9),
                edition,
                stamped: 0,
            },
            part: 0,
            chunk_guid: chunk_guid(document, edition, 0, ordinal, &hash),
            ordinal,
            start_char: 0,
            end_char: text.len() as i64,
            text,
            page_first: Some(1),
            page_last: Some(2),
            heading_path: vec!["Chapter".to_owned(), "Section".to_owned()],
            content_hash: hash,
            tokens: 200,
            about: About {
                source: "files".to_owned(),
                key: number.to_string(),
                path: format!("docs/{number}.md"),
                title: Some(format!("Document {number}")),
                author: None,
                language: Some("en".to_owned()),
                created_at: Some(1_700_000_000_000),
                attributes: Default::default(),
            },
        },
        model: "all-MiniLM-L6-v2@53aa51172d14".to_owned(),
        dense,
        bm25,
        entity_types: vec!["Load".to_owned()],
    }
}
