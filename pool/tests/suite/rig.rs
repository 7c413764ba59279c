//! Helpers for pools on simulated ports, whose tests run on a paused clock, and for pools of real
//! workers.
//!
//! On a paused clock, deadlines pass without waiting and in their order.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::process::Command;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use ostler_pool::testing::Sim;
use ostler_pool::{
    Builder, CallError, Pool, PoolStatus, Program, Python, Reason, SessionError, WorkerId,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::resources::modules;

pub(crate) fn pool(sim: &Sim, size: usize) -> Builder {
    Pool::builder(sim.clone()).size(size)
}

/// Polls until the pool's status is as described, which takes no time on a paused clock. Panics
/// with the status if that does not happen.
pub(crate) async fn until(pool: &Pool, described: impl Fn(&PoolStatus) -> bool) {
    for _ in 0..100_000 {
        if described(&pool.status()) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("never came: {}", pool.status());
}

/// Waits until the pool has released a worker.
pub(crate) async fn is_released(pool: &Pool, worker: WorkerId) {
    until(pool, |status| {
        status.workers.iter().all(|other| other.worker != worker)
    })
    .await;
}

/// Polls a future once, to run what it does before its first wait.
pub(crate) async fn begin<F: Future>(future: &mut Pin<&mut F>) {
    let begun = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    assert!(begun.is_pending(), "the future did not wait");
}

/// Shuts down and checks that no port, worker or client is left.
pub(crate) async fn end(pool: &Pool, sim: &Sim) {
    let report = pool.shutdown().await;
    assert_eq!(report.unreleased, []);
    assert_eq!(report.counters.opened, report.counters.released);
    assert_eq!(
        (
            sim.stats().open,
            pool.status().workers.len(),
            pool.status().waiting
        ),
        (0, 0, 0)
    );
}

/// Each request is a verb of `hostile.py`.
pub(crate) fn hostile_python() -> Python {
    Python::function("hostile:run").path(modules())
}

/// An interpreter for tests that set its options.
pub(crate) fn python3() -> Program {
    Program::new("python3")
}

/// Real workers, each request a verb of `hostile.py`. Tests make them crash repeatedly, so the
/// backoff is short.
pub(crate) fn hostile() -> Builder {
    Pool::builder(hostile_python())
        .restart_backoff(Duration::from_millis(1))
        .restart_backoff_max(Duration::from_millis(20))
        // On a busy machine, a release may take longer than the default.
        .release_timeout(Duration::from_secs(60))
        .checkout_timeout(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
}

/// The interpreter itself: `python3` in `PATH` may be a wrapper script that starts slower than
/// Python.
pub(crate) fn interpreter() -> &'static str {
    static INTERPRETER: OnceLock<String> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        let says = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .expect("there is a Python");
        String::from_utf8(says.stdout)
            .expect("its path is text")
            .trim()
            .to_owned()
    })
}

/// Signals a worker, whose process must exist.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    kill_process(pid, signal).expect("the worker can be signalled");
}

/// The reason for which the session was lost. Panics if the call says anything else.
pub(crate) fn lost(call: Result<Vec<u8>, CallError>) -> Reason {
    match call {
        Err(CallError::Session(SessionError::Lost { reason })) => reason,
        other => panic!("{other:?}"),
    }
}

/// Checks that the call fails because its session has ended.
pub(crate) fn assert_session_ended(call: Result<Vec<u8>, CallError>) {
    assert!(
        matches!(call, Err(CallError::Session(SessionError::Ended))),
        "{call:?}"
    );
}

/// Pseudo-random numbers from a seed: SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A new seed for the test to print, or that of `OSTLER_TEST_SEED`.
    pub(crate) fn fresh_seed() -> u64 {
        let given = std::env::var("OSTLER_TEST_SEED").ok();
        let given = given.map(|seed| seed.parse().expect("a seed is a number"));
        given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
