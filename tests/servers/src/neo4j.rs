//! Neo4j, community edition, over Bolt with and without TLS on one port.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::certificates::Certificates;
use crate::janitor::Janitor;
use crate::{fail, jars};

/// Who may log in to Neo4j.
pub const NEO4J_USER: &str = "neo4j";
pub const NEO4J_PASSWORD: &str = "graph-secret-52d8";

/// Starts it, says when it serves, and tells plans.
const MAIN: &str = include_str!("../neo4j/Neo4jServer.java");
/// Starts quickly, and leaves room for a Kafka beside it.
const SMALL: [&str; 4] = [
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-XX:+UseSerialGC",
];
/// Compiles what is hot as well as it can: a server that benches measure against.
const FAST: [&str; 2] = ["-Xms1g", "-Xmx1g"];
const READY: &str = "Neo4j serves";
const PLAN: &str = "plan: ";
const PORT_TAKEN: &str = "Address already in use";
const NAME: &str = "neo4j";
/// For a broken test only.
const LIMIT: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(25);
const ATTEMPTS: usize = 3;

/// Whether a server takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

/// A running server. It ends with this value, or with the process.
pub struct Neo4j {
    process: Option<Child>,
    statements: Option<ChildStdin>,
    port: u16,
    home: PathBuf,
    certificates: Certificates,
    janitor: Janitor,
    jvm: &'static [&'static str],
}

impl Neo4j {
    /// One server, one test at a time: the edition has one database, and what a test leaves there the next one finds.
    pub fn shared() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<Mutex<Neo4j>> = OnceLock::new();
        SHARED
            .get_or_init(|| Mutex::new(Self::start()))
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server and returns when it serves.
    pub fn start() -> Self {
        Self::start_with(&SMALL)
    }

    /// As fast as it gets.
    pub fn start_at_full_speed() -> Self {
        Self::start_with(&FAST)
    }

    fn start_with(jvm: &'static [&'static str]) -> Self {
        let mut attempt = 1;
        loop {
            match Self::try_start(jvm) {
                Ok(neo4j) => return neo4j,
                Err(reason) if reason.contains(PORT_TAKEN) && attempt < ATTEMPTS => attempt += 1,
                Err(reason) => fail(&reason),
            }
        }
    }

    fn try_start(jvm: &'static [&'static str]) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("penstock-neo4j-")
            .tempdir()
            .map_err(|error| format!("no temporary folder: {error}"))?
            .keep();
        let janitor = Janitor::of(&folder);
        let certificates = Certificates::make(folder.join("certificates"));
        // Somebody may take the port before the server does: then the start fails, and is tried again with another.
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("no free port on 127.0.0.1: {error}"))?
            .port();
        let mut neo4j = Self {
            process: None,
            statements: None,
            port,
            home: folder.join("1"),
            certificates,
            janitor,
            jvm,
        };
        std::fs::create_dir_all(&neo4j.home)
            .map_err(|error| format!("{}: {error}", neo4j.home.display()))?;
        neo4j.put("Neo4jServer.java", MAIN)?;
        neo4j.spawn(Access::Write, &[NEO4J_PASSWORD])?;
        neo4j.wait_until_ready(0)?;
        Ok(neo4j)
    }

    /// Writes a file of its home.
    fn put(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let file = self.home.join(name);
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(file)
    }

    fn settings(&self, access: Access) -> String {
        let [certificate, key] = self.certificates.server_pair();
        let address = format!("127.0.0.1:{}", self.port);
        let read_only = (access == Access::Read).to_string();
        let [certificate, key] = [certificate, key].map(|it| it.display().to_string());
        let home = self.home.display().to_string();
        let settings = [
            ("server.bolt.enabled", "true"),
            ("server.bolt.listen_address", &address),
            ("server.bolt.advertised_address", &address),
            // Who speaks TLS gets TLS.
            ("server.bolt.tls_level", "OPTIONAL"),
            ("dbms.ssl.policy.bolt.enabled", "true"),
            ("dbms.ssl.policy.bolt.base_directory", &home),
            ("dbms.ssl.policy.bolt.client_auth", "NONE"),
            ("dbms.ssl.policy.bolt.public_certificate", &certificate),
            ("dbms.ssl.policy.bolt.private_key", &key),
            ("dbms.security.auth_enabled", "true"),
            ("server.databases.default_to_read_only", &read_only),
            ("dbms.usage_report.enabled", "false"),
            // Small, and nothing is laid out on disk ahead of need.
            ("server.memory.pagecache.size", "64m"),
            ("db.tx_log.preallocate", "false"),
            ("db.tx_log.rotation.size", "16m"),
            ("db.tx_log.rotation.retention_policy", "keep_none"),
        ];
        settings
            .map(|(name, value)| format!("{name}={value}\n"))
            .concat()
    }

    /// `password`: where it is to be set, which cannot be done twice.
    fn spawn(&mut self, access: Access, password: &[&str]) -> Result<(), String> {
        let settings = self.put("neo4j.conf", &self.settings(access))?;
        let log = self.log();
        let open = || File::options().create(true).append(true).open(&log);
        let (out, errors) = open()
            .and_then(|out| Ok((out, open()?)))
            .map_err(|error| format!("{}: {error}", log.display()))?;
        let mut process = Command::new("java")
            .args(self.jvm)
            .arg("-cp")
            .arg(jars("neo4j").join("*"))
            .arg(self.home.join("Neo4jServer.java"))
            .arg(&self.home)
            .arg(settings)
            .args(password)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("start java: {error}"))?;
        self.janitor.watch(NAME, &process);
        self.statements = process.stdin.take();
        self.process = Some(process);
        Ok(())
    }

    /// Until the log, from byte `from` on, says that the server serves.
    fn wait_until_ready(&mut self, from: usize) -> Result<(), String> {
        self.wait_for_line(READY, from).map(|_| ())
    }

    /// The rest of the first line of the log, from byte `from` on, that starts so.
    fn wait_for_line(&mut self, begins: &str, from: usize) -> Result<String, String> {
        let start = Instant::now();
        loop {
            let ended = match &mut self.process {
                Some(process) => !matches!(process.try_wait(), Ok(None)),
                None => true,
            };
            let log = std::fs::read(self.log()).unwrap_or_default();
            let log = String::from_utf8_lossy(log.get(from..).unwrap_or_default());
            // A line counts when it is whole.
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            if let Some(rest) = whole.lines().find_map(|line| line.strip_prefix(begins)) {
                return Ok(rest.to_owned());
            }
            if ended || start.elapsed() > LIMIT {
                let what = if log.contains(PORT_TAKEN) {
                    PORT_TAKEN.to_owned()
                } else {
                    self.janitor.keep();
                    let what = if ended { "ended" } else { "took too long" };
                    format!("{what} before it said {begins:?}")
                };
                let lines: Vec<&str> = log.lines().collect();
                let end = lines.len().saturating_sub(20);
                return Err(format!(
                    "{NAME} {what}; its log is {}, and ends:\n{}",
                    self.log().display(),
                    lines[end..].join("\n")
                ));
            }
            std::thread::park_timeout(POLL);
        }
    }

    /// The operators of a statement's plan, without running it. Parameters need no values.
    pub fn plan(&mut self, statement: &str) -> Vec<String> {
        let from = self.log_size();
        let line = format!("{}\n", statement.replace('\n', " "));
        let told = match &mut self.statements {
            Some(statements) => statements
                .write_all(line.as_bytes())
                .map_err(|error| format!("{NAME}: {error}")),
            None => Err(format!("{NAME} does not run")),
        };
        match told.and_then(|()| self.wait_for_line(PLAN, from)) {
            Ok(plan) if !plan.starts_with("wrong: ") => {
                plan.split(' ').map(str::to_owned).collect()
            }
            Ok(wrong) => fail(&format!("{wrong}: {statement}")),
            Err(reason) => fail(&reason),
        }
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    /// `host:port`, with and without TLS.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Of the server, and of strangers.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.end("KILL");
    }

    /// SIGTERM: transactions end first.
    pub fn stop(&mut self) {
        self.end("TERM");
    }

    /// Starts the server again on its data and its port; returns when it serves.
    pub fn restart(&mut self) {
        self.start_again(Access::Write);
    }

    /// The same, and from now on its database takes no writes, as with a follower in a cluster.
    pub fn restart_read_only(&mut self) {
        self.start_again(Access::Read);
    }

    fn start_again(&mut self, access: Access) {
        let from = self.log_size();
        let started = self
            .spawn(access, &[])
            .and_then(|()| self.wait_until_ready(from));
        if let Err(reason) = started {
            fail(&reason);
        }
    }

    fn log_size(&self) -> usize {
        std::fs::metadata(self.log()).map_or(0, |it| it.len() as usize)
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut process) = self.process.take() {
            let _ = Command::new("kill")
                .arg(format!("-{signal}"))
                .arg(process.id().to_string())
                .status();
            let _ = process.wait();
            // Not before: the server ends by itself when nobody can ask it any more.
            self.statements = None;
            self.janitor.forget(NAME);
        }
    }

    /// Keeps the logs and says where they are.
    pub fn keep_logs(&self) {
        self.janitor.keep();
        eprintln!("logs of Neo4j: {}", self.home.display());
    }
}

impl Drop for Neo4j {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
        self.kill();
    }
}
