//! The operating system's own books: processes and descriptors, not what the pool thinks of them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

/// How long something may take that takes moments. No test passes sooner or later because of it.
const DEADLINE: Duration = Duration::from_secs(30);

/// What this process has: its children, zombies included, and its open descriptors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) children: Vec<u32>,
    pub(crate) descriptors: Vec<String>,
}

impl Books {
    pub(crate) fn take() -> Self {
        let me = std::process::id();
        let mut children: Vec<u32> = pids().filter(|&pid| parent(pid) == Some(me)).collect();
        children.sort_unstable();
        let descriptors = fs::read_dir("/proc/self/fd").expect("this process has descriptors");
        // What a descriptor is, and not its number: one of them is this listing's own.
        let mut descriptors: Vec<String> = descriptors
            .filter_map(|entry| {
                Some(
                    fs::read_link(entry.ok()?.path())
                        .ok()?
                        .display()
                        .to_string(),
                )
            })
            .filter(|target| !target.starts_with("/proc/"))
            .collect();
        descriptors.sort();
        Self {
            children,
            descriptors,
        }
    }
}

/// Whether the process is there and not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
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
    false
}

/// Runs `test` on a runtime, and checks that this process is afterwards as it was before.
pub(crate) fn leaves_nothing(test: impl AsyncFnOnce()) {
    let runtime = Runtime::new().expect("a runtime");
    let before = Books::take();
    assert!(before.children.is_empty(), "{before:?}");
    runtime.block_on(test());
    until("clean books", || Books::take() == before);
}

/// Where the Python modules of this suite are.
pub(crate) fn modules() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite"))
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?[1].parse().ok()
}

/// The fields of `/proc/<pid>/stat` from the state on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
