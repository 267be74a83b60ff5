//! Whole-system tests drive the program as a user does; this is what they share.

pub mod fakes;
mod starved;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use penstock::audit::Audit;
use penstock::engines::open_stores;
use penstock::ingest::Report;
use penstock::query::Answer;
use penstock::system::Log;
use penstock_adapters::kafka::KafkaSink;
use penstock_runtime::{Route, Sink};
use penstock_schemas::{Blob, Document, content_hash, document_guid, next_version, topics};
use penstock_stages::blobs::version_prefix;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use starved::Starved;

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// The program under test: built beside this test binary by `cargo build --workspace`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("."));
    folder.join("penstock")
}

/// A data folder and a way to call the program on it.
pub struct Bench {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::of(binary())
    }

    /// On a program that lies elsewhere than beside a test.
    pub fn of(program: PathBuf) -> Self {
        let folder = tempfile::tempdir();
        match folder {
            Ok(folder) => Self { folder, program },
            Err(error) => fail(&format!("no temporary folder: {error}")),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A command on this data folder, with nothing of the caller's configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        let program = &self.program;
        assert!(
            program.exists(),
            "{} is missing: run `cargo build --workspace`, or `make test`",
            program.display()
        );
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if name.starts_with("PENSTOCK_") && name != "PENSTOCK_EMBED_MODEL" {
                command.env_remove(name);
            }
        }
        command.args(args).arg("--data").arg(self.data());
        command.stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub fn run(&self, args: &[&str]) -> Ran {
        match self.command(args).output() {
            Ok(output) => Ran::of(args, output),
            Err(error) => fail(&format!("{args:?}: {error}")),
        }
    }

    /// Starts and leaves running; its output is kept in files of this bench.
    pub fn spawn(&self, args: &[&str]) -> Running {
        static SPAWNED: AtomicU32 = AtomicU32::new(0);
        let number = SPAWNED.fetch_add(1, Ordering::Relaxed);
        let log = self.path().join(format!("spawned-{number}.log"));
        let file = std::fs::File::create(&log);
        let child = file.and_then(|file| {
            let errors = file.try_clone()?;
            self.command(args).stdout(file).stderr(errors).spawn()
        });
        match child {
            Ok(child) => Running { child, log },
            Err(error) => fail(&format!("{args:?}: {error}")),
        }
    }

    pub fn ingest(&self, folder: &Path, more: &[&str]) -> (i32, Report) {
        let folder = folder.display().to_string();
        let mut args = vec!["ingest", &folder, "--source", "test", "--json"];
        args.extend(more);
        let ran = self.run(&args);
        (ran.code, ran.json())
    }

    /// The file of a document's bytes, in a folder that is there.
    pub fn object(&self, document: &Document) -> PathBuf {
        let key = document.blob.as_ref().map_or("", |blob| &blob.key);
        let file = self.data().join("objects").join(key);
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.unwrap_or_else(|error| fail(&format!("{}: {error}", file.display())));
        file
    }

    pub fn audit(&self) -> Audit {
        self.run(&["audit", "--json"]).json()
    }

    /// Asserts that the audit finds nothing, and returns it.
    pub fn sound(&self) -> Audit {
        let audit = self.audit();
        assert!(audit.is_sound(), "{audit:#?}");
        audit
    }

    pub fn query(&self, text: &str, more: &[&str]) -> Answer {
        let mut args = vec!["query", text, "--json"];
        args.extend(more);
        self.run(&args).json()
    }

    /// Both stores' visible content without ids, versions and times, sorted: equal for equal documents.
    pub async fn stores(&self) -> Vec<String> {
        let lines = self.contents().await.into_iter();
        let mut lines: Vec<String> = lines.map(|it| canonical(it).to_string()).collect();
        lines.sort();
        lines
    }

    /// The same with ids and versions, but for the time of stamping: equal where the very same was written.
    pub async fn exact(&self) -> Vec<String> {
        let lines = self.contents().await.into_iter();
        let mut lines: Vec<String> = lines
            .map(|mut it| {
                if let Some(Value::Object(properties)) = it.get_mut("properties") {
                    properties.remove("stamped");
                }
                rounded(it).to_string()
            })
            .collect();
        lines.sort();
        lines
    }

    async fn contents(&self) -> Vec<Value> {
        let stores = match open_stores(&self.data()) {
            Ok(stores) => stores,
            Err(failure) => fail(&failure.to_string()),
        };
        let mut lines = Vec::new();
        let mut documents = std::collections::BTreeSet::new();
        let mut after = None;
        while let Ok(page) = stores.vectors.scroll(after, 500).await {
            let Some(last) = page.last() else { break };
            after = Some(last.chunk_guid);
            documents.extend(page.iter().map(|it| it.document_guid));
        }
        for document in documents {
            match stores.vectors.dump(document).await {
                Ok(points) => lines.extend(points),
                Err(failure) => fail(&failure.to_string()),
            }
        }
        match stores.graph.dump().await {
            Ok(graph) => {
                let parsed = graph.iter().map(|line| serde_json::from_str::<Value>(line));
                lines.extend(parsed.map(Result::unwrap_or_default));
            }
            Err(failure) => fail(&failure.to_string()),
        }
        lines
    }
}

/// Ids of editions and what derives from them, versions and times differ between runs.
fn canonical(value: Value) -> Value {
    const OF_A_RUN: [&str; 8] = [
        "id",
        "ids",
        "edition",
        "version",
        "stamped",
        "chunk_guid",
        "at",
        "settled",
    ];
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| !OF_A_RUN.contains(&name.as_str()))
            .map(|(name, value)| (name, canonical(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(canonical).collect(),
        other => rounded(other),
    }
}

/// Vectors are the same to the last bit but for their text form.
fn rounded(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, rounded(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(rounded).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => Value::String(format!("{:.5}", float + 0.0)),
            _ => Value::Number(number),
        },
        other => other,
    }
}

/// What a finished command said.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    args: String,
}

impl Ran {
    fn of(args: &[&str], output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            args: args.join(" "),
        }
    }

    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => fail(&format!(
                "penstock {}: exit {}: {error}\nstdout: {}\nstderr: {}",
                self.args, self.code, self.stdout, self.stderr
            )),
        }
    }

    /// Asserts the contract of errors: exit 1, one line on stderr that has all these words.
    pub fn could_not_run(&self, words: &[&str]) {
        assert_eq!(
            self.code, 1,
            "penstock {}: {} {}",
            self.args, self.stdout, self.stderr
        );
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{}", self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{:?} lacks {word:?}",
                self.stderr
            );
        }
    }
}

/// A process that is ended with the test.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it as an orchestrator would, and waits.
    pub fn terminate(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        self.child.wait().ok()?.code()
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Most memory it had at once, KiB; none once it has ended.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The one JSON document in its output.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let output = self.output();
        let found = output.find("{\n").and_then(|start| output.get(start..));
        let mut values = serde_json::Deserializer::from_str(found.unwrap_or_default()).into_iter();
        match values.next() {
            Some(Ok(value)) => value,
            _ => fail(&format!("no JSON in: {output}")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Polls for a state; the deadline is there for a broken test only, and long: other tests embed at the same time.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    const LIMIT: Duration = Duration::from_secs(400);
    let start = Instant::now();
    while !reached() {
        assert!(
            start.elapsed() < LIMIT,
            "{what} did not happen in {LIMIT:?}"
        );
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Opening a pipe that nobody writes to never returns: a record that names it is at work for as long as its process lives.
pub fn make_pipe(file: &Path) {
    let status = Command::new("mkfifo").arg(file).status();
    assert!(
        status.is_ok_and(|it| it.success()),
        "mkfifo {}",
        file.display()
    );
}

/// All files below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder);
        let entries =
            entries.unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
        for path in entries.filter_map(|it| Some(it.ok()?.path())) {
            match path.is_dir() {
                true => open.push(path),
                false => all.push(path),
            }
        }
    }
    all.sort();
    all
}

/// Copies `from` (a folder below samples/) file by file, sidecars and ignore files included, where `keep` says so.
pub fn copy_samples(to: &Path, keep: impl Fn(&str) -> bool) {
    fn visit(
        from: &Path,
        base: &Path,
        to: &Path,
        keep: &dyn Fn(&str) -> bool,
    ) -> std::io::Result<()> {
        for entry in std::fs::read_dir(from)? {
            let path = entry?.path();
            if path.is_dir() {
                visit(&path, base, to, keep)?;
                continue;
            }
            let key = path
                .strip_prefix(base)
                .unwrap_or(&path)
                .display()
                .to_string();
            if keep(&key) {
                let target = to.join(&key);
                std::fs::create_dir_all(target.parent().unwrap_or(to))?;
                std::fs::copy(&path, target)?;
            }
        }
        Ok(())
    }
    let samples = root().join("samples");
    if let Err(error) = visit(&samples, &samples, to, &keep) {
        fail(&format!("copy samples: {error}"));
    }
}

/// Labelled truth below samples/truth/.
pub fn truth<T: DeserializeOwned>(name: &str) -> T {
    let path = root().join("samples/truth").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => fail(&format!("{}: {error}", path.display())),
    }
}

/// Counts by key, for comparisons that read well when they fail.
pub fn counted(lines: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.as_str()).or_default() += 1;
    }
    counts
}

/// A document as any program may publish it. Its bytes are not in the object store yet.
pub fn document(name: &str, bytes: &[u8]) -> Document {
    let group = "default";
    let (id, version) = (document_guid(group, "test", name), next_version(None));
    let sha256 = content_hash(bytes);
    Document {
        document_guid: id,
        group: group.to_owned(),
        source: "test".to_owned(),
        key: name.to_owned(),
        version,
        deleted: false,
        path: name.to_owned(),
        blob: Some(Blob {
            key: format!("{}{sha256}", version_prefix(group, id, version)),
            sha256,
            size: bytes.len() as i64,
        }),
        title: None,
        author: None,
        language: None,
        created_at: None,
        attributes: BTreeMap::new(),
    }
}

pub async fn publish(log: &Log, document: &Document) {
    let record = topics::DOCUMENTS.encode(&log.codec, document);
    let record = record.unwrap_or_else(|error| fail(&format!("{document:?}: {error}")));
    let published = match KafkaSink::new(&log.kafka) {
        Ok(sink) => sink.produce(vec![record]).await,
        Err(failure) => Err(failure),
    };
    published.unwrap_or_else(|failure| fail(&format!("publish a document: {failure}")));
}

/// Numbers between 0 and 1 from a fixed seed, so that a failure can be looked at again.
pub fn moments(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    })
}

/// Asserts that two dumps are equal, and names what differs.
pub fn assert_same(left: &[String], right: &[String]) {
    let (left, right) = (counted(left), counted(right));
    let shorten = |line: &&str| line.chars().take(400).collect::<String>();
    let missing: Vec<String> = left
        .keys()
        .filter(|it| left.get(*it) != right.get(*it))
        .map(shorten)
        .take(5)
        .collect();
    let added: Vec<String> = right
        .keys()
        .filter(|it| left.get(*it) != right.get(*it))
        .map(shorten)
        .take(5)
        .collect();
    assert!(
        missing.is_empty() && added.is_empty(),
        "only or more often left: {missing:#?}\nonly or more often right: {added:#?}"
    );
}

#[allow(
    clippy::panic,
    reason = "tests end by panicking; this crate is theirs alone"
)]
fn fail(reason: &str) -> ! {
    panic!("{reason}")
}
