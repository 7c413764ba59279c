//! A control group for each worker, where the user has one to spare: the kernel's own list of everything that a worker
//! started, which nobody leaves who has no right to write to the hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::mark::Mark;
use crate::port::OpenError;

/// A control group of version 2 of one worker's own. Dropped, it is ended and removed as far as that goes at once.
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// Checks that control groups can be made below `parent`, and ended.
    pub(super) fn check(parent: &Path, pool: &Mark) -> Result<(), OpenError> {
        let probe = || {
            let probe = Self::create(parent, &format!("{}-probe", pool.name()))?;
            if !probe.0.join("cgroup.kill").exists() {
                return Err(io::Error::other(
                    "it has no cgroup.kill: it is not of version 2, or Linux is older than 5.14",
                ));
            }
            Ok(())
        };
        probe().map_err(|error| OpenError::Cgroup {
            directory: parent.display().to_string(),
            reason: error.to_string(),
        })
    }

    pub(super) fn create(parent: &Path, name: &str) -> io::Result<Self> {
        let path = parent.join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Puts a process into it. What that starts from here on is in it too.
    pub(super) fn add(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }

    /// How many processes are alive in it, but not in control groups that the worker may have made below.
    pub(super) fn members(&self) -> usize {
        fs::read_to_string(self.0.join("cgroup.procs")).map_or(0, |pids| pids.lines().count())
    }

    /// Kills everything in it and below.
    pub(super) fn kill(&self) {
        // An error means that it is gone.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }

    /// Removes it, which the kernel allows once nobody in it is alive: whether it is gone.
    pub(super) fn remove(&self) -> bool {
        remove(&self.0)
    }
}

fn remove(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    match fs::remove_dir(directory) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if !self.remove() {
            self.kill();
            self.remove();
        }
    }
}
