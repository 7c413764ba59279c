//! Does a Python worker answer every exception, and exit only on `SystemExit` and
//! `KeyboardInterrupt`?

use std::time::Duration;

use ostler_pool::{
    Builder, CallError, CheckoutError, ExitStatus, Pool, Python, Reason, RemoteError, StartError,
};

use crate::resources::modules;
use crate::rig::until;

fn built(target: &str) -> Builder {
    Pool::builder(Python::function(target).path(modules()).json())
        .size(1)
        // On a busy machine, the errors may come later than `min_worker_life`.
        .error_threshold(None)
        .restart_backoff(Duration::from_millis(1))
        .restart_backoff_max(Duration::from_millis(1))
        .checkout_timeout(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
}

/// The type and the message of what a call raises.
async fn raised(pool: &Pool, request: &str) -> (String, String) {
    let RemoteError { kind, message, .. } = error(pool, request).await;
    (kind, message)
}

async fn error(pool: &Pool, request: &str) -> RemoteError {
    match pool.call_json::<_, serde_json::Value>(request).await {
        Err(CallError::Raised { source, .. }) => source,
        other => panic!("{request}: {other:?}"),
    }
}

/// C8: an exception that is no `Exception`, or that cannot be described, is the answer to its call.
/// The worker keeps its session and its state.
#[tokio::test]
async fn every_exception_is_an_answer() {
    const NO_TEXT: &str = "<str() of the exception failed>";
    const NO_NAME: &str = "<the name of the exception failed>";
    let pool = built("exceptions:run").build().unwrap();
    let session = pool.session("one").unwrap();
    let one: Vec<String> = session.call_json("remember one").await.unwrap();
    assert_eq!(one, ["one"]);
    for (request, kind, message) in [
        ("cancelled", "asyncio.exceptions.CancelledError", "enough"),
        ("in_a_task", "asyncio.exceptions.CancelledError", ""),
        ("generator_exit", "GeneratorExit", ""),
        ("unusual", "exceptions.Unusual", "words"),
        ("raise_class NoText", "exceptions.NoText", NO_TEXT),
        ("raise_class NoCause", "exceptions.NoCause", "words"),
        ("raise_class NoName", NO_NAME, "words"),
        ("raise_class StrangeModule", "None.StrangeModule", "words"),
        ("raise_class OddText", "exceptions.OddText", "odd"),
        ("chain", "ValueError", "later"),
        ("disguised", "asyncio.exceptions.CancelledError", "class"),
    ] {
        let (kind, message) = (kind.to_owned(), message.to_owned());
        assert_eq!(raised(&pool, request).await, (kind, message), "{request}");
    }
    assert_eq!(raised(&pool, "deep").await.0, "RecursionError");
    // Python 3.10 and earlier have no groups.
    let kind = match pool.call_json::<_, bool>("has_groups").await.unwrap() {
        true => "BaseExceptionGroup",
        false => "AttributeError",
    };
    assert_eq!(raised(&pool, "group").await.0, kind);
    let two: Vec<String> = session.call_json("remember two").await.unwrap();
    assert_eq!(two, ["one", "two"]);
    session.end();
    let counters = pool.shutdown().await.counters;
    assert_eq!((counters.opened, counters.faulted), (1, 0));
}

/// C8: the same in a stream: before the first item, between items, and when the iterator is closed.
#[tokio::test]
async fn every_exception_ends_a_stream() {
    let pool = built("exceptions:run").build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    for (request, parts, kind, message) in [
        (
            "cancelled",
            0,
            "asyncio.exceptions.CancelledError",
            "enough",
        ),
        (
            "first_item",
            0,
            "asyncio.exceptions.CancelledError",
            "first",
        ),
        ("later_item", 1, "GeneratorExit", "later"),
        ("restless", 0, "exceptions.Unusual", "next"),
        ("closes_badly", 0, "GeneratorExit", ""),
        ("disguised", 0, "GeneratorExit", "__next__"),
    ] {
        let request = serde_json::to_vec(request).unwrap();
        let mut stream = lease.stream(&request).unwrap();
        for _ in 0..parts {
            assert_eq!(stream.next().await.unwrap().unwrap(), b"\"a part\"");
        }
        match stream.next().await.unwrap() {
            Err(CallError::Raised { source, .. }) => {
                assert_eq!((&*source.kind, &*source.message), (kind, message));
            }
            other => panic!("{other:?}"),
        }
        assert!(stream.next().await.is_none());
    }
    drop(lease);
    let counters = pool.shutdown().await.counters;
    assert_eq!((counters.opened, counters.faulted), (1, 0));
}

/// C8: a health check that raises such an exception is missed, as with any other.
#[tokio::test]
async fn every_exception_fails_a_health_check() {
    let pool = built("exceptions:run")
        .health_check_interval(Duration::from_millis(20))
        .health_failure_threshold(2)
        .build()
        .unwrap();
    assert_eq!(pool.call_json::<_, ()>("sicken").await.unwrap(), ());
    until(&pool, |status| status.counters.released == 1).await;
    let status = pool.status();
    let [end] = &status.recent_ends[..] else {
        panic!("{status}");
    };
    assert_eq!(end.reason, Reason::Unhealthy);
    let detail = end.detail.as_deref();
    assert_eq!(
        detail,
        Some("asyncio.exceptions.CancelledError: unwell (exceptions.py:14, in health)")
    );
    pool.shutdown().await;
}

/// C8: a start that fails with such an exception reports it.
#[tokio::test]
async fn every_exception_refuses_a_start() {
    let pool = built("broken_import:function").crash_loop(1).build();
    let pool = pool.unwrap();
    let Err(CheckoutError::CrashLoop { last }) = pool.checkout().await else {
        panic!("it started")
    };
    match &last {
        StartError::Refused { source, .. } => assert_eq!(
            source.to_string(),
            "asyncio.exceptions.CancelledError: no import (broken_import.py:5, in <module>)"
        ),
        other => panic!("{other:?}"),
    }
    pool.shutdown().await;
}

/// C8: `SystemExit` and `KeyboardInterrupt` end the worker, and the error says so.
#[tokio::test]
async fn an_exit_of_the_function_ends_the_worker() {
    let pool = built("exceptions:run").build().unwrap();
    for (request, status, last_line) in [
        ("leave 0", ExitStatus::Code(0), None),
        ("leave 3", ExitStatus::Code(3), None),
        ("raise_class Leaves", ExitStatus::Code(7), None),
        (
            "interrupt",
            ExitStatus::Signal(2),
            Some("KeyboardInterrupt"),
        ),
    ] {
        match pool.call_json::<_, ()>(request).await {
            Err(CallError::WorkerExited { exit, .. }) => {
                assert_eq!(exit.status, status, "{request}");
                assert_eq!(exit.stderr.lines().last(), last_line, "{request}");
            }
            other => panic!("{request}: {other:?}"),
        }
    }
    assert_eq!(pool.shutdown().await.counters.exited, 4);
}

/// C11: the type of an exception is cut to fit the smallest frame, between two characters, and
/// leaves room for the message.
#[tokio::test]
async fn a_long_type_name_fits_the_frame() {
    let pool = built("exceptions:run").max_frame(1024).build().unwrap();
    let room = (1024 - 5 - 12) / 2;
    for (character, bytes) in [("N", 1), ("é", 2), ("水", 3), ("𠮷", 4)] {
        // The cut meets every byte of a character.
        for before in 0..4 {
            for length in [room - 12, room - 11, room - 10, 2 * room, 5000] {
                let count = length / bytes;
                let name = "N".repeat(before) + &character.repeat(count);
                let request = format!("long_name {before} {count} {character}");
                let RemoteError {
                    kind,
                    message,
                    place,
                    ..
                } = error(&pool, &request).await;
                let whole = format!("exceptions.{name}");
                // The place has a tag and a length.
                let room = room - (5 + place.unwrap().len()).div_ceil(2);
                assert!(whole.starts_with(&kind), "{kind}");
                assert!((room - bytes..=room + 1).contains(&kind.len()) || kind == whole);
                assert_eq!(message, "the message");
            }
        }
    }
    let counters = pool.shutdown().await.counters;
    assert_eq!((counters.opened, counters.faulted), (1, 0));
}
