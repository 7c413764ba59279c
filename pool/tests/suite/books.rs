//! The operating system's own books: processes and descriptors, not what the pool thinks of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use tokio::runtime::Runtime;

use crate::procfs::Process;

/// How long something may take that takes moments. No test passes sooner or later because of it.
const DEADLINE: Duration = Duration::from_secs(30);

/// What this process has: its children, zombies included, and its open descriptors: what they are, not their numbers.
///
/// A pool has a child of its own beside its workers, so that not every child is one while a pool lives.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) children: Vec<Process>,
    pub(crate) descriptors: Vec<String>,
}

impl Books {
    pub(crate) fn take() -> Self {
        let me = std::process::id();
        let mut children = Process::all();
        children.retain(|process| process.parent == me);
        let descriptors = fs::read_dir("/proc/self/fd").expect("this process has descriptors");
        let target = |path| Some(fs::read_link(path).ok()?.display().to_string());
        let mut descriptors: Vec<String> = descriptors
            .filter_map(|entry| target(entry.ok()?.path()))
            // This listing's own.
            .filter(|target| !target.starts_with("/proc/"))
            .collect();
        descriptors.sort();
        Self {
            children,
            descriptors,
        }
    }

    /// What is there now and was not when these books were taken, with what is in the process groups of `leaders`.
    pub(crate) fn left(&self, leaders: &BTreeSet<u32>) -> Left {
        let now = Self::take();
        let was_there = |child: &Process| self.children.iter().any(|old| old.pid == child.pid);
        let mut descriptors = now.descriptors;
        for known in &self.descriptors {
            if let Some(at) = descriptors.iter().position(|found| found == known) {
                descriptors.swap_remove(at);
            }
        }
        let members = Process::all()
            .into_iter()
            .filter(|process| leaders.contains(&process.group));
        let (members, zombies) = members.partition(Process::is_alive);
        Left {
            children: now
                .children
                .into_iter()
                .filter(|child| !was_there(child))
                .collect(),
            members,
            zombies,
            descriptors,
        }
    }
}

/// What something has left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) children: Vec<Process>,
    /// Of the groups, alive.
    pub(crate) members: Vec<Process>,
    /// Of the groups, ended and not collected.
    pub(crate) zombies: Vec<Process>,
    pub(crate) descriptors: Vec<String>,
}

impl Left {
    /// A zombie of a group that is no child of this process does not count: whose it is may never collect it, as the
    /// first process of a container often does not.
    pub(crate) fn is_nothing(&self) -> bool {
        self.children.is_empty() && self.members.is_empty() && self.descriptors.is_empty()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes = [
            ("child", &self.children),
            ("member", &self.members),
            ("zombie", &self.zombies),
        ];
        for (what, processes) in processes {
            for process in processes {
                writeln!(f, "  {what}: {process}")?;
            }
        }
        for descriptor in &self.descriptors {
            writeln!(f, "  descriptor: {descriptor}")?;
        }
        Ok(())
    }
}

/// Whether the process is there and not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    Process::read(pid).is_some_and(|process| process.is_alive())
}

/// Polls until `is` holds. What it waits for has no other way to tell.
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < DEADLINE, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the rest of a test in a process of its own, where it counts everything there is and finds no other test's:
/// true in that process; false, after it has ended well, in the one that runs all tests.
///
/// `name` is the test's path, as `cargo test` prints it.
pub(crate) fn alone(name: &str) -> bool {
    const ALONE: &str = "OSTLER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().expect("this test has a program"))
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(ALONE, name)
        .output()
        .expect("this test's program can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{said}\n{complained}",
        output.status
    );
    assert!(
        said.contains("1 passed"),
        "`{name}` is not the name of a test"
    );
    print!("{said}");
    false
}

/// Runs `test` on a runtime, and checks that this process is afterwards as it was before.
pub(crate) fn leaves_nothing(test: impl AsyncFnOnce()) {
    let runtime = Runtime::new().expect("a runtime");
    let before = Books::take();
    assert!(before.children.is_empty(), "{before:?}");
    runtime.block_on(test());
    until_nothing_is_left(&before, &BTreeSet::new());
}

/// Polls until everything is as when the books were taken, and nothing of the groups of `leaders` is alive.
pub(crate) fn until_nothing_is_left(before: &Books, leaders: &BTreeSet<u32>) {
    let since = Instant::now();
    loop {
        let left = before.left(leaders);
        if left.is_nothing() {
            return;
        }
        assert!(since.elapsed() < DEADLINE, "left behind:\n{left}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A path of this process's own, at which there is nothing: what an earlier one of its id may have left there is removed.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ostler-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    path
}

/// Where the Python modules of this suite are.
pub(crate) fn modules() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite"))
}
