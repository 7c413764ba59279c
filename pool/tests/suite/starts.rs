//! Does the pool return to its size and stay within its bound, however starts and workers end?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CallError, CheckoutError, StartError};
use tokio::time::{Instant, sleep};

use crate::rig::{begin, end, pool, until};

/// L5, L9: a start that fails, in any way, frees its slot, and the next start fills it.
#[tokio::test(start_paused = true)]
async fn a_failed_start_frees_its_slot() {
    use Script::{ExitsAtStart, NoHandshake, OpenFails, OpenPanics, StartFails};
    for script in [OpenFails, OpenPanics, NoHandshake, StartFails, ExitsAtStart] {
        let sim = Sim::new([script, script]);
        let pool = pool(&sim, 1)
            .checkout_timeout(Duration::from_secs(3600))
            .build()
            .unwrap();
        assert_eq!(pool.call(b"hello").await.unwrap(), b"hello", "{script:?}");
        assert_eq!(pool.status().counters.opened, 3, "{script:?}");
        end(&pool, &sim).await;
        assert_eq!(sim.stats().killed, 0, "{script:?}");
    }
}

/// L10: a start failure is recorded only if the input ended the start: not the exit of a worker
/// that was stopped while it started or that had served, and not the exit that follows a start
/// timeout.
#[tokio::test(start_paused = true)]
async fn only_a_failed_start_is_recorded() {
    for serves in [false, true] {
        let first = if serves {
            Script::Good
        } else {
            Script::NoHandshake
        };
        let sim = Sim::new([first]);
        let pool = pool(&sim, 1).build().unwrap();
        if serves {
            pool.call(b"exit").await.unwrap_err();
        } else {
            until(&pool, |_| sim.stats().opened == 1).await;
        }
        end(&pool, &sim).await;
        let failure = pool.status().last_failure;
        assert!(failure.is_none(), "{failure:?}");
    }

    // The most recent one is kept.
    let sim = Sim::new([Script::OpenFails, Script::NoHandshake]);
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    end(&pool, &sim).await;
    let failure = pool.status().last_failure;
    assert!(
        matches!(failure, Some(StartError::TimedOut { .. })),
        "{failure:?}"
    );
}

/// L10: a released worker's timers are dropped: none of them elapses later.
#[tokio::test(start_paused = true)]
async fn a_released_worker_has_no_timers() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_worker_age(None).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let worker = pool.status().workers[0].worker;
    pool.recycle(worker);
    until(&pool, |status| status.counters.released == 1).await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(pool.status().counters.stale, 0);
    end(&pool, &sim).await;
}

/// L5: a start continues after the client that waited for it is gone, and its worker serves the
/// next client.
#[tokio::test(start_paused = true)]
async fn a_start_outlives_its_client() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    begin(&mut pin!(pool.checkout())).await;
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    assert_eq!(sim.stats().opened, 1);
    end(&pool, &sim).await;
}

/// L13: if no worker can start, waiting clients fail at once with the last error, and starts back
/// off exponentially.
#[tokio::test(start_paused = true)]
async fn a_crash_loop_fails_waiting_clients() {
    let sim = Sim::new([Script::StartFails; 9]);
    let pool = pool(&sim, 1)
        .checkout_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let since = Instant::now();
    match pool.call(b"hello").await {
        Err(CallError::Checkout(error @ CheckoutError::CrashLoop { .. })) => {
            let text = error.report().to_string();
            assert!(
                text.starts_with("no worker can be started\n  caused by: worker "),
                "{text}"
            );
            assert!(
                text.contains(" refused to start\n  caused by: RuntimeError: scripted"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    // Backoffs of 100, 200, 400 and 800 ms, with 10% jitter, between the five failures.
    assert!(
        since.elapsed() > Duration::from_millis(1349),
        "{:?}",
        since.elapsed()
    );
    assert!(
        since.elapsed() < Duration::from_millis(1700),
        "{:?}",
        since.elapsed()
    );
    let at_once = Instant::now();
    let again = pool.checkout().await;
    assert!(
        matches!(again, Err(CheckoutError::CrashLoop { .. })),
        "{again:?}"
    );
    assert_eq!(at_once.elapsed(), Duration::ZERO);
    until(&pool, |status| status.serving() == 1).await;
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    assert_eq!(sim.stats().opened, 10);
    end(&pool, &sim).await;
}

/// L4: there are never more than `size + surge` ports, even if all workers exit at the same time.
#[tokio::test(start_paused = true)]
async fn ports_never_exceed_size_and_surge() {
    let sim = Sim::default();
    // `until` polls every millisecond of virtual time: a million times with the default backoff.
    let pool = pool(&sim, 4)
        .surge(2)
        .restart_backoff_max(Duration::from_secs(1))
        .build()
        .unwrap();
    for _ in 0..50 {
        let fatal = || pool.call(b"exit");
        let (a, b, c, d) = tokio::join!(fatal(), fatal(), fatal(), fatal());
        for call in [a, b, c, d] {
            assert!(
                matches!(call, Err(CallError::WorkerExited { .. })),
                "{call:?}"
            );
        }
        until(&pool, |status| status.serving() == 4).await;
        assert_eq!(pool.call(b"reset").await.unwrap(), b"reset");
    }
    assert!(sim.stats().peak_open <= 6, "{:?}", sim.stats());
    end(&pool, &sim).await;
}

/// L15: a recycled worker serves until its replacement is ready, and a client that holds it is not
/// disturbed.
#[tokio::test(start_paused = true)]
async fn recycling_replaces_before_it_retires() {
    let sim = Sim::new([Script::Good, Script::StartFails, Script::Good]);
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let old = lease.worker();
    pool.recycle(old);
    until(&pool, |status| status.counters.recycled == 1).await;
    assert_eq!(
        sim.stats().opened,
        3,
        "the first replacement failed, and the old one was kept"
    );
    assert_eq!(lease.call(b"still here").await.unwrap(), b"still here");
    drop(lease);
    let new = pool.checkout().await.unwrap();
    assert_ne!(new.worker(), old);
    drop(new);
    until(&pool, |status| status.workers.len() == 1).await;
    assert_eq!(pool.status().serving(), 1);
    end(&pool, &sim).await;
}
