//! An empty cluster, an empty store, and a fleet at work on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use penstock_adapters::kafka::KafkaConfig;
use penstock_servers::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use penstock_servers::{Janitor, Kafka, Listener};
use tokio::sync::Mutex;

use crate::clock::OffClock;
use crate::disk::Disk;
use crate::faults::{OWNED, OWNER, WORKERS, World};
use crate::fleet::{Fleet, Settings};
use crate::log::Log;
use crate::post::{PREFIX, Post};
use crate::proxy::Proxy;
use crate::watch::{PARTITIONS, Watch};
use crate::{Args, Failed, model};

const BROKERS: usize = 3;
/// What was killed is missed this soon, ms.
const SESSION: u64 = 6000;
const HEARTBEAT: u64 = 1500;
/// Small chunks: many records of few bytes.
const CHUNK_TOKENS: usize = 48;

/// What differs from the defaults, for the table.
pub fn settings() -> String {
    format!(
        "{BROKERS} brokers, {PARTITIONS} partitions, session.timeout.ms {SESSION}, heartbeat.interval.ms {HEARTBEAT}, \
         shard.max_tokens {CHUNK_TOKENS}, a model without layers, 1 thread to embed and 1 to parse in each process"
    )
}

/// Starts everything; returns when every process runs.
pub async fn start(args: &Args, log: Log) -> Result<World, Failed> {
    let program = program(args)?;
    let failed = |error: std::io::Error| Failed(format!("temporary folder: {error}"));
    let folder = tempfile::Builder::new()
        .prefix("penstock-chaos-")
        .tempdir()
        .map_err(failed)?
        .keep();
    let janitor = Janitor::of(&folder);
    std::fs::create_dir_all(folder.join("logs")).map_err(failed)?;
    let disk = Disk::mount(&folder.join("disk"))?;
    let model = folder.join("words-only");
    model::make(&model)?;

    let mut proxies = Vec::new();
    for _ in 0..BROKERS {
        proxies.push(Proxy::start().await.map_err(failed)?);
    }
    let ports: Vec<u16> = proxies.iter().map(Proxy::port).collect();
    log.say("starting three brokers");
    let behind = ports.clone();
    let kafka = tokio::task::spawn_blocking(move || Kafka::behind(&behind))
        .await
        .map_err(|error| Failed(format!("Kafka did not start: {error}")))?;
    for (number, proxy) in proxies.iter().enumerate() {
        proxy.lead_to(kafka.address(number, Listener::Proxied));
    }
    let s3 = Arc::new(S3::start().await.map_err(failed)?);
    let brokers: Vec<String> = ports.iter().map(|it| format!("127.0.0.1:{it}")).collect();
    let config = folder.join("penstock.toml");
    std::fs::write(
        &config,
        configuration(&brokers.join(","), s3.endpoint(), &model),
    )
    .map_err(failed)?;
    apply_topics(&program, &config)?;

    let direct = KafkaConfig::new(kafka.brokers(Listener::Plain));
    let watch = Watch::start(&direct.brokers)
        .map_err(|error| Failed(format!("look at the cluster: {error}")))?;
    let settings = Settings {
        program,
        config,
        data: disk.path().join("data"),
        clock: OffClock::build(&folder)?,
        folder,
    };
    let fleet = Fleet::new(settings, janitor, log);
    log.say("starting the fleet");
    for (name, stages) in WORKERS.into_iter().chain([(OWNER, OWNED)]) {
        fleet.start(name, stages)?;
    }
    for (name, _) in WORKERS.into_iter().chain([(OWNER, OWNED)]) {
        fleet.until_running(name).await?;
    }
    Ok(World {
        seed: args.seed,
        post: Post::new(args.seed, &direct, s3.clone())?,
        fleet,
        proxies,
        kafka: Arc::new(Mutex::new(kafka)),
        config: direct,
        s3,
        disk,
        watch,
        log,
    })
}

fn program(args: &Args) -> Result<PathBuf, Failed> {
    let beside = std::env::current_exe().unwrap_or_default();
    let program = match &args.penstock {
        Some(program) => program.clone(),
        None => beside.with_file_name("penstock"),
    };
    if !program.exists() {
        return Err(Failed(format!(
            "{} is missing: run `make build`, or name the program with --penstock",
            program.display()
        )));
    }
    Ok(program)
}

fn configuration(brokers: &str, endpoint: &str, model: &Path) -> String {
    format!(
        r#"[kafka]
brokers = "{brokers}"
partitions = {PARTITIONS}

[kafka.properties]
"session.timeout.ms" = {SESSION}
"heartbeat.interval.ms" = {HEARTBEAT}

[objects]
url = "s3://{BUCKET}/{PREFIX}"

[objects.properties]
endpoint = "{endpoint}"
region = "eu-central-1"
allow_http = true
access_key_id = "{ACCESS_KEY}"
secret_access_key = "{SECRET_KEY}"

[parse]
threads = 1

[shard]
max_tokens = {CHUNK_TOKENS}
overlap_tokens = 0

[embed]
model = "{}"
threads = 1
"#,
        model.display()
    )
}

fn apply_topics(program: &Path, config: &Path) -> Result<(), Failed> {
    let output = Command::new(program)
        .args(["topics", "apply", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failed(format!("{}: {error}", program.display())))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Failed(format!(
            "topics apply: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
