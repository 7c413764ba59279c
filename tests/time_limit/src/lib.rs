//! `tokio`, and a time limit for every test.
//!
//! The root of a test binary replaces `#[test]` and `#[tokio::test]` in all its modules:
//!
//! ```ignore
//! #[macro_use(test)]
//! extern crate ostler_time_limit as tokio;
//! ```
//!
//! A test that does not end within its limit fails with its name, and the other tests run on. A
//! test with `#[ignore]` has no limit.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, panic, thread};

use ostler_pool::testing::Process;
use rustix::process::{Pid, Signal, kill_process};

pub use ostler_time_limit_macros::{limited, test};
pub use tokio;
pub use tokio::*;

/// The slowest test computes for more than a minute. With twenty processes for each CPU, it takes
/// more than ten.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// `isolated` sets this variable for the process of a test, and everything that it starts inherits
/// it.
const ISOLATED: &str = "OSTLER_TEST_ISOLATED";

/// Runs the body of the test `path`, the path of its function, on another thread of the same name.
///
/// # Panics
///
/// If the body panics or does not end in time. A body that does not end keeps its thread until the
/// process exits: nothing can stop a thread.
#[track_caller]
pub fn run(path: &str, body: fn()) {
    let limit = limit();
    let name = thread::current().name().unwrap_or(path).to_owned();
    let (running, ended) = mpsc::channel::<()>();
    let thread = thread::Builder::new().name(name).spawn(move || {
        // Dropped when the body returns or panics.
        let _running = running;
        body();
    });
    // No more threads. The test runner, too, then runs a test on the thread that it has.
    let Ok(thread) = thread else {
        return body();
    };
    if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        // As the test runner names it: without the crate.
        let name = path.split_once("::").map_or(path, |(_, name)| name);
        kill_isolated(name);
        panic!("`{name}` did not end within {limit:?}; OSTLER_TEST_LIMIT sets another limit in s");
    }
    if let Err(payload) = thread.join() {
        panic::resume_unwind(payload);
    }
}

fn limit() -> Duration {
    let given = env::var("OSTLER_TEST_LIMIT").ok();
    let limit = given.map_or(LIMIT, |seconds| {
        Duration::from_secs(seconds.parse().expect("OSTLER_TEST_LIMIT is a number"))
    });
    // An isolated test fails before the test that waits for it, whose message contains its own.
    match env::var_os(ISOLATED) {
        Some(_) => limit / 2,
        None => limit,
    }
}

/// Kills what an isolated test has started: it may hold the pipes on which another process waits
/// for the end of the test. In that other process, kills the isolated test as well.
fn kill_isolated(name: &str) {
    let me = std::process::id();
    let value = env::var(ISOLATED).unwrap_or_else(|_| format!("{name} {me}"));
    let since = Instant::now();
    // Until there is none: a process may fork while it is killed.
    while since.elapsed() < Duration::from_secs(10) {
        let mut found = Process::with_env(&format!("{ISOLATED}={value}"));
        found.retain(|process| process.pid != me);
        if found.is_empty() {
            return;
        }
        for process in found {
            let pid = Pid::from_raw(process.pid.cast_signed()).expect("a process id");
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
