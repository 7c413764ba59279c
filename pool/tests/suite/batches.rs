//! Does each request of `call_many` get the outcome that it would get as a call?
//!
//! The real driver on simulated ports (see `ostler_pool::testing::Sim`), whose workers take
//! batches, and on puppets, which do not.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::testing::Sim;
use ostler_pool::{CallError, Lease, ProtocolError};
use tokio::time::{Instant, sleep};

use crate::puppets::{Puppets, kind};
use crate::rig::{begin, end, pool};

const MS: Duration = Duration::from_millis(1);

/// What a call returns, in a word or two.
pub(crate) fn told(outcome: &Result<Vec<u8>, CallError>) -> String {
    match outcome {
        Ok(reply) => String::from_utf8(reply.clone()).unwrap(),
        Err(CallError::Raised { source, .. }) => format!("raised {source}"),
        Err(CallError::WorkerExited {
            exit,
            request_written,
            ..
        }) => format!("{}, written: {request_written}", exit.status),
        Err(CallError::TimedOut {
            request_written, ..
        }) => format!("timed out, written: {request_written}"),
        Err(CallError::Protocol {
            source: ProtocolError::UnexpectedId { .. },
            request_written,
            ..
        }) => format!("wrong id, written: {request_written}"),
        Err(CallError::RequestTooLarge { size, max }) => format!("{size} of {max} bytes"),
        Err(CallError::LeaseOver { .. }) => "lease over".to_owned(),
        Err(other) => panic!("{other:?}"),
    }
}

async fn outcomes(lease: &mut Lease, requests: &[&str]) -> Vec<String> {
    let outcomes = lease.call_many(requests).await;
    outcomes.iter().map(told).collect()
}

/// C13: replies and errors come in the order of the requests, each request counts as a call, and
/// the lease remains usable.
#[tokio::test(start_paused = true)]
async fn outcomes_are_in_order() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_frame(1024).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    assert!(outcomes(&mut lease, &[]).await.is_empty());
    assert_eq!(outcomes(&mut lease, &["one"]).await, ["one"]);
    let long = "x".repeat(1020);
    let longest = "y".repeat(1019);
    // The longest fits into a call, and not into a batch.
    let requests = ["a", "raise", "", &long, "b", &longest, "raise"];
    let raised = "raised ValueError: no";
    assert_eq!(
        outcomes(&mut lease, &requests).await,
        [
            "a",
            raised,
            "",
            "1020 of 1019 bytes",
            "b",
            &*longest,
            raised
        ]
    );
    // More than one frame holds.
    let numbers: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    assert_eq!(outcomes(&mut lease, &numbers).await, numbers);
    drop(lease);
    let counters = pool.status().counters;
    assert_eq!((counters.calls, counters.faulted), (1007, 0));
    assert_eq!(sim.stats().opened, 1);
    end(&pool, &sim).await;
}

/// A worker that has not said that it takes batches gets the requests as calls.
#[tokio::test(start_paused = true)]
async fn a_worker_without_batches_gets_calls() {
    let puppets = Puppets::default();
    let pool = ostler_pool::Pool::builder(puppets.clone())
        .size(1)
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(
        outcomes(&mut lease, &["a", "b", "c"]).await,
        ["a", "b", "c"]
    );
    drop(lease);
    assert_eq!(
        puppets.kinds(0),
        [kind::HELLO, kind::CALL, kind::CALL, kind::CALL]
    );
    assert!(pool.shutdown().await.is_clean());
}

/// C4, C13: when the worker fails in the middle, what it has answered is kept. The rest of the
/// message says that the worker may have seen it, and what was not sent says that it was not.
#[tokio::test(start_paused = true)]
async fn what_was_answered_is_kept() {
    for (fails, expected) in [
        ("exit", "exit code 3, written: true"),
        ("wrong id", "wrong id, written: true"),
        ("hang", "timed out, written: true"),
    ] {
        let sim = Sim::default();
        let pool = pool(&sim, 1).max_frame(1024).build().unwrap();
        let mut lease = pool.checkout().await.unwrap();
        let late = "x".repeat(1000);
        let requests = ["a", "raise", fails, "b", "c", &late, "d"];
        let outcomes = outcomes(&mut lease, &requests).await;
        let [before @ .., late, d] = &*outcomes else {
            panic!("{outcomes:?}")
        };
        let raised = "raised ValueError: no";
        assert_eq!(before, ["a", raised, expected, expected, expected]);
        assert_eq!([late, d], ["lease over"; 2]);
        drop(lease);
        assert_eq!(pool.call("next").await.unwrap(), b"next");
        assert_eq!(sim.stats().opened, 2);
        end(&pool, &sim).await;
    }
}

/// C10, C13: each request has `call_timeout` from the answer before it on.
#[tokio::test(start_paused = true)]
async fn each_request_has_the_whole_timeout() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).call_timeout(20 * MS).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let since = Instant::now();
    // The worker thinks for 15 ms.
    let outcomes = outcomes(&mut lease, &["think", "think", "think", "hang", "a"]).await;
    let timed_out = "timed out, written: true";
    assert_eq!(outcomes, ["think", "think", "think", timed_out, timed_out]);
    assert_eq!(since.elapsed(), 3 * 15 * MS + 20 * MS);
    drop(lease);
    assert_eq!(pool.status().counters.faulted, 1);
    end(&pool, &sim).await;
}

/// C1: requests that are dropped under way cost the worker, unless it ends all of them in time.
#[tokio::test(start_paused = true)]
async fn an_abandoned_batch_costs_its_worker() {
    for (requests, opened) in [
        (["heed", "a", "b"], 1),
        (["a", "heed", "b"], 1),
        (["a", "b", "finish"], 1),
        (["hang", "a", "b"], 2),
        (["a", "hang", "b"], 2),
        (["a", "stray", "b"], 2),
        (["a", "twice over", "b"], 2),
    ] {
        let sim = Sim::default();
        let grace = Duration::from_secs(1);
        let pool = pool(&sim, 1)
            .abandoned_calls(crate::cancel(grace))
            .build()
            .unwrap();
        let mut lease = pool.checkout().await.unwrap();
        {
            let mut calls = pin!(lease.call_many(&requests));
            begin(&mut calls.as_mut()).await;
        }
        assert_eq!(
            told(&lease.call("more").await),
            "lease over",
            "{requests:?}"
        );
        drop(lease);
        assert_eq!(pool.call("next").await.unwrap(), b"next");
        assert_eq!(sim.stats().opened, opened, "{requests:?}");
        end(&pool, &sim).await;
    }
}

/// C3, L12: the errors at the end of a batch count as consecutive errors, and others do not.
#[tokio::test(start_paused = true)]
async fn trailing_errors_are_counted() {
    for (requests, replaced) in [
        (["a", "raise", "raise"], true),
        (["raise", "raise", "a"], false),
        (["raise", "a", "raise"], false),
    ] {
        let sim = Sim::default();
        let pool = pool(&sim, 1)
            .error_threshold(2)
            .min_worker_life(Duration::ZERO)
            .build()
            .unwrap();
        let mut lease = pool.checkout().await.unwrap();
        let expected = requests.map(|request| match request {
            "raise" => "raised ValueError: no",
            other => other,
        });
        assert_eq!(outcomes(&mut lease, &requests).await, expected);
        drop(lease);
        // Longer than a replacement takes.
        sleep(Duration::from_secs(60)).await;
        let opened = 1 + usize::from(replaced);
        assert_eq!(sim.stats().opened, opened, "{requests:?}");
        end(&pool, &sim).await;
    }
}

/// C6: an answer too many is found before the next request is sent.
#[tokio::test(start_paused = true)]
async fn an_answer_too_many_breaks_the_protocol() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    // Answers of a batch carry only its id, so the second request gets the second answer to the
    // first. The two answers left over break the protocol.
    assert_eq!(
        outcomes(&mut lease, &["twice", "twice"]).await,
        ["once", "twice"]
    );
    drop(lease);
    assert_eq!(pool.call("next").await.unwrap(), b"next");
    assert_eq!((sim.stats().opened, pool.status().counters.faulted), (2, 1));
    end(&pool, &sim).await;
}
