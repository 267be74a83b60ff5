//! Apache Kafka: one broker or a cluster, each broker a process that is also a controller (KRaft).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::certificates::Certificates;
use crate::janitor::Janitor;
use crate::settings::{Listener, PASSWORD, Ports, USER, server_properties};
use crate::{fail, jars};

/// Starts quickly, and three fit a small machine.
const SMALL: [&str; 4] = [
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-XX:+UseSerialGC",
];
/// Compiles what is hot as well as it can: a broker that benches measure against.
const FAST: [&str; 2] = ["-Xms1g", "-Xmx1g"];
/// Any 16 bytes in base64.
const CLUSTER_ID: &str = "cGVuc3RvY2stdGVzdHM0Mw";
/// A broker writes it when it serves.
const READY: &str = "Kafka Server started";
const PORT_TAKEN: &str = "Address already in use";
/// For a broken test only.
const LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(25);
const ATTEMPTS: usize = 3;

/// A running cluster. It ends with this value, or with the process.
pub struct Kafka {
    brokers: Vec<Broker>,
    ports: Vec<Ports>,
    certificates: Certificates,
    folder: PathBuf,
    janitor: Janitor,
    jvm: &'static [&'static str],
}

struct Broker {
    name: String,
    settings: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

impl Kafka {
    /// One broker, shared by all tests of this process: each uses topics and groups of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(1))
    }

    /// Three brokers, one test at a time: what a test leaves there the next one finds.
    pub fn cluster() -> MutexGuard<'static, Self> {
        static CLUSTER: OnceLock<Mutex<Kafka>> = OnceLock::new();
        CLUSTER
            .get_or_init(|| Mutex::new(Self::start(3)))
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts brokers and returns when all of them serve.
    pub fn start(brokers: usize) -> Self {
        Self::start_with(brokers, &[], &SMALL)
    }

    /// One broker, as fast as it gets.
    pub fn start_at_full_speed() -> Self {
        Self::start_with(1, &[], &FAST)
    }

    /// One broker behind each of these ports of loopback: clients of `Listener::Proxied` are told of them, and whoever
    /// listens there passes what they say on to the broker's own address.
    pub fn behind(proxies: &[u16]) -> Self {
        Self::start_with(proxies.len(), proxies, &SMALL)
    }

    fn start_with(brokers: usize, proxies: &[u16], jvm: &'static [&'static str]) -> Self {
        let mut attempt = 1;
        loop {
            match Self::try_start(brokers, proxies, jvm) {
                Ok(kafka) => return kafka,
                Err(reason) if reason.contains(PORT_TAKEN) && attempt < ATTEMPTS => attempt += 1,
                Err(reason) => fail(&reason),
            }
        }
    }

    fn try_start(
        count: usize,
        proxies: &[u16],
        jvm: &'static [&'static str],
    ) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("penstock-kafka-")
            .tempdir()
            .map_err(|error| format!("no temporary folder: {error}"))?
            .keep();
        let janitor = Janitor::of(&folder);
        let certificates = Certificates::make(folder.join("certificates"));
        let ports = Ports::free(count, proxies);
        let mut brokers = Vec::new();
        for number in 0..count {
            let home = folder.join((number + 1).to_string());
            let settings = home.join("server.properties");
            let text = server_properties(number, &ports, &home.join("data"), &certificates);
            std::fs::create_dir_all(&home)
                .and_then(|()| std::fs::write(&settings, text))
                .map_err(|error| format!("{}: {error}", settings.display()))?;
            brokers.push(Broker {
                name: format!("kafka-{}", number + 1),
                settings,
                log: home.join("log"),
                process: None,
            });
        }
        let mut kafka = Self {
            brokers,
            ports,
            certificates,
            folder,
            janitor,
            jvm,
        };
        kafka.format()?;
        for number in 0..count {
            kafka.spawn(number)?;
        }
        for number in 0..count {
            kafka.wait_until_ready(number, 0)?;
        }
        Ok(kafka)
    }

    /// Gives each data folder its identity, and the cluster its users.
    fn format(&self) -> Result<(), String> {
        let user = |mechanism: &str| format!("{mechanism}=[name={USER},password={PASSWORD}]");
        let mut formatting = Vec::new();
        for broker in &self.brokers {
            let mut command = java(&SMALL, "kafka.tools.StorageTool", &broker.log)?;
            command
                .args(["format", "-t", CLUSTER_ID, "-c"])
                .arg(&broker.settings);
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                command.args(["--add-scram", &user(mechanism)]);
            }
            let process = command
                .spawn()
                .map_err(|error| format!("start java: {error}"))?;
            formatting.push((broker, process));
        }
        for (broker, mut process) in formatting {
            let ended = process.wait().map_err(|error| format!("java: {error}"))?;
            if !ended.success() {
                return Err(self.told(broker, "cannot format its data folder"));
            }
        }
        Ok(())
    }

    fn spawn(&mut self, number: usize) -> Result<(), String> {
        let Some(broker) = self.brokers.get_mut(number) else {
            return Err(format!("there is no broker {number}"));
        };
        let process = java(self.jvm, "kafka.Kafka", &broker.log)?
            .arg(&broker.settings)
            .spawn()
            .map_err(|error| format!("start java: {error}"))?;
        self.janitor.watch(&broker.name, &process);
        broker.process = Some(process);
        Ok(())
    }

    /// Until the log, from byte `from` on, says that the broker serves.
    fn wait_until_ready(&mut self, number: usize, from: usize) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let Some(broker) = self.brokers.get_mut(number) else {
                return Err(format!("there is no broker {number}"));
            };
            let ended = match &mut broker.process {
                Some(process) => !matches!(process.try_wait(), Ok(None)),
                None => true,
            };
            let log = std::fs::read(&broker.log).unwrap_or_default();
            let log = String::from_utf8_lossy(log.get(from..).unwrap_or_default());
            if log.contains(READY) {
                return Ok(());
            }
            if ended || start.elapsed() > LIMIT {
                let taken = if log.contains(PORT_TAKEN) {
                    format!(": {PORT_TAKEN}")
                } else {
                    String::new()
                };
                let what = if ended {
                    "ended while starting"
                } else {
                    "did not start in time"
                };
                let broker = &self.brokers[number];
                return Err(self.told(broker, &format!("{what}{taken}")));
            }
            std::thread::park_timeout(POLL);
        }
    }

    /// What is wrong, with the end of the log; the logs stay unless it is tried again.
    fn told(&self, broker: &Broker, what: &str) -> String {
        if !what.contains(PORT_TAKEN) {
            self.janitor.keep();
        }
        let log = std::fs::read_to_string(&broker.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.len().saturating_sub(20);
        format!(
            "{} {what}; its log is {}, and ends:\n{}",
            broker.name,
            broker.log.display(),
            lines[end..].join("\n")
        )
    }

    /// `host:port` of every broker, comma-separated.
    pub fn brokers(&self, listener: Listener) -> String {
        let all: Vec<String> = self.ports.iter().map(|it| it.address(listener)).collect();
        all.join(",")
    }

    /// `host:port` where broker `number` itself listens, counted from 0.
    pub fn address(&self, number: usize, listener: Listener) -> String {
        let ports = self.ports.get(number);
        ports.map_or_else(String::new, |it| it.address(listener))
    }

    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// SIGKILL.
    pub fn kill(&mut self, number: usize) {
        self.end(number, "KILL");
    }

    /// SIGTERM: the broker hands its partitions over first.
    pub fn stop(&mut self, number: usize) {
        self.end(number, "TERM");
    }

    /// Starts a broker that was ended; returns when it serves.
    pub fn restart(&mut self, number: usize) {
        let from = std::fs::metadata(&self.brokers[number].log).map_or(0, |it| it.len());
        let started = self
            .spawn(number)
            .and_then(|()| self.wait_until_ready(number, from as usize));
        if let Err(reason) = started {
            fail(&reason);
        }
    }

    fn end(&mut self, number: usize, signal: &str) {
        let broker = &mut self.brokers[number];
        if let Some(mut process) = broker.process.take() {
            let _ = Command::new("kill")
                .arg(format!("-{signal}"))
                .arg(process.id().to_string())
                .status();
            let _ = process.wait();
            self.janitor.forget(&broker.name);
        }
    }

    /// What Kafka's own tool tells of a group: committed offset, end of the log and lag of every partition it has
    /// committed on.
    pub fn told_of(&self, group: &str) -> BTreeMap<(String, i32), [i64; 3]> {
        let brokers = self.brokers(Listener::Plain);
        let told = bare_java(
            &SMALL,
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        )
        .args([
            "--bootstrap-server",
            &brokers,
            "--describe",
            "--group",
            group,
        ])
        .output();
        let told = match told {
            Ok(told) if told.status.success() => told,
            other => fail(&format!("kafka-consumer-groups --group {group}: {other:?}")),
        };
        group_table(&String::from_utf8_lossy(&told.stdout))
    }

    /// Keeps the logs if the test that holds this fails, and says where they are.
    pub fn witness(&self) -> Witness<'_> {
        Witness(self)
    }

    /// Keeps the logs of the brokers and says where they are.
    pub fn keep_logs(&self) {
        self.janitor.keep();
        eprintln!("logs of the Kafka brokers: {}", self.folder.display());
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
        for number in 0..self.brokers.len() {
            self.kill(number);
        }
    }
}

/// A test's hold on a server that outlives it.
pub struct Witness<'a>(&'a Kafka);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.keep_logs();
        }
    }
}

/// A program of Kafka's, writing to `log`.
fn java(jvm: &[&str], class: &str, log: &Path) -> Result<Command, String> {
    let open = || File::options().create(true).append(true).open(log);
    let (out, errors) = open()
        .and_then(|out| Ok((out, open()?)))
        .map_err(|error| format!("{}: {error}", log.display()))?;
    let mut command = bare_java(jvm, class);
    command.stdout(out).stderr(errors);
    Ok(command)
}

fn bare_java(jvm: &[&str], class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args(jvm)
        .arg("-cp")
        .arg(jars("jars").join("*"))
        .arg(class)
        .stdin(Stdio::null());
    command
}

/// Reads the table the tool prints, by the names of its columns.
fn group_table(printed: &str) -> BTreeMap<(String, i32), [i64; 3]> {
    let mut rows = printed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let Some(names) = rows.find(|row| row.first() == Some(&"GROUP")) else {
        return BTreeMap::new();
    };
    let column = |name: &str| names.iter().position(|it| *it == name);
    let read = |row: &[&str]| {
        let cell = |name| row.get(column(name)?).copied();
        let number = |name| cell(name)?.parse::<i64>().ok();
        let key = (cell("TOPIC")?.to_owned(), cell("PARTITION")?.parse().ok()?);
        let values = [
            number("CURRENT-OFFSET")?,
            number("LOG-END-OFFSET")?,
            number("LAG")?,
        ];
        Some((key, values))
    };
    rows.filter_map(|row| read(&row)).collect()
}
