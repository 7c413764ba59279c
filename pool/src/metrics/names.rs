//! The names of the metrics, which `docs/observing.md` and the dashboard repeat, and the values of
//! their labels.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use ostler::PhaseSummary;
use ostler::supervisor::{Fault, Limit, Reason};
use ostler::worker::Phase;

use super::{Outcome, Wait};

/// Counter: transitions of workers, with the labels `from`, `to` and `reason`.
pub const TRANSITIONS: &str = "ostler_transitions_total";
/// Gauge: workers in each phase, with the label `phase`: `initializing`, `ready`, `busy` or
/// `draining`.
pub const WORKERS: &str = "ostler_workers";
/// Gauge: clients that wait for a lease.
pub const QUEUE: &str = "ostler_queue_length";
/// Counter: workers that have ended, with the label `reason`.
pub const ENDS: &str = "ostler_worker_ends_total";
/// Histogram: seconds that a client waited for a lease, with the label `outcome`: `granted`,
/// `refused`, `timed_out` or `gave_up`.
pub const WAIT: &str = "ostler_wait_seconds";
/// Histogram: seconds from a request to its answer, to the end of its stream or to the last answer
/// of its batch, with the label `outcome`: `ok`, `raised`, `timed_out`, `abandoned` or `failed`.
pub const CALL: &str = "ostler_call_seconds";
/// Histogram: seconds from the order to open a worker until it serves.
pub const START: &str = "ostler_start_seconds";
/// Histogram: seconds from the decision that a worker leaves until its calls and sessions have
/// ended.
pub const DRAIN: &str = "ostler_drain_seconds";

/// Tells the recorder what each metric is.
pub(super) fn describe() {
    describe_counter!(TRANSITIONS, Unit::Count, "transitions of workers");
    describe_gauge!(WORKERS, Unit::Count, "workers in each phase");
    describe_gauge!(QUEUE, Unit::Count, "clients that wait for a lease");
    describe_counter!(ENDS, Unit::Count, "workers that have ended");
    describe_histogram!(WAIT, Unit::Seconds, "time that a client waited for a lease");
    describe_histogram!(CALL, Unit::Seconds, "time from a request to its answer");
    describe_histogram!(START, Unit::Seconds, "time until a worker serves");
    describe_histogram!(
        DRAIN,
        Unit::Seconds,
        "time until a worker that leaves is idle"
    );
}

impl Wait {
    pub(super) const ALL: [Self; 4] = [Self::Granted, Self::Refused, Self::TimedOut, Self::GaveUp];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::GaveUp => "gave_up",
        }
    }
}

impl Outcome {
    pub(super) const ALL: [Self; 5] = [
        Self::Ok,
        Self::Raised,
        Self::TimedOut,
        Self::Abandoned,
        Self::Failed,
    ];
}

/// The phases of a worker that exists, as `WORKERS` counts them.
pub(super) const PHASES: [(PhaseSummary, &str); 4] = [
    (PhaseSummary::Initializing, "initializing"),
    (PhaseSummary::Ready, "ready"),
    (PhaseSummary::Busy, "busy"),
    (PhaseSummary::Draining, "draining"),
];

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Initializing => "initializing",
        Phase::Ready => "ready",
        Phase::Busy => "busy",
        Phase::Lingering => "lingering",
        Phase::Finishing => "finishing",
        Phase::Stopping => "stopping",
        _ => "terminated",
    }
}

pub(super) fn reason(reason: Option<Reason>) -> &'static str {
    match reason {
        None => "none",
        Some(Reason::StartFailed) => "start_failed",
        Some(Reason::StartTimedOut) => "start_timed_out",
        Some(Reason::Exited) => "exited",
        Some(Reason::Fault(Fault::Abandoned)) => "call_abandoned",
        Some(Reason::Fault(Fault::TimedOut)) => "call_timed_out",
        Some(Reason::Fault(Fault::ProtocolBroken)) => "protocol_broken",
        Some(Reason::Unhealthy) => "unhealthy",
        Some(Reason::Limit(Limit::Age)) => "max_worker_age",
        Some(Reason::Limit(Limit::Requests)) => "max_worker_requests",
        Some(Reason::Limit(Limit::Memory)) => "max_worker_memory",
        Some(Reason::Limit(Limit::Errors)) => "error_threshold",
        Some(Reason::Recycled) => "recycled",
        Some(Reason::Surplus) => "surplus",
        Some(Reason::Shutdown) => "shutdown",
        Some(_) => "other",
    }
}
