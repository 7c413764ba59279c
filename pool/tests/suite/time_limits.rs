//! Does a test that hangs fail, with its name, and alone?

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, future, process, thread};

use ostler_pool::testing::Process;
use proptest::{prop_assert, proptest};
use rustix::process::Signal;

use crate::resources::{isolated, scratch};
use crate::rig::signal;

/// Set in the process in which the tests of `planted` hang.
const HANG: &str = "OSTLER_TEST_HANG";

/// The limit in that process, in seconds. Half of it lets an isolated test start and end, even on a
/// busy machine.
const LIMIT: u64 = 8;

/// T5: a test that hangs fails with its name, whether it is sync, async, random or isolated. The
/// other tests run, and no process is left.
#[test]
fn a_hang_fails_its_test_and_no_other() {
    let hang = format!("{HANG}={}", process::id());
    let path = scratch("time-limits");
    let mut suite = Command::new(env::current_exe().unwrap());
    suite
        .args(["time_limits::planted", "--include-ignored"])
        // One thread fewer than tests: `runs` comes last.
        .arg("--test-threads=6")
        .envs(hang.split_once('='))
        .env("OSTLER_TEST_LIMIT", LIMIT.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdout(fs::File::create(&path).unwrap())
        .stderr(Stdio::null());
    let mut suite = suite.spawn().unwrap();
    let since = Instant::now();
    while suite.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(5));
    }
    let _ = suite.kill();
    let status = suite.wait().unwrap();
    let left = Process::with_env(&hang);
    for process in &left {
        signal(process.pid, Signal::KILL);
    }
    let output = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    assert_eq!(status.code(), Some(101), "{output}");
    let result = |test: &str, result: &str| {
        let line = format!("test time_limits::planted::{test} ... {result}\n");
        assert!(output.contains(&line), "no line {line}{output}");
    };
    let hung = |test: &str, limit: u64| {
        result(test, "FAILED");
        let message = format!("`time_limits::planted::{test}` did not end within {limit}s;");
        assert!(output.contains(&message), "no message {message}:\n{output}");
    };
    hung("hangs", LIMIT);
    hung("hangs_async", LIMIT);
    hung("hangs_at_random", LIMIT);
    hung("hangs_isolated", LIMIT / 2);
    hung("hangs_stopped", LIMIT);
    result("is_ignored", "ok");
    result("runs", "ok");
    assert!(output.contains("\ntest result: FAILED. 2 passed; 5 failed; 0 ignored;"));
    let left: Vec<String> = left.iter().map(Process::to_string).collect();
    assert_eq!(left, [""; 0]);
}

/// Tests that hang in a process of the test above, and do nothing in others.
mod planted {
    use super::*;

    fn hangs_here() -> bool {
        env::var_os(HANG).is_some()
    }

    fn hang() {
        // Longer than every limit, but not for ever: not even a suite without limits keeps it.
        thread::sleep(Duration::from_secs(120));
    }

    /// Hangs in sync code.
    #[test]
    fn hangs() {
        if hangs_here() {
            hang();
        }
    }

    /// Hangs in async code, on a paused clock.
    #[tokio::test(start_paused = true)]
    async fn hangs_async() {
        if hangs_here() {
            future::pending::<()>().await;
        }
    }

    proptest! {
        /// Hangs in one case of many.
        #[test]
        fn hangs_at_random(number: u8) {
            if number % 8 == 0 && hangs_here() {
                hang();
            }
            prop_assert!(true);
        }
    }

    /// Hangs in a process of its own, and has left a process that holds its output.
    #[test]
    fn hangs_isolated() {
        if hangs_here() && isolated("time_limits::planted::hangs_isolated") {
            let mut shell = Command::new("sh");
            shell.args(["-c", "setsid sleep 120 & wait"]);
            shell.status().unwrap();
        }
    }

    /// Hangs in a process of its own, which cannot end itself.
    #[test]
    fn hangs_stopped() {
        if hangs_here() && isolated("time_limits::planted::hangs_stopped") {
            signal(process::id(), Signal::STOP);
        }
    }

    /// Runs for longer than the limit, which an ignored test does not have.
    #[test]
    #[ignore = "takes longer than the limit of the test that runs it"]
    fn is_ignored() {
        thread::sleep(Duration::from_secs(LIMIT + 1));
    }

    /// Starts when another test has failed.
    #[test]
    fn runs() {}
}
