//! Are idle workers watched, and those replaced that are not well?
//!
//! The real driver on simulated ports. See `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Builder, Phase, Pool};
use ostler_pool::{Fault, Reason};
use tokio::time::{Instant, sleep};

use crate::rig::{begin, end, pool, until};

/// One worker that is probed every 30 s, give or take a tenth, and has 5 s to answer.
fn with_probes(sim: &Sim) -> Builder {
    pool(sim, 1).max_worker_age(None)
}

/// Polls until the worker of a pool of one has ended: why, and how long after it became ready that was.
async fn replacement_of_the_first(pool: &Pool) -> (Option<Reason>, Duration) {
    until(pool, |status| status.serving() == 1).await;
    let (first, since) = (pool.status().workers[0].worker, Instant::now());
    until(pool, |status| {
        !status.workers.iter().any(|worker| worker.worker == first)
            && status.counters.released == 1
            && status.serving() == 1
    })
    .await;
    let took = since.elapsed();
    let replaced = pool.status().workers[0].replaces;
    (replaced, took)
}

/// An idle worker is probed again and again, and its health is there to be seen.
#[tokio::test(start_paused = true)]
async fn idle_workers_are_probed() {
    let sim = Sim::default();
    let pool = with_probes(&sim).build().unwrap();
    sleep(Duration::from_secs(95)).await;
    let status = pool.status();
    let probes = status.counters.probes;
    assert!((2..=3).contains(&probes), "{probes}");
    assert_eq!(status.counters.missed_probes, 0);
    let worker = &status.workers[0];
    let probe = worker.last_probe.expect("it was probed");
    assert!(probe.healthy && probe.ago <= Duration::from_secs(33));
    assert_eq!((worker.misses, worker.calls, worker.errors), (0, 0, 0));
    assert!(worker.age >= Duration::from_secs(94) && worker.in_phase <= Duration::from_secs(33));
    assert_eq!(worker.phase, Phase::Ready);
    end(&pool, &sim).await;
}

/// Health monitoring can be turned off.
#[tokio::test(start_paused = true)]
async fn no_probes_without_monitoring() {
    let sim = Sim::new([Script::IgnoresPings]);
    let pool = with_probes(&sim)
        .enable_health_monitoring(false)
        .build()
        .unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(pool.status().counters.probes, 0);
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    assert_eq!(sim.stats().opened, 1);
    end(&pool, &sim).await;
}

/// L11: a worker is stopped when it has missed as many deadlines in a row as it may, and not before. It cannot be asked
/// to leave, because it does not listen.
#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_is_replaced() {
    let sim = Sim::new([Script::IgnoresPings]);
    let pool = with_probes(&sim)
        .health_failure_threshold(3)
        .build()
        .unwrap();
    let (reason, took) = replacement_of_the_first(&pool).await;
    assert_eq!(reason, Some(Reason::Unhealthy));
    // One probe, whose deadline passes three times.
    assert!(took >= Duration::from_secs(27 + 15), "{took:?}");
    assert!(took <= Duration::from_secs(33 + 16), "{took:?}");
    let counters = pool.status().counters;
    assert_eq!((counters.probes, counters.missed_probes), (1, 3));
    assert_eq!((sim.stats().terminated, sim.stats().killed), (1, 0));
    end(&pool, &sim).await;
}

/// A worker that says that it is not well is asked to leave, after as many times as it may say so.
#[tokio::test(start_paused = true)]
async fn an_unhealthy_worker_is_replaced() {
    let sim = Sim::new([Script::Unhealthy]);
    let pool = with_probes(&sim)
        .health_failure_threshold(2)
        .build()
        .unwrap();
    let (reason, took) = replacement_of_the_first(&pool).await;
    assert_eq!(reason, Some(Reason::Unhealthy));
    assert!(took >= Duration::from_secs(54), "{took:?}");
    assert!(took <= Duration::from_secs(67), "{took:?}");
    assert_eq!((sim.stats().terminated, sim.stats().killed), (0, 0));
    end(&pool, &sim).await;
}

/// L3, L12: a call that is answered starts the row of misses anew: there is a way back from ill health.
#[tokio::test(start_paused = true)]
async fn an_answered_call_resets_the_misses() {
    let sim = Sim::new([Script::Unhealthy]);
    let pool = with_probes(&sim)
        .health_failure_threshold(2)
        .build()
        .unwrap();
    for probes in 1..=4 {
        until(&pool, |status| status.counters.probes == probes).await;
        until(&pool, |status| status.workers[0].misses == 1).await;
        assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
        assert_eq!(pool.status().workers[0].misses, 0);
    }
    assert_eq!(sim.stats().opened, 1);
    end(&pool, &sim).await;
}

/// A worker that answers a probe with something else, or with more than was asked, has broken the protocol.
#[tokio::test(start_paused = true)]
async fn a_wrong_answer_to_a_probe_is_a_fault() {
    for script in [Script::WrongPong, Script::DoublePong] {
        let sim = Sim::new([script]);
        let pool = with_probes(&sim).build().unwrap();
        let (reason, _) = replacement_of_the_first(&pool).await;
        assert_eq!(reason, Some(Reason::Fault(Fault::ProtocolBroken)));
        assert_eq!(pool.status().counters.probes, 1, "{script:?}");
        end(&pool, &sim).await;
    }
}

/// A client that comes during a probe waits for its end, and no client ever sees what belongs to it.
#[tokio::test(start_paused = true)]
async fn a_client_waits_for_a_probe_to_end() {
    let sim = Sim::new([Script::IgnoresPings]);
    let pool = with_probes(&sim)
        .checkout_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    until(&pool, |status| status.counters.probes == 1).await;
    let mut waits = pin!(pool.call(b"hello"));
    begin(&mut waits).await;
    assert_eq!(pool.status().waiting, 1);
    assert_eq!(waits.await.unwrap(), b"hello");
    assert_eq!(sim.stats().opened, 2, "it was served by the replacement");
    end(&pool, &sim).await;
}
