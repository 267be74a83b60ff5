use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Running, fail};

/// A process that gets little of the processor, as under a quota: stopped and let go in turn, until this is dropped.
pub struct Starved {
    id: String,
    shell: Child,
}

impl Starved {
    /// It runs for `run`, then stands for `stand`, and so on.
    pub fn begin(process: &Running, run: Duration, stand: Duration) -> Self {
        // It ends with the process.
        const TURNS: &str =
            "while kill -CONT $0 && sleep $1 && kill -STOP $0 && sleep $2; do :; done";
        let id = process.id().to_string();
        let seconds = |time: Duration| time.as_secs_f64().to_string();
        let shell = Command::new("sh")
            .args(["-c", TURNS, &id, &seconds(run), &seconds(stand)])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match shell {
            Ok(shell) => Self { id, shell },
            Err(error) => fail(&format!("sh: {error}")),
        }
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        let _ = Command::new("kill").args(["-CONT", &self.id]).status();
    }
}
