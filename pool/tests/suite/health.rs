//! Are idle workers checked, and unhealthy ones replaced?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Builder, Fault, Phase, Pool, Reason};
use tokio::time::{Instant, sleep};

use crate::puppets::{Puppets, kind};
use crate::rig::{begin, end, pool, until};

/// A pool of one worker, which is probed every 30 s with 10% jitter and has 5 s to answer.
fn with_probes(sim: &Sim) -> Builder {
    pool(sim, 1).max_worker_age(None)
}

/// Waits until the first worker of a pool of one is released and its replacement serves. Returns
/// the reason, and the time since the first worker was ready.
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

/// An idle worker is probed at each interval, and the status shows the result.
#[tokio::test(start_paused = true)]
async fn idle_workers_are_probed() {
    let sim = Sim::default();
    let pool = with_probes(&sim).build().unwrap();
    // After the second probe, which starts after 66 s at most, and before the third, which starts
    // after 81 s at least.
    sleep(Duration::from_secs(75)).await;
    let status = pool.status();
    assert_eq!(status.counters.probes, 2);
    // The deadline of an answered check does not elapse.
    let counters = status.counters;
    assert_eq!((counters.missed_probes, counters.stale), (0, 0));
    let worker = &status.workers[0];
    let probe = worker.last_probe.expect("it was probed");
    assert!(probe.healthy && probe.ago <= Duration::from_secs(33));
    assert_eq!((worker.misses, worker.calls, worker.errors), (0, 0, 0));
    assert!(worker.age >= Duration::from_secs(74) && worker.in_phase <= Duration::from_secs(33));
    assert_eq!(worker.phase, Phase::Ready);
    end(&pool, &sim).await;
}

/// `enable_health_monitoring(false)` turns probes off.
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

/// L11: a worker is stopped after `health_failure_threshold` consecutive missed deadlines, and not
/// before. It ignores frames, so it is terminated by `SIGTERM`.
#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_is_replaced() {
    let sim = Sim::new([Script::IgnoresPings]);
    let pool = with_probes(&sim)
        .health_failure_threshold(3)
        .build()
        .unwrap();
    let (reason, took) = replacement_of_the_first(&pool).await;
    assert_eq!(reason, Some(Reason::Unhealthy));
    // One probe is sent, and its deadline passes three times.
    assert!(took >= Duration::from_secs(27 + 15), "{took:?}");
    assert!(took <= Duration::from_secs(33 + 16), "{took:?}");
    let counters = pool.status().counters;
    assert_eq!((counters.probes, counters.missed_probes), (1, 3));
    assert_eq!(counters.stale, 0, "a stop is no breach");
    assert_eq!((sim.stats().terminated, sim.stats().killed), (1, 0));
    end(&pool, &sim).await;
}

/// A worker whose probes fail with an error is asked to exit after `health_failure_threshold` of
/// them.
#[tokio::test(start_paused = true)]
async fn an_unhealthy_worker_is_replaced() {
    let sim = Sim::new([Script::Unhealthy]);
    let pool = with_probes(&sim)
        .health_failure_threshold(2)
        .build()
        .unwrap();
    let (shown, replaced) = tokio::join!(
        async {
            until(&pool, |status| status.workers[0].last_probe.is_some()).await;
            let worker = pool.status().workers.remove(0);
            (worker.last_probe.map(|probe| probe.healthy), worker.misses)
        },
        replacement_of_the_first(&pool),
    );
    assert_eq!(shown, (Some(false), 1));
    let (reason, took) = replaced;
    assert_eq!(reason, Some(Reason::Unhealthy));
    assert!(took >= Duration::from_secs(54), "{took:?}");
    assert!(took <= Duration::from_secs(67), "{took:?}");
    assert_eq!((sim.stats().terminated, sim.stats().killed), (0, 0));
    end(&pool, &sim).await;
}

/// L3, L12: a completed call resets the count of missed checks, so a worker can recover.
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

/// A worker that answers a probe with another frame, or twice, has broken the protocol.
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

/// A client that arrives during a probe waits until it ends, and gets its own reply, not the
/// probe's answer.
#[tokio::test(start_paused = true)]
async fn a_client_waits_for_a_probe_to_end() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    puppets.silence(true);
    until(&pool, |_| puppets.kinds(0).ends_with(&[kind::PING])).await;
    let mut waits = pin!(pool.call(b"hello"));
    begin(&mut waits).await;
    assert_eq!(pool.status().waiting, 1);
    puppets.silence(false);
    puppets.answer(0, kind::PONG, b"");
    assert_eq!(waits.await.unwrap(), b"hello");
    assert_eq!(puppets.opened(), 1);
    assert!(pool.shutdown().await.is_clean());
}

/// If the worker does not answer the probe, the client gets its replacement.
#[tokio::test(start_paused = true)]
async fn a_client_of_a_silent_worker_gets_its_replacement() {
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
