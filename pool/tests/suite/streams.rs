//! Do the parts of a stream arrive complete, in order and with backpressure, and does each stream
//! end in one way?
//!
//! The real driver on simulated ports (see `ostler_pool::testing::Sim`), and real Python (see
//! `hostile.py`).

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use ostler_pool::testing::Sim;
use ostler_pool::{CallError, ExitStatus, JsonPart, Lease, Pool, Python, ReplyStream};
use tokio::select;
use tokio::time::{Instant, sleep};

use crate::resources::{isolated, leaks_nothing, scratch, until};
use crate::rig::{begin, end, hostile, pool};

/// All parts as one text, and how the stream ended.
async fn text(parts: &mut ReplyStream<'_>) -> (String, Result<(), CallError>) {
    let mut text = String::new();
    while let Some(part) = parts.next().await {
        match part {
            Ok(part) => text.push_str(std::str::from_utf8(&part).unwrap()),
            Err(error) => return (text, Err(error)),
        }
    }
    assert!(parts.next().await.is_none(), "its end is final");
    (text, Ok(()))
}

async fn stream(lease: &mut Lease, request: &str) -> (String, Result<(), CallError>) {
    text(&mut lease.stream(request.as_bytes()).unwrap()).await
}

/// Parts arrive in order, a stream may be empty, and each stream counts as one call.
#[tokio::test(start_paused = true)]
async fn parts_arrive_in_order() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    for letters in ["abc", "", "z"] {
        let (parts, ended) = stream(&mut lease, &format!("spell {letters}")).await;
        assert_eq!((parts.as_str(), ended.is_ok()), (letters, true));
    }
    assert_eq!(lease.call(b"a call").await.unwrap(), b"a call");
    drop(lease);
    let counters = pool.status().counters;
    assert_eq!((counters.calls, counters.faulted), (4, 0));
    assert_eq!(sim.stats().opened, 1);
    end(&pool, &sim).await;
}

/// C3: an error after any number of parts ends the stream, is returned once, and leaves lease and
/// worker usable.
#[tokio::test(start_paused = true)]
async fn an_exception_ends_a_stream_and_keeps_the_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).error_threshold(2).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut parts = lease.stream(b"raise ab").unwrap();
    let (before, ended) = text(&mut parts).await;
    assert_eq!(before, "ab");
    match ended {
        Err(CallError::Raised { source, .. }) => assert_eq!(source.to_string(), "ValueError: no"),
        other => panic!("{other:?}"),
    }
    assert!(parts.next().await.is_none());
    drop(parts);
    assert_eq!(lease.call(b"next").await.unwrap(), b"next");
    drop(lease);
    let counters = pool.status().counters;
    assert_eq!((counters.calls, counters.faulted), (2, 0));
    assert_eq!(sim.stats().opened, 1);
    end(&pool, &sim).await;
}

/// C1: a stream that is dropped before its end costs its worker at once, even if no part was read.
#[tokio::test(start_paused = true)]
async fn an_abandoned_stream_costs_its_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    for (taken, faulted) in [(1, 1), (0, 2)] {
        let mut lease = pool.checkout().await.unwrap();
        let mut parts = lease.stream(b"spell abc").unwrap();
        for _ in 0..taken {
            assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
        }
        drop(parts);
        assert_eq!(pool.status().counters.faulted, faulted);
        assert!(matches!(
            lease.stream(b"spell abc"),
            Err(CallError::LeaseOver { .. })
        ));
    }
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!(pool.status().counters.calls, 1);
    end(&pool, &sim).await;
}

/// `call_timeout` applies to each part. The time that the client spends between two parts, or
/// before it waits for the first, does not count.
#[tokio::test(start_paused = true)]
async fn the_timeout_applies_to_each_part() {
    let sim = Sim::default();
    let limit = Duration::from_secs(7);
    let pool = pool(&sim, 1).call_timeout(limit).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    // The worker takes 5 s for each of three parts, and the client 20 s between them.
    let mut parts = lease.stream(b"ponder abc").unwrap();
    for letter in [b"a", b"b", b"c"] {
        assert_eq!(parts.next().await.unwrap().unwrap(), letter);
        sleep(Duration::from_secs(20)).await;
    }
    assert!(parts.next().await.is_none());
    drop(parts);
    let mut parts = lease.stream(b"hang ").unwrap();
    sleep(Duration::from_secs(20)).await;
    let since = Instant::now();
    let (received, ended) = text(&mut parts).await;
    assert_eq!((received.as_str(), since.elapsed()), ("", limit));
    assert!(
        matches!(ended, Err(CallError::TimedOut { after, request_written: true, .. }) if after == limit),
        "{ended:?}"
    );
    drop(parts);
    assert_eq!(pool.status().counters.faulted, 1);
    drop(lease);
    end(&pool, &sim).await;
}

/// A dropped wait for a part can be repeated, and no part is lost.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_part_is_cancel_safe() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut parts = lease.stream(b"ponder abc").unwrap();
    begin(&mut pin!(parts.next())).await;
    sleep(Duration::from_secs(6)).await;
    begin(&mut pin!(async {
        parts.next().await.unwrap().unwrap();
        parts.next().await
    }))
    .await;
    let (rest, ended) = text(&mut parts).await;
    assert_eq!((rest.as_str(), ended.is_ok()), ("bc", true));
    drop(parts);
    drop(lease);
    end(&pool, &sim).await;
}

/// C10: the deadline of a part runs from the first wait for it until the part is returned, however
/// often the wait is dropped and repeated, and in whichever way the client waits. The next part has
/// a deadline of its own.
#[tokio::test(start_paused = true)]
async fn the_deadline_survives_dropped_waits() {
    let sim = Sim::default();
    let limit = Duration::from_secs(7);
    let pool = pool(&sim, 1).call_timeout(limit).build().unwrap();
    for way in 0..3 {
        let mut lease = pool.checkout().await.unwrap();
        // The worker takes 5 s for each of two parts.
        let mut parts = lease.stream(b"ponder ab").unwrap();
        for letter in [b"a", b"b"] {
            let part = loop {
                select! {
                    biased;
                    part = parts.next() => break part,
                    () = sleep(Duration::from_millis(900)) => {}
                }
            };
            assert_eq!(part.unwrap().unwrap(), letter);
        }
        assert!(parts.next().await.is_none());
        drop(parts);
        let mut parts = lease.stream(b"hang a").unwrap();
        assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
        let since = Instant::now();
        let ended = loop {
            let wait = async {
                match way {
                    0 => parts.next().await.map(|part| part.map(drop)),
                    1 => parts.next_json::<u8>().await.map(|part| part.map(drop)),
                    _ => StreamExt::next(&mut parts).await.map(|part| part.map(drop)),
                }
            };
            select! {
                biased;
                ended = wait => break ended,
                () = sleep(Duration::from_millis(900)) => {}
            }
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "it never times out"
            );
        };
        match ended {
            Some(Err(CallError::TimedOut { after, .. })) => {
                assert_eq!((after, since.elapsed()), (limit, limit));
            }
            other => panic!("{other:?}"),
        }
    }
    end(&pool, &sim).await;
}

/// C1: a part in reply to a call, an end of stream with a body, a frame of another kind, and a part
/// after the end break the protocol, and the worker is replaced.
#[tokio::test(start_paused = true)]
async fn wrong_frames_in_a_stream_break_the_protocol() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let problem = |ended| match ended {
        Err(CallError::Protocol { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        problem(pool.call(b"part").await.map(drop)),
        "it answered with a frame of kind 132, which does not answer the request"
    );
    for (request, complaint) in [
        ("talk a", "it ended a stream with a reply that has a body"),
        (
            "pong a",
            "it answered with a frame of kind 131, which does not answer the request",
        ),
    ] {
        let mut lease = pool.checkout().await.unwrap();
        let (parts, ended) = stream(&mut lease, request).await;
        assert_eq!((parts.as_str(), problem(ended).as_str()), ("a", complaint));
    }
    let mut lease = pool.checkout().await.unwrap();
    let (parts, ended) = stream(&mut lease, "encore a").await;
    assert_eq!((parts.as_str(), ended.is_ok()), ("a", true));
    drop(lease);
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!((sim.stats().opened, pool.status().counters.faulted), (5, 4));
    end(&pool, &sim).await;
}

/// C4: parts that a worker sent before it exited reach a slow client, and then the exit does.
#[tokio::test(start_paused = true)]
async fn parts_arrive_after_their_worker_exited() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    // More than the pipe holds. The rest fits once the host has read for the first time.
    let letters = "abcdefgh".repeat(1000);
    let mut parts = lease.stream(format!("exit {letters}").as_bytes()).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pool.status().counters.exited, 0);
    assert_eq!(parts.next().await.unwrap().unwrap(), b"a");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pool.status().counters.exited, 1);
    let (rest, ended) = text(&mut parts).await;
    assert_eq!(rest, letters[1..]);
    match ended {
        Err(CallError::WorkerExited { exit, .. }) => assert_eq!(exit.status, ExitStatus::Code(3)),
        other => panic!("{other:?}"),
    }
    drop(parts);
    drop(lease);
    end(&pool, &sim).await;
}

/// The items of a Python generator are the parts of a stream, and an exception ends it.
#[tokio::test]
async fn a_generator_is_a_stream() {
    let pool = hostile().size(1).max_frame(2048).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let (parts, ended) = stream(&mut lease, "fill 3 2").await;
    assert_eq!((parts.as_str(), ended.is_ok()), ("bbbbbb", true));
    assert_eq!(lease.call(b"recall").await.unwrap(), b"0 1 2 closed");
    // A result that is no iterator is one part.
    let (parts, ended) = stream(&mut lease, "many 3").await;
    assert_eq!((parts.as_str(), ended.is_ok()), ("mmm", true));
    let raised = |ended| match ended {
        Err(CallError::Raised { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    };
    let (parts, ended) = stream(&mut lease, "fail_later badly").await;
    assert_eq!(
        (parts.as_str(), raised(ended).as_str()),
        (
            "a part",
            "LookupError: badly (hostile.py:277, in fail_later)"
        )
    );
    let (_, ended) = stream(&mut lease, "hold 2 2044").await;
    assert_eq!(
        raised(ended),
        "ValueError: the part has 2044 bytes, at most 2043 are allowed"
    );
    assert_eq!(lease.call(b"recall").await.unwrap(), b"0 closed");
    assert_eq!(
        raised(lease.call(b"fill 3 2").await.map(drop)),
        "TypeError: the function returned a generator: use a stream"
    );
    drop(lease);
    let counters = pool.status().counters;
    assert_eq!((counters.opened, counters.calls), (1, 7));
    pool.shutdown().await;
}

/// With JSON, each part is one value.
#[tokio::test]
async fn a_part_can_be_json() {
    let target = Python::function("builtins:iter").json();
    let pool = Pool::builder(target).size(1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut parts = lease.stream(b"[\"a\", 2, null]").unwrap();
    assert_eq!(parts.next_json::<String>().await.unwrap().unwrap(), "a");
    let part = parts.next_json::<String>().await.unwrap();
    assert!(
        matches!(
            part,
            Err(CallError::Json {
                part: JsonPart::Part,
                ..
            })
        ),
        "{part:?}"
    );
    assert_eq!(
        parts.next_json::<Option<u8>>().await.unwrap().unwrap(),
        None
    );
    assert!(parts.next_json::<u8>().await.is_none());
    drop(parts);
    drop(lease);
    pool.shutdown().await;
}

/// A worker that is faster than its client blocks in its write: it is ahead by what fits into the
/// pipe and the host's read buffer.
#[test]
fn a_fast_worker_waits_for_a_slow_client() {
    // Beside the workers of other tests, its pipes might be smaller.
    if isolated("streams::a_fast_worker_waits_for_a_slow_client") {
        leaks_nothing(worker_ahead_of_its_client);
    }
}

async fn worker_ahead_of_its_client() {
    const PART: usize = 1000;
    const PIPE: usize = 256 * 1024;
    const BUFFER: usize = 64 * 1024;
    let scratch = scratch("ahead");
    let made = || match std::fs::read(&scratch).map(TryFrom::try_from) {
        Ok(Ok(count)) => usize::try_from(u64::from_be_bytes(count)).unwrap(),
        _ => 0,
    };
    let pool = hostile().size(1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let request = format!("ahead 1000000 {PART} {}", scratch.display());
    let mut parts = lease.stream(request.as_bytes()).unwrap();
    let mut taken = 0;
    for _ in 0..3 {
        for _ in 0..200 {
            assert_eq!(parts.next().await.unwrap().unwrap().len(), PART);
            taken += 1;
        }
        until("a full pipe", || (made() - taken) * PART > PIPE / 2);
        let (mut before, mut still) = (0, 0);
        until("a worker that stands still", || {
            let now = made();
            still = if now == before { still + 1 } else { 0 };
            before = now;
            still == 20
        });
        let ahead = (made() - taken) * PART;
        assert!(ahead <= PIPE + BUFFER + 2 * PART, "{ahead}");
    }
    drop(parts);
    drop(lease);
    pool.shutdown().await;
    std::fs::remove_file(&scratch).unwrap();
}
