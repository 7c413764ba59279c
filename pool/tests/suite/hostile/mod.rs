//! Does the pool survive a worker that does what no worker should?
//!
//! Each test lets one worker misbehave in one way, says what becomes of the start or call concerned, and ends with the same
//! count: the pool is back at its size, every worker answers, and nothing is left after the shutdown.

mod calls;
mod ends;
mod native;
mod starts;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use ostler_pool::testing::Process;
use ostler_pool::{Builder, CallError, Lease, Pool, Program, ShutdownReport, StartError};
use tokio::runtime;

use crate::resources::{Resources, is_alive, isolated, modules, scratch};
use crate::rig::{interpreter, until};

/// How many workers a pool of the hostile has.
const SIZE: usize = 2;

/// What every process that a test has to do with is known by.
const TAG: &str = "OSTLER_TEST_HOSTILE";

/// A pool and all that is known of its processes.
struct HostilePool {
    inner: Pool,
    /// The workers that were seen, each the leader of a group.
    leaders: RefCell<BTreeSet<u32>>,
    /// The file that tells the first worker from those that come later: its process id.
    marker: PathBuf,
    ended: Cell<bool>,
}

/// Runs a test on a pool of hand-written workers, the first of which starts as `start` says; then counts what is left.
///
/// `name` is the test's path below this module, as `cargo test` prints it.
fn with_hostile_worker(
    name: &str,
    start: &str,
    options: impl FnOnce(Builder) -> Builder,
    test: impl AsyncFnOnce(&HostilePool),
) {
    let program = |marker: &Path| {
        Program::new(interpreter())
            .args(["-I", "-S"])
            .arg(modules().join("hostile/hostile.py"))
            .arg(start)
            .arg(marker)
    };
    with_program(name, program, options, test);
}

/// As [`with_hostile_worker`], with another program.
fn with_program(
    name: &str,
    program: impl FnOnce(&Path) -> Program,
    options: impl FnOnce(Builder) -> Builder,
    test: impl AsyncFnOnce(&HostilePool),
) {
    if !isolated(&format!("hostile::{name}")) {
        return;
    }
    let me = std::process::id().to_string();
    let moment = Duration::from_millis(50);
    let marker = scratch("hostile");
    let program = program(&marker).env(TAG, &me);
    // One thread for everything: a task that does not give way is felt by all others.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let before = Resources::snapshot();
    let leaders: Vec<u32> = runtime.block_on(async {
        let builder = Pool::builder(program)
            .size(SIZE)
            .surge(SIZE)
            .ask_grace(moment)
            .term_grace(moment)
            .restart_backoff(Duration::from_millis(1))
            .restart_backoff_max(Duration::from_millis(20))
            .checkout_timeout(Duration::from_secs(60))
            .call_timeout(Duration::from_secs(60));
        let pool = HostilePool {
            inner: options(builder).build().unwrap(),
            leaders: RefCell::default(),
            marker,
            ended: Cell::new(false),
        };
        test(&pool).await;
        pool.finish().await.into_iter().collect()
    });
    // No waiting for the workers: the report came after the last of their groups was empty.
    let leaks = before.leaks(&leaders);
    assert!(leaks.members.is_empty(), "left behind:\n{leaks}");
    let tagged = Process::with_env(&format!("{TAG}={me}"));
    let tagged: Vec<String> = tagged.iter().map(Process::to_string).collect();
    assert_eq!(tagged, [""; 0]);
    before.assert_no_leaks(&leaders);
}

impl HostilePool {
    /// A worker, whose process is remembered.
    async fn lease(&self) -> Lease {
        let lease = self.inner.checkout().await.unwrap();
        self.leaders.borrow_mut().extend(lease.pid());
        lease
    }

    /// One call, on any worker, which is then let go.
    async fn call(&self, request: &str) -> Result<Vec<u8>, CallError> {
        self.lease().await.call(request.as_bytes()).await
    }

    /// How the start failed that did. There must have been one.
    async fn failed_start(&self) -> StartError {
        until(&self.inner, |status| status.last_failure.is_some()).await;
        // On a busy machine another one may have failed before it, for want of time.
        let first = || fs::read_to_string(&self.marker).ok()?.parse::<u32>().ok();
        until(&self.inner, |_| first().is_some()).await;
        self.leaders.borrow_mut().extend(first());
        self.inner.status().last_failure.unwrap()
    }

    /// Waits until the process of a worker is gone.
    async fn wait_until_gone(&self, worker: u32) {
        until(&self.inner, |_| !is_alive(worker)).await;
    }

    /// Checks that as many workers serve as are to, and that each of them answers.
    async fn assert_at_size(&self) {
        until(&self.inner, |status| status.serving() == SIZE).await;
        let mut leases = join_all((0..SIZE).map(|_| self.lease())).await;
        for lease in &mut leases {
            let pid = lease.pid().unwrap().to_string();
            assert_eq!(lease.call(b"pid").await.unwrap(), pid.as_bytes());
        }
    }

    /// The end of each test. All workers that were seen.
    async fn finish(self) -> BTreeSet<u32> {
        self.shut_down().await;
        let _ = fs::remove_file(&self.marker);
        self.leaders.into_inner()
    }

    /// Shuts the pool down, which must be at its size. The second time, it is the first one's report.
    async fn shut_down(&self) -> ShutdownReport {
        if !self.ended.replace(true) {
            self.assert_at_size().await;
        }
        let workers = self.inner.status().workers;
        self.leaders
            .borrow_mut()
            .extend(workers.iter().filter_map(|worker| worker.pid));
        let report = self.inner.shutdown().await;
        assert_eq!(report.unreleased, []);
        assert_eq!(report.counters.opened, report.counters.released);
        assert_eq!((report.counters.refused, report.counters.gave_up), (0, 0));
        report
    }
}
