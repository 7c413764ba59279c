//! Workers that misbehave in a call: the call has exactly one outcome, and other calls are not
//! affected.

use std::error::Error as _;
use std::time::Duration;

use ostler_pool::{CallError, ExitStatus};

use super::{HostilePool, unchanged, with_hostile_worker};
use crate::rig::until;

const MIB: usize = 1 << 20;

/// Makes one call, checks its outcome, and checks that the pool counted one exited or one faulted
/// worker.
fn outcome(name: &str, request: &str, expected: Expected<'_>) {
    with_hostile_worker(name, "good", unchanged, async |pool| {
        let mut call = pool.inner.request(request);
        if matches!(expected, Expected::TimesOut) {
            call = call.call_timeout(Duration::from_secs(1));
        }
        expected.check(call.send().await);
        if matches!(expected, Expected::LastReply(_)) {
            // The reply comes before the exit, and the worker may be leased again in between.
            until(&pool.inner, |status| status.counters.exited == 1).await;
        }
        let counters = pool.shut_down().await.counters;
        let exited = matches!(expected, Expected::Exits(..) | Expected::LastReply(_));
        let counted = (counters.exited, counters.faulted);
        assert_eq!(counted, (u64::from(exited), u64::from(!exited)));
        assert_eq!(
            counters.opened, 3,
            "two, and one in the place of the worker that is gone"
        );
    });
}

enum Expected<'a> {
    /// `WorkerExited`, with a status and with the end of stderr.
    Exits(ExitStatus, &'a str),
    /// `Protocol`, with what the worker did, and whether the request was written.
    Breaks(&'a str, bool),
    /// `Protocol`, with an answer to another request than this one, which was written.
    AnswersAnother,
    /// `TimedOut`, with the request written.
    TimesOut,
    /// A reply. The worker is not leased again.
    Reply(&'a [u8]),
    /// A reply, after which the worker exits.
    LastReply(&'a [u8]),
}

impl Expected<'_> {
    fn check(&self, result: Result<Vec<u8>, CallError>) {
        match (self, result) {
            (
                Self::Exits(status, words),
                Err(CallError::WorkerExited {
                    exit,
                    request_written,
                    ..
                }),
            ) => {
                let known = (exit.status, exit.stderr.as_str(), request_written);
                assert_eq!(known, (*status, *words, true));
            }
            (
                Self::Breaks(says, whole),
                Err(CallError::Protocol {
                    source,
                    request_written,
                    ..
                }),
            ) => {
                assert_eq!(
                    (source.to_string().as_str(), request_written),
                    (*says, *whole)
                );
            }
            (Self::AnswersAnother, Err(error @ CallError::Protocol { .. })) => {
                assert!(error.request_written(), "{error:?}");
                let source = error.source().unwrap().to_string();
                assert!(source.ends_with("which is not under way"), "{source}");
            }
            (
                Self::TimesOut,
                Err(CallError::TimedOut {
                    request_written, ..
                }),
            ) => {
                assert!(request_written);
            }
            (Self::Reply(body) | Self::LastReply(body), Ok(reply)) => assert_eq!(reply, *body),
            (_, other) => panic!("{other:?}"),
        }
    }
}

/// C4: a worker that exits without a reply fails its one call.
#[test]
fn exits() {
    let gone = Expected::Exits(ExitStatus::Code(3), "the last words\n");
    outcome("calls::exits", "exit 3", gone);
}

/// C4: a partial reply fails the call.
#[test]
fn exits_in_the_middle_of_a_reply() {
    let name = "calls::exits_in_the_middle_of_a_reply";
    let gone = Expected::Exits(ExitStatus::Code(5), "in the middle\n");
    outcome(name, "exit_partial 5", gone);
}

/// C4: a complete reply before the exit counts, and the exit fails no call.
#[test]
fn exits_after_its_reply() {
    outcome(
        "calls::exits_after_its_reply",
        "exit_after",
        Expected::LastReply(b"and gone"),
    );
}

/// P3: the exit of a worker is noticed although grandchildren hold its pipes.
#[test]
fn leaves_grandchildren_that_hold_its_output() {
    let name = "calls::leaves_grandchildren_that_hold_its_output";
    let gone = Expected::Exits(ExitStatus::Code(4), "orphaned\n");
    outcome(name, "grandchildren", gone);
}

/// C4: the error of a worker that was killed, as the kernel does when memory runs out, names the
/// signal.
#[test]
fn is_killed_while_huge() {
    let gone = Expected::Exits(ExitStatus::Signal(9), "");
    outcome("calls::is_killed_while_huge", "huge 128", gone);
}

/// C1: a call to a worker that was stopped by `SIGSTOP` times out, and the worker is killed.
#[test]
fn hangs_under_a_stop_signal() {
    outcome(
        "calls::hangs_under_a_stop_signal",
        "hang",
        Expected::TimesOut,
    );
}

/// P2: a call to a worker that spins times out.
#[test]
fn spins() {
    outcome("calls::spins", "spin", Expected::TimesOut);
}

/// P8: a call to a worker that writes to stderr without end times out, and the worker is stopped.
#[test]
fn floods_stderr_for_ever() {
    let name = "calls::floods_stderr_for_ever";
    outcome(name, "flood_for_ever", Expected::TimesOut);
}

/// P3: a worker that closes its output and keeps running fails its call at once.
#[test]
fn closes_its_output() {
    let says = "it closed its output and kept running";
    outcome(
        "calls::closes_its_output",
        "close_stdout",
        Expected::Breaks(says, true),
    );
}

/// P13: bytes that are no frame break the protocol.
#[test]
fn writes_garbage() {
    let says = "it sent a frame of 4294504938 bytes, and `max_frame` is 67108864";
    outcome(
        "calls::writes_garbage",
        "garbage",
        Expected::Breaks(says, true),
    );
}

/// P13: a length prefix of 4 GiB breaks the protocol.
#[test]
fn claims_a_frame_of_4_gib() {
    let says = "it sent a frame of 4294967295 bytes, and `max_frame` is 67108864";
    let name = "calls::claims_a_frame_of_4_gib";
    outcome(name, "claim 4294967295", Expected::Breaks(says, true));
}

/// P13: a frame that is shorter than its header breaks the protocol.
#[test]
fn claims_a_frame_of_3_bytes() {
    let says = "it sent a frame of 3 bytes, too short for a kind and an id";
    let name = "calls::claims_a_frame_of_3_bytes";
    outcome(name, "claim 3", Expected::Breaks(says, true));
}

/// P13: a call whose reply has an allowed length and never arrives times out.
#[test]
fn claims_a_frame_that_never_comes() {
    let name = "calls::claims_a_frame_that_never_comes";
    outcome(name, "claim 67108864", Expected::TimesOut);
}

/// C1: the first of two replies completes the call, and the worker is not leased again.
#[test]
fn answers_twice() {
    outcome("calls::answers_twice", "twice", Expected::Reply(b"once"));
}

/// C1: a reply with the id of an earlier request breaks the protocol.
#[test]
fn answers_with_an_old_id() {
    outcome(
        "calls::answers_with_an_old_id",
        "old_id",
        Expected::AnswersAnother,
    );
}

/// P9: output that is printed before the reply is no frame and breaks the protocol, which the
/// error shows.
#[test]
fn prints_before_its_reply() {
    let says = "its output begins with \"50% ...\", which is no frame: print to stderr, and see PROTOCOL.md for frames";
    outcome(
        "calls::prints_before_its_reply",
        "print",
        Expected::Breaks(says, true),
    );
}

/// C3: an error that cannot be decoded breaks the protocol.
#[test]
fn answers_with_an_unreadable_error() {
    let says = "it sent an error that cannot be decoded";
    let name = "calls::answers_with_an_unreadable_error";
    outcome(name, "malformed_error", Expected::Breaks(says, true));
}

/// C1: a reply of the wrong kind breaks the protocol.
#[test]
fn answers_with_another_kind() {
    let says = "it answered with a frame of kind 128, which does not answer the request";
    let name = "calls::answers_with_another_kind";
    outcome(name, "other_kind", Expected::Breaks(says, true));
}

/// C5: a reply to a request that the worker has not read breaks the protocol.
#[test]
fn answers_before_it_has_read_the_request() {
    let says = "it answered before it had read the request";
    let name = "calls::answers_before_it_has_read_the_request";
    let request = format!("early_reply {}", "x".repeat(MIB));
    outcome(name, &request, Expected::Breaks(says, false));
}

/// A reply that arrives one byte at a time is complete, and the worker serves on.
#[test]
fn answers_a_byte_at_a_time() {
    with_hostile_worker(
        "calls::answers_a_byte_at_a_time",
        "good",
        unchanged,
        async |pool| {
            assert_eq!(pool.call("slowly").await.unwrap(), b"drop by drop");
            assert_no_worker_was_lost(pool).await;
        },
    );
}

/// P8: 32 MiB on stderr without a newline block neither the worker nor the host.
#[test]
fn floods_stderr() {
    with_hostile_worker("calls::floods_stderr", "good", unchanged, async |pool| {
        assert_eq!(pool.call("flood 32").await.unwrap(), b"flooded");
        assert_no_worker_was_lost(pool).await;
    });
}

/// Shuts down, and checks that no worker was lost.
async fn assert_no_worker_was_lost(pool: &HostilePool) {
    let counters = pool.shut_down().await.counters;
    let counted = (counters.opened, counters.exited, counters.faulted);
    assert_eq!(counted, (2, 0, 0));
}

/// C1: a second reply to a request is not taken for the reply to the next request.
#[test]
fn answers_the_last_request_again() {
    let name = "calls::answers_the_last_request_again";
    with_hostile_worker(name, "good", unchanged, async |pool| {
        let mut lease = pool.lease().await;
        assert_eq!(lease.call(b"again").await.unwrap(), b"once");
        Expected::AnswersAnother.check(lease.call(b"many 3").await);
        let over = lease.call(b"many 3").await;
        assert!(matches!(over, Err(CallError::LeaseOver { .. })), "{over:?}");
    });
}

/// C5: a worker that has closed its input fails the next call at once, and the error says that the
/// request was not written.
#[test]
fn closes_its_input() {
    with_hostile_worker("calls::closes_its_input", "good", unchanged, async |pool| {
        let mut lease = pool.lease().await;
        let pid = lease.pid().unwrap();
        assert_eq!(lease.call(b"close_stdin").await.unwrap(), b"deaf");
        let says = "it closed its input and kept running";
        Expected::Breaks(says, false).check(lease.call(b"many 3").await);
        pool.wait_until_gone(pid).await;
    });
}
