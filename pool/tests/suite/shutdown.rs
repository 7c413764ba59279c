//! Does a shutdown end in time and leak nothing, whatever the workers do?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim, SimStats};
use ostler_pool::{CallError, CheckoutError, Lease, Pool, Reason, Rung};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::rig::{begin, end, pool, until};

/// Longer than any test.
const MANY: Duration = Duration::from_secs(3600);

/// L18: a shutdown takes effect before it is polled, rejects waiting and new clients, and happens
/// once if it is repeated.
#[tokio::test(start_paused = true)]
async fn shutdown_rejects_clients_and_happens_once() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut held = pool.checkout().await.unwrap();
    let mut waits = pin!(pool.checkout());
    begin(&mut waits).await;
    drop(pool.shutdown());
    assert!(matches!(waits.await, Err(CheckoutError::Closed)));
    assert!(matches!(pool.checkout().await, Err(CheckoutError::Closed)));
    assert_eq!(held.call(b"the last word").await.unwrap(), b"the last word");
    drop(held);
    let (first, second) = tokio::join!(pool.shutdown(), pool.shutdown());
    assert_eq!((first.workers.len(), second.workers.len()), (1, 1));
    assert_eq!(sim.stats().open, 0);
}

/// L16, L17: a shutdown waits for running calls until the drain deadline, then stops their workers,
/// and the calls fail with the reason.
#[tokio::test(start_paused = true)]
async fn shutdown_ends_in_time_while_a_call_hangs() {
    let sim = Sim::new([Script::IgnoresStop, Script::Good, Script::NoHandshake]);
    let pool = pool(&sim, 3)
        .call_timeout(Duration::from_secs(3600))
        .shutdown_timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    until(&pool, |status| status.occupancy().ready == 2).await;
    let mut hangs = pin!(pool.call(b"hang"));
    begin(&mut hangs).await;
    let since = Instant::now();
    let (call, report) = tokio::join!(hangs, pool.shutdown());
    match call {
        Err(CallError::Stopped {
            reason: Reason::Shutdown,
            request_written: true,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
    assert!(
        since.elapsed() <= Duration::from_secs(30),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(report.unreleased, []);
    let mut rungs: Vec<_> = report.workers.iter().map(|end| end.rung).collect();
    rungs.sort();
    assert_eq!(rungs, [Some(Rung::Ask), Some(Rung::Ask), Some(Rung::Kill)]);
    let SimStats {
        open,
        terminated,
        killed,
        ..
    } = sim.stats();
    assert_eq!((open, terminated, killed), (0, 1, 1));
}

/// O7: a shutdown without grace kills workers that start, that are in a call, and that are already
/// asked to exit, before any deadline passes.
#[tokio::test(start_paused = true)]
async fn a_shutdown_without_grace_kills_at_once() {
    let sim = Sim::new([
        Script::IgnoresStop,
        Script::IgnoresStop,
        Script::NoHandshake,
    ]);
    let pool = pool(&sim, 3).call_timeout(MANY).build().unwrap();
    until(&pool, |status| status.occupancy().ready == 2).await;
    let mut hangs = pin!(pool.call(b"hang"));
    begin(&mut hangs).await;
    let since = Instant::now();
    drop(pool.shutdown());
    until(&pool, |status| {
        status
            .workers
            .iter()
            .filter(|worker| worker.rung == Some(Rung::Ask))
            .count()
            == 2
    })
    .await;
    assert!(pool.shutdown_now().await.is_clean());
    assert!(matches!(
        hangs.await,
        Err(CallError::Stopped {
            reason: Reason::Shutdown,
            ..
        })
    ));
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
    assert_eq!((sim.stats().open, sim.stats().killed), (0, 3));
    // Too late to change anything.
    pool.shutdown_now().await;
    end(&pool, &sim).await;
}

/// O7: `shutdown_now` needs no `shutdown` before it, and rejects clients as `shutdown` does.
#[tokio::test(start_paused = true)]
async fn a_shutdown_without_grace_is_a_shutdown() {
    let sim = Sim::new([Script::IgnoresStop]);
    let pool = pool(&sim, 1).call_timeout(MANY).build().unwrap();
    let held = pool.checkout().await.unwrap();
    let mut waits = pin!(pool.checkout());
    begin(&mut waits).await;
    let since = Instant::now();
    let now = pool.shutdown_now();
    assert!(pool.is_closed());
    assert!(matches!(waits.await, Err(CheckoutError::Closed)));
    let report = now.await;
    assert_eq!(
        (report.workers.len(), report.workers[0].rung),
        (1, Some(Rung::Kill))
    );
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
    drop(held);
    end(&pool, &sim).await;
}

/// A pool that has ended leaves no task to its runtime, although a handle of it lives on.
#[tokio::test(start_paused = true)]
async fn an_ended_pool_leaves_no_task() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let sim = Sim::new([Script::Good, Script::IgnoresStop]);
    let pool = pool(&sim, 2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    assert!(tasks() > 2, "{}", tasks());
    assert!(pool.shutdown().await.is_clean());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), 0);
}

/// L17: a worker that the operating system does not release is named in the report, which still
/// comes in time.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_released_is_reported() {
    let sim = Sim::new([Script::NeverReleased]);
    let pool = pool(&sim, 1)
        .release_timeout(Duration::from_secs(3600))
        .build()
        .unwrap();
    let worker = pool.checkout().await.unwrap().worker();
    let report = pool.shutdown().await;
    assert_eq!(report.unreleased, [worker]);
    assert!(!report.is_clean());
    assert!(report.took < Duration::from_secs(31), "{:?}", report.took);
    assert!(report.to_string().contains("NOT released"), "{report}");
}

/// A pool that is dropped without a shutdown leaks nothing, and a lease that outlives it still
/// serves.
#[tokio::test(start_paused = true)]
async fn a_dropped_pool_leaks_nothing() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    drop(pool);
    assert_eq!(
        lease.call(b"the last word").await.unwrap(),
        b"the last word"
    );
    drop(lease);
    for _ in 0..1000 {
        if sim.stats().open == 0 {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("{:?}", sim.stats());
}

/// R25, C2, P6: a pool ends at once when its runtime is dropped. Its handles and leases can still
/// be used on any runtime, and their calls return errors.
#[test]
fn a_pool_ends_with_its_runtime() {
    let sim = Sim::default();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let (pool, mut lease): (Pool, Lease) = first.block_on(async {
        let pool = pool(&sim, 2).build().unwrap();
        let lease = pool.checkout().await.unwrap();
        (pool, lease)
    });
    drop(first);
    assert_eq!(sim.stats().open, 0);
    assert_eq!(pool.status().workers.len(), 0);
    runtime().block_on(async {
        let call = lease.call(b"hello").await;
        let Err(CallError::Stopped { reason, .. }) = call else {
            panic!("{call:?}");
        };
        assert_eq!(reason, Reason::Shutdown, "no process exited by itself");
        assert!(matches!(pool.checkout().await, Err(CheckoutError::Closed)));
        assert_eq!(pool.shutdown().await.unreleased, []);
    });
}
