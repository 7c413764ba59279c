//! Do the texts of the core read as documented? The errors of the pool contain them.

use ostler::WorkerId;
use ostler::supervisor::{Fault, Illegal, Limit, Reason, Refusal};
use ostler::worker::{Input, Phase, PhaseSummary, Rejected};

/// Each reason for the end of a worker has its own text.
#[test]
fn reasons_are_sentences() {
    let words = [
        (Reason::StartFailed, "its start failed"),
        (Reason::StartTimedOut, "its start timed out"),
        (Reason::Exited, "its process exited"),
        (
            Reason::Fault(Fault::Abandoned),
            "a call on it was abandoned",
        ),
        (Reason::Fault(Fault::TimedOut), "a call on it timed out"),
        (
            Reason::Fault(Fault::ProtocolBroken),
            "it broke the protocol",
        ),
        (Reason::Unhealthy, "it failed its health checks"),
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
        (Reason::Surplus, "the pool has more workers than `size`"),
        (Reason::Shutdown, "the pool is shutting down"),
    ];
    for (reason, text) in words {
        assert_eq!(reason.to_string(), text);
    }
}

/// Each reason for a refused checkout has its own text.
#[test]
fn refusals_are_sentences() {
    let words = [
        (Refusal::QueueFull, "the queue is full"),
        (Refusal::CrashLoop, "no worker can be started"),
        (Refusal::Draining, "the pool is draining"),
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

/// Each phase has one of five summaries, displayed in lower case.
#[test]
fn phase_summaries_are_words() {
    let summaries: Vec<_> = Phase::ALL
        .iter()
        .map(|phase| phase.summary().to_string())
        .collect();
    assert_eq!(
        summaries.join(" "),
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

/// The error for an illegal input names the worker, its phase and the input.
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
