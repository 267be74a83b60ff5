//! A small file system of its own for the owner's data, which can be full.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failed;

/// What it may take, MiB. Only what is used is taken from memory.
const SIZE_MIB: u64 = 6 * 1024;
/// Left free when it is full, KiB.
const SPARE_KIB: u64 = 16;

/// Unmounted with this value, or by the janitor of its folder.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts it on `path`, which is made.
    ///
    /// # Errors
    /// Where this process may not mount: it has to be root, as in containers and CI.
    pub fn mount(path: &Path) -> Result<Self, Failed> {
        std::fs::create_dir_all(path)
            .map_err(|error| Failed(format!("{}: {error}", path.display())))?;
        let size = format!("size={SIZE_MIB}m");
        run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs"], path).map_err(|failed| {
            Failed(format!(
                "cannot mount a small file system, run this as root: {}",
                failed.0
            ))
        })?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on there is almost no room.
    pub fn fill(&self) -> Result<(), Failed> {
        const TRIES: usize = 20;
        let mut outcome = Ok(());
        for _ in 0..TRIES {
            // Refused where more was written since.
            let used = self.kib("used")?;
            outcome = self.remount(&format!("{}k", used + SPARE_KIB));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Room that is left, KiB.
    pub fn left(&self) -> Result<u64, Failed> {
        self.kib("avail")
    }

    /// There is room again.
    pub fn free(&self) -> Result<(), Failed> {
        self.remount(&format!("{SIZE_MIB}m"))
    }

    fn kib(&self, what: &str) -> Result<u64, Failed> {
        let output = format!("--output={what}");
        let told = run(&["df", &output, "--block-size=1K"], &self.path)?;
        let number = told.lines().last().and_then(|it| it.trim().parse().ok());
        number.ok_or_else(|| Failed(format!("df says {told}")))
    }

    fn remount(&self, size: &str) -> Result<(), Failed> {
        let size = format!("remount,size={size}");
        run(&["mount", "-o", &size], &self.path).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(&["umount", "-l"], &self.path);
    }
}

/// Runs a command on the path; returns what it prints.
fn run(command: &[&str], path: &Path) -> Result<String, Failed> {
    let (program, args) = command.split_first().unwrap_or((&"true", &[]));
    let output = Command::new(program).args(args).arg(path).output();
    let output = output.map_err(|error| Failed(format!("{program}: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failed(format!("{}: {}", command.join(" "), said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_and_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::mount(&folder.path().join("disk")).unwrap();
        let write = |mib: usize| {
            let file = disk.path().join("file");
            std::fs::write(file, vec![1; mib << 20])
        };
        write(8).unwrap();
        disk.fill().unwrap();
        assert!(write(12).is_err());
        disk.free().unwrap();
        write(12).unwrap();
    }
}
