//! Is a worker kept if it ends an abandoned call within the grace, and replaced otherwise?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Builder, CallError, DrainEnd, Phase, Pool, WorkerStatus};
use tokio::time::{Instant, sleep};

use crate::puppets::{Puppets, kind};
use crate::rig::{begin, end, pool, until};

const GRACE: Duration = Duration::from_secs(20);

fn with_grace(sim: &Sim) -> Builder {
    pool(sim, 1)
        .abandoned_calls(crate::cancel(GRACE))
        .checkout_timeout(Duration::from_secs(60))
}

/// Makes a call and drops it after its request was written.
async fn abandon(pool: &Pool, request: &[u8]) {
    let mut lease = pool.checkout().await.unwrap();
    begin(&mut pin!(lease.call(request))).await;
}

/// Completed calls, leases that ended in a fault, and workers opened so far.
fn counts(pool: &Pool) -> (u64, u64, u64) {
    let counters = pool.status().counters;
    (counters.calls, counters.faulted, counters.opened)
}

/// C1: a worker that ends an abandoned call in time, with an error or a reply, is kept. The answer
/// is discarded; it counts as a call and not as an error.
#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_a_cancelled_call_is_kept() {
    let sim = Sim::default();
    let pool = with_grace(&sim)
        .error_threshold(1)
        .min_worker_life(Duration::ZERO)
        .build()
        .unwrap();
    for (round, request) in (1..).zip([b"heed".as_slice(), b"finish", b"late"]) {
        abandon(&pool, request).await;
        until(&pool, |status| status.counters.calls == 2 * round - 1).await;
        // Longer than a replacement takes. The next call would reset the count of errors.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(counts(&pool), (2 * round - 1, 0, 1));
        assert_eq!(pool.call(b"next").await.unwrap(), b"next");
        assert_eq!(counts(&pool), (2 * round, 0, 1));
    }
    end(&pool, &sim).await;
}

/// C1: a reply that was in the pipe before its call was dropped is discarded, and the cancel frame
/// that follows has no effect on the next call.
#[tokio::test(start_paused = true)]
async fn a_reply_already_in_the_pipe_is_discarded() {
    let sim = Sim::default();
    let pool = with_grace(&sim).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut call = Box::pin(lease.call(b"answered"));
    begin(&mut call.as_mut()).await;
    sleep(Duration::from_secs(1)).await;
    drop(call);
    drop(lease);
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!(counts(&pool), (2, 0, 1));
    end(&pool, &sim).await;
}

/// C1: a worker that has not answered when the grace ends is replaced, even if it answers later.
#[tokio::test(start_paused = true)]
async fn a_reply_after_the_grace_does_not_save_the_worker() {
    for (request, grace) in [(b"hang".as_slice(), 20), (b"late", 9)] {
        let sim = Sim::new([Script::IgnoresStop]);
        let grace = Duration::from_secs(grace);
        let pool = pool(&sim, 1)
            .abandoned_calls(crate::cancel(grace))
            .checkout_timeout(2 * grace)
            .build()
            .unwrap();
        let mut lease = pool.checkout().await.unwrap();
        begin(&mut pin!(lease.call(request))).await;
        let since = Instant::now();
        until(&pool, |status| status.counters.faulted == 1).await;
        let passed = since.elapsed();
        assert!(
            passed >= grace && passed < grace + Duration::from_millis(10),
            "{passed:?}"
        );
        // The worker ignores everything except a kill, so it has time to send its late reply.
        assert_eq!(pool.call(b"next").await.unwrap(), b"next");
        assert_eq!(counts(&pool), (1, 1, 2));
        drop(lease);
        end(&pool, &sim).await;
    }
}

/// C1: a worker that breaks the protocol during the grace, or answers the cancelled call twice, is
/// replaced at once.
#[tokio::test(start_paused = true)]
async fn a_worker_that_breaks_the_protocol_is_replaced_at_once() {
    let sim = Sim::default();
    let pool = with_grace(&sim).build().unwrap();
    for (round, request) in (1..).zip([b"stray".as_slice(), b"twice over"]) {
        let since = Instant::now();
        abandon(&pool, request).await;
        assert_eq!(pool.call(b"next").await.unwrap(), b"next");
        assert!(since.elapsed() < Duration::from_secs(1));
        assert_eq!(counts(&pool), (round, round, round + 1));
    }
    end(&pool, &sim).await;
}

/// C1: a call fails as soon as its timeout passes. Its lease is over although the worker is kept,
/// and dropping that lease does not affect the worker's next client.
#[tokio::test(start_paused = true)]
async fn a_timed_out_call_fails_at_once() {
    let sim = Sim::default();
    let limit = Duration::from_secs(7);
    let pool = with_grace(&sim).call_timeout(limit).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let since = Instant::now();
    let error = lease.call(b"late").await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::TimedOut {
                request_written: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "worker 0.1 did not answer within 7 s: raise `call_timeout` if the call may take longer"
    );
    assert_eq!(since.elapsed(), limit);
    assert_eq!(pool.status().workers[0].phase, Phase::Busy);
    let over = lease.call(b"again").await;
    assert!(matches!(over, Err(CallError::LeaseOver { .. })), "{over:?}");
    let mut next = pool.checkout().await.unwrap();
    assert_eq!(next.worker(), lease.worker());
    drop(lease);
    assert_eq!(next.call(b"next").await.unwrap(), b"next");
    drop(next);
    assert_eq!(counts(&pool), (2, 0, 1));
    end(&pool, &sim).await;
}

/// C1: dropping a stream cancels it as dropping a call does, and parts in the pipe are discarded.
#[tokio::test(start_paused = true)]
async fn a_dropped_stream_is_cancelled() {
    let sim = Sim::default();
    let pool = with_grace(&sim).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut parts = lease.stream(b"heed abc").unwrap();
    assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
    drop(parts);
    drop(lease);
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!(counts(&pool), (2, 0, 1));
    end(&pool, &sim).await;
}

/// C1: a worker that keeps sending parts after the cancel is replaced when the grace ends, however
/// fast it sends. A real clock is needed: a paused one does not advance while the worker is busy.
#[tokio::test]
async fn endless_parts_do_not_extend_the_grace() {
    let sim = Sim::default();
    let grace = Duration::from_millis(50);
    let pool = pool(&sim, 1)
        .abandoned_calls(crate::cancel(grace))
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut parts = lease.stream(b"flood a").unwrap();
    assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
    drop(parts);
    drop(lease);
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!(counts(&pool), (1, 1, 2));
    end(&pool, &sim).await;
}

/// C1: there is no grace if the request was only partly written, because the worker would read the
/// next frame as the rest of it.
#[tokio::test(start_paused = true)]
async fn a_half_written_request_gets_no_grace() {
    let sim = Sim::default();
    let pool = with_grace(&sim).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    assert!(lease.call(&[b'x'; 1 << 20]).now_or_never().is_none());
    assert_eq!(pool.status().counters.faulted, 1);
    drop(lease);
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!(counts(&pool), (1, 1, 2));
    end(&pool, &sim).await;
}

/// A session keeps its worker when one of its calls is cancelled and the worker is kept.
#[tokio::test(start_paused = true)]
async fn a_session_survives_a_cancelled_call() {
    let sim = Sim::default();
    let pool = with_grace(&sim).build().unwrap();
    let session = pool.session("one").unwrap();
    assert_eq!(session.call(b"first").await.unwrap(), b"first");
    let worker = session.worker().unwrap();
    begin(&mut pin!(session.call(b"late"))).await;
    assert_eq!(session.call(b"next").await.unwrap(), b"next");
    assert_eq!(session.worker(), Some(worker));
    session.end();
    end(&pool, &sim).await;
}

/// C4: a worker that exits during the grace is counted as exited and not as faulted.
#[tokio::test(start_paused = true)]
async fn an_exit_ends_the_grace() {
    let sim = Sim::default();
    let pool = with_grace(&sim).build().unwrap();
    let since = Instant::now();
    abandon(&pool, b"leave").await;
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert!(since.elapsed() < GRACE);
    assert_eq!(counts(&pool), (1, 0, 2));
    assert_eq!(pool.status().counters.exited, 1);
    end(&pool, &sim).await;
}

/// A drain waits neither for the grace nor for the release of a worker that exits or is stopped
/// while it is to end a cancelled call.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_worker_ends_its_cancelled_call() {
    for (script, request) in [
        (Script::NeverReleased, b"leave".as_slice()),
        // Stopped at its drain deadline, which is within `shutdown_timeout`.
        (Script::Unkillable, b"hang"),
    ] {
        let sim = Sim::new([script]);
        let builder = with_grace(&sim).shutdown_timeout(Duration::from_secs(4));
        let pool = builder.build().unwrap();
        abandon(&pool, request).await;
        let worker = pool.status().workers[0].worker;
        pool.recycle(worker);
        let drained = pool.drain();
        let is_ending = |it: &WorkerStatus| it.worker == worker && it.phase == Phase::Stopping;
        until(&pool, |status| status.workers.iter().any(is_ending)).await;
        let since = Instant::now();
        assert_eq!(drained.await, DrainEnd::Drained);
        let took = since.elapsed();
        assert!(took < Duration::from_millis(100), "{script:?}: {took:?}");
        let counters = pool.status().counters;
        assert_eq!((counters.calls, counters.released), (0, 0), "{script:?}");
        sim.let_go();
        end(&pool, &sim).await;
    }
}

/// A drain does not wait for the grace if the worker closes its output instead of ending the call.
/// The worker is given a second to exit.
#[tokio::test(start_paused = true)]
async fn the_end_of_the_output_ends_a_cancelled_call() {
    let puppets = Puppets::default();
    puppets.keep_ports();
    let builder = Pool::builder(puppets.clone())
        .size(1)
        .abandoned_calls(crate::cancel(GRACE));
    let pool = builder.build().unwrap();
    abandon(&pool, b"hold").await;
    until(&pool, |_| puppets.kinds(0).last() == Some(&kind::CANCEL)).await;
    let since = Instant::now();
    puppets.close_output(0);
    assert_eq!(pool.drain().await, DrainEnd::Drained);
    assert_eq!(since.elapsed(), Duration::from_secs(1));
    let counters = pool.status().counters;
    let counts = (counters.calls, counters.faulted, counters.released);
    assert_eq!(counts, (0, 1, 0));
    (0..puppets.opened()).for_each(|worker| puppets.release(worker));
}

/// A shutdown waits for a cancelled call as for any other: until it ends, or until the drain
/// deadline.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_cancelled_calls() {
    // The drain deadline leaves 5 s of the 30 s for the stop ladder.
    for (request, answered, seconds) in [(b"late".as_slice(), 1, 10), (b"hang", 0, 25)] {
        let sim = Sim::default();
        let pool = pool(&sim, 1)
            .abandoned_calls(crate::cancel(Duration::from_secs(3600)))
            .shutdown_timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        abandon(&pool, request).await;
        let report = pool.shutdown().await;
        assert_eq!(report.took, Duration::from_secs(seconds));
        assert_eq!(report.unreleased, []);
        assert_eq!(
            (report.counters.calls, report.counters.faulted),
            (answered, 0)
        );
        assert_eq!((sim.stats().open, pool.status().workers.len()), (0, 0));
    }
}

/// The memory of a worker is measured while it ends a cancelled call.
#[tokio::test(start_paused = true)]
async fn a_worker_is_measured_during_the_grace() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone())
        .size(1)
        .abandoned_calls(crate::cancel(Duration::from_secs(3600)))
        .build()
        .unwrap();
    abandon(&pool, b"hold").await;
    until(&pool, |_| puppets.kinds(0).last() == Some(&kind::CANCEL)).await;
    puppets.uses(0, 4096);
    // An interval of 30 s and its jitter.
    sleep(Duration::from_secs(34)).await;
    assert_eq!(pool.status().workers[0].memory, Some(4096));
    puppets.answer(0, kind::REPLY, b"late");
    assert!(pool.shutdown().await.is_clean());
}

/// C2: an abandoned call is settled exactly once, whether it is dropped before or after the pool's
/// runtime.
#[test]
fn a_dropped_runtime_settles_cancelled_calls() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    for drop_first in [true, false] {
        let sim = Sim::default();
        let home = runtime();
        let pool = home.block_on(async { with_grace(&sim).build().unwrap() });
        let mut lease = home.block_on(pool.checkout()).unwrap();
        let mut call = Box::pin(lease.call(b"hang"));
        home.block_on(begin(&mut call.as_mut()));
        if drop_first {
            // The pool's runtime is not being polled now, and this thread has no runtime.
            drop(call);
            assert_eq!(pool.status().workers[0].phase, Phase::Busy);
            drop(home);
        } else {
            drop(home);
            drop(call);
        }
        drop(lease);
        let status = pool.status();
        assert_eq!((status.workers.len(), sim.stats().open), (0, 0));
        // If the runtime drops the waiting client before the worker, a replacement may be opened in
        // between.
        assert_eq!(status.counters.opened, status.counters.released);
        assert_eq!((status.counters.granted, status.counters.calls), (1, 0));
    }
}

/// A worker learns at its start which frames the pool may send, how large, and how long a call has.
#[tokio::test(start_paused = true)]
async fn a_worker_is_told_what_may_come() {
    for grace in [None, Some(GRACE)] {
        let puppets = Puppets::default();
        let pool = Pool::builder(puppets.clone())
            .size(1)
            .max_frame(4096)
            .abandoned_calls(crate::cancel(grace))
            .build()
            .unwrap();
        until(&pool, |status| status.serving() == 1).await;
        let words = [1, 4096, 10 | u32::from(grace.is_some()), 0, 30_000].map(u32::to_be_bytes);
        let hello = [&[kind::HELLO, 0, 0, 0, 0][..], words.as_flattened()].concat();
        assert_eq!(puppets.frames(0), [hello]);
        assert!(pool.shutdown().await.is_clean());
    }
}

/// Without a grace, a dropped call costs its worker at once, even a worker that would end
/// the call.
#[tokio::test(start_paused = true)]
async fn without_a_grace_a_dropped_call_costs_its_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    begin(&mut pin!(lease.call(b"heed"))).await;
    assert_eq!(pool.status().counters.faulted, 1);
    drop(lease);
    end(&pool, &sim).await;
}
