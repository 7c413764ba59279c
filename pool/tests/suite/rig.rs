//! What tests share: pools on simulated ports, whose tests run on a paused clock, where every deadline passes at once
//! and in its order; and a pool of real workers that do what they are told, for better or worse.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ostler_pool::{Builder, Pool, PoolStatus, Python};
use tokio::time::{sleep, timeout};

use crate::books::modules;
use crate::sim::Sim;

pub(crate) fn pool(sim: &Sim, size: usize) -> Builder {
    Pool::builder(sim.clone()).size(size)
}

/// Polls, on the paused clock, until the pool is as described; panics with what it is like if that never comes.
pub(crate) async fn until(pool: &Pool, described: impl Fn(&PoolStatus) -> bool) {
    for _ in 0..100_000 {
        if described(&pool.status()) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("never came: {}", pool.status());
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
            sim.books().open,
            pool.status().workers.len(),
            pool.status().waiting
        ),
        (0, 0, 0)
    );
}

/// Real workers, each request a verb of `hostile.py`. They are made to crash again and again, so that the pauses are short.
pub(crate) fn hostile() -> Builder {
    Pool::builder(Python::function("hostile:run").path(modules()))
        .restart_backoff(Duration::from_millis(1), Duration::from_millis(20))
        .checkout_timeout(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
}
