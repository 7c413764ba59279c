//! What tests share: pools on simulated ports, whose tests run on a paused clock, where every deadline passes at once
//! and in its order; and a pool of real workers that do what they are told, for better or worse.

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use ostler_pool::Reason;
use ostler_pool::testing::Sim;
use ostler_pool::{Builder, CallError, Pool, PoolStatus, Python, SessionError, WorkerId};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::resources::modules;

pub(crate) fn pool(sim: &Sim, size: usize) -> Builder {
    Pool::builder(sim.clone()).size(size)
}

/// Polls until the pool is as described, which on a paused clock takes no time; panics with what it is like if that never comes.
pub(crate) async fn until(pool: &Pool, described: impl Fn(&PoolStatus) -> bool) {
    for _ in 0..100_000 {
        if described(&pool.status()) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("never came: {}", pool.status());
}

/// Waits until the pool has let go of a worker.
pub(crate) async fn is_released(pool: &Pool, worker: WorkerId) {
    until(pool, |status| {
        status.workers.iter().all(|other| other.worker != worker)
    })
    .await;
}

/// Polls a future once, so that whatever it does before its first wait has happened.
pub(crate) async fn begin<F: Future>(future: &mut Pin<&mut F>) {
    let begun = timeout(Duration::ZERO, future.as_mut()).await;
    assert!(begun.is_err(), "it was to wait");
}

/// Shuts down and checks that nothing is left: no port, no worker, no client.
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

/// Real workers, each request a verb of `hostile.py`. They are made to crash again and again, so that the pauses are short.
pub(crate) fn hostile() -> Builder {
    Pool::builder(Python::function("hostile:run").path(modules()))
        .restart_backoff(Duration::from_millis(1))
        .restart_backoff_max(Duration::from_millis(20))
        .checkout_timeout(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
}

/// The interpreter itself: what `PATH` has for it may be a script that takes longer than Python to start.
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

/// Signals a worker, whose process is there.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    kill_process(pid, signal).expect("the worker can be signalled");
}

/// Why the session is lost: it must be, and the call must say so.
pub(crate) fn lost(call: Result<Vec<u8>, CallError>) -> Reason {
    match call {
        Err(CallError::Session(SessionError::Lost { reason })) => reason,
        other => panic!("{other:?}"),
    }
}

/// The session must have ended, and the call must say so.
pub(crate) fn assert_session_ended(call: Result<Vec<u8>, CallError>) {
    assert!(
        matches!(call, Err(CallError::Session(SessionError::Ended))),
        "{call:?}"
    );
}

/// Numbers that look random and follow from a seed: SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed for a test to print, or the one that `OSTLER_TEST_SEED` repeats.
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
