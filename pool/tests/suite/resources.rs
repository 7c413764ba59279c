//! Snapshots of the host's resources, and other helpers for tests of real processes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{env, fs};

use ostler_pool::testing::Process;
pub(crate) use ostler_pool::testing::{Resources, isolated};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::rig::signal;

/// A limit for waits that take milliseconds. No passing test reaches it.
const DEADLINE: Duration = Duration::from_secs(30);

/// Whether the process exists and is not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    Process::read(pid).is_some_and(|process| process.is_alive())
}

/// A child of this process that is killed and reaped when this is dropped, also by a failed test.
pub(crate) struct KillOnDrop(pub(crate) Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // An error means that other code, such as a release, has reaped it.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Polls until `is` holds, for facts that have no notification.
pub(crate) fn until(what: &str, is: impl FnMut() -> bool) {
    assert!(comes(is), "never came: {what}");
}

/// Polls until these processes have ended. Kills those that do not end, and panics.
pub(crate) fn until_ended(pids: &[u32]) {
    let alive = || pids.iter().copied().filter(|&pid| is_alive(pid));
    if comes(|| alive().next().is_none()) {
        return;
    }
    // Nothing else ends them, and they would disturb other tests.
    let alive: Vec<u32> = alive().collect();
    for &pid in &alive {
        signal(pid, Signal::KILL);
    }
    panic!("these processes did not end: {alive:?}");
}

/// Whether `is` holds before the deadline.
fn comes(mut is: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while !is() {
        if since.elapsed() >= DEADLINE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The `OSTLER_TAG` in the initial environment of a process: the tags of its pools, a colon, and
/// its own.
pub(crate) fn tag_of(pid: u32) -> String {
    let mut tag = None;
    // It appears only once `execve` is done.
    until("a tag", || {
        let environ = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        let mut variables = environ.split('\0');
        let value = variables.find_map(|variable| variable.strip_prefix("OSTLER_TAG="));
        tag = value.map(str::to_owned);
        tag.is_some()
    });
    tag.unwrap()
}

/// Runs `test` on a runtime, and checks that this process leaked no process and no descriptor.
pub(crate) fn leaks_nothing(test: impl AsyncFnOnce()) {
    let runtime = Runtime::new().expect("a runtime");
    let before = Resources::snapshot();
    assert!(before.children.is_empty(), "{before:?}");
    runtime.block_on(test());
    before.assert_no_leaks(&[]);
}

/// A path in the temporary directory that belongs to this process. What an earlier process with the
/// same id left there is removed.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("ostler-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    path
}

/// Compiles a source file of `hostile/`. Without a compiler, prints that the test is skipped and
/// returns `None`, or panics if `OSTLER_REQUIRE_TOOLS` is set.
pub(crate) fn compiled(source: &str, flags: &[&str]) -> Option<PathBuf> {
    compiled_as(source, source, flags)
}

/// As [`compiled`], to a file of this name, for tests that share a process.
pub(crate) fn compiled_as(name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let path = scratch(name);
    let status = Command::new("cc")
        .args(["-Wall", "-Werror"])
        .args(flags)
        .arg("-o")
        .arg(&path)
        .arg(modules().join("hostile").join(source))
        .status();
    if let Ok(status) = status {
        assert!(status.success(), "`cc` cannot build {source}: {status}");
        return Some(path);
    }
    assert!(
        env::var_os("OSTLER_REQUIRE_TOOLS").is_none(),
        "there is no `cc`"
    );
    eprintln!("skipped: there is no `cc` to build {source} with");
    None
}

/// The directory of the Python modules of this suite.
pub(crate) fn modules() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite"))
}
