//! Another time of day for one process.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failed;

const SOURCE: &str = include_str!("clock.c");

/// What a process is told of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    True,
    /// By this many hours.
    Off(i32),
}

/// A library that stands between a process and its clock.
pub struct OffClock {
    library: PathBuf,
}

impl OffClock {
    /// Compiles it in `folder`.
    pub fn build(folder: &Path) -> Result<Self, Failed> {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        std::fs::write(&source, SOURCE)
            .map_err(|error| Failed(format!("{}: {error}", source.display())))?;
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source)
            .output()
            .map_err(|error| Failed(format!("cc: {error}: run scripts/setup.sh")))?;
        match output.status.success() {
            true => Ok(Self { library }),
            false => Err(Failed(format!(
                "cc {}: {}",
                source.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
        }
    }

    /// Sets the clock of a process that is not started yet.
    pub fn set(&self, command: &mut Command, clock: Clock) {
        if let Clock::Off(hours) = clock {
            command
                .env("LD_PRELOAD", &self.library)
                .env("CLOCK_OFF", (hours * 3600).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_another_time() {
        let folder = tempfile::tempdir().unwrap();
        let clock = OffClock::build(folder.path()).unwrap();
        let told = |by: Clock| {
            let mut command = Command::new("date");
            command.arg("+%s");
            clock.set(&mut command, by);
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.trim().parse::<i64>().unwrap()
        };
        let (true_time, ahead, behind) =
            (told(Clock::True), told(Clock::Off(1)), told(Clock::Off(-1)));
        assert!(
            (3590..3610).contains(&(ahead - true_time)),
            "{ahead} {true_time}"
        );
        assert!(
            (3590..3610).contains(&(true_time - behind)),
            "{behind} {true_time}"
        );
    }
}
