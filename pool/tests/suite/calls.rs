//! Does every call have exactly the right outcome, and does a failed call cost no worker but its
//! own?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ostler_pool::testing::{Sim, SimStats};
use ostler_pool::{CallError, ExitStatus, Pool, Reason, Rung};
use tokio::select;
use tokio::time::{Instant, sleep};

use crate::puppets::{Puppets, kind};
use crate::rig::{begin, end, pool, until};

/// Requests get their replies, one worker serves many calls, and the shutdown report lists every
/// worker.
#[tokio::test(start_paused = true)]
async fn a_call_is_answered() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    for request in [b"one".as_slice(), b"", &[7; 200_000]] {
        assert_eq!(pool.call(request).await.unwrap(), request);
    }
    let report = pool.shutdown().await;
    assert_eq!((report.counters.calls, report.counters.opened), (3, 2));
    assert_eq!(report.workers.len(), 2);
    for end in &report.workers {
        let ended = (end.reason, end.rung, end.status);
        assert_eq!(
            ended,
            (Reason::Shutdown, Some(Rung::Ask), Some(ExitStatus::Code(0)))
        );
    }
    let mut expected = SimStats::default();
    (expected.opened, expected.peak_open, expected.requests) = (2, 2, 3);
    assert_eq!(sim.stats(), expected);
}

/// C12: each call has a deadline of its own, whenever the timer of the last call elapses, and so
/// has each part of a stream.
#[tokio::test(start_paused = true)]
async fn each_call_has_its_own_deadline() {
    let limit = Duration::from_secs(7);
    for idle in [0, 1, 3500, 6999, 7000, 7001, 20_000] {
        for way in 0..3 {
            let sim = Sim::default();
            let pool = pool(&sim, 1).call_timeout(limit).build().unwrap();
            let mut lease = pool.checkout().await.unwrap();
            assert_eq!(lease.call(b"one").await.unwrap(), b"one");
            sleep(Duration::from_millis(idle)).await;
            let mut since = Instant::now();
            let ended = match way {
                0 => lease.call(b"hang").await.map(drop),
                1 => {
                    drop(lease);
                    pool.call(b"hang").await.map(drop)
                }
                _ => {
                    let mut parts = lease.stream(b"hang a").unwrap();
                    assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
                    sleep(Duration::from_millis(idle)).await;
                    since = Instant::now();
                    parts.next().await.unwrap().map(drop)
                }
            };
            assert!(matches!(ended, Err(CallError::TimedOut { after, .. }) if after == limit));
            assert_eq!(since.elapsed(), limit, "after {idle} ms, way {way}");
            drop(pool.shutdown().await);
        }
    }
}

/// C1: a call that times out costs its worker, and its late reply reaches no other call.
#[tokio::test(start_paused = true)]
async fn a_call_that_times_out_costs_its_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .call_timeout(Duration::from_secs(7))
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(lease.call(b"one").await.unwrap(), b"one");
    let since = Instant::now();
    match lease.call(b"hang").await {
        Err(CallError::TimedOut {
            after,
            request_written: true,
            ..
        }) => {
            assert_eq!(
                (after, since.elapsed()),
                (Duration::from_secs(7), Duration::from_secs(7))
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        lease.call(b"again").await,
        Err(CallError::LeaseOver { .. })
    ));
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    let counters = pool.status().counters;
    assert_eq!((sim.stats().opened, counters.faulted), (2, 1));
    assert_eq!(
        counters.calls, 2,
        "a completed call counts, however its lease ended"
    );
    drop(lease);
    end(&pool, &sim).await;
}

/// C1: a call that is dropped before its reply costs its worker at once, even while its lease is
/// held.
#[tokio::test(start_paused = true)]
async fn an_abandoned_call_costs_its_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    begin(&mut pin!(lease.call(b"hang"))).await;
    assert_eq!(pool.status().counters.faulted, 1);
    assert!(matches!(
        lease.call(b"again").await,
        Err(CallError::LeaseOver { .. })
    ));
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    drop(lease);
    assert_eq!(pool.status().counters.faulted, 1, "a lease ends once");
    end(&pool, &sim).await;
}

/// C1: a reply to another request, bytes that are no frame, and a second reply never reach a
/// client. Each costs the worker at once, although a worker that is only slow is given a grace.
#[tokio::test(start_paused = true)]
async fn a_worker_that_breaks_the_protocol_is_replaced() {
    for grace in [None, Some(Duration::from_secs(60))] {
        let sim = Sim::default();
        let pool = pool(&sim, 1)
            .abandoned_calls(crate::cancel(grace))
            .build()
            .unwrap();
        for (faulted, request, complaint) in [
            (
                1,
                b"wrong id".as_slice(),
                "it answered request 151587081, which is not under way",
            ),
            (
                2,
                b"garbage",
                "it sent a frame of 4294967295 bytes, and `max_frame` is 67108864",
            ),
        ] {
            match pool.call(request).await {
                Err(CallError::Protocol { source, .. }) => {
                    assert_eq!(source.to_string(), complaint);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(pool.status().counters.faulted, faulted);
        }
        assert_eq!(pool.call(b"twice").await.unwrap(), b"once");
        assert_eq!(pool.call(b"next").await.unwrap(), b"next");
        assert_eq!((sim.stats().opened, pool.status().counters.faulted), (4, 3));
        end(&pool, &sim).await;
    }
}

/// C3: a call that the worker answers with an error is complete: the worker and the lease stay
/// usable.
#[tokio::test(start_paused = true)]
async fn an_exception_keeps_worker_and_lease() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_frame(1024).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    match lease.call(b"raise").await {
        Err(CallError::Raised { source, .. }) => assert_eq!(source.to_string(), "ValueError: no"),
        other => panic!("{other:?}"),
    }
    match lease.call(&[0; 1020]).await {
        Err(
            error @ CallError::RequestTooLarge {
                size: 1020,
                max: 1019,
            },
        ) => assert_eq!(
            error.to_string(),
            "the request is 1020 bytes, and `max_frame` allows 1019"
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(lease.call(&[1; 1019]).await.unwrap(), [1; 1019]);
    drop(lease);
    assert_eq!((sim.stats().opened, pool.status().counters.calls), (1, 2));
    end(&pool, &sim).await;
}

/// C4: a worker that exits fails the one call that it was serving, with its exit status. A reply
/// that was sent before the exit counts.
#[tokio::test(start_paused = true)]
async fn a_dead_worker_fails_one_call() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut dies = pin!(pool.call(b"exit"));
    begin(&mut dies).await;
    let mut waits = pin!(pool.call(b"waits"));
    begin(&mut waits).await;
    match dies.await {
        Err(CallError::WorkerExited {
            exit,
            request_written: true,
            ..
        }) => {
            assert_eq!(exit.status, ExitStatus::Code(3));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(waits.await.unwrap(), b"waits");
    assert_eq!(pool.call(b"answer and exit").await.unwrap(), b"farewell");
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!((sim.stats().opened, pool.status().counters.exited), (3, 2));
    end(&pool, &sim).await;
}

/// M1: the memory of a request is the client's own again while it waits for the reply, also if the
/// request was too large to be sent at once.
#[tokio::test(start_paused = true)]
async fn a_call_does_not_keep_its_request() {
    for size in [4, 1 << 20] {
        let puppets = Puppets::default();
        let pool = Pool::builder(puppets.clone()).size(1).build().unwrap();
        let mut lease = pool.checkout().await.unwrap();
        puppets.silence(true);
        let request = Arc::<[u8]>::from(vec![7; size]);
        let mut call = pin!(lease.call(Arc::clone(&request)));
        select! {
            biased;
            reply = &mut call => panic!("{reply:?}"),
            () = until(&pool, |_| puppets.kinds(0).last() == Some(&kind::CALL)) => {}
        }
        assert_eq!(Arc::strong_count(&request), 1, "{size} bytes");
    }
}

/// L4: the calls of a lease count, although its worker has exited and is released by its end.
#[tokio::test(start_paused = true)]
async fn completed_calls_count_without_their_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    lease.call(b"one").await.unwrap();
    lease.call(b"answer and exit").await.unwrap();
    until(&pool, |status| status.counters.released == 1).await;
    assert_eq!(pool.status().counters.calls, 0);
    drop(lease);
    assert_eq!(pool.status().counters.calls, 2);
    end(&pool, &sim).await;
}

/// L10: a call that fails ends its lease once: the drop of the lease reports nothing more.
#[tokio::test(start_paused = true)]
async fn a_failed_call_ends_its_lease_once() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    lease.call(b"hang").await.unwrap_err();
    drop(lease);
    until(&pool, |status| status.counters.released == 1).await;
    let counters = pool.status().counters;
    assert_eq!((counters.faulted, counters.stale), (1, 0));
    end(&pool, &sim).await;
}
