//! Tests that run a second time, in a child process that hosts a pool until the test kills it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use rustix::process::Signal;

use crate::resources::{is_alive, scratch, until, until_ended};
use crate::rig::signal;

/// The child process in which a test runs a second time.
pub(crate) struct Host {
    pub(crate) process: Child,
    /// The process ids that it has reported.
    pub(crate) pids: Vec<u32>,
}

impl Host {
    /// Runs a test a second time, and waits until it has reported process ids with [`report`]. Its
    /// variable `role` has the path for them.
    pub(crate) fn start(test: &str, role: &str, set_up: impl FnOnce(&mut Command)) -> Self {
        let path = scratch(&test.replace("::", "-"));
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]);
        command.env(role, &path).stdout(Stdio::null());
        set_up(&mut command);
        let (process, pids) = (command.spawn().unwrap(), Vec::new());
        let mut host = Self { process, pids };
        until("the host's report", || path.exists());
        let report = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        host.pids = report.split(' ').map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(host.alive(), host.pids.len());
        host
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// How many of its processes are alive.
    pub(crate) fn alive(&self) -> usize {
        self.pids.iter().filter(|&&pid| is_alive(pid)).count()
    }

    /// Kills the host, and waits until its processes have ended.
    pub(crate) fn ends_cleanly(mut self) {
        self.kill();
        until_ended(&self.pids);
    }
}

/// Ends what is left, also of a test that fails.
impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        for &pid in self.pids.iter().filter(|&&pid| is_alive(pid)) {
            signal(pid, Signal::KILL);
        }
    }
}

/// Reports two process ids to the test. The file appears when it is complete.
pub(crate) fn report(path: &Path, pids: [u32; 2]) {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, format!("{} {}", pids[0], pids[1])).unwrap();
    fs::rename(unfinished, path).unwrap();
}
