//! Does a session stay on its worker, and does its client learn of its loss?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CallError, Phase, Reason, SessionError};
use tokio::time::{Instant, sleep};

use crate::rig::{assert_session_ended, begin, end, lost, pool, until};

/// The calls of a session run on one worker, whatever else the pool does, and sessions spread over
/// the workers.
#[tokio::test(start_paused = true)]
async fn a_session_stays_on_its_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 3).build().unwrap();
    until(&pool, |status| status.serving() == 3).await;
    let names = ["a", "b", "c", "d", "e", "f"];
    let sessions = names.map(|name| pool.session(name).unwrap());
    for session in &sessions {
        assert_eq!(session.worker(), None);
        session.call(b"hello").await.unwrap();
    }
    let homes = sessions.each_ref().map(|session| session.worker().unwrap());
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(pool.status().workers.iter().all(|w| w.sessions == 2));
    for round in 0..5 {
        // Another client holds a different worker in each round.
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(pool.checkout().await.unwrap());
        }
        held.retain(|lease| lease.worker().slot == round % 3);
        for ((name, session), home) in names.iter().zip(&sessions).zip(homes) {
            if home == held[0].worker() {
                begin(&mut pin!(session.checkout())).await;
                continue;
            }
            let lease = session.checkout().await.unwrap();
            assert_eq!(lease.worker(), home, "round {round}");
            drop(lease);
            assert_eq!(pool.session(name).unwrap().worker(), Some(home));
        }
    }
    assert_eq!(pool.status().sessions, 6);
    end(&pool, &sim).await;
}

/// The calls of one session run one at a time and in order, and wait for their worker even if
/// another one is idle.
#[tokio::test(start_paused = true)]
async fn a_session_waits_for_its_own_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 2)
        .checkout_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let session = pool.session("a").unwrap();
    let held = session.checkout().await.unwrap();
    let mut first = pin!(session.checkout());
    begin(&mut first).await;
    let mut second = pin!(session.checkout());
    begin(&mut second).await;
    assert_eq!(pool.status().occupancy().ready, 1);
    assert_eq!(pool.call(b"another").await.unwrap(), b"another");
    let home = held.worker();
    drop(held);
    let lease = first.await.unwrap();
    begin(&mut second).await;
    let since = Instant::now();
    let late = second.await.unwrap_err();
    assert_eq!(since.elapsed(), Duration::from_secs(3));
    assert_eq!(
        late.to_string(),
        format!(
            "worker {home} did not become free for the session within 3 s (workers: 0 initializing, \
             1 ready, 1 busy, 0 draining; 0 clients waiting): raise `checkout_timeout`"
        )
    );
    drop(lease);
    end(&pool, &sim).await;
}

/// A draining worker takes no new session, serves its own until they end, and then stops.
#[tokio::test(start_paused = true)]
async fn a_draining_worker_serves_its_own_sessions() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let session = pool.session("a").unwrap();
    session.call(b"hello").await.unwrap();
    let old = session.worker().unwrap();
    pool.recycle(old);
    until(&pool, |status| {
        status.workers.iter().any(|w| w.phase == Phase::Lingering)
    })
    .await;
    let newcomer = pool.session("b").unwrap();
    newcomer.call(b"hello").await.unwrap();
    assert_ne!(newcomer.worker(), Some(old));
    for _ in 0..3 {
        session.call(b"still here").await.unwrap();
        assert_eq!(session.worker(), Some(old));
        sleep(Duration::from_secs(3)).await;
    }
    session.end();
    until(&pool, |status| status.workers.len() == 1).await;
    assert_session_ended(session.call(b"hello").await);
    end(&pool, &sim).await;
}

/// A session that outlasts the drain deadline is lost. One call gets `SessionError::Lost` with the
/// reason; a new session of the same name gets another worker.
#[tokio::test(start_paused = true)]
async fn a_lost_session_is_reported_once() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let session = pool.session("a").unwrap();
    session.call(b"hello").await.unwrap();
    let old = session.worker().unwrap();
    pool.recycle(old);
    until(&pool, |status| {
        status.counters.released == 1 && status.serving() == 1
    })
    .await;
    assert_eq!((session.worker(), pool.status().sessions), (None, 1));
    // The next call of that name fails, even through another handle.
    let failed = pool.session("a").unwrap().call(b"hello").await;
    assert_eq!(lost(failed), Reason::Recycled);
    assert_session_ended(session.call(b"hello").await);
    let anew = pool.session("a").unwrap();
    anew.call(b"hello").await.unwrap();
    assert_ne!(anew.worker(), Some(old));
    end(&pool, &sim).await;
}

/// A call that waits for its session's worker fails as soon as that worker dies.
#[tokio::test(start_paused = true)]
async fn a_waiting_call_of_a_lost_session_fails_at_once() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    let session = pool.session("a").unwrap();
    let mut held = session.checkout().await.unwrap();
    let waits = session.call(b"hello");
    let (died, failed) = tokio::join!(held.call(b"exit"), waits);
    assert!(
        matches!(died, Err(CallError::WorkerExited { .. })),
        "{died:?}"
    );
    assert_eq!(lost(failed), Reason::Exited);
    assert_eq!(pool.status().sessions, 0);
    drop(held);
    end(&pool, &sim).await;
}

/// L19: the number of sessions is bounded, an idle session expires, and one in use does not.
#[tokio::test(start_paused = true)]
async fn sessions_are_bounded_and_expire() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .max_sessions(2)
        .session_idle_timeout(Duration::from_secs(100))
        .build()
        .unwrap();
    let [a, b] = ["a", "b"].map(|name| pool.session(name).unwrap());
    let full = pool.session("c").unwrap_err();
    assert_eq!(
        full.to_string(),
        "too many sessions are open: end some, or raise `max_sessions`, which is 2"
    );
    let since = Instant::now();
    while pool.status().sessions == 2 {
        a.call(b"hello").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let unused = since.elapsed();
        assert!(unused <= Duration::from_secs(126), "{unused:?}");
    }
    assert!(since.elapsed() >= Duration::from_secs(100));
    // A held lease is a use of its session, for as long as it is held.
    let held = a.checkout().await.unwrap();
    sleep(Duration::from_secs(500)).await;
    drop(held);
    a.call(b"hello").await.unwrap();
    assert_session_ended(b.call(b"hello").await);
    pool.session("c").unwrap().call(b"hello").await.unwrap();
    end(&pool, &sim).await;
}

/// L19: a session that no call uses expires on time, although nothing else happens in the pool.
#[tokio::test(start_paused = true)]
async fn a_session_expires_in_a_quiet_pool() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .health_check_interval(Duration::from_secs(86_400))
        .session_idle_timeout(Duration::from_secs(100))
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    // The clock sleeps until the next health check.
    sleep(Duration::from_secs(10)).await;
    let _unused = pool.session("a").unwrap();
    sleep(Duration::from_secs(126)).await;
    assert_eq!(pool.status().sessions, 0);
    end(&pool, &sim).await;
}

/// L13, L19: a session that has no worker yet is refused as any client is: by a full queue, and in
/// a crash loop with the last failure.
#[tokio::test(start_paused = true)]
async fn a_session_is_refused_as_any_client() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_waiting(0).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let session = pool.session("a").unwrap();
    let held = pool.checkout().await.unwrap();
    let full = session.checkout().await.unwrap_err();
    assert_eq!(
        full.to_string(),
        "the queue is full (workers: 0 initializing, 0 ready, 1 busy, 0 draining; 0 clients waiting): \
         raise `max_waiting`, which is 0, or `size`"
    );
    assert!(matches!(
        full,
        SessionError::QueueFull { max_waiting: 0, .. }
    ));
    drop(held);
    end(&pool, &sim).await;

    let sim = Sim::new([Script::StartFails; 9]);
    let pool = crate::rig::pool(&sim, 1).build().unwrap();
    let failed = pool.session("a").unwrap().checkout().await.unwrap_err();
    let text = failed.report().to_string();
    assert!(
        text.starts_with("no worker can be started\n  caused by: worker "),
        "{text}"
    );
    assert!(text.contains(" refused to start\n  caused by: RuntimeError: scripted"));
    assert!(matches!(failed, SessionError::CrashLoop { .. }));
    assert!(!full.is_timeout() && !failed.is_timeout());
    end(&pool, &sim).await;
}

/// O3: a shutdown serves a session for as long as it is in use, and rejects new ones.
#[tokio::test(start_paused = true)]
async fn shutdown_drains_sessions() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let session = pool.session("a").unwrap();
    session.call(b"hello").await.unwrap();
    let since = Instant::now();
    let shutdown = pool.shutdown();
    let mut lease = session.checkout().await.unwrap();
    assert!(matches!(pool.session("b"), Err(SessionError::Closed)));
    let mut shutdown = pin!(shutdown.into_future());
    begin(&mut shutdown).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(lease.call(b"still here").await.unwrap(), b"still here");
    drop(lease);
    let report = shutdown.await;
    assert!(since.elapsed() < Duration::from_secs(6));
    assert!(report.drained_in >= Duration::from_secs(5), "{report}");
    assert_eq!(sim.stats().open, 0);
    assert_session_ended(session.call(b"hello").await);
}
