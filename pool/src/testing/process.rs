//! Processes as `/proc` tells of them.

use std::fmt;
use std::fs;

/// One process at one moment.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The id of its parent.
    pub parent: u32,
    /// The id of its process group.
    pub group: u32,
    /// When it was started, in ticks since the system was. With the pid, it names a process for good.
    pub started: u64,
    state: char,
    threads: u32,
    /// The processor time that it has used, in ticks.
    pub ticks: u64,
}

impl Process {
    /// `None` if there is no such process, not even a zombie.
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, so that the fields are counted from its end.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        Some(Self {
            pid,
            state: fields[0].chars().next()?,
            parent: fields[1].parse().ok()?,
            group: fields[2].parse().ok()?,
            threads: fields[17].parse().ok()?,
            ticks: fields[11].parse().ok()?,
            started: fields[19].parse().ok()?,
        })
    }

    /// Every process that there is, by its pid.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("there is a /proc");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut all: Vec<Self> = pids.filter_map(Self::read).collect();
        all.sort_unstable_by_key(|process| process.pid);
        all
    }

    /// Those below `ancestor`, however deep, as long as nobody between has ended.
    #[must_use]
    pub fn descendants(ancestor: u32) -> Vec<Self> {
        let all = Self::all();
        let mut below = vec![ancestor];
        let mut found = Vec::new();
        while let Some(parent) = below.pop() {
            let children = all.iter().filter(|process| process.parent == parent);
            for child in children {
                below.push(child.pid);
                found.push(child.clone());
            }
        }
        found
    }

    /// Those that are alive and were started with `variable`, as `NAME=value`, in their environment: it is inherited, whatever
    /// parent, group or session a process comes to have.
    #[must_use]
    pub fn marked(variable: &str) -> Vec<Self> {
        let carries = |process: &Self| {
            let environment =
                fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            let mut variables = environment.split(|&byte| byte == 0);
            variables.any(|other| other == variable.as_bytes())
        };
        let mut marked = Self::all();
        marked.retain(|process| process.is_alive() && carries(process));
        marked
    }

    /// Whether it runs or could: it is not a zombie. One whose first thread has ended before the others only looks like one.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }

    /// Whether the very same process is still alive.
    #[must_use]
    pub fn lives_on(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started && now.is_alive())
    }
}

/// What one needs to know of a process that should not be there.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            parent,
            group,
            state,
            ..
        } = self;
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let command: String = command.chars().take(100).collect();
        write!(f, "{state} pid {pid} of {parent}, group {group}: {command}")
    }
}

/// The resident bytes of this process.
///
/// # Panics
///
/// Where there is no `/proc`.
#[must_use]
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).expect("it has a size");
    kib << 10
}
