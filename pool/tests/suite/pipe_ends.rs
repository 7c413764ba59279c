//! What does the pool say of a worker that closes its output, answers and exits in the same moment,
//! or is silent?
//!
//! The real driver on workers whose every step is the test's: see `puppets`.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use ostler_pool::{
    Builder, CallError, CheckoutError, Event, Exit, ExitStatus, Fault, Phase, Pool, ProtocolError,
    Reason, StartError,
};
use tokio::time::{Instant, sleep};

use crate::puppets::{Puppets, kind};
use crate::rig::{begin, until};

/// How long a worker that has closed a pipe may take to exit.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// A moment within it.
const SOON: Duration = Duration::from_millis(500);

/// The body of an error of the type `E`.
const ERROR: &[u8] = b"\0\0\0\x01E\0\0\0\x02no\0\0\0\0";

fn builder(puppets: &Puppets) -> Builder {
    Pool::builder(puppets.clone())
        .size(1)
        .enable_health_monitoring(false)
        .max_worker_age(None)
        .checkout_timeout(Duration::from_secs(60))
}

/// A pool of one worker that serves.
async fn serving() -> (Puppets, Pool) {
    let puppets = Puppets::default();
    let pool = builder(&puppets).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    (puppets, pool)
}

/// The workers that exited by themselves, and those that were stopped for a fault.
fn ends(pool: &Pool) -> (u64, u64) {
    let counters = pool.status().counters;
    (counters.exited, counters.faulted)
}

async fn is_replaced(pool: &Pool) {
    until(pool, |status| {
        status.serving() == 1 && status.workers.len() == 1 && status.counters.released == 1
    })
    .await;
}

/// An idle worker whose exit follows the end of its output within a second has exited. A worker
/// that runs on breaks the protocol exactly one second later.
#[tokio::test(start_paused = true)]
async fn the_exit_of_an_idle_worker_follows_its_output() {
    for exits in [true, false] {
        let (puppets, pool) = serving().await;
        let since = Instant::now();
        puppets.close_output(0);
        sleep(SOON).await;
        assert_eq!((ends(&pool), pool.status().serving()), ((0, 0), 1));
        if exits {
            puppets.exit(0, 3);
            is_replaced(&pool).await;
            assert_eq!(ends(&pool), (1, 0));
        } else {
            until(&pool, |status| status.counters.faulted == 1).await;
            let took = since.elapsed();
            assert!(
                took >= EXIT_GRACE && took <= EXIT_GRACE + Duration::from_millis(2),
                "{took:?}"
            );
            is_replaced(&pool).await;
            assert_eq!(ends(&pool), (0, 1));
        }
        assert!(pool.shutdown().await.is_clean());
    }
}

/// The outcome of a call, and when it came.
async fn outcome(call: impl Future<Output = Result<Vec<u8>, CallError>>) -> (CallError, Duration) {
    let since = Instant::now();
    let error = call.await.unwrap_err();
    (error, since.elapsed())
}

/// C4: a call whose worker closes its output fails with the exit as soon as that follows, and after
/// a second with the breach. Either is known to the pool when the caller learns of it.
#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_exit_that_follows_its_output() {
    for exits in [true, false] {
        let (puppets, pool) = serving().await;
        let mut lease = pool.checkout().await.unwrap();
        let mut call = Box::pin(lease.call(b"hold"));
        begin(&mut call.as_mut()).await;
        puppets.close_output(0);
        let later = async {
            sleep(SOON).await;
            if exits {
                puppets.exit(0, 3);
            }
        };
        let ((error, took), ()) = tokio::join!(outcome(call), later);
        assert!(error.request_written());
        match error {
            CallError::WorkerExited { exit, .. } if exits => {
                assert_eq!((exit.status, took), (ExitStatus::Code(3), SOON));
            }
            CallError::Protocol { source, .. } if !exits => {
                assert_eq!((source, took), (ProtocolError::OutputClosed, EXIT_GRACE));
            }
            other => panic!("{other:?} after {took:?}"),
        }
        drop(lease);
        is_replaced(&pool).await;
        assert_eq!(ends(&pool), (u64::from(exits), u64::from(!exits)));
        assert!(pool.shutdown().await.is_clean());
    }
}

/// R24: a call on a worker that has already closed its output sends nothing, and fails with the
/// exit, or with the breach that the pool found first.
#[tokio::test(start_paused = true)]
async fn a_call_after_the_end_of_output_sends_nothing() {
    for exits in [true, false] {
        let (puppets, pool) = serving().await;
        let mut lease = pool.checkout().await.unwrap();
        puppets.close_output(0);
        sleep(SOON).await;
        let mut call = Box::pin(lease.call(b"hold"));
        begin(&mut call.as_mut()).await;
        if exits {
            puppets.exit(0, 3);
        }
        let (error, took) = outcome(call).await;
        assert!(!error.request_written());
        match error {
            CallError::WorkerExited { exit, .. } if exits => {
                assert_eq!((exit.status, took), (ExitStatus::Code(3), Duration::ZERO));
            }
            // Half a second remained of the second that the pool has given the worker.
            CallError::Protocol { source, .. } if !exits => {
                assert_eq!((source, took), (ProtocolError::OutputClosed, SOON));
            }
            other => panic!("{other:?} after {took:?}"),
        }
        assert_eq!(puppets.kinds(0), [kind::HELLO]);
        drop(lease);
        assert_eq!(ends(&pool), (u64::from(exits), u64::from(!exits)));
        assert!(pool.shutdown().await.is_clean());
    }
}

/// A worker that breaks the protocol and exits in the same moment has exited.
#[tokio::test(start_paused = true)]
async fn an_exit_says_more_than_a_breach() {
    let (puppets, pool) = serving().await;
    puppets.write(0, b"?");
    puppets.exit(0, 3);
    is_replaced(&pool).await;
    assert_eq!(ends(&pool), (1, 0));
    assert!(pool.shutdown().await.is_clean());
}

/// Waits until the worker has read a frame of this kind.
async fn has_read(pool: &Pool, puppets: &Puppets, kind: u8) {
    until(pool, |_| {
        puppets.opened() > 0 && puppets.kinds(0).last() == Some(&kind)
    })
    .await;
}

/// L11: an exit during a health check counts as an exit, not as a breach or a missed check.
#[tokio::test(start_paused = true)]
async fn an_exit_during_a_health_check_is_an_exit() {
    let puppets = Puppets::default();
    let pool = builder(&puppets)
        .enable_health_monitoring(true)
        .health_check_interval(Duration::from_secs(10))
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    puppets.silence(true);
    has_read(&pool, &puppets, kind::PING).await;
    puppets.silence(false);
    puppets.close_output(0);
    sleep(SOON).await;
    puppets.exit(0, 3);
    is_replaced(&pool).await;
    assert_eq!(ends(&pool), (1, 0));
    assert_eq!(pool.status().counters.missed_probes, 0);
    assert!(pool.shutdown().await.is_clean());
}

/// C6: an answer to a health check that is followed by more is a breach and no answer, whether it
/// says that the worker is well or not.
#[tokio::test(start_paused = true)]
async fn more_than_the_answer_to_a_health_check_is_a_breach() {
    for (kind, body) in [(kind::PONG, &b""[..]), (kind::ERROR, ERROR)] {
        let puppets = Puppets::default();
        let pool = builder(&puppets)
            .enable_health_monitoring(true)
            .build()
            .unwrap();
        until(&pool, |status| status.serving() == 1).await;
        puppets.silence(true);
        has_read(&pool, &puppets, kind::PING).await;
        puppets.silence(false);
        let mut events = pool.events();
        puppets.answer(0, kind, body);
        puppets.write(0, b"?");
        let Ok(Event::Moved(moved)) = events.recv().await else {
            panic!("the worker moves first");
        };
        let reason = Some(Reason::Fault(Fault::ProtocolBroken));
        assert_eq!((moved.to, moved.reason), (Phase::Stopping, reason));
        let counters = pool.status().counters;
        assert_eq!((counters.missed_probes, counters.calls), (0, 0));
        is_replaced(&pool).await;
        assert_eq!(ends(&pool), (0, 1));
        pool.shutdown().await;
    }
}

/// C1: an answer that comes together with the exit counts: that to a cancelled call is a call, and
/// that to the handshake is a start.
#[tokio::test(start_paused = true)]
async fn an_answer_comes_before_the_exit() {
    let puppets = Puppets::default();
    let pool = builder(&puppets)
        .abandoned_calls(crate::cancel(Duration::from_secs(20)))
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    begin(&mut pin!(lease.call(b"hold"))).await;
    drop(lease);
    has_read(&pool, &puppets, kind::CANCEL).await;
    puppets.answer(0, kind::REPLY, b"late");
    puppets.exit(0, 3);
    is_replaced(&pool).await;
    assert_eq!((ends(&pool), pool.status().counters.calls), ((1, 0), 1));
    assert!(pool.shutdown().await.is_clean());

    let puppets = Puppets::default();
    puppets.silence(true);
    let pool = builder(&puppets).build().unwrap();
    has_read(&pool, &puppets, kind::HELLO).await;
    puppets.silence(false);
    puppets.answer(0, kind::READY, &[0, 0, 0, 1]);
    puppets.exit(0, 3);
    is_replaced(&pool).await;
    let status = pool.status();
    assert_eq!((ends(&pool), status.counters.started), ((1, 0), 2));
    assert!(status.last_failure.is_none(), "{status:?}");
    assert!(pool.shutdown().await.is_clean());
}

/// C4: what a worker wrote just before its exit is read when the exit is seen: a reply, the answer
/// to the handshake, and why it refuses to start.
#[tokio::test(start_paused = true)]
async fn last_words_are_read_at_the_exit() {
    let (puppets, pool) = serving().await;
    let mut lease = pool.checkout().await.unwrap();
    let mut call = Box::pin(lease.call(b"hold"));
    begin(&mut call.as_mut()).await;
    has_read(&pool, &puppets, kind::CALL).await;
    puppets.exit_with_last_words(0, 3, kind::REPLY, b"farewell");
    until(&pool, |status| status.counters.exited == 1).await;
    assert_eq!(call.await.unwrap(), b"farewell");
    drop(lease);
    pool.shutdown().await;

    for (kind, body) in [(kind::READY, &[0, 0, 0, 1][..]), (kind::ERROR, ERROR)] {
        let puppets = Puppets::default();
        puppets.silence(true);
        let pool = builder(&puppets).build().unwrap();
        has_read(&pool, &puppets, kind::HELLO).await;
        puppets.silence(false);
        puppets.exit_with_last_words(0, 3, kind, body);
        is_replaced(&pool).await;
        let status = pool.status();
        match (kind, status.last_failure) {
            (kind::READY, None) => assert_eq!(status.counters.started, 2),
            (kind::ERROR, Some(StartError::Refused { source, .. })) => {
                assert_eq!(
                    (source.to_string(), status.counters.started),
                    ("E: no".to_owned(), 1)
                );
            }
            other => panic!("{other:?}"),
        }
        pool.shutdown().await;
    }
}

/// L9: a worker that closes its output in the handshake has failed to start with its exit, and
/// without an exit at the start deadline.
#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_exit_that_follows_its_output() {
    for exits in [true, false] {
        let puppets = Puppets::default();
        puppets.silence(true);
        let pool = builder(&puppets).build().unwrap();
        has_read(&pool, &puppets, kind::HELLO).await;
        puppets.silence(false);
        puppets.close_output(0);
        // Beyond the second that a worker has which serves.
        sleep(3 * EXIT_GRACE).await;
        if exits {
            puppets.exit(0, 3);
        }
        until(&pool, |status| status.serving() == 1).await;
        let failure = pool.status().last_failure;
        match &failure {
            Some(StartError::Exited {
                exit: Exit { status, .. },
                ..
            }) if exits => {
                assert_eq!(*status, ExitStatus::Code(3));
            }
            Some(StartError::TimedOut { .. }) if !exits => {}
            other => panic!("{other:?}"),
        }
        assert!(pool.shutdown().await.is_clean());
    }
}

/// C1: a reply that is there when a late caller looks is returned, although the deadline has passed
/// as well.
#[tokio::test(start_paused = true)]
async fn a_reply_comes_before_the_deadline() {
    let puppets = Puppets::default();
    let limit = Duration::from_secs(5);
    let pool = builder(&puppets).call_timeout(limit).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut call = Box::pin(lease.call(b"hold"));
    begin(&mut call.as_mut()).await;
    sleep(Duration::from_secs(1)).await;
    puppets.answer(0, kind::REPLY, b"there");
    sleep(2 * limit).await;
    assert_eq!(call.now_or_never().unwrap().unwrap(), b"there");
    drop(lease);
    assert_eq!(pool.status().counters.calls, 1);
    assert!(pool.shutdown().await.is_clean());
}

/// L10: a client that is granted a worker that has broken the protocol asks for another one, until
/// the deadline with which it began.
#[tokio::test(start_paused = true)]
async fn a_broken_worker_does_not_extend_the_wait() {
    let puppets = Puppets::default();
    let limit = Duration::from_secs(3);
    let pool = builder(&puppets).checkout_timeout(limit).build().unwrap();
    let held = pool.checkout().await.unwrap();
    let since = Instant::now();
    let mut waits = pin!(pool.checkout());
    begin(&mut waits).await;
    sleep(Duration::from_secs(2)).await;
    // The client is granted the worker, and looks only after the worker has written.
    drop(held);
    puppets.write(0, b"?");
    puppets.silence(true);
    let late = waits.await.unwrap_err();
    assert!(
        matches!(late, CheckoutError::TimedOut { after, .. } if after == limit),
        "{late:?}"
    );
    assert_eq!((since.elapsed(), ends(&pool)), (limit, (0, 1)));
    puppets.silence(false);
    pool.shutdown().await;
}

/// P11: an idle worker is asked to exit by a shutdown frame; a worker that broke the protocol is
/// not.
#[tokio::test(start_paused = true)]
async fn only_a_healthy_worker_is_asked_to_exit() {
    let (puppets, pool) = serving().await;
    puppets.write(0, b"?");
    is_replaced(&pool).await;
    let report = pool.shutdown().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(puppets.kinds(0), [kind::HELLO]);
    assert_eq!(puppets.kinds(1), [kind::HELLO, kind::SHUTDOWN]);
}
