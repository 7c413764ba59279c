//! A control group for each worker, where the user provides a directory for them.
//!
//! It is the kernel's own list of everything that a worker started. A process can leave it only
//! with write permission for the hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// One worker's control group (cgroup v2). On drop, it is killed and removed, as far as that is
/// possible without waiting.
#[derive(Debug)]
pub(in crate::process) struct Cgroup(PathBuf);

impl Cgroup {
    /// Checks that control groups can be created below `parent`, and killed. Creates one named
    /// `name` for the check.
    pub(in crate::process) fn check(parent: &Path, name: &str) -> io::Result<()> {
        let probe = Self::create(parent, name)?;
        if !probe.0.join("cgroup.kill").exists() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it has no `cgroup.kill`: it is not of version 2, or Linux is older than 5.14",
            ));
        }
        Ok(())
    }

    pub(in crate::process) fn create(parent: &Path, name: &str) -> io::Result<Self> {
        let path = parent.join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Moves a process into it. Everything that the process starts from here on is in it too.
    pub(in crate::process) fn add(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }

    /// The processes that are alive in it. Those in control groups that the worker may have created
    /// below do not count.
    pub(in crate::process) fn members(&self) -> io::Result<Vec<Pid>> {
        match fs::read_to_string(self.0.join("cgroup.procs")) {
            Ok(pids) => Ok(pids
                .lines()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Kills every process in it and below.
    pub(in crate::process) fn kill(&self) {
        // An error means that it is gone.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }

    /// Tries to remove it, which the kernel allows once no process in it is alive. Returns whether
    /// it is gone.
    pub(in crate::process) fn remove(&self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// P5: a control group that cannot be read does not count as empty, a removed one does, and a
    /// dropped one is killed.
    #[test]
    fn a_control_group_that_cannot_be_read_is_not_empty() {
        // Files in a directory that is no control group.
        let name = format!("ostler-cgroup-files-{}", std::process::id());
        let cgroup = Cgroup::create(&std::env::temp_dir(), &name).unwrap();
        let (path, procs) = (cgroup.0.clone(), cgroup.0.join("cgroup.procs"));
        assert_eq!(cgroup.members().unwrap(), []);
        fs::write(&procs, "4711\n4712\n").unwrap();
        let members = [4711, 4712].map(|pid| Pid::from_raw(pid).unwrap());
        assert_eq!(cgroup.members().unwrap(), members);
        fs::remove_file(&procs).unwrap();
        fs::create_dir(&procs).unwrap();
        assert!(cgroup.members().is_err());
        fs::write(path.join("kept"), "").unwrap();
        drop(cgroup);
        assert_eq!(fs::read(path.join("cgroup.kill")).unwrap(), b"1");
        assert!(!procs.exists());
        fs::remove_dir_all(path).unwrap();
    }
}
