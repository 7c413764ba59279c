//! Are options validated, and do the public types have the traits that users rely on?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::time::Duration;

use ostler_pool::port::Pipe;
use ostler_pool::testing::{Sim, SimStats};
use ostler_pool::{Builder, CallError, Lease, Pool, StartError};

use crate::rig::pool;

/// L20: an option out of its range fails the build, and the error has its name, its value and its
/// range.
#[tokio::test]
async fn options_are_checked_when_the_pool_is_built() {
    let build = |change: fn(Builder) -> Builder| {
        change(pool(&Sim::default(), 2))
            .build()
            .unwrap_err()
            .to_string()
    };
    let day = Duration::from_secs(86_400);
    assert_eq!(
        build(|b| b.size(0)),
        "option `size` is 0; it must be 1 to 16384"
    );
    assert_eq!(
        build(|b| b.surge(0)),
        "option `surge` is 0; it must be 1 to 16384"
    );
    assert_eq!(
        build(|b| b.max_starting(0)),
        "option `max_starting` is 0; it must be 1 to 16384"
    );
    assert_eq!(
        build(|b| b.crash_loop(0)),
        "option `crash_loop` is 0; it must be at least 1"
    );
    assert_eq!(
        build(|b| b.health_failure_threshold(0)),
        "option `health_failure_threshold` is 0; it must be at least 1"
    );
    assert_eq!(
        build(|b| b.error_threshold(0)),
        "option `error_threshold` is 0; it must be at least 1"
    );
    assert_eq!(
        build(|b| b.max_worker_requests(0)),
        "option `max_worker_requests` is 0; it must be at least 1"
    );
    assert_eq!(
        build(|b| b.max_worker_memory(1)),
        "option `max_worker_memory` is 1; it must be at least 1048576"
    );
    assert_eq!(
        build(|b| b.max_frame(10)),
        "option `max_frame` is 10; it must be 1024 to 1073741824"
    );
    for (name, text) in [
        ("start_timeout", build(|b| b.start_timeout(Duration::ZERO))),
        (
            "checkout_timeout",
            build(|b| b.checkout_timeout(Duration::ZERO)),
        ),
        ("call_timeout", build(|b| b.call_timeout(Duration::ZERO))),
        (
            "abandoned_calls",
            build(|b| b.abandoned_calls(crate::cancel(Duration::ZERO))),
        ),
        (
            "health_check_timeout",
            build(|b| b.health_check_timeout(Duration::ZERO)),
        ),
        ("restart_reset", build(|b| b.restart_reset(Duration::ZERO))),
    ] {
        assert_eq!(
            text,
            format!("option `{name}` is 0ns; it must be 1ns to 604800s")
        );
    }
    for (name, text) in [
        (
            "session_idle_timeout",
            build(|b| b.session_idle_timeout(Duration::ZERO)),
        ),
        (
            "release_timeout",
            build(|b| b.release_timeout(Duration::ZERO)),
        ),
        (
            "health_check_interval",
            build(|b| b.health_check_interval(Duration::ZERO)),
        ),
        (
            "max_worker_age",
            build(|b| b.max_worker_age(Duration::ZERO)),
        ),
    ] {
        assert_eq!(
            text,
            format!("option `{name}` is 0ns; it must be 10ms to 604800s")
        );
    }
    assert_eq!(
        build(|b| b.min_worker_life(Duration::from_secs(8 * 86_400))),
        "option `min_worker_life` is 691200s; it must be 0ns to 604800s"
    );
    assert_eq!(
        build(|b| b.session_grace(Duration::from_secs(8 * 86_400))),
        "option `session_grace` is 691200s; it must be 0ns to 604800s"
    );
    assert_eq!(
        build(|b| b.shutdown_timeout(Duration::from_millis(1))),
        "option `shutdown_timeout` is 1ms; it must be 10ms to 604800s"
    );
    assert_eq!(
        build(|b| b
            .restart_backoff(Duration::from_secs(2))
            .restart_backoff_max(Duration::from_secs(1))),
        "option `restart_backoff_max` is 1s; it must be 2s to 604800s"
    );
    let long = 8 * day;
    let ask = pool(&Sim::default(), 1)
        .ask_grace(long)
        .term_grace(day)
        .build()
        .unwrap_err();
    assert_eq!(
        ask.to_string(),
        "option `ask_grace` is 691200s; it must be 0ns to 604800s"
    );
    let term = pool(&Sim::default(), 1)
        .ask_grace(day)
        .term_grace(long)
        .build()
        .unwrap_err();
    assert_eq!(
        term.to_string(),
        "option `term_grace` is 691200s; it must be 0ns to 604800s"
    );
}

/// P6: a pool that is built outside a runtime returns an error, and starts nothing.
#[test]
fn a_pool_needs_a_runtime() {
    let sim = Sim::default();
    let error = pool(&sim, 1).build().unwrap_err().to_string();
    assert_eq!(
        error,
        "a pool must be built inside a tokio runtime: call `build` from async code"
    );
    assert_eq!(sim.stats(), SimStats::default());
}

/// The public types can be sent to and shared between threads.
#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync + std::fmt::Debug + 'static>() {}
    check::<Pool>();
    check::<Lease>();
    check::<Builder>();
    check::<CallError>();
    check::<StartError>();
}

/// `Debug` shows a pool's limits, a lease's worker, the position of a reader of events, and a
/// session's id.
#[tokio::test(start_paused = true)]
async fn public_types_implement_debug() {
    let pool = pool(&Sim::default(), 1).build().unwrap();
    let lease = pool.checkout().await.unwrap();
    let events = pool.events();
    let session = pool.session("user 42").unwrap();
    let shows = |text: String, what: &[&str]| {
        for what in what {
            assert!(text.contains(what), "no {what} in {text}");
        }
    };
    shows(format!("{pool:?}"), &["Driver", "limits", "call_timeout"]);
    shows(format!("{lease:?}"), &["Lease", "WorkerId"]);
    shows(format!("{events:?}"), &["Events", "next"]);
    shows(format!("{session:?}"), &["Session", "SessionId"]);
    let builder = crate::rig::pool(&Sim::default(), 1).record(std::io::sink());
    shows(
        format!("{builder:?}"),
        &["Builder", "Config", "Sink { .. }"],
    );
    let pipe = Pipe::new(tokio::io::empty(), tokio::io::sink());
    assert_eq!(format!("{pipe:?}"), "Pipe { .. }");
    drop(lease);
    pool.shutdown().await;
}
