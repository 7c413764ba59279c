//! Does the pool survive a worker that misbehaves?
//!
//! In each test, one worker misbehaves in one way. The test states the outcome of the affected
//! start or call. Then the pool must be back at its size, every worker must answer, and the
//! shutdown must leak nothing.

mod calls;
mod ends;
mod native;
mod starts;
mod unsolicited;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use ostler_pool::testing::Process;
use ostler_pool::{Builder, CallError, Lease, Pool, Program, ShutdownReport, StartError};
use tokio::runtime;

use crate::resources::{Resources, is_alive, isolated, modules, scratch};
use crate::rig::{interpreter, until};

const MINUTE: Duration = Duration::from_secs(60);

/// Workers in a pool.
const SIZE: usize = 2;

/// A variable in the environment of every process of a test.
const TAG: &str = "OSTLER_TEST_HOSTILE";

/// A pool with a hostile worker, and what is known of its processes.
struct HostilePool {
    inner: Pool,
    /// Process ids of the workers that were seen. Each leads a process group.
    leaders: RefCell<BTreeSet<u32>>,
    /// A file that the first worker creates and writes its process id to. Later workers find it and
    /// behave.
    marker: PathBuf,
    /// How many clients the pool must refuse.
    refused: Cell<u64>,
    ended: Cell<bool>,
}

fn unchanged(builder: Builder) -> Builder {
    builder
}

/// No rung of the stop ladder ends before the worker does.
fn patient(builder: Builder) -> Builder {
    let builder = builder.ask_grace(MINUTE).term_grace(MINUTE);
    builder.shutdown_timeout(10 * MINUTE)
}

/// Runs a test on a pool of `hostile.py` workers, the first of which starts as `start` says. Then
/// shuts down and checks that nothing leaked.
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
    // One thread, so that a task that does not yield delays all others and fails the test.
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
            .checkout_timeout(MINUTE)
            .call_timeout(MINUTE);
        let pool = HostilePool {
            inner: options(builder).build().unwrap(),
            leaders: RefCell::default(),
            marker,
            refused: Cell::new(0),
            ended: Cell::new(false),
        };
        test(&pool).await;
        pool.finish().await.into_iter().collect()
    });
    // Checked without waiting: the shutdown reports only after every process group is empty.
    let leaks = before.leaks(&leaders);
    assert!(leaks.members.is_empty(), "left behind:\n{leaks}");
    let tagged = Process::with_env(&format!("{TAG}={me}"));
    let tagged: Vec<String> = tagged.iter().map(Process::to_string).collect();
    assert_eq!(tagged, [""; 0]);
    before.assert_no_leaks(&leaders);
}

impl HostilePool {
    /// Leases a worker, and remembers its process.
    async fn lease(&self) -> Lease {
        let lease = self.inner.checkout().await.unwrap();
        self.leaders.borrow_mut().extend(lease.pid());
        lease
    }

    /// Makes one call on any worker.
    async fn call(&self, request: &str) -> Result<Vec<u8>, CallError> {
        self.lease().await.call(request.as_bytes()).await
    }

    /// The error of the first worker's start, which must fail.
    async fn failed_start(&self) -> StartError {
        // On a busy machine, the starts of other workers may time out as well.
        let failures = RefCell::new(BTreeMap::new());
        let first = Cell::new(None);
        until(&self.inner, |status| {
            let mut failures = failures.borrow_mut();
            let last = status.last_failure.clone();
            failures.extend(last.and_then(|failure| Some((failure.worker()?, failure))));
            let pid = fs::read_to_string(&self.marker).ok();
            let pid: Option<u32> = pid.and_then(|pid| pid.parse().ok());
            let end = (status.recent_ends.iter()).find(|end| pid.is_some() && end.pid == pid);
            first.set(end.map(|end| end.worker));
            first
                .get()
                .is_some_and(|first| failures.contains_key(&first))
        })
        .await;
        failures.take().remove(&first.get().unwrap()).unwrap()
    }

    /// Waits until a worker's process has ended.
    async fn wait_until_gone(&self, worker: u32) {
        until(&self.inner, |_| !is_alive(worker)).await;
    }

    /// Checks that all workers serve and answer.
    async fn assert_at_size(&self) {
        until(&self.inner, |status| status.serving() == SIZE).await;
        let mut leases = join_all((0..SIZE).map(|_| self.lease())).await;
        for lease in &mut leases {
            let pid = lease.pid().unwrap().to_string();
            assert_eq!(lease.call(b"pid").await.unwrap(), pid.as_bytes());
        }
    }

    /// Ends the test: shuts down, and returns the process ids of all workers that were seen.
    async fn finish(self) -> BTreeSet<u32> {
        self.shut_down().await;
        let _ = fs::remove_file(&self.marker);
        self.leaders.into_inner()
    }

    /// Checks that the pool is at its size, and shuts it down. A second call returns the first
    /// report.
    async fn shut_down(&self) -> ShutdownReport {
        if !self.ended.replace(true) {
            self.assert_at_size().await;
        }
        let status = self.inner.status();
        let workers = status.workers.iter().filter_map(|worker| worker.pid);
        let ended = status.recent_ends.iter().filter_map(|end| end.pid);
        self.leaders.borrow_mut().extend(workers.chain(ended));
        let report = self.inner.shutdown().await;
        assert_eq!(report.unreleased, []);
        assert_eq!(report.counters.opened, report.counters.released);
        let expected = (self.refused.get(), 0);
        assert_eq!((report.counters.refused, report.counters.gave_up), expected);
        report
    }
}
