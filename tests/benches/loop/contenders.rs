//! Who copies records from one topic to another, each as a process of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use clap::ValueEnum;

use crate::Job;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Contender {
    /// librdkafka in a loop of twenty lines
    Bare,
    /// Penstock's loop
    Penstock,
    /// Kafka Streams, at least once
    Streams,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare librdkafka",
            Self::Penstock => "penstock",
            Self::Streams => "Kafka Streams",
        }
    }

    /// What is missing to run it; none where nothing is.
    pub fn lacks(self) -> Option<String> {
        let jars = streams_jars();
        let missing = self == Self::Streams && !jars.join("installed").exists();
        missing.then(|| {
            format!(
                "{} is missing: run scripts/setup.sh streams",
                jars.display()
            )
        })
    }

    pub fn start(self, job: &Job) -> Result<Working, String> {
        let mut command = match self {
            Self::Bare => own("bare", job)?,
            Self::Penstock => own("penstock", job)?,
            Self::Streams => streams(job),
        };
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("start {}: {error}", self.name()))?;
        Ok(Working { who: self, child })
    }
}

fn streams_jars() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    let cache = cache.or_else(home).unwrap_or_default();
    cache.join("penstock/streams")
}

/// A source file beside this one.
fn peer(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("peers")
        .join(name)
}

fn own(who: &str, job: &Job) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["work", who]);
    for (name, value) in [
        ("--brokers", &job.brokers),
        ("--group", &job.group),
        ("--from", &job.from),
        ("--to", &job.to),
    ] {
        command.args([name, value]);
    }
    if job.avro {
        command.arg("--avro");
    }
    Ok(command)
}

fn streams(job: &Job) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx1g", "-cp"])
        .arg(streams_jars().join("*"))
        .arg(peer("StreamsCopy.java"))
        .args([&job.brokers, &job.group, &job.from, &job.to])
        .arg(if job.avro { "avro" } else { "raw" })
        .stderr(Stdio::null());
    command
}

/// A contender at work. It ends with this value.
pub struct Working {
    who: Contender,
    child: Child,
}

impl Working {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn name(&self) -> &'static str {
        self.who.name()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok()?.map(|it| it.to_string())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        let ended = self.child.wait().map_err(|error| error.to_string())?;
        if ended.success() {
            return Ok(());
        }
        Err(format!("{} ended with {ended}", self.who.name()))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
