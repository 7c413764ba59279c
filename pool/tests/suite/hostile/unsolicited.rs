//! Workers that send something without a request: they are replaced before the next client sees it,
//! and no reply reaches a call that it does not answer.

use std::fs;
use std::time::Duration;

use futures_util::StreamExt as _;
use ostler_pool::{
    Builder, CallError, Event, Events, Fault, Pool, ProtocolError, Reason, TryRecvError,
};

use super::{HostilePool, SIZE, with_hostile_worker};
use crate::rig::{lost, until};

/// Without health checks, which would find what the pool does not see by itself.
fn unchecked(builder: Builder) -> Builder {
    builder.enable_health_monitoring(false)
}

/// Waits until the pool has counted the worker that broke the protocol.
async fn is_noticed(pool: &Pool) {
    until(pool, |status| status.counters.faulted == 1).await;
}

/// Waits until the pool has stopped the one worker that broke the protocol, and for no other
/// reason.
async fn is_stopped(pool: &Pool, events: &mut Events) {
    is_noticed(pool).await;
    let mut reasons = Vec::new();
    loop {
        match events.try_recv() {
            Ok(Event::Moved(transition)) => reasons.extend(transition.reason),
            Ok(_) => {}
            Err(TryRecvError::Empty) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    let broken = Reason::Fault(Fault::ProtocolBroken);
    assert!(
        !reasons.is_empty() && reasons.iter().all(|reason| *reason == broken),
        "{reasons:?}"
    );
}

/// Has the worker send the reply that it holds back.
async fn let_reply(pool: &HostilePool) {
    let file = pool.marker.with_extension("go");
    fs::write(&file, "").unwrap();
    is_noticed(&pool.inner).await;
    fs::remove_file(&file).unwrap();
}

/// A worker breaks the protocol between two calls, and no client is affected.
fn is_replaced(
    name: &str,
    start: &str,
    options: fn(Builder) -> Builder,
    provoke: impl AsyncFnOnce(&HostilePool),
) {
    with_hostile_worker(
        &format!("unsolicited::{name}"),
        start,
        options,
        async |pool| {
            let mut events = pool.inner.events();
            provoke(pool).await;
            is_stopped(&pool.inner, &mut events).await;
            let counters = pool.shut_down().await.counters;
            assert_eq!(
                (counters.opened, counters.faulted, counters.exited),
                (3, 1, 0)
            );
        },
    );
}

/// C6: a worker that sends one reply too many, 10 ms after its reply, is replaced while it is idle.
#[test]
fn replies_once_too_often() {
    is_replaced("replies_once_too_often", "good", unchecked, async |pool| {
        assert_eq!(pool.call("extra").await.unwrap(), b"answered");
    });
}

/// C6: so is a worker that replies after the handshake.
#[test]
fn replies_after_the_handshake() {
    let name = "replies_after_the_handshake";
    is_replaced(name, "ready_and_more", unchecked, async |pool| {
        // A reply that comes with the answer to the handshake fails the start.
        until(&pool.inner, |status| status.serving() == SIZE).await;
        let_reply(pool).await;
    });
}

/// C6: so is a worker that goes on after the end of a stream.
#[test]
fn replies_after_a_stream() {
    is_replaced("replies_after_a_stream", "good", unchecked, async |pool| {
        let mut lease = pool.lease().await;
        let parts = lease.stream("extra_after_parts").unwrap();
        let parts: Vec<_> = parts.map(Result::unwrap).collect().await;
        assert_eq!(parts, [b"part"]);
    });
}

/// C6: so is a worker that replies after it has ended a cancelled call.
#[test]
fn replies_after_a_cancel() {
    let cancels = |builder: Builder| {
        unchecked(builder).abandoned_calls(crate::cancel(Duration::from_secs(60)))
    };
    is_replaced("replies_after_a_cancel", "good", cancels, async |pool| {
        let request = pool.inner.request("extra_after_cancel");
        let cancelled = request.call_timeout(Duration::from_secs(1)).send().await;
        let error = cancelled.unwrap_err();
        assert!(error.is_timeout() && error.request_written(), "{error:?}");
        // A reply that comes with the end of the call counts as a call that does not end.
        until(&pool.inner, |status| status.occupancy().busy == 0).await;
        let_reply(pool).await;
    });
}

/// C6: so is a worker that replies after it has answered a health check.
#[test]
fn replies_after_a_health_check() {
    let checks = |builder: Builder| builder.health_check_interval(Duration::from_millis(50));
    let name = "replies_after_a_health_check";
    is_replaced(name, "good", checks, async |pool| {
        assert_eq!(pool.call("extra_after_pong").await.unwrap(), b"answered");
    });
}

/// C6: the session of such a worker is lost.
#[test]
fn replies_after_the_call_of_a_session() {
    let name = "replies_after_the_call_of_a_session";
    is_replaced(name, "good", unchecked, async |pool| {
        let session = pool.inner.session("kept").unwrap();
        assert_eq!(session.call("extra").await.unwrap(), b"answered");
        until(&pool.inner, |_| session.worker().is_none()).await;
        let reason = lost(session.call("many 3").await);
        assert_eq!(reason, Reason::Fault(Fault::ProtocolBroken));
        pool.refused.set(1);
    });
}

/// C6: the next call of a lease fails before its request is written, and the lease is over.
#[test]
fn replies_between_two_calls_of_a_lease() {
    let name = "replies_between_two_calls_of_a_lease";
    is_replaced(name, "good", unchecked, async |pool| {
        let mut lease = pool.lease().await;
        assert_eq!(lease.call("extra").await.unwrap(), b"answered");
        is_noticed(&pool.inner).await;
        finds_unsolicited(lease.call("many 3").await);
        let over = lease.call("many 3").await;
        assert!(matches!(over, Err(CallError::LeaseOver { .. })), "{over:?}");
    });
}

/// C6, P9: output that is printed after a reply is not taken for the next reply.
#[test]
fn prints_after_its_reply() {
    is_replaced("prints_after_its_reply", "good", unchecked, async |pool| {
        let mut lease = pool.lease().await;
        assert_eq!(lease.call("print_after").await.unwrap(), b"done");
        is_noticed(&pool.inner).await;
        finds_unsolicited(lease.call("many 3").await);
    });
}

fn finds_unsolicited(call: Result<Vec<u8>, CallError>) {
    match call {
        Err(CallError::Protocol {
            source: ProtocolError::Unsolicited,
            request_written: false,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

/// C6: a worker cannot reply to a request that it has not read, because it cannot guess its id.
#[test]
fn guesses_the_next_id() {
    is_replaced("guesses_the_next_id", "good", unchecked, async |pool| {
        let mut lease = pool.lease().await;
        assert_eq!(lease.call("guess").await.unwrap(), b"once");
        match lease.call("many 3").await {
            Err(CallError::Protocol {
                source: ProtocolError::UnexpectedId { .. },
                request_written: true,
                ..
            }) => {}
            other => panic!("{other:?}"),
        }
    });
}

/// C6: a worker that closes its output while it is idle, and keeps running, is replaced.
#[test]
fn closes_its_output_while_idle() {
    let name = "closes_its_output_while_idle";
    is_replaced(name, "good", unchecked, async |pool| {
        assert_eq!(pool.call("silence_after").await.unwrap(), b"the last");
    });
}

/// C6: the next call on a lease whose worker has closed its output and was stopped says so, and
/// that its request was not written.
#[test]
fn closes_its_output_between_two_calls() {
    let name = "closes_its_output_between_two_calls";
    is_replaced(name, "good", unchecked, async |pool| {
        let mut lease = pool.lease().await;
        assert_eq!(lease.call("silence_after").await.unwrap(), b"the last");
        is_noticed(&pool.inner).await;
        let call = lease.call("many 3").await;
        assert!(call.as_ref().is_err_and(|error| !error.request_written()));
        finds_the_end(call);
    });
}

/// C6: so does a call that is made before the pool has given up on the worker, whether or not its
/// request was written by then.
#[test]
fn closes_its_output_right_before_a_call() {
    let name = "closes_its_output_right_before_a_call";
    is_replaced(name, "good", unchecked, async |pool| {
        let mut lease = pool.lease().await;
        assert_eq!(lease.call("silence_after").await.unwrap(), b"the last");
        finds_the_end(lease.call("many 3").await);
    });
}

fn finds_the_end(call: Result<Vec<u8>, CallError>) {
    match call {
        Err(CallError::Protocol {
            source: ProtocolError::OutputClosed,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
}
