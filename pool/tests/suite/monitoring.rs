//! Are real workers checked, replaced, kept and shut down correctly under load?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ostler_pool::testing::Process;
use ostler_pool::{CallError, Limit, Phase, Pool, Reason, WorkerId, WorkerStatus};
use rustix::process::Signal;

use crate::count::ServingCount;
use crate::resources::{is_alive, isolated, leaks_nothing};
use crate::rig::{hostile, lost, signal, until};

fn first(pool: &Pool) -> WorkerStatus {
    pool.status().workers[0].clone()
}

/// Waits until the worker of a pool of one is gone and its replacement serves. Returns why it was
/// replaced.
async fn replaced(pool: &Pool, old: WorkerId) -> Option<Reason> {
    until(pool, |status| {
        status.serving() == 1 && status.workers.len() == 1 && status.workers[0].worker != old
    })
    .await;
    first(pool).replaces
}

/// Eight clients that call until `stop` is set. Each returns the number of its calls, all of which
/// must succeed.
fn load(pool: &Pool, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<u64>> {
    let client = async |pool: Pool, stop: Arc<AtomicBool>, name: u64| {
        let mut calls = 0;
        while !stop.load(Ordering::Relaxed) {
            let request = format!("think {name} {calls}");
            let reply = pool.call(request.as_bytes()).await;
            assert_eq!(
                reply.expect("no call fails"),
                format!("{name} {calls}").as_bytes()
            );
            calls += 1;
        }
        calls
    };
    (0..8)
        .map(|name| tokio::spawn(client(pool.clone(), Arc::clone(stop), name)))
        .collect()
}

/// L15, L16: four workers are each replaced after 50 calls while eight clients call. At every
/// moment four workers serve, and no call fails.
#[test]
fn recycling_under_load_keeps_the_size() {
    if !isolated("monitoring::recycling_under_load_keeps_the_size") {
        return;
    }
    leaks_nothing(async || {
        let pool = hostile()
            .size(4)
            .max_worker_requests(50)
            .min_worker_life(Duration::ZERO)
            .build()
            .unwrap();
        let mut count = ServingCount::of(&pool, 4).await;
        let stop = Arc::default();
        let clients = load(&pool, &stop);
        let (_, fewest) = count.until_ended(12).await;
        stop.store(true, Ordering::Relaxed);
        let mut calls = 0;
        for client in clients {
            calls += client.await.unwrap();
        }
        assert_eq!(fewest, 4);
        assert!(calls >= 12 * 45, "{calls}");
        let report = pool.shutdown().await;
        assert_eq!(report.counters.calls, calls);
        assert_eq!((report.counters.faulted, report.counters.exited), (0, 0));
    });
}

/// L15: a rolling restart under load replaces every worker, fails no call, and never has fewer
/// workers serve.
#[test]
fn a_rolling_restart_loses_no_call() {
    if !isolated("monitoring::a_rolling_restart_loses_no_call") {
        return;
    }
    leaks_nothing(async || {
        let pool = hostile().size(3).build().unwrap();
        let mut count = ServingCount::of(&pool, 3).await;
        let before: Vec<_> = pool.status().workers.iter().map(|w| w.pid).collect();
        let stop = Arc::default();
        let clients = load(&pool, &stop);
        let (rolled, (_, fewest)) = tokio::join!(pool.recycle_all(), count.until_ended(3));
        assert_eq!(rolled.unwrap(), 3);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(fewest, 3);
        until(&pool, |status| status.workers.len() == 3).await;
        let now = pool.status();
        assert!(now.workers.iter().all(|w| !before.contains(&w.pid)));
        let report = pool.shutdown().await;
        assert_eq!((report.counters.faulted, report.counters.exited), (0, 0));
    });
}

/// A worker keeps the state of its sessions while it lives and drains. When it dies, the next call
/// returns `SessionError::Lost`.
#[tokio::test]
async fn a_session_keeps_state() {
    let pool = hostile().size(2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let [a, b] = ["a", "b"].map(|name| pool.session(name).unwrap());
    assert_eq!(a.call(b"remember one").await.unwrap(), b"one");
    assert_eq!(b.call(b"remember two").await.unwrap(), b"two");
    assert_eq!(a.call(b"remember three").await.unwrap(), b"one three");
    pool.recycle(a.worker().unwrap());
    until(&pool, |status| {
        status.workers.iter().any(|w| w.phase == Phase::Lingering)
    })
    .await;
    assert_eq!(a.call(b"remember four").await.unwrap(), b"one three four");
    let lease = b.checkout().await.unwrap();
    let pid = lease.pid().unwrap();
    drop(lease);
    signal(pid, Signal::KILL);
    until(&pool, |_| b.worker().is_none()).await;
    assert_eq!(lost(b.call(b"remember five").await), Reason::Exited);
    a.end();
    pool.shutdown().await;
}

/// The exit of an idle worker is noticed without a health check, so that the next client gets its
/// replacement.
#[tokio::test]
async fn the_exit_of_an_idle_worker_is_noticed_at_once() {
    let pool = hostile()
        .size(1)
        .enable_health_monitoring(false)
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let old = first(&pool);
    signal(old.pid.unwrap(), Signal::KILL);
    assert_eq!(replaced(&pool, old.worker).await, Some(Reason::Exited));
    assert_eq!(pool.call(b"remember one").await.unwrap(), b"one");
    assert_eq!(pool.status().counters.granted, 1);
    pool.shutdown().await;
}

/// L11: a worker that was stopped by `SIGSTOP` misses its checks, ignores `SIGTERM`, and is killed
/// and replaced.
#[tokio::test]
async fn a_worker_that_hangs_is_replaced() {
    let pool = hostile()
        .size(1)
        .health_check_interval(Duration::from_millis(50))
        .health_check_timeout(Duration::from_secs(1))
        .health_failure_threshold(2)
        .ask_grace(Duration::from_millis(50))
        .term_grace(Duration::from_millis(50))
        .build()
        .unwrap();
    until(&pool, |status| {
        status
            .workers
            .iter()
            .any(|w| w.last_probe.is_some_and(|probe| probe.healthy))
    })
    .await;
    let old = first(&pool);
    let pid = old.pid.unwrap();
    signal(pid, Signal::STOP);
    assert_eq!(replaced(&pool, old.worker).await, Some(Reason::Unhealthy));
    assert!(!is_alive(pid));
    pool.shutdown().await;
}

/// A worker whose `health()` raises is replaced, and its replacement is healthy.
#[tokio::test]
async fn an_unhealthy_worker_is_replaced() {
    let pool = hostile()
        .size(1)
        .health_check_interval(Duration::from_millis(20))
        .health_failure_threshold(2)
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let old = first(&pool);
    assert_eq!(pool.call(b"sicken").await.unwrap(), b"sick");
    assert_eq!(replaced(&pool, old.worker).await, Some(Reason::Unhealthy));
    until(&pool, |status| {
        status
            .workers
            .iter()
            .any(|w| w.last_probe.is_some_and(|probe| probe.healthy))
    })
    .await;
    pool.shutdown().await;
}

/// The memory of a worker includes its subprocesses. Above `max_worker_memory`, the whole group is
/// replaced.
#[tokio::test]
async fn memory_includes_the_whole_group() {
    const LIMIT: u64 = 150 << 20;
    let pool = hostile()
        .size(1)
        .health_check_interval(Duration::from_millis(20))
        .max_worker_memory(LIMIT)
        .min_worker_life(Duration::ZERO)
        .build()
        .unwrap();
    assert_eq!(pool.call(b"hoard 48").await.unwrap(), b"hoarded");
    until(&pool, |status| {
        status.workers[0]
            .memory
            .is_some_and(|bytes| bytes > 48 << 20)
    })
    .await;
    let old = first(&pool);
    assert!(old.memory.unwrap() < LIMIT * 9 / 10 && old.replacing.is_none());
    // A leased worker is not stopped, so its subprocesses can be seen.
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(lease.call(b"hoard_below 100").await.unwrap(), b"hoarded");
    let subprocesses = Process::descendants(old.pid.unwrap());
    assert!(subprocesses.len() >= 2, "{subprocesses:?}");
    drop(lease);
    let reason = replaced(&pool, old.worker).await;
    assert_eq!(reason, Some(Reason::Limit(Limit::Memory)));
    assert!(!subprocesses.iter().any(Process::is_still_alive));
    pool.shutdown().await;
}

/// L14, L20: a real worker is replaced after `error_threshold` consecutive errors and for its age,
/// and not before `min_worker_life`.
#[tokio::test]
async fn age_and_errors_are_limits() {
    let life = Duration::from_millis(300);
    let pool = hostile()
        .size(1)
        .error_threshold(3)
        .max_worker_age(Duration::from_secs(3600))
        .min_worker_life(life)
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    // In this order, the worker was ready no earlier than at `since`.
    let (now, old) = (Instant::now(), first(&pool));
    let since = now.checked_sub(old.in_phase).unwrap();
    for _ in 0..3 {
        let raised = pool.call(b"fail again").await;
        assert!(
            matches!(raised, Err(CallError::Raised { .. })),
            "{raised:?}"
        );
    }
    until(&pool, |status| status.counters.opened == 2).await;
    let lived = since.elapsed();
    assert!(lived >= life, "{lived:?}");
    let reason = replaced(&pool, old.worker).await;
    assert_eq!(reason, Some(Reason::Limit(Limit::Errors)));
    pool.shutdown().await;

    let pool = hostile()
        .size(1)
        .max_worker_age(Duration::from_millis(100))
        .min_worker_life(Duration::ZERO)
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let old = first(&pool).worker;
    // On a busy machine, its replacement is too old, and being replaced, before it has ended.
    until(&pool, |status| {
        let end = status.recent_ends.iter().find(|end| end.worker == old);
        end.is_some_and(|end| end.reason == Reason::Limit(Limit::Age))
    })
    .await;
    pool.shutdown().await;
}

/// L16, L17: a shutdown ends within its timeout although one worker ignores `SIGTERM` and another
/// is in a call of 60 s, and leaks nothing.
#[test]
fn shutdown_ends_within_its_timeout() {
    if !isolated("monitoring::shutdown_ends_within_its_timeout") {
        return;
    }
    leaks_nothing(async || {
        // A tenth of it is left for the stop ladder, which a busy machine slows.
        let timeout = Duration::from_secs(10);
        let pool = hostile().size(3).shutdown_timeout(timeout).build().unwrap();
        until(&pool, |status| status.serving() == 3).await;
        let mut immortal = pool.checkout().await.unwrap();
        assert_eq!(immortal.call(b"immortal").await.unwrap(), b"immortal");
        let mut long = pool.checkout().await.unwrap();
        let call = tokio::spawn(async move { long.call(b"sleep 60").await });
        until(&pool, |status| status.occupancy().busy == 2).await;
        drop(immortal);
        let since = Instant::now();
        let report = pool.shutdown().await;
        assert!(since.elapsed() <= timeout, "{:?}", since.elapsed());
        assert_eq!(report.unreleased, []);
        assert_eq!(report.workers.len(), 3);
        assert!(report.drained_in < report.took, "{report}");
        match call.await.unwrap() {
            Err(CallError::Stopped { reason, .. }) => assert_eq!(reason, Reason::Shutdown),
            other => panic!("{other:?}"),
        }
    });
}
