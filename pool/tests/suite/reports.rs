//! Do statuses, errors and reports state what happened, and no more?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

use ostler_pool::port::{BoxFuture, OpenError, Opener, Port, Start};
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CallError, Event, Fault, Phase, Pool, Reason, Rung, StartError};
use tokio::time::{Instant, sleep};

use crate::puppets::{Puppets, kind};
use crate::rig::{begin, end, pool, until};

/// O2: a worker that exited while it started is counted as exited, and is named by the most recent
/// start failure.
#[tokio::test(start_paused = true)]
async fn an_exit_at_the_start_is_counted() {
    let sim = Sim::new([Script::ExitsAtStart]);
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let status = pool.status();
    assert_eq!((status.counters.exited, status.counters.started), (1, 1));
    let failure = status.last_failure;
    assert!(
        matches!(failure, Some(StartError::Exited { .. })),
        "{failure:?}"
    );
    let report = pool.shutdown().await;
    let text = report.to_string();
    assert!(text.contains("; 1 exited by themselves, "), "{text}");
}

/// O2: a worker that exits after it has served is counted, and is no start failure: neither when it
/// exits during a call, nor between two calls.
#[tokio::test(start_paused = true)]
async fn a_worker_that_served_is_no_start_failure() {
    for request in [&b"exit"[..], b"answer and exit"] {
        let sim = Sim::default();
        let pool = pool(&sim, 1).build().unwrap();
        assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
        let _ = pool.call(request).await;
        until(&pool, |status| status.counters.exited == 1).await;
        until(&pool, |status| status.serving() == 1).await;
        let failure = pool.status().last_failure;
        assert!(failure.is_none(), "{failure:?}");
        end(&pool, &sim).await;
    }
}

/// O2: a start that failed for another reason is no exit: its port could not be opened, its worker
/// refused and was stopped, or its task panicked.
#[tokio::test(start_paused = true)]
async fn a_failed_start_is_no_exit() {
    for script in [Script::OpenFails, Script::StartFails, Script::OpenPanics] {
        let sim = Sim::new([script]);
        let pool = pool(&sim, 1).build().unwrap();
        let mut events = pool.events();
        until(&pool, |status| status.serving() == 1).await;
        let counters = pool.status().counters;
        assert_eq!((counters.opened, counters.exited), (2, 0), "{script:?}");
        let failed = loop {
            if let Ok(Event::Moved(moved)) = events.recv().await
                && moved.from == Phase::Initializing
            {
                break moved.reason;
            }
        };
        assert_eq!(failed, Some(Reason::StartFailed), "{script:?}");
        end(&pool, &sim).await;
    }
}

/// R23: a starting worker that is recycled is replaced at once. It is counted as recycled, and not
/// as a failed start. Recycled again, or while it is stopped, it is left alone.
#[tokio::test(start_paused = true)]
async fn a_starting_worker_is_recycled() {
    let sim = Sim::new([Script::NoHandshake]);
    let pool = pool(&sim, 1).build().unwrap();
    let mut events = pool.events();
    until(&pool, |_| sim.stats().opened == 1).await;
    let id = pool.status().workers[0].worker;
    pool.recycle(id);
    pool.recycle(id);
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    let status = pool.status();
    let serving = status.workers.iter().find(|worker| worker.worker != id);
    assert_eq!(
        serving.and_then(|worker| worker.replaces),
        Some(Reason::Recycled)
    );
    assert!(status.last_failure.is_none(), "{status:?}");
    let counters = status.counters;
    assert_eq!((counters.opened, counters.recycled), (2, 1));
    let retired = loop {
        if let Ok(Event::Moved(moved)) = events.recv().await
            && moved.worker == id
        {
            break moved;
        }
    };
    assert_eq!(
        (retired.from, retired.to, retired.reason),
        (Phase::Initializing, Phase::Stopping, Some(Reason::Recycled))
    );
    end(&pool, &sim).await;
}

/// R24: an exit before the call is not reported as an exit during the call.
#[tokio::test(start_paused = true)]
async fn an_exit_before_the_call_is_no_exit_during_it() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    lease.call(b"answer and exit").await.unwrap();
    until(&pool, |status| status.counters.exited == 1).await;
    let error = lease.call(b"hello").await.unwrap_err();
    assert!(matches!(error, CallError::WorkerExited { .. }), "{error:?}");
    assert!(!error.request_written());
    assert_eq!(
        error.to_string(),
        "worker 0.1 exited before the request was written: exit code 0"
    );
    let error = pool.call(b"exit").await.unwrap_err();
    assert!(error.request_written());
    assert!(error.to_string().contains(" exited during the call: "));
    end(&pool, &sim).await;
}

/// L5: a call on a worker whose port panics fails at once, and says that the worker is gone.
#[tokio::test(start_paused = true)]
async fn a_port_that_panics_fails_the_call_at_once() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut call = Box::pin(lease.call(b"hold"));
    begin(&mut call.as_mut()).await;
    puppets.panic(0);
    let error = ends_in(Duration::from_millis(1), call).await.unwrap_err();
    assert!(error.request_written());
    match error {
        CallError::Stopped { reason, .. } => assert_eq!(reason, Reason::Exited),
        other => panic!("{other:?}"),
    }
    drop(lease);
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    let counters = pool.status().counters;
    assert_eq!((counters.exited, counters.faulted), (1, 0));
    assert!(pool.shutdown().await.is_clean());
}

/// The reason of a fault says whether the client gave up, ran out of time, or found a breach.
#[tokio::test(start_paused = true)]
async fn a_fault_has_its_reason() {
    for (fault, limit) in [
        (Fault::Abandoned, 60),
        (Fault::TimedOut, 5),
        (Fault::ProtocolBroken, 60),
    ] {
        let puppets = Puppets::default();
        let pool = Pool::builder(puppets.clone())
            .size(1)
            .call_timeout(Duration::from_secs(limit))
            .build()
            .unwrap();
        until(&pool, |status| status.serving() == 1).await;
        let session = pool.session("kept").unwrap();
        let mut call = Box::pin(session.call(b"hold"));
        begin(&mut call.as_mut()).await;
        until(&pool, |_| puppets.kinds(0).last() == Some(&kind::CALL)).await;
        match fault {
            Fault::Abandoned => drop(call),
            Fault::TimedOut => drop(call.await.unwrap_err()),
            _ => {
                puppets.answer(0, kind::PONG, b"");
                drop(call.await.unwrap_err());
            }
        }
        let reason = crate::rig::lost(session.call(b"next").await);
        assert_eq!(reason, Reason::Fault(fault));
        assert!(pool.shutdown().await.is_clean());
    }
}

/// R24: a stop before the call is not reported as a stop during it.
#[tokio::test(start_paused = true)]
async fn a_stop_before_the_call_is_no_stop_during_it() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let report = pool.shutdown().await;
    assert!(report.is_clean(), "{report}");
    let error = lease.call(b"hello").await.unwrap_err();
    assert!(!error.request_written());
    assert_eq!(
        error.to_string(),
        "worker 0.1 was stopped before the request was written: the pool is shutting down"
    );
}

/// A status says how long a worker lives and how long it is in its phase, which the rungs of the
/// stop ladder do not change.
#[tokio::test(start_paused = true)]
async fn a_status_says_how_long_a_worker_is_in_its_phase() {
    let sim = Sim::new([Script::IgnoresStop]);
    let pool = pool(&sim, 1)
        .enable_health_monitoring(false)
        .ask_grace(Duration::from_secs(3))
        .term_grace(Duration::from_secs(4))
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let shown = || {
        let worker = &pool.status().workers[0];
        let times = (worker.age.as_secs(), worker.in_phase.as_secs());
        (times, worker.phase, worker.rung)
    };
    sleep(Duration::from_secs(10)).await;
    assert_eq!(shown(), ((10, 10), Phase::Ready, None));
    let lease = pool.checkout().await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(shown(), ((13, 3), Phase::Busy, None));
    drop(lease);
    pool.shutdown();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(shown(), ((15, 2), Phase::Stopping, Some(Rung::Ask)));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(shown(), ((18, 5), Phase::Stopping, Some(Rung::Term)));
    let report = pool.shutdown().await;
    assert_eq!(report.workers[0].phase, Phase::Lingering, "{report}");
}

/// An opener whose first port is never open.
#[derive(Debug)]
struct NeverOpen(Sim);

impl Opener for NeverOpen {
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        match start.worker.slot {
            0 => Box::pin(pending()),
            _ => self.0.open(start),
        }
    }
}

/// R25: the report of a shutdown says of each worker in which phase it ended, and what was done to
/// it: a worker that has no process, or has already exited, is not asked to exit.
#[tokio::test(start_paused = true)]
async fn the_report_says_in_which_phase_a_worker_ended() {
    let sim = Sim::new([Script::NoHandshake]);
    let opener = NeverOpen(sim.clone());
    let pool = Pool::builder(opener).size(3).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let report = pool.shutdown().await;
    let said: Vec<String> = report.workers.iter().map(ToString::to_string).collect();
    let mut said: Vec<&str> = said.iter().map(|text| text.trim_end()).collect();
    said.sort_unstable();
    assert_eq!(
        said,
        [
            "worker 0.1 ended: pool shut down; no process; 0 calls; 1 ms",
            "worker 1.1 ended: pool shut down; was starting, asked to exit; 0 calls; 1 ms",
            "worker 2.1 ended: pool shut down; asked to exit, exit code 0; 0 calls; 1 ms",
        ]
    );
    assert_eq!(report.workers[0].rung, None, "{report}");
}

/// R25: the report says why each worker left the pool, including workers that did not leave because
/// of the shutdown.
#[tokio::test(start_paused = true)]
async fn the_report_says_why_a_worker_left() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let lease = pool.checkout().await.unwrap();
    let recycled = lease.worker();
    pool.recycle(recycled);
    until(&pool, |status| status.counters.started == 2).await;
    let shutdown = pool.shutdown();
    drop(lease);
    let report = shutdown.await;
    assert_eq!(report.workers.len(), 2, "{report}");
    for end in &report.workers {
        let reason = match end.worker == recycled {
            true => Reason::Recycled,
            false => Reason::Shutdown,
        };
        assert_eq!(
            (end.reason, end.phase),
            (reason, Phase::Lingering),
            "{report}"
        );
    }
    assert_eq!(sim.stats().open, 0);
}

/// O3: an idle session holds a shutdown only for `session_grace`, and is then lost. A session with
/// a call under way is served, and ends as soon as it is idle.
#[tokio::test(start_paused = true)]
async fn an_idle_session_holds_a_shutdown_only_for_its_grace() {
    let sim = Sim::default();
    let pool = pool(&sim, 2)
        .call_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let (idle, used) = (pool.session("idle").unwrap(), pool.session("used").unwrap());
    let lease = idle.checkout().await.unwrap();
    assert_eq!(used.call(b"hello").await.unwrap(), b"hello");
    drop(lease);
    let mut held = used.checkout().await.unwrap();
    let mut shutdown = pin!(async { pool.shutdown().await });
    begin(&mut shutdown).await;
    // Within the grace, both are served.
    assert_eq!(idle.call(b"hello").await.unwrap(), b"hello");
    assert_eq!(held.call(b"hello").await.unwrap(), b"hello");
    let waits = async {
        until(&pool, |status| {
            status.sessions == 2 && status.workers.len() == 1
        })
        .await;
        crate::rig::lost(idle.call(b"hello").await)
    };
    assert_eq!(
        ends_in(Duration::from_millis(1100), waits).await,
        Reason::Shutdown
    );
    // Long after the grace, a call is under way.
    sleep(Duration::from_secs(10)).await;
    assert_eq!(held.call(b"think").await.unwrap(), b"think");
    let mut waits = pin!(used.call(b"the last word"));
    begin(&mut waits).await;
    drop(held);
    assert_eq!(waits.await.unwrap(), b"the last word");
    let report = ends_in(Duration::from_millis(100), shutdown).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(sim.stats().open, 0);
}

/// O3: with a `session_grace` of zero, an idle session holds no shutdown; and without a session, no
/// shutdown waits for the grace.
#[tokio::test(start_paused = true)]
async fn a_shutdown_without_a_grace_is_immediate() {
    for (grace, sessions) in [(0, true), (3600, false)] {
        let sim = Sim::default();
        let pool = pool(&sim, 1)
            .session_grace(Duration::from_secs(grace))
            .build()
            .unwrap();
        let session = pool.session("idle").unwrap();
        assert_eq!(session.call(b"hello").await.unwrap(), b"hello");
        if !sessions {
            session.end();
        }
        let shutdown = async { pool.shutdown().await };
        let report = ends_in(Duration::from_millis(100), shutdown).await;
        assert!(report.is_clean(), "{report}");
    }
}

/// An opener whose `close` never returns.
#[derive(Debug)]
struct NeverClosed(Sim);

impl Opener for NeverClosed {
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        self.0.open(start)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }
}

/// The report of a shutdown comes 100 ms after `shutdown_timeout` at the latest, and names an
/// opener that is not closed by then. If the opener was closed, the report does not mention it.
#[tokio::test(start_paused = true)]
async fn an_opener_that_is_not_closed_is_reported() {
    let limit = Duration::from_secs(5);
    let said = "the opener was NOT closed within `shutdown_timeout`: its `close` has not returned";
    let sim = Sim::default();
    let closed = pool(&sim, 1).shutdown_timeout(limit).build().unwrap();
    let report = ends_in(limit, async { closed.shutdown().await }).await;
    assert!(!report.unclosed_opener && report.is_clean(), "{report}");
    assert!(!report.to_string().contains("opener"), "{report}");
    let hangs = Pool::builder(NeverClosed(sim.clone())).size(1);
    let hangs = hangs.shutdown_timeout(limit).build().unwrap();
    let begun = Instant::now();
    let report = hangs.shutdown().await;
    assert_eq!(begun.elapsed(), limit + Duration::from_millis(100));
    assert!(report.unclosed_opener && !report.is_clean(), "{report}");
    assert_eq!(report.unreleased, []);
    assert!(
        report.to_string().ends_with(&format!("  {said}\n")),
        "{report}"
    );
    assert_eq!(sim.stats().open, 0);
}

/// The outcome of a future that must resolve within this time, on the paused clock.
async fn ends_in<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(limit, future).await;
    ended.unwrap_or_else(|_| panic!("it took more than {limit:?}"))
}
