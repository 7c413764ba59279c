//! Do operations on a whole pool act at once, and does each resolve exactly once?

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{DrainEnd, Event, Phase, Reason, RollingError, Rung, TryRecvError};
use tokio::time::{Instant, sleep, timeout};

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

/// A drain and a rolling restart answer every caller that began or joined them.
#[tokio::test(start_paused = true)]
async fn every_caller_of_an_operation_is_answered() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut held = Some(pool.checkout().await.unwrap());
    let minute = Duration::from_secs(60);
    for end in [DrainEnd::Resumed, DrainEnd::Drained] {
        let drains = [(); 3].map(|()| pool.drain().into_future());
        match end {
            DrainEnd::Resumed => pool.resume(),
            _ => drop(held.take()),
        }
        let ends = timeout(minute, join_all(drains)).await;
        assert_eq!(ends.expect("they resolve"), [end; 3]);
    }
    pool.resume();
    let restarts = [(); 3].map(|()| pool.recycle_all().into_future());
    let replaced = timeout(minute, join_all(restarts)).await;
    let replaced: Vec<usize> = (replaced.expect("they resolve").into_iter())
        .map(Result::unwrap)
        .collect();
    assert_eq!(replaced, [1; 3]);
    end(&pool, &sim).await;
}

/// The report of a shutdown that is asked for much later says how long the shutdown took, not how
/// long ago it began.
#[tokio::test(start_paused = true)]
async fn a_late_report_says_how_long_the_shutdown_took() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let held = pool.checkout().await.unwrap();
    let shutdown = pool.shutdown();
    sleep(Duration::from_secs(2)).await;
    drop(held);
    sleep(Duration::from_secs(3600)).await;
    for report in [shutdown.await, pool.shutdown().await] {
        let (took, drained) = (report.took, report.drained_in);
        assert_eq!((took.as_secs(), drained.as_secs()), (2, 2), "{report}");
        assert!(took >= drained, "{report}");
    }
}

/// A report says how much of the shutdown was spent on calls, which may be none of it, and how much
/// on the workers. A shutdown that is joined later keeps both.
#[tokio::test(start_paused = true)]
async fn a_report_tells_draining_from_stopping() {
    for busy in [5, 0] {
        let sim = Sim::new([Script::IgnoresStop]);
        let pool = pool(&sim, 1)
            .ask_grace(Duration::from_secs(3))
            .term_grace(Duration::from_secs(4))
            .build()
            .unwrap();
        let held = pool.checkout().await.unwrap();
        let held = Some(held).filter(|_| busy > 0);
        let first = pool.shutdown();
        sleep(Duration::from_secs(busy)).await;
        drop(held);
        sleep(Duration::from_secs(1)).await;
        let second = pool.shutdown();
        let (first, second) = tokio::join!(first.into_future(), second.into_future());
        for report in [first, second] {
            assert_eq!(report.drained_in, Duration::from_secs(busy), "{report}");
            assert_eq!(report.took.as_secs(), busy + 3 + 4, "{report}");
            assert_eq!(report.workers[0].rung, Some(Rung::Kill), "{report}");
        }
        assert_eq!(sim.stats().open, 0);
    }
}

/// L17: the report comes at the deadline of the first shutdown, however late it is asked for.
#[tokio::test(start_paused = true)]
async fn a_report_comes_at_the_deadline_of_the_first_shutdown() {
    let sim = Sim::new([Script::NeverReleased]);
    let limit = Duration::from_secs(30);
    let pool = pool(&sim, 1)
        .shutdown_timeout(limit)
        .release_timeout(Duration::from_secs(3600))
        .build()
        .unwrap();
    let worker = pool.checkout().await.unwrap().worker();
    let since = Instant::now();
    pool.shutdown();
    sleep(Duration::from_secs(20)).await;
    let report = pool.shutdown().await;
    let took = since.elapsed();
    assert!(
        took >= limit && took < limit + Duration::from_secs(1),
        "{took:?}"
    );
    assert_eq!(
        (report.unreleased.as_slice(), report.took),
        (&[worker][..], took)
    );
    // The opener was not told to close: the worker still needs it.
    assert!(!report.unclosed_opener, "{report}");
    // Later still, it comes at once, and says that the shutdown goes on.
    sleep(limit).await;
    let again = pool.shutdown().await;
    assert_eq!((again.took, since.elapsed()), (took + limit, took + limit));
    sim.let_go();
    until(&pool, |status| status.workers.is_empty()).await;
    end(&pool, &sim).await;
}

/// A second shutdown joins the first: it keeps its start, and the ends that were recorded.
#[tokio::test(start_paused = true)]
async fn a_second_shutdown_joins_the_first() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let held = pool.checkout().await.unwrap();
    let first = pool.shutdown();
    sleep(Duration::from_secs(2)).await;
    let second = pool.shutdown();
    drop(held);
    let (first, second) = tokio::join!(first.into_future(), second.into_future());
    assert_eq!((first.took.as_secs(), second.took.as_secs()), (2, 2));
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
        text.contains("worker 0.1 ended: pool shut down; was starting, asked to exit; 0 calls; "),
        "{text}"
    );
    assert!(!text.contains("exit code"), "{text}");
    assert!(!text.contains("confirm"), "{text}");
    end(&pool, &sim).await;
}
