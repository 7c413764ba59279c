//! Workers that misbehave at their start: the start fails, the next one fills the slot, and no
//! client notices.

use std::time::Duration;

use ostler_pool::{Builder, ExitStatus, StartError};

use super::{HostilePool, unchanged, with_hostile_worker};

/// Long enough for a good worker to start on a busy machine. If it is not, a later start succeeds.
const START: Duration = Duration::from_secs(2);

pub(super) fn short_timeout(builder: Builder) -> Builder {
    builder.start_timeout(START)
}

/// The first worker exits during its start, with this status and this stderr.
fn exits(name: &str, start: &str, status: ExitStatus, words: &str) {
    with_hostile_worker(name, start, unchanged, async |pool| {
        match &pool.failed_start().await {
            StartError::Exited { exit, .. } => {
                assert_eq!((exit.status, exit.stderr.as_str()), (status, words));
            }
            other => panic!("{other:?}"),
        }
    });
}

/// The first worker breaks the protocol during the handshake.
fn breaks(name: &str, start: &str, says: &str) {
    with_hostile_worker(name, start, unchanged, async |pool| {
        match &pool.failed_start().await {
            StartError::Protocol { source, .. } => assert_eq!(source.to_string(), says),
            other => panic!("{other:?}"),
        }
    });
}

/// The first worker's start times out.
async fn times_out(pool: &HostilePool) {
    match &pool.failed_start().await {
        StartError::TimedOut { after, .. } => assert_eq!(*after, START),
        other => panic!("{other:?}"),
    }
}

/// L5, L9: the start of a worker that never answers the handshake times out.
#[test]
fn never_answers_the_handshake() {
    with_hostile_worker(
        "starts::never_answers_the_handshake",
        "mute",
        short_timeout,
        times_out,
    );
}

/// L5: the start of a worker that stops itself with `SIGSTOP` times out, although `SIGTERM` has no
/// effect on it.
#[test]
fn is_stopped_before_the_handshake() {
    with_hostile_worker(
        "starts::is_stopped_before_the_handshake",
        "stop",
        short_timeout,
        times_out,
    );
}

/// L5: the start of a worker that closes its input times out.
#[test]
fn closes_its_input_before_the_handshake() {
    with_hostile_worker(
        "starts::closes_its_input_before_the_handshake",
        "deaf",
        short_timeout,
        times_out,
    );
}

/// L9: an exit during the handshake is a failed start, with the exit code and the end of stderr.
#[test]
fn exits_during_the_handshake() {
    let name = "starts::exits_during_the_handshake";
    exits(name, "exit", ExitStatus::Code(3), "no licence\n");
}

/// L9: an exit with code 0 during the handshake is a failed start.
#[test]
fn exits_with_0_during_the_handshake() {
    let name = "starts::exits_with_0_during_the_handshake";
    exits(name, "exit_zero", ExitStatus::Code(0), "");
}

/// L9: an exit after half a frame is a failed start.
#[test]
fn exits_with_half_a_handshake() {
    let name = "starts::exits_with_half_a_handshake";
    exits(name, "exit_partial", ExitStatus::Code(4), "half a word\n");
}

/// P3: a grandchild that holds the pipes does not hide the exit, and dies with its group.
#[test]
fn leaves_a_grandchild_at_its_start() {
    let name = "starts::leaves_a_grandchild_at_its_start";
    exits(name, "grandchild", ExitStatus::Code(5), "left a child\n");
}

/// P13: an answer to the handshake that is no frame breaks the protocol.
#[test]
fn starts_with_garbage() {
    let says = "it sent a frame of 4294504938 bytes, and `max_frame` is 67108864";
    breaks("starts::starts_with_garbage", "garbage", says);
}

/// L9: a frame before the handshake breaks the protocol.
#[test]
fn answers_before_it_is_asked() {
    let says = "it answered request 7, which is not under way";
    breaks("starts::answers_before_it_is_asked", "early", says);
}

/// L9: a refusal whose strings claim to be longer than the frame breaks the protocol.
#[test]
fn refuses_with_an_unreadable_error() {
    let says = "it sent an error that cannot be decoded";
    breaks(
        "starts::refuses_with_an_unreadable_error",
        "refuse_malformed",
        says,
    );
}

/// C6, L9: a second answer to the handshake fails the start, and is not taken for a reply.
#[test]
fn is_ready_twice() {
    let says = "it sent bytes that answer no request";
    breaks("starts::is_ready_twice", "ready_twice", says);
}

/// L9: an answer with another protocol version breaks the protocol.
#[test]
fn speaks_another_version() {
    let says = "it speaks another version of the protocol: version 1 is needed";
    breaks("starts::speaks_another_version", "other_version", says);
}
