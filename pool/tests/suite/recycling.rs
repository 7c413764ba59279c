//! Are workers replaced when they reach a limit, and never before their replacement serves?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Builder, CallError, Event, Limit, Pool, Reason, RollingError};
use tokio::time::{Instant, sleep, timeout};

use crate::count::ServingCount;
use crate::puppets::Puppets;
use crate::rig::{end, pool, until};

/// A pool without limits, to which a test adds its own.
fn without_limits(sim: &Sim, size: usize) -> Builder {
    pool(sim, size)
        .enable_health_monitoring(false)
        .max_worker_age(None)
        .max_worker_requests(None)
        .error_threshold(None)
        .min_worker_life(Duration::ZERO)
}

/// L14, L15: workers are replaced after `max_worker_requests` with jitter, and never fewer than
/// `size` serve.
#[tokio::test(start_paused = true)]
async fn requests_are_a_limit() {
    let sim = Sim::default();
    let pool = without_limits(&sim, 2)
        .max_worker_requests(50)
        .build()
        .unwrap();
    let mut count = ServingCount::of(&pool, 2).await;
    for _ in 0..200 {
        assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
        // Lets other tasks run, so that replacements become ready.
        sleep(Duration::from_millis(1)).await;
    }
    let (reasons, fewest) = count.so_far();
    assert_eq!(fewest, 2);
    // A single client always gets the same worker of the two; each serves 45 to 50 calls.
    assert!((3..=4).contains(&reasons.len()), "{reasons:?}");
    assert!(reasons.iter().all(|r| *r == Reason::Limit(Limit::Requests)));
    assert_eq!(pool.status().counters.recycled, reasons.len() as u64);
    end(&pool, &sim).await;
}

/// L14: workers that started together end at different times, because each has its own jitter, and
/// one is replaced at a time.
#[tokio::test(start_paused = true)]
async fn age_is_a_limit_with_jitter() {
    let sim = Sim::default();
    let pool = without_limits(&sim, 8)
        .max_worker_age(Duration::from_secs(1000))
        .build()
        .unwrap();
    let mut count = ServingCount::of(&pool, 8).await;
    sleep(Duration::from_secs(899)).await;
    assert_eq!(pool.status().counters.recycled, 0);
    let (mut retired, mut moments) = (0, 0);
    for _ in 0..202 {
        sleep(Duration::from_secs(1)).await;
        let now = pool.status().counters.recycled;
        moments += u64::from(now > retired);
        retired = now;
    }
    assert_eq!(retired, 8);
    assert!(moments > 1, "all within a second");
    let (reasons, fewest) = count.so_far();
    assert_eq!(reasons, [Reason::Limit(Limit::Age); 8]);
    assert_eq!(fewest, 8);
    assert_eq!(sim.stats().peak_open, 9, "one more than its size");
    end(&pool, &sim).await;
}

/// L14: pools that are built together do not replace their workers together.
#[tokio::test(start_paused = true)]
async fn each_pool_has_its_own_jitter() {
    let age = async || {
        let sim = Sim::default();
        let pool = without_limits(&sim, 1)
            .max_worker_age(Duration::from_secs(1000))
            .build()
            .unwrap();
        let (mut events, since) = (pool.events(), Instant::now());
        while !matches!(events.recv().await, Ok(Event::Replacing { .. })) {}
        let age = since.elapsed();
        end(&pool, &sim).await;
        age
    };
    let (first, second) = (age().await, age().await);
    assert_ne!(first, second);
}

/// C3: an error reply is no fault. `error_threshold` consecutive ones are a limit, and a successful
/// call resets the count.
#[tokio::test(start_paused = true)]
async fn errors_in_a_row_are_a_limit() {
    let sim = Sim::default();
    let pool = without_limits(&sim, 1).error_threshold(3).build().unwrap();
    let mut count = ServingCount::of(&pool, 1).await;
    let raise = async || {
        let raised = pool.call(b"raise").await;
        assert!(
            matches!(raised, Err(CallError::Raised { .. })),
            "{raised:?}"
        );
    };
    for _ in 0..5 {
        raise().await;
        raise().await;
        assert_eq!(pool.status().workers[0].errors, 2);
        pool.call(b"hello").await.unwrap();
        assert_eq!(pool.status().workers[0].errors, 0);
    }
    assert_eq!(pool.status().counters.recycled, 0);
    for _ in 0..3 {
        raise().await;
    }
    until(&pool, |status| status.counters.recycled == 1).await;
    let (reasons, fewest) = count.so_far();
    assert_eq!((reasons, fewest), (vec![Reason::Limit(Limit::Errors)], 1));
    end(&pool, &sim).await;
}

/// C3: errors in a row are counted within a lease and across leases, and a success within a lease
/// resets the count.
#[tokio::test(start_paused = true)]
async fn errors_add_up_within_and_across_leases() {
    let sim = Sim::default();
    let pool = without_limits(&sim, 1).error_threshold(4).build().unwrap();
    for (requests, errors) in [
        (vec![&b"raise"[..], b"raise"], 2),
        (vec![b"raise"], 3),
        (vec![b"raise", b"hello"], 0),
        (vec![b"hello", b"raise", b"hello", b"raise", b"raise"], 2),
    ] {
        let mut lease = pool.checkout().await.unwrap();
        for request in requests {
            let _ = lease.call(request).await;
        }
        drop(lease);
        assert_eq!(pool.status().workers[0].errors, errors);
    }
    assert_eq!(pool.status().counters.recycled, 0);
    let mut lease = pool.checkout().await.unwrap();
    for _ in 0..2 {
        lease.call(b"raise").await.unwrap_err();
    }
    drop(lease);
    until(&pool, |status| status.counters.recycled == 1).await;
    end(&pool, &sim).await;
}

/// Memory is measured when a worker becomes ready, and is a limit.
#[tokio::test(start_paused = true)]
async fn memory_is_a_limit() {
    let sim = Sim::new([Script::LargeMemory]);
    let pool = without_limits(&sim, 1)
        .max_worker_memory(100 << 20)
        .min_worker_life(Duration::from_secs(10))
        .build()
        .unwrap();
    let mut count = ServingCount::of(&pool, 1).await;
    until(&pool, |status| status.workers[0].memory == Some(1 << 30)).await;
    until(&pool, |status| status.counters.recycled == 1).await;
    let (reasons, fewest) = count.so_far();
    assert_eq!((reasons, fewest), (vec![Reason::Limit(Limit::Memory)], 1));
    until(&pool, |status| status.workers.len() == 1).await;
    let worker = &pool.status().workers[0];
    assert_eq!(worker.memory, Some(1 << 20));
    assert_eq!(worker.replaces, Some(Reason::Limit(Limit::Memory)));
    end(&pool, &sim).await;
}

/// Memory is measured again at each health check.
#[tokio::test(start_paused = true)]
async fn a_health_check_measures_memory() {
    const INTERVAL: Duration = Duration::from_secs(10);
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone())
        .size(1)
        .max_worker_memory(100 << 20)
        .min_worker_life(Duration::ZERO)
        .health_check_interval(INTERVAL)
        .build()
        .unwrap();
    let mut count = ServingCount::of(&pool, 1).await;
    puppets.uses(0, 1 << 30);
    let ended = timeout(2 * INTERVAL, count.until_ended(1)).await;
    assert_eq!(ended.unwrap(), (vec![Reason::Limit(Limit::Memory)], 1));
    assert!(pool.shutdown().await.is_clean());
}

/// L15: a limit that is reached at once does not make the pool restart workers in a loop: each
/// serves for `min_worker_life`.
#[tokio::test(start_paused = true)]
async fn a_worker_serves_for_min_worker_life() {
    let sim = Sim::default();
    let pool = without_limits(&sim, 1)
        .max_worker_requests(1)
        .min_worker_life(Duration::from_secs(10))
        .build()
        .unwrap();
    for _ in 0..1000 {
        pool.call(b"hello").await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let opened = sim.stats().opened;
    assert!((9..=11).contains(&opened), "{opened}");
    end(&pool, &sim).await;
}

/// L15: the old worker is kept while its replacements fail, and the status shows the failure.
#[tokio::test(start_paused = true)]
async fn a_worker_is_kept_while_replacements_fail() {
    let sim = Sim::new([Script::Good, Script::StartFails, Script::StartFails]);
    let pool = without_limits(&sim, 1).build().unwrap();
    let mut count = ServingCount::of(&pool, 1).await;
    let old = pool.status().workers[0].worker;
    pool.recycle(old);
    until(&pool, |status| status.last_failure.is_some()).await;
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    assert_eq!(pool.status().workers[0].replacing, Some(Reason::Recycled));
    until(&pool, |status| status.counters.recycled == 1).await;
    let (reasons, fewest) = count.so_far();
    assert_eq!((reasons, fewest), (vec![Reason::Recycled], 1));
    assert_eq!(sim.stats().opened, 4);
    end(&pool, &sim).await;
}

/// L15: a rolling restart replaces every worker, at most `surge` at a time, and never fewer than
/// `size` serve.
#[tokio::test(start_paused = true)]
async fn a_rolling_restart_replaces_every_worker() {
    let sim = Sim::default();
    let pool = without_limits(&sim, 4).build().unwrap();
    let mut count = ServingCount::of(&pool, 4).await;
    let before: Vec<_> = pool.status().workers.iter().map(|w| w.worker).collect();
    let (one, other) = tokio::join!(pool.recycle_all(), pool.recycle_all());
    assert_eq!((one.unwrap(), other.unwrap()), (4, 4));
    until(&pool, |status| status.workers.len() == 4).await;
    let status = pool.status();
    assert!(status.workers.iter().all(|w| !before.contains(&w.worker)));
    let (reasons, fewest) = count.so_far();
    assert_eq!((reasons, fewest), (vec![Reason::Recycled; 4], 4));
    assert_eq!((sim.stats().opened, sim.stats().peak_open), (8, 5));
    end(&pool, &sim).await;
}

/// L15: a rolling restart stops when a start fails, reports how many workers it replaced, and keeps
/// the others.
#[tokio::test(start_paused = true)]
async fn a_rolling_restart_stops_when_a_start_fails() {
    use Script::{Good, StartFails};
    let sim = Sim::new([Good, Good, Good, Good, Good, StartFails]);
    let pool = without_limits(&sim, 4).build().unwrap();
    let mut count = ServingCount::of(&pool, 4).await;
    match pool.recycle_all().await {
        Err(RollingError::StartFailed {
            replaced,
            kept,
            last,
        }) => {
            assert_eq!((replaced, kept), (1, 3));
            assert!(last.unwrap().report().to_string().contains("scripted"));
        }
        other => panic!("{other:?}"),
    }
    sleep(Duration::from_secs(60)).await;
    let status = pool.status();
    assert_eq!((status.workers.len(), status.serving()), (4, 4));
    assert!(
        status
            .workers
            .iter()
            .all(|worker| worker.replacing.is_none())
    );
    let (reasons, fewest) = count.so_far();
    assert_eq!((reasons, fewest), (vec![Reason::Recycled], 4));
    assert_eq!(sim.stats().opened, 6);
    end(&pool, &sim).await;
    let closed = pool.recycle_all().await;
    assert!(
        matches!(closed, Err(RollingError::Closed { .. })),
        "{closed:?}"
    );
}
