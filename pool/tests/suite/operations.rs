//! Do operations on a whole pool act at once, and does each resolve exactly once?

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{DrainEnd, Event, Phase, Reason, RollingError, TryRecvError};
use tokio::time::{sleep, timeout};

use crate::rig::{begin, end, pool, until};

/// An operation has begun when its method returns, whether or not it is awaited.
#[tokio::test(start_paused = true)]
async fn operations_begin_without_being_awaited() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    pool.drain();
    assert!(pool.status().draining);
    pool.resume();
    assert!(!pool.status().draining);
    pool.recycle_all();
    until(&pool, |status| status.counters.recycled == 2).await;
    assert!(!pool.is_closed());
    pool.shutdown();
    assert!(pool.is_closed());
    end(&pool, &sim).await;
}

/// A rolling restart resolves on a pool that serves nothing yet, and on one that has shut down.
#[tokio::test(start_paused = true)]
async fn a_rolling_restart_of_nothing_resolves() {
    let sim = Sim::new([Script::SlowStart]);
    let pool = pool(&sim, 1).build().unwrap();
    let minute = Duration::from_secs(60);
    let replaced = timeout(minute, pool.recycle_all().into_future()).await;
    assert_eq!(replaced.expect("it resolves").unwrap(), 0);
    end(&pool, &sim).await;
    let closed = timeout(minute, pool.recycle_all().into_future()).await;
    let closed = closed.expect("it resolves");
    assert!(
        matches!(
            closed,
            Err(RollingError::Closed {
                replaced: 0,
                kept: 0
            })
        ),
        "{closed:?}"
    );
}

/// A rolling restart that a shutdown ends says so, with the workers that it had not replaced.
#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_rolling_restart() {
    let sim = Sim::new([Script::Good, Script::Good, Script::SlowStart]);
    let pool = pool(&sim, 2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let restart = pool.recycle_all();
    pool.shutdown();
    let ended = restart.await;
    assert!(
        matches!(
            ended,
            Err(RollingError::Closed {
                replaced: 0,
                kept: 2
            })
        ),
        "{ended:?}"
    );
    end(&pool, &sim).await;
}

/// A drain of a pool that has shut down is over at once.
#[tokio::test(start_paused = true)]
async fn a_drain_of_a_closed_pool_is_over() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    end(&pool, &sim).await;
    assert_eq!(pool.drain().await, DrainEnd::Drained);
}

/// A second shutdown joins the first: it keeps its start, and the ends that were recorded.
#[tokio::test(start_paused = true)]
async fn a_second_shutdown_joins_the_first() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let session = pool.session("a").unwrap();
    session.call(b"hello").await.unwrap();
    let first = pool.shutdown();
    sleep(Duration::from_secs(2)).await;
    let second = pool.shutdown();
    session.end();
    let (first, second) = tokio::join!(first.into_future(), second.into_future());
    assert!(first.took >= Duration::from_secs(2), "{first}");
    assert!(second.took >= Duration::from_secs(2), "{second}");
    assert_eq!((first.workers.len(), second.workers.len()), (1, 1));
    let third = pool.shutdown().await;
    assert_eq!(third.workers.len(), 1);
}

/// As a stream, events come in order and end with the pool, and a task that waits for one is woken
/// by that end.
#[tokio::test(start_paused = true)]
async fn events_are_a_stream_that_ends() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let mut events = pool.events();
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
    let (collected, _) = tokio::join!(events.collect::<Vec<_>>(), pool.shutdown().into_future());
    let phases: Vec<Phase> = collected
        .into_iter()
        .map(|event| match event {
            Ok(Event::Moved(moved)) => moved.to,
            other => panic!("{other:?}"),
        })
        .collect();
    use Phase::{Lingering, Stopping, Terminated};
    assert_eq!(phases, [Lingering, Stopping, Stopping, Terminated]);
    end(&pool, &sim).await;
}

/// O2: a worker that was still starting when the pool shut down does not look like a crash.
#[tokio::test(start_paused = true)]
async fn a_starting_worker_is_no_crash_in_the_report() {
    let sim = Sim::new([Script::NoHandshake]);
    let pool = pool(&sim, 1).build().unwrap();
    begin(&mut pin!(pool.checkout())).await;
    until(&pool, |_| sim.stats().opened == 1).await;
    let report = pool.shutdown().await;
    let worker = &report.workers[0];
    assert_eq!(
        (worker.phase, worker.reason),
        (Phase::Initializing, Reason::Shutdown)
    );
    let text = report.to_string();
    assert!(
        text.contains("worker 0.1      was still starting, asked to exit\n"),
        "{text}"
    );
    assert!(!text.contains("exit code"), "{text}");
    assert!(!text.contains("confirm"), "{text}");
    end(&pool, &sim).await;
}
