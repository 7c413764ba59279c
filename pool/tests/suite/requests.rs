//! What do the options of one call change?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::testing::Sim;
use ostler_pool::{AbandonedCalls, CallError, CheckoutError, Event, Phase, Pool, SessionError};
use tokio::time::Instant;

use crate::puppets::{Puppets, kind};
use crate::rig::{begin, end, pool, until};

const SECOND: Duration = Duration::from_secs(1);

/// Both timeouts of a request replace those of the pool, for a call, in a session and for a stream.
#[tokio::test(start_paused = true)]
async fn a_request_has_its_own_timeouts() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    pool.call("first").await.unwrap();
    let session = pool.session("user").unwrap();
    for in_session in [false, true] {
        let request = |body: &'static str| {
            let request = pool.request(body).checkout_timeout(2 * SECOND);
            match in_session {
                false => request,
                true => request.session(&session),
            }
        };
        let held = pool.checkout().await.unwrap();
        let since = Instant::now();
        let after = match request("x").send().await.unwrap_err() {
            CallError::Checkout(CheckoutError::TimedOut { after, .. })
            | CallError::Session(SessionError::TimedOut { after, .. }) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!((after, since.elapsed().as_secs()), (2 * SECOND, 2));
        drop(held);
    }
    session.end();

    let since = Instant::now();
    let error = pool.request("hang").call_timeout(3 * SECOND).send().await;
    match error.unwrap_err() {
        CallError::TimedOut { after, .. } => assert_eq!(after, 3 * SECOND),
        other => panic!("{other:?}"),
    }
    assert_eq!(since.elapsed().as_secs(), 3);
    let request = pool.request("ponder a").call_timeout(4 * SECOND);
    let mut parts = request.stream().await.unwrap();
    let since = Instant::now();
    assert!(matches!(
        parts.next().await,
        Some(Err(CallError::TimedOut { after, .. })) if after == 4 * SECOND
    ));
    assert_eq!(since.elapsed().as_secs(), 4);
    drop(parts);

    // A longer one does not outlive its call.
    let request = pool.request("think").call_timeout(3600 * SECOND);
    request.checkout_timeout(60 * SECOND).send().await.unwrap();
    let since = Instant::now();
    let error = pool.call("hang").await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { after, .. } if after == 30 * SECOND));
    assert_eq!(since.elapsed().as_secs(), 30);
    end(&pool, &sim).await;
}

/// A timeout beyond 7 days, the longest that a pool can have, is that long.
#[tokio::test(start_paused = true)]
async fn a_timeout_has_a_longest() {
    let longest = Duration::from_secs(7 * 24 * 60 * 60);
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_worker_age(None).build().unwrap();
    let held = pool.checkout().await.unwrap();
    let request = pool.request("hello").checkout_timeout(Duration::MAX);
    match request.send().await {
        Err(CallError::Checkout(CheckoutError::TimedOut { after, .. })) => {
            assert_eq!(after, longest);
        }
        other => panic!("{other:?}"),
    }
    drop(held);
    match pool
        .request("hang")
        .call_timeout(Duration::MAX)
        .send()
        .await
    {
        Err(CallError::TimedOut { after, .. }) => assert_eq!(after, longest),
        other => panic!("{other:?}"),
    }
    end(&pool, &sim).await;
}

/// A request whose worker failed before it could see it is repeated, although it is not idempotent.
#[tokio::test(start_paused = true)]
async fn a_request_that_no_worker_has_seen_is_repeated() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(1).build().unwrap();
    let held = pool.checkout().await.unwrap();
    let mut request = pin!(pool.request("x").retries(1).send());
    begin(&mut request).await;
    // The request gets the worker, which exits before the request is polled.
    drop(held);
    puppets.exit(0, 1);
    until(&pool, |status| status.counters.exited == 1).await;
    assert_eq!(request.await.unwrap(), b"x");
    assert_eq!(pool.status().counters.granted, 3);
    assert_eq!(puppets.kinds(0), [kind::HELLO]);
    assert!(pool.shutdown().await.is_clean());
}

/// A request that a worker may have seen before it failed is repeated as often as it says, if it is
/// idempotent. The error is that of the last attempt.
#[tokio::test(start_paused = true)]
async fn a_request_that_a_worker_may_have_seen_is_repeated_only_if_idempotent() {
    for (is_idempotent, retries, attempts) in [(false, 5, 1), (true, 0, 1), (true, 2, 3)] {
        for body in ["exit", "wrong id"] {
            let sim = Sim::default();
            let pool = pool(&sim, 1).build().unwrap();
            let mut events = pool.events();
            let mut request = pool.request(body).retries(retries);
            if is_idempotent {
                request = request.idempotent();
            }
            let error = request.checkout_timeout(60 * SECOND).send().await;
            let error = error.unwrap_err();
            assert_eq!(pool.status().counters.granted, attempts, "{error}");
            let mut last = None;
            while let Ok(event) = events.try_recv() {
                if let Event::Moved(moved) = event
                    && moved.to == Phase::Busy
                {
                    last = Some(moved.worker);
                }
            }
            assert_eq!(error.worker(), last);
            end(&pool, &sim).await;
        }
    }
}

/// An answer, a timeout and a refusal are not repeated, and neither is a call of a session.
#[tokio::test(start_paused = true)]
async fn what_is_no_failure_of_a_worker_is_not_repeated() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let granted = || pool.status().counters.granted;
    let session = pool.session("user").unwrap();
    for (body, grants) in [("raise", 1), ("hang", 2)] {
        let request = pool.request(body).idempotent().retries(3);
        match request.send().await.unwrap_err() {
            CallError::Raised { .. } if body == "raise" => {}
            CallError::TimedOut { .. } if body == "hang" => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(granted(), grants);
    }
    let request = pool.request("exit").session(&session);
    let request = request.checkout_timeout(60 * SECOND);
    assert!(matches!(
        request.idempotent().retries(3).send().await,
        Err(CallError::WorkerExited { .. })
    ));
    assert_eq!(granted(), 3);
    pool.drain().await;
    assert!(matches!(
        pool.request("x").idempotent().retries(3).send().await,
        Err(CallError::Checkout(CheckoutError::Draining { .. }))
    ));
    assert_eq!(granted(), 3);
    end(&pool, &sim).await;
}

/// A stream of the pool returns its worker at its end, also while the stream still exists, and
/// costs its worker when it is dropped earlier.
#[tokio::test(start_paused = true)]
async fn a_stream_owns_its_lease() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut parts = pool.stream("spell ab").await.unwrap();
    assert!(matches!(
        pool.try_checkout(),
        Err(CheckoutError::NoneIdle { .. })
    ));
    assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
    assert_eq!(parts.next().await.unwrap().unwrap(), b"b");
    assert!(parts.next().await.is_none());
    drop(pool.try_checkout().unwrap());
    drop(parts);
    assert_eq!(pool.status().counters.faulted, 0);

    let mut parts = pool.stream("spell ab").await.unwrap();
    assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
    drop(parts);
    assert_eq!(pool.status().counters.faulted, 1);
    end(&pool, &sim).await;
}

/// A pool that lets abandoned calls finish keeps the worker, discards the reply, and sends no
/// cancel. A call that is not finished after `call_timeout`, or timed out, costs its worker.
#[tokio::test(start_paused = true)]
async fn an_abandoned_call_finishes() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .abandoned_calls(AbandonedCalls::Finish)
        .call_timeout(20 * SECOND)
        .checkout_timeout(60 * SECOND)
        .build()
        .unwrap();
    let abandon = async |body: &'static str| {
        let mut lease = pool.checkout().await.unwrap();
        begin(&mut pin!(lease.call(body))).await;
    };
    abandon("think").await;
    assert_eq!(pool.call("next").await.unwrap(), b"next");
    let counters = pool.status().counters;
    assert_eq!(
        (counters.calls, counters.faulted, counters.opened),
        (2, 0, 1)
    );

    // It answers only a cancel.
    let since = Instant::now();
    abandon("heed").await;
    until(&pool, |status| status.counters.faulted == 1).await;
    assert_eq!(since.elapsed().as_secs(), 20);

    let since = Instant::now();
    assert!(matches!(
        pool.call("heed").await,
        Err(CallError::TimedOut { .. })
    ));
    until(&pool, |status| status.counters.faulted == 2).await;
    assert_eq!(since.elapsed().as_secs(), 20);
    end(&pool, &sim).await;
}

/// A pool whose workers run one function refuses a request that names one, and uses no worker.
#[tokio::test(start_paused = true)]
async fn a_function_that_no_worker_has_uses_no_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    pool.call("first").await.unwrap();
    let held = pool.checkout().await.unwrap();
    let error = pool.request("x").function("f").send().await.unwrap_err();
    assert!(!error.request_written());
    assert_eq!(
        error.to_string(),
        "`f` was named, but the workers run one function: build the pool with `Python::module`, or name none"
    );
    assert_eq!(
        (pool.status().waiting, pool.status().counters.granted),
        (0, 2)
    );
    drop(held);
    end(&pool, &sim).await;
}
