//! Cleaning up after a process that may end in any way.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::fail;

/// Waits for the end of its input, which comes when the process that holds the other end of the pipe is gone, by
/// whatever cause. Then it ends the processes named in `*.pid`, unmounts what is mounted on `disk`, and removes the
/// folder; of a folder with a file `keep` the logs stay.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for file in "$1"/*.pid; do
  [ -f "$file" ] && kill -9 "$(cat "$file")"
done
[ -d "$1/disk" ] && umount -l "$1/disk" 2>/dev/null
if [ -f "$1/keep" ]; then rm -rf "$1"/*/data; else rm -rf "$1"; fi
"#;

/// Owns a folder and the processes that work in it: however the process that holds this ends, they go.
pub struct Janitor {
    shell: Child,
    folder: PathBuf,
}

impl Janitor {
    /// From now on the folder is removed with this value.
    pub fn of(folder: &Path) -> Self {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "janitor"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the keyboard is for the tests; this one still has to clean up.
            .process_group(0)
            .spawn();
        match shell {
            Ok(shell) => Self {
                shell,
                folder: folder.to_owned(),
            },
            Err(error) => fail(&format!("start sh: {error}")),
        }
    }

    /// Ends this process too, by the end.
    pub fn watch(&self, name: &str, process: &Child) {
        let file = self.folder.join(format!("{name}.pid"));
        if let Err(error) = std::fs::write(&file, process.id().to_string()) {
            fail(&format!("{}: {error}", file.display()));
        }
    }

    /// The process has ended: its number may be another's by now.
    pub fn forget(&self, name: &str) {
        let _ = std::fs::remove_file(self.folder.join(format!("{name}.pid")));
    }

    /// Keeps the logs.
    pub fn keep(&self) {
        let _ = std::fs::write(self.folder.join("keep"), "");
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (PathBuf, Child, Janitor) {
        let folder = tempfile::tempdir().unwrap().keep();
        std::fs::create_dir_all(folder.join("1/data")).unwrap();
        std::fs::write(folder.join("1/log"), "a line").unwrap();
        let janitor = Janitor::of(&folder);
        let process = Command::new("sleep").arg("1000").spawn().unwrap();
        janitor.watch("sleep", &process);
        (folder, process, janitor)
    }

    #[test]
    fn nothing_is_left() {
        let (folder, mut process, janitor) = world();
        drop(janitor);
        assert!(!process.wait().unwrap().success());
        assert!(!folder.exists());
    }

    #[test]
    fn logs_are_kept_on_failure() {
        let (folder, mut process, janitor) = world();
        janitor.keep();
        drop(janitor);
        assert!(!process.wait().unwrap().success());
        assert!(folder.join("1/log").exists());
        assert!(!folder.join("1/data").exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_process_that_has_ended_is_left_alone() {
        let (_, mut process, janitor) = world();
        janitor.forget("sleep");
        drop(janitor);
        assert!(process.try_wait().unwrap().is_none());
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
