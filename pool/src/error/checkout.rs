//! Why a client got no lease, and why a rolling restart stopped.

use std::time::Duration;

use ostler::supervisor::Reason;
use ostler::{Phase, PhaseSummary, WorkerId};

use super::{Report, StartError};
use crate::text;

/// Why a client got no lease.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CheckoutError {
    /// No worker became free in time.
    #[error(
        "no worker became free within {} ({pool}): raise `checkout_timeout` or `size`",
        text::duration(*.after)
    )]
    TimedOut {
        /// How long the client waited: the pool's `checkout_timeout`, or that of the request.
        after: Duration,
        /// The pool at that moment.
        pool: Occupancy,
    },
    /// The queue is full.
    #[error("the queue is full ({pool}): raise `max_waiting`, which is {max_waiting}, or `size`")]
    QueueFull {
        /// The pool's `max_waiting`.
        max_waiting: usize,
        /// The pool at that moment.
        pool: Occupancy,
    },
    /// Starts keep failing and no worker serves. The pool keeps trying, at growing intervals.
    #[error("no worker can be started")]
    CrashLoop {
        /// How the most recent start failed.
        #[source]
        last: StartError,
    },
    /// No worker was idle, and the client did not want to wait.
    #[error("no worker is idle ({pool})")]
    NoneIdle {
        /// The pool at that moment.
        pool: Occupancy,
    },
    /// The pool is draining or drained, and rejects new clients until it is resumed.
    #[error("the pool rejects new clients until it is resumed ({pool})")]
    Draining {
        /// The pool at that moment.
        pool: Occupancy,
    },
    /// The pool is shutting down or has shut down.
    #[error("the pool is shut down, or the runtime that it was built in has ended")]
    Closed,
}

/// Why a session could not be opened, or why a call on it got no lease.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The session's worker left the pool, and the state that it kept for the session with it.
    /// Opened again, the session is bound to another worker.
    #[error("the session is lost with its worker: {reason}")]
    Lost {
        /// Why the worker left.
        reason: Reason,
    },
    /// The session was ended, or was unused for `session_idle_timeout`.
    #[error("the session has ended: open it again")]
    Ended,
    /// `max_sessions` sessions are open.
    #[error(
        "too many sessions are open: end some, or raise `max_sessions`, which is {max_sessions}"
    )]
    TooMany {
        /// The pool's `max_sessions`.
        max_sessions: usize,
    },
    /// The session's worker did not become free in time; or, before the session's first call, no
    /// worker did.
    #[error(
        "{} did not become free for the session within {} ({pool}): raise `checkout_timeout`",
        named(*.worker), text::duration(*.after)
    )]
    TimedOut {
        /// The session's worker. `None` before its first call.
        worker: Option<WorkerId>,
        /// How long the client waited: the pool's `checkout_timeout`, or that of the request.
        after: Duration,
        /// The pool at that moment.
        pool: Occupancy,
    },
    /// The queue is full.
    #[error("the queue is full ({pool}): raise `max_waiting`, which is {max_waiting}, or `size`")]
    QueueFull {
        /// The pool's `max_waiting`.
        max_waiting: usize,
        /// The pool at that moment.
        pool: Occupancy,
    },
    /// The session has no worker yet, starts keep failing and no worker serves.
    #[error("no worker can be started")]
    CrashLoop {
        /// How the most recent start failed.
        #[source]
        last: StartError,
    },
    /// The session is not open or has no worker yet, and the pool rejects new clients until it is
    /// resumed.
    #[error("the pool rejects new sessions until it is resumed ({pool})")]
    Draining {
        /// The pool at that moment.
        pool: Occupancy,
    },
    /// The pool is shutting down or has shut down.
    #[error("the pool is shut down, or the runtime that it was built in has ended")]
    Closed,
}

fn named(worker: Option<WorkerId>) -> String {
    worker.map_or_else(
        || "a worker".to_owned(),
        |worker| format!("worker {worker}"),
    )
}

impl CheckoutError {
    /// Whether the client waited for `checkout_timeout` in vain.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// The error with its causes and the worker's last lines of stderr, for people: several lines.
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        Report::new(self)
    }
}

impl SessionError {
    /// Whether the client waited for `checkout_timeout` in vain.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// The error with its causes and the worker's last lines of stderr, for people: several lines.
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        Report::new(self)
    }
}

/// Why a rolling restart did not replace every worker.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RollingError {
    /// A replacement failed to start. The workers that were not replaced yet serve on.
    #[error("a start failed: {} replaced, {kept} kept", text::count(*replaced as u64, "worker"))]
    StartFailed {
        /// Workers replaced before that.
        replaced: usize,
        /// Workers kept.
        kept: usize,
        /// How the start failed.
        #[source]
        last: Option<StartError>,
    },
    /// The pool was shut down first.
    #[error("the pool was shut down: {} replaced, {kept} not", text::count(*replaced as u64, "worker"))]
    Closed {
        /// Workers replaced before that.
        replaced: usize,
        /// Workers that had not been replaced.
        kept: usize,
    },
}

impl RollingError {
    /// The error with its causes and the worker's last lines of stderr, for people: several lines.
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        Report::new(self)
    }
}

/// How many workers of a pool are in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Occupancy {
    /// Starting workers.
    pub initializing: usize,
    /// Idle workers.
    pub ready: usize,
    /// Leased workers.
    pub busy: usize,
    /// Workers that drain or are being stopped.
    pub draining: usize,
    /// Waiting clients.
    pub waiting: usize,
}

impl Occupancy {
    /// `phases`: how many workers are in which phase.
    pub(crate) fn of(phases: impl Iterator<Item = (Phase, usize)>, waiting: usize) -> Self {
        let mut occupancy = Self {
            waiting,
            ..Self::default()
        };
        for (phase, workers) in phases {
            match phase.summary() {
                PhaseSummary::Initializing => occupancy.initializing += workers,
                PhaseSummary::Ready => occupancy.ready += workers,
                PhaseSummary::Busy => occupancy.busy += workers,
                PhaseSummary::Draining => occupancy.draining += workers,
                _ => {}
            }
        }
        occupancy
    }
}

impl std::fmt::Display for Occupancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            initializing,
            ready,
            busy,
            draining,
            waiting,
        } = self;
        write!(
            f,
            "workers: {initializing} initializing, {ready} ready, {busy} busy, {draining} draining; \
             {} waiting",
            text::count(*waiting as u64, "client")
        )
    }
}
