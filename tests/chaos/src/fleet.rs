//! The processes of the pipeline, and an orchestrator that starts again what ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use penstock::audit::Audit;
use penstock_servers::Janitor;
use penstock_servers::s3::ACCESS_KEY;
use tokio::time::{MissedTickBehavior, interval};

use crate::Failed;
use crate::clock::{Clock, OffClock};
use crate::log::Log;

/// A process that ends at once is started no faster than this.
const BACK_OFF: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);
/// A process drains for 20 s, and insists on its last commit for 10.
pub const DRAIN: Duration = Duration::from_secs(40);
const START: Duration = Duration::from_secs(90);
/// What a process says when it runs.
const RUNS: &str = "running:";
/// How processes are run.
pub struct Settings {
    pub program: PathBuf,
    pub config: PathBuf,
    pub folder: PathBuf,
    /// The owner's data.
    pub data: PathBuf,
    pub clock: OffClock,
}

/// A process that ended though nobody ended it.
#[derive(Debug, Clone)]
pub struct Ended {
    pub name: String,
    pub status: String,
    pub said: String,
    /// It could not do otherwise.
    pub excused: bool,
}

struct Member {
    stages: Vec<String>,
    child: Option<Child>,
    started: Instant,
    clock: Clock,
    /// Whoever looks after it has ended it, or is about to.
    expected: bool,
    /// It is to be there.
    wanted: bool,
    starts: u32,
    log: PathBuf,
    /// Where the log of this start begins.
    from: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    settings: Arc<Settings>,
    janitor: Arc<Janitor>,
    state: Arc<Mutex<State>>,
    log: Log,
}

#[derive(Default)]
struct State {
    members: BTreeMap<String, Member>,
    ended: Vec<Ended>,
    /// Those that may end by themselves for now.
    excused: Vec<String>,
    kills: u64,
    starts: u64,
}

impl Fleet {
    pub fn new(settings: Settings, janitor: Janitor, log: Log) -> Self {
        let fleet = Self {
            settings: Arc::new(settings),
            janitor: Arc::new(janitor),
            state: Arc::default(),
            log,
        };
        tokio::spawn(fleet.clone().look_after());
        fleet
    }

    /// Starts a process of these stages; the orchestrator keeps it there from then on.
    pub fn start(&self, name: &str, stages: &[&str]) -> Result<(), Failed> {
        let mut state = self.locked();
        let log = self
            .settings
            .folder
            .join("logs")
            .join(format!("{name}.log"));
        let member = Member {
            stages: stages.iter().map(|it| (*it).to_owned()).collect(),
            child: None,
            started: Instant::now(),
            clock: Clock::True,
            expected: false,
            wanted: true,
            starts: 0,
            log,
            from: 0,
        };
        let member = state.members.entry(name.to_owned()).or_insert(member);
        member.wanted = true;
        self.spawn(name, member)?;
        state.starts += 1;
        Ok(())
    }

    /// What the owner says of its stores.
    pub fn audit(&self) -> Result<Audit, Failed> {
        let output = self.on_data(&["audit", "--json"]).output();
        let output = output.map_err(|error| Failed(format!("audit: {error}")))?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Failed(format!("audit: {error}: {}", said.trim()))
        })
    }

    /// Names of those that are to be there.
    pub fn names(&self) -> Vec<String> {
        let state = self.locked();
        let wanted = state.members.iter().filter(|(_, it)| it.wanted);
        wanted.map(|(name, _)| name.clone()).collect()
    }

    /// SIGKILL; it is started again at once. False where it does not run.
    pub fn kill(&self, name: &str) -> bool {
        let mut state = self.locked();
        let member = state.members.get_mut(name);
        let Some((child, expected)) = member.and_then(|it| {
            let child = it.child.as_mut()?;
            Some((child, &mut it.expected))
        }) else {
            return false;
        };
        *expected = true;
        let killed = child.kill().is_ok();
        state.kills += u64::from(killed);
        killed
    }

    /// SIGSTOP, SIGCONT, …
    pub fn signal(&self, name: &str, signal: &str) {
        let state = self.locked();
        if let Some(child) = state.members.get(name).and_then(|it| it.child.as_ref()) {
            let _ = Command::new("kill")
                .arg(format!("-{signal}"))
                .arg(child.id().to_string())
                .status();
        }
    }

    /// SIGTERM, and it is not started again. An error where it does not end well within its deadline.
    pub async fn terminate(&self, name: &str) -> Result<Duration, Failed> {
        let start = Instant::now();
        {
            let mut state = self.locked();
            let Some(member) = state.members.get_mut(name) else {
                return Err(Failed(format!("there is no process {name}")));
            };
            member.wanted = false;
            member.expected = true;
        }
        self.signal(name, "TERM");
        let mut looks = looks();
        loop {
            looks.tick().await;
            let mut state = self.locked();
            let member = state.members.get_mut(name);
            let child = member.and_then(|it| it.child.as_mut());
            let Some(child) = child else {
                return Err(Failed(format!("{name} had ended before it was told to")));
            };
            match child.try_wait() {
                Ok(None) if start.elapsed() < DRAIN => {}
                Ok(None) => {
                    let _ = child.kill();
                    let seconds = DRAIN.as_secs();
                    return Err(Failed(format!("{name} did not end in {seconds} s")));
                }
                Ok(Some(status)) => {
                    self.janitor.forget(name);
                    if let Some(member) = state.members.get_mut(name) {
                        member.child = None;
                    }
                    return match status.success() {
                        true => Ok(start.elapsed()),
                        false => Err(Failed(format!(
                            "{name} ended with {status} when told to stop"
                        ))),
                    };
                }
                Err(error) => return Err(Failed(format!("{name}: {error}"))),
            }
        }
    }

    /// Starts a process that was terminated, by this clock from now on.
    pub fn start_again(&self, name: &str, clock: Clock) -> Result<(), Failed> {
        let mut state = self.locked();
        state.starts += 1;
        let Some(member) = state.members.get_mut(name) else {
            return Err(Failed(format!("there is no process {name}")));
        };
        member.wanted = true;
        member.clock = clock;
        self.spawn(name, member)
    }

    /// Until the process says that it runs.
    pub async fn until_running(&self, name: &str) -> Result<(), Failed> {
        let start = Instant::now();
        let mut looks = looks();
        while start.elapsed() < START {
            looks.tick().await;
            let state = self.locked();
            if let Some(member) = state.members.get(name)
                && member.said().contains(RUNS)
            {
                return Ok(());
            }
        }
        let state = self.locked();
        let said = state.members.get(name).map(Member::said);
        Err(Failed(format!(
            "{name} did not run in {} s: {}",
            START.as_secs(),
            said.unwrap_or_default().trim()
        )))
    }

    /// From now on it is no wonder if this process ends by itself.
    pub fn excuse(&self, name: &str) {
        self.locked().excused.push(name.to_owned());
    }

    pub fn excuse_no_more(&self, name: &str) {
        self.locked().excused.retain(|it| it != name);
    }

    /// Those that ended by themselves.
    pub fn ended(&self) -> Vec<Ended> {
        self.locked().ended.clone()
    }

    /// SIGKILLs sent, and starts of processes.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.locked();
        (state.kills, state.starts)
    }

    /// SIGKILL to all that are left.
    pub fn end(&self) {
        let mut state = self.locked();
        for (name, member) in &mut state.members {
            member.wanted = false;
            member.expected = true;
            if let Some(mut child) = member.child.take() {
                let _ = child.kill();
                let _ = child.wait();
                self.janitor.forget(name);
            }
        }
    }

    pub fn keep_logs(&self) {
        self.janitor.keep();
        eprintln!("logs of all processes: {}", self.settings.folder.display());
    }

    async fn look_after(self) {
        let mut looks = looks();
        loop {
            looks.tick().await;
            self.look();
        }
    }

    /// Notes what has ended, and starts it again.
    fn look(&self) {
        let mut state = self.locked();
        let State {
            members,
            ended,
            excused,
            starts,
            ..
        } = &mut *state;
        for (name, member) in members.iter_mut().filter(|(_, it)| it.wanted) {
            if let Some(child) = &mut member.child {
                let Ok(Some(status)) = child.try_wait() else {
                    continue;
                };
                member.child = None;
                self.janitor.forget(name);
                if !std::mem::take(&mut member.expected) {
                    let said = member.said();
                    let note = Ended {
                        name: name.clone(),
                        status: match status.signal() {
                            Some(signal) => format!("signal {signal}"),
                            None => format!("exit {}", status.code().unwrap_or(-1)),
                        },
                        said: said.lines().last().unwrap_or_default().to_owned(),
                        excused: excused.contains(name),
                    };
                    self.log.say(format!(
                        "{name} ended by itself: {}: {}",
                        note.status, note.said
                    ));
                    ended.push(note);
                } else {
                    // It was killed: an orchestrator starts it at once.
                    member.started = Instant::now() - BACK_OFF;
                }
            }
            if member.started.elapsed() >= BACK_OFF {
                *starts += 1;
                if let Err(failed) = self.spawn(name, member) {
                    self.log.say(failed.0);
                }
            }
        }
    }

    fn spawn(&self, name: &str, member: &mut Member) -> Result<(), Failed> {
        let wrong = |error: std::io::Error| Failed(format!("start {name}: {error}"));
        member.started = Instant::now();
        member.expected = false;
        member.starts += 1;
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&member.log)
            .map_err(wrong)?;
        writeln!(file, "--- start {} {:?}", member.starts, member.clock).map_err(wrong)?;
        member.from = file.metadata().map_err(wrong)?.len();
        let mut command = self.command(name, member);
        command
            .stderr(file.try_clone().map_err(wrong)?)
            .stdout(file);
        let child = command.spawn().map_err(wrong)?;
        self.janitor.watch(name, &child);
        member.child = Some(child);
        Ok(())
    }

    fn command(&self, name: &str, member: &Member) -> Command {
        let stages = member.stages.iter().map(String::as_str);
        let args: Vec<&str> = std::iter::once("run").chain(stages).collect();
        let mut command = self.on_data(&args);
        self.settings.clock.set(&mut command, member.clock);
        // By its key the store knows who asks.
        let key = format!("objects.properties.access_key_id={ACCESS_KEY}.{name}");
        command.arg("--set").arg(key);
        command
    }

    /// The program with nothing of the caller's configuration.
    fn on_data(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.settings.program);
        for (variable, _) in std::env::vars() {
            if variable.starts_with("PENSTOCK_") {
                command.env_remove(variable);
            }
        }
        command
            .args(args)
            .arg("--config")
            .arg(&self.settings.config)
            .arg("--data")
            .arg(&self.settings.data)
            .stdin(Stdio::null());
        command
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// What it said since its last start.
    fn said(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = text.get(self.from as usize..).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

/// Moments to look whether something has come about.
pub fn looks() -> tokio::time::Interval {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}
