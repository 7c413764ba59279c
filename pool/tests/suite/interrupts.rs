//! Does the Python runtime interrupt the cancelled call, and nothing else?
//!
//! Real Python: see `hostile.py`. [`cancels`](crate::cancels) tests the pool's side.

use std::fs;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use ostler_pool::{Builder, CallError, Lease, Pool, Python};
use tokio::time::{sleep, timeout};

use crate::resources::{modules, scratch};
use crate::rig::{begin, hostile};

/// A pool of one worker with a grace that no test exceeds.
fn patient() -> Builder {
    hostile()
        .size(1)
        .abandoned_calls(crate::cancel(Duration::from_secs(60)))
}

async fn text(lease: &mut Lease, request: &str) -> String {
    String::from_utf8(lease.call(request.as_bytes()).await.unwrap()).unwrap()
}

/// Makes a call and drops it after its request was written.
async fn abandon(pool: &Pool, request: &str) {
    let mut lease = pool.checkout().await.unwrap();
    begin(&mut pin!(lease.call(request.as_bytes()))).await;
}

/// Makes a call, and drops it once the function has created the file that the request names. It
/// does so just before it blocks.
async fn abandon_blocked(pool: &Pool, verb: &str) {
    let blocks = scratch(&format!("blocks-{verb}"));
    let request = format!("{verb} {}", blocks.display());
    tokio::select! {
        reply = pool.call(&request) => panic!("{reply:?}"),
        () = async { while !blocks.exists() { sleep(Duration::from_millis(1)).await; } } => {}
    }
    fs::remove_file(&blocks).unwrap();
}

/// C1: a call that sleeps or spins in Python is interrupted. The process keeps running, with the
/// state of its module.
#[tokio::test]
async fn a_python_function_is_interrupted() {
    let pool = patient().build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let pid = text(&mut lease, "pid").await;
    assert_eq!(text(&mut lease, "remember one").await, "one");
    drop(lease);
    for request in ["sleep 1000", "spin"] {
        abandon(&pool, request).await;
    }
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(text(&mut lease, "pid").await, pid);
    assert_eq!(text(&mut lease, "remember two").await, "one two");
    drop(lease);
    let counters = pool.status().counters;
    assert_eq!(
        (counters.opened, counters.faulted, counters.calls),
        (1, 0, 6)
    );
    pool.shutdown().await;
}

/// C1: a call that times out is interrupted, and its session keeps its worker.
#[tokio::test]
async fn a_session_keeps_its_process_after_a_timeout() {
    let pool = patient().build().unwrap();
    let session = pool.session("one").unwrap();
    assert_eq!(session.call(b"remember one").await.unwrap(), b"one");
    let sleeps = pool.request("sleep 1000").session(&session);
    let slept = sleeps.call_timeout(Duration::from_millis(300)).send().await;
    assert!(
        matches!(slept, Err(CallError::TimedOut { .. })),
        "{slept:?}"
    );
    assert_eq!(session.call(b"remember two").await.unwrap(), b"one two");
    session.end();
    pool.shutdown().await;
}

fn swallow() -> Builder {
    Pool::builder(Python::function("swallow:run").path(modules()))
        .size(1)
        .abandoned_calls(crate::cancel(Duration::from_secs(60)))
        .checkout_timeout(Duration::from_secs(60))
}

/// C9: a cancel that something swallows is raised again until the function ends.
#[tokio::test]
async fn a_swallowed_cancel_is_raised_again() {
    let pool = swallow().build().unwrap();
    for (request, saw) in [
        ("in_del", "del function"),
        ("in_a_weak_callback", "callback function"),
        ("in_a_task", "task main"),
        ("in_a_loop_callback", "callback main"),
        ("suppressed", "suppressed suppressed suppressed"),
        ("kept_and_ignored", "kept kept function"),
    ] {
        abandon_blocked(&pool, request).await;
        assert_eq!(pool.call(b"recall").await.unwrap(), saw.as_bytes());
    }
    let counters = pool.shutdown().await.counters;
    assert_eq!((counters.opened, counters.faulted), (1, 0));
}

/// C9: code that handles a cancel is not interrupted again, however long it takes, and may return.
#[tokio::test]
async fn a_handler_of_a_cancel_is_not_interrupted() {
    let pool = swallow().build().unwrap();
    for request in [
        "in_finally",
        "in_except",
        "in_with",
        "in_a_coroutine",
        "in_nested_coroutines",
        "in_the_loop",
        "in_a_thread",
    ] {
        abandon_blocked(&pool, request).await;
        let saw = pool.call(b"recall").await.unwrap();
        assert_eq!(
            String::from_utf8(saw).unwrap(),
            "blocked cleaned",
            "{request}"
        );
    }
    let counters = pool.shutdown().await.counters;
    assert_eq!((counters.opened, counters.faulted), (1, 0));
}

/// C9: a function that swallows every cancel is stopped after the grace.
#[tokio::test]
async fn a_function_that_swallows_every_cancel_is_stopped() {
    let moment = Duration::from_millis(500);
    let pool = swallow()
        .abandoned_calls(crate::cancel(moment))
        .build()
        .unwrap();
    abandon_blocked(&pool, "always_swallowed").await;
    assert_eq!(pool.call(b"recall").await.unwrap(), b"");
    let counters = pool.shutdown().await.counters;
    assert_eq!((counters.opened, counters.faulted), (2, 1));
}

/// A function that catches every exception and returns sees `Cancelled` once, and its reply is
/// discarded.
#[tokio::test]
async fn a_function_may_handle_its_cancellation() {
    let pool = patient().build().unwrap();
    abandon_blocked(&pool, "absorb").await;
    let kept = pool.call(b"recall").await.unwrap();
    assert_eq!(kept, b"Cancelled('the host no longer needs the result')");
    pool.shutdown().await;
}

/// A generator is closed and its `finally` runs, whether the cancel finds it in its own code,
/// blocked in the pipe, or waiting to be resumed.
#[tokio::test]
async fn a_generator_is_closed() {
    let pool = patient().build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let pid = text(&mut lease, "pid").await;
    drop(lease);
    for request in ["drip", "hold 1000000 1000", "fill 1000000 100000"] {
        let mut lease = pool.checkout().await.unwrap();
        assert_eq!(text(&mut lease, "forget").await, "");
        let mut parts = lease.stream(request.as_bytes()).unwrap();
        parts.next().await.unwrap().unwrap();
        drop(parts);
        drop(lease);
        let mut lease = pool.checkout().await.unwrap();
        let kept = text(&mut lease, "recall").await;
        assert_eq!(kept.rsplit(' ').next(), Some("closed"), "{request}: {kept}");
        assert_eq!(kept.matches("closed").count(), 1);
        assert_eq!(text(&mut lease, "pid").await, pid);
    }
    assert_eq!(pool.status().counters.faulted, 0);
    pool.shutdown().await;
}

/// C1: a worker that cannot be interrupted is replaced after the grace: code that does not return
/// to the interpreter, and code that ignores the signal.
#[tokio::test]
async fn an_uninterruptible_worker_is_replaced() {
    let moment = Duration::from_millis(100);
    let pool = hostile()
        .size(1)
        .abandoned_calls(crate::cancel(moment))
        .ask_grace(moment)
        .term_grace(moment)
        .build()
        .unwrap();
    for (faulted, request) in [(1, "compute"), (2, "deaf")] {
        let before = pool.call(b"pid").await.unwrap();
        abandon_blocked(&pool, request).await;
        assert_ne!(pool.call(b"pid").await.unwrap(), before);
        assert_eq!(pool.status().counters.faulted, faulted);
    }
    pool.shutdown().await;
}

/// Without a grace, a worker installs no handler for the signal.
#[tokio::test]
async fn the_signal_handler_is_installed_only_with_a_grace() {
    for (grace, handled) in [(None, "False"), (Some(Duration::from_secs(1)), "True")] {
        let pool = hostile()
            .size(1)
            .abandoned_calls(crate::cancel(grace))
            .build()
            .unwrap();
        assert_eq!(
            pool.call(b"is_urgent_handled").await.unwrap(),
            handled.as_bytes()
        );
        pool.shutdown().await;
    }
}

/// C1: calls are dropped before the worker checks for a cancel, while they end, and afterwards.
/// Each call gets its own reply or none, and every worker keeps running.
#[tokio::test]
async fn calls_may_be_cancelled_at_any_moment() {
    const WORKERS: u64 = 4;
    const CALLS: u64 = 60;
    let pool = patient().size(4).build().unwrap();
    let rounds = async |client: u64| {
        let (mut answered, mut cancelled) = (0, 0);
        for round in 0..CALLS {
            let number = client * CALLS + round;
            // The worker checks for a cancel every 50 ms.
            let takes = 10 + number * 7 % 100;
            let waits = Duration::from_millis(10 + number * 13 % 100);
            let mut lease = pool.checkout().await.unwrap();
            let request = format!("dawdle {number} {takes}");
            match timeout(waits, lease.call(request.as_bytes())).await {
                Ok(reply) => {
                    assert_eq!(reply.unwrap(), number.to_string().as_bytes());
                    answered += 1;
                }
                Err(_) => cancelled += 1,
            }
        }
        (answered, cancelled)
    };
    let outcomes = join_all((0..WORKERS).map(rounds)).await;
    let (answered, cancelled) = outcomes
        .into_iter()
        .fold((0, 0), |sum: (u64, u64), next: (u64, u64)| {
            (sum.0 + next.0, sum.1 + next.1)
        });
    assert!(answered > 0 && cancelled > 0, "{answered} {cancelled}");
    pool.drain().await;
    let counters = pool.status().counters;
    assert_eq!((counters.opened, counters.faulted), (WORKERS, 0));
    assert_eq!(counters.calls, answered + cancelled);
    pool.shutdown().await;
}

/// When the signal arrives at any point of a call or after it, `Cancelled` is raised only inside
/// the guarded function.
#[test]
fn an_interruption_never_escapes() {
    let script = modules().join("interruptions.py");
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/src/python/worker");
    let output = Command::new("python3")
        .arg(script)
        .arg(runtime)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim()), (Some(0), "ok"));
}
