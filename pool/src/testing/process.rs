//! Processes as `/proc` describes them.

use std::fmt;
use std::fs;

use crate::process::Stat;

/// A snapshot of one process. Linux only.
///
/// ```
/// use ostler_pool::testing::Process;
///
/// let me = Process::read(std::process::id()).expect("this process exists");
/// assert!(me.is_alive() && me.is_still_alive());
/// ```
#[derive(Clone, Debug)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// The id of the parent process.
    pub parent: u32,
    /// The id of the process group.
    pub group: u32,
    /// The start time, in clock ticks since boot. The kernel reuses pids; a pid and a start time
    /// together identify a process for good.
    pub start_time: u64,
    /// The CPU time used in user mode, in clock ticks.
    pub cpu_ticks: u64,
    stat: Stat,
}

impl Process {
    /// Reads one process, zombies included. `None` if there is no process with this id.
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self {
            pid,
            parent: stat.parent,
            group: stat.group,
            start_time: stat.started,
            cpu_ticks: stat.user_ticks,
            stat,
        })
    }

    /// All processes on the system, sorted by pid.
    ///
    /// # Panics
    ///
    /// If there is no `/proc`.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("there is a /proc");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut all: Vec<Self> = pids.filter_map(Self::read).collect();
        all.sort_unstable_by_key(|process| process.pid);
        all
    }

    /// The children of `ancestor`, their children and so on, zombies included.
    ///
    /// A descendant whose parent has ended belongs to another process by then and is not found; use
    /// [`with_env`](Self::with_env) for those.
    ///
    /// # Panics
    ///
    /// If there is no `/proc`.
    #[must_use]
    pub fn descendants(ancestor: u32) -> Vec<Self> {
        let all = Self::all();
        let mut parents = vec![ancestor];
        let mut found = Vec::new();
        while let Some(parent) = parents.pop() {
            for child in all.iter().filter(|process| process.parent == parent) {
                parents.push(child.pid);
                found.push(child.clone());
            }
        }
        found
    }

    /// The live processes that were started with `variable`, written as `NAME=value`, in their
    /// environment.
    ///
    /// Children inherit it, so this also finds processes that left their parent, process group and
    /// session. Environments that this process may not read are skipped.
    ///
    /// # Panics
    ///
    /// If there is no `/proc`.
    #[must_use]
    pub fn with_env(variable: &str) -> Vec<Self> {
        let has_variable = |process: &Self| {
            let environment =
                fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            let mut variables = environment.split(|&byte| byte == 0);
            variables.any(|other| other == variable.as_bytes())
        };
        let mut found = Self::all();
        found.retain(|process| process.is_alive() && has_variable(process));
        found
    }

    /// Whether the process was alive at the time of the snapshot, that is, not a zombie.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.stat.is_alive()
    }

    /// Whether this same process, not another one that reuses its pid, is alive now.
    #[must_use]
    pub fn is_still_alive(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.start_time == self.start_time && now.is_alive())
    }
}

/// State, pid, parent, group and the first 100 characters of the command line, for reports of
/// leaks.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            parent,
            group,
            stat,
            ..
        } = self;
        let state = stat.state;
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let command: String = command.chars().take(100).collect();
        write!(
            f,
            "pid {pid} (state {state}, parent {parent}, group {group}): {command}"
        )
    }
}

/// The resident memory of this process, in bytes. Linux only.
///
/// # Panics
///
/// If there is no `/proc`.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib
        .and_then(|kib| kib.parse().ok())
        .expect("the status has a resident size in kB");
    kib << 10
}
