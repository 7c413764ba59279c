//! Does what a person reads say what is meant? Errors of the pool are made of these words.

use ostler::WorkerId;
use ostler::supervisor::{Fault, Illegal, Limit, Reason, Refusal};
use ostler::worker::{Input, Phase, PhaseSummary, Rejected};

/// Every reason for a worker's end, in words, each its own.
#[test]
fn reasons_are_sentences() {
    let words = [
        (Reason::StartFailed, "its start failed"),
        (Reason::StartTimedOut, "it did not start in time"),
        (Reason::Exited, "its process exited"),
        (
            Reason::Fault(Fault::Abandoned),
            "a call on it was abandoned",
        ),
        (Reason::Fault(Fault::TimedOut), "a call on it took too long"),
        (
            Reason::Fault(Fault::ProtocolBroken),
            "it broke the protocol",
        ),
        (Reason::Unhealthy, "it was unhealthy"),
        (Reason::Limit(Limit::Age), "it reached `max_worker_age`"),
        (
            Reason::Limit(Limit::Requests),
            "it reached `max_worker_requests`",
        ),
        (
            Reason::Limit(Limit::Memory),
            "it reached `max_worker_memory`",
        ),
        (Reason::Limit(Limit::Errors), "it reached `error_threshold`"),
        (Reason::Recycled, "it was recycled"),
        (Reason::Surplus, "the pool has workers to spare"),
        (Reason::Shutdown, "the pool shuts down"),
    ];
    for (reason, text) in words {
        assert_eq!(reason.to_string(), text);
    }
}

/// Every reason for getting no lease, in words.
#[test]
fn refusals_are_sentences() {
    let words = [
        (Refusal::QueueFull, "too many clients are waiting"),
        (Refusal::CrashLoop, "no worker can be started"),
        (Refusal::Draining, "the pool is drained"),
        (Refusal::Closed, "the pool is shut down"),
        (Refusal::TooManySessions, "too many sessions are open"),
        (
            Refusal::SessionLost(Reason::Recycled),
            "the session's worker is gone: it was recycled",
        ),
        (Refusal::SessionEnded, "the session has ended"),
    ];
    for (refusal, text) in words {
        assert_eq!(refusal.to_string(), text);
    }
}

/// The five phases that are shown, in words, and the one that each phase is shown as.
#[test]
fn public_phases_are_words() {
    let shown: Vec<_> = Phase::ALL
        .iter()
        .map(|phase| phase.summary().to_string())
        .collect();
    assert_eq!(
        shown.join(" "),
        "initializing ready busy draining draining draining terminated"
    );
    let words = [
        (PhaseSummary::Initializing, "initializing"),
        (PhaseSummary::Ready, "ready"),
        (PhaseSummary::Busy, "busy"),
        (PhaseSummary::Draining, "draining"),
        (PhaseSummary::Terminated, "terminated"),
    ];
    for (phase, text) in words {
        assert_eq!(phase.to_string(), text);
    }
}

/// What cannot be true of a worker names the worker, its phase and the input.
#[test]
fn an_illegal_input_names_the_worker() {
    let worker = WorkerId {
        slot: 3,
        generation: 17,
    };
    let rejected = Rejected {
        phase: Phase::Ready,
        input: Input::Released,
    };
    assert_eq!(
        Illegal { worker, rejected }.to_string(),
        "worker 3.17: illegal input: Released in phase Ready"
    );
}
