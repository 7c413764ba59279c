//! What the driver must do for a pool.

use core::fmt;
use core::time::Duration;

use super::{Event, Reason, Timer};
use crate::worker::Rung;
use crate::{LeaseId, SessionId, WaiterId, WorkerId};

/// An order from the supervisor to its driver. Each names the input that answers it.
#[must_use = "the pool waits for the answer to an effect that is not performed"]
// Exhaustive: a driver must perform every effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// An order for one worker, to be performed after every earlier order for the same worker.
    Worker {
        /// The worker.
        worker: WorkerId,
        /// What to do.
        order: Order,
    },
    /// Hand this lease to this client. Answered by `LeaseEnded`, even if the client is gone by now.
    Grant {
        /// The client.
        waiter: WaiterId,
        /// Its lease.
        lease: LeaseId,
    },
    /// Tell this client that it gets no lease. Not answered.
    Refuse {
        /// The client.
        waiter: WaiterId,
        /// Why.
        refusal: Refusal,
    },
    /// The session is over, and further use of it will be refused. Given once per session. Not
    /// answered.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why.
        end: SessionEnd,
    },
    /// The rolling restart that [`RecycleAll`](super::Input::RecycleAll) began has ended. Not
    /// answered.
    RollingEnded(RollingEnd),
    /// The drain that [`Drain`](super::Input::Drain) began has ended. Not answered.
    DrainEnded(DrainEnd),
    /// The shutdown has drained: every worker that is left is being stopped. Given once, before
    /// `Closed`. Not answered.
    ShutdownDrained,
    /// Start a timer. Answered by `Elapsed` with the same timer, unless it is cancelled first or
    /// its worker is released.
    StartTimer {
        /// The timer.
        timer: Timer,
        /// When it elapses, from now.
        after: Duration,
    },
    /// Cancel a timer. If it has elapsed already, the supervisor recognizes the input as stale.
    CancelTimer {
        /// The timer.
        timer: Timer,
    },
    /// Something happened to a worker: tell observers. Not answered.
    Event(Event),
    /// The pool has ended: every port is released or abandoned. Given once, and last. Not answered.
    Closed,
}

/// An order for one worker, performed by the task that owns its port.
// Exhaustive: as `Effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// Open the port and make the handshake. Answered by [`PortFact`](super::PortFact) `Started` or
    /// `StartFailed`.
    Open {
        /// The worker's position: a number below the pool's size, which no other worker has that
        /// starts or serves and is not to be replaced. Its replacement gets the same.
        position: usize,
    },
    /// Take this rung of the stop ladder. Answered by `Exited`; on [`Rung::Reap`] by `Released`. On
    /// the last two rungs, followed by `Abandon` if the answer does not come in time.
    Stop {
        /// The rung.
        rung: Rung,
        /// Why the worker leaves the pool.
        reason: Reason,
    },
    /// The worker is gone for the pool, and its slot is free. Go on with the release in the
    /// background: wait for the exit, and reap. Answered by `Released`, however late.
    Abandon,
    /// Check the worker's health. Answered by `Probed` with the same lease, or by `LeaseEnded` with
    /// a fault. Not answered if the worker ends first.
    Probe {
        /// The lease that the health check holds meanwhile.
        lease: LeaseId,
    },
    /// Tell the worker to cancel its call, and wait until it ends the call, exits or is stopped.
    /// Answered by `CancelEnded` with the same lease.
    Cancel {
        /// The lease under which the cancelled call runs.
        lease: LeaseId,
    },
    /// Measure the memory of the worker's processes. Answered by `Measured`. Not answered where it
    /// cannot be known.
    Measure,
}

/// Why a session is over.
// Exhaustive: as `Effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SessionEnd {
    /// It was not opened.
    Refused(Refusal),
    /// Its client ended it.
    Ended,
    /// It was unused for `session_idle_timeout`.
    Expired,
    /// Its worker left the pool, and its client has been told.
    Lost(Reason),
    /// The pool ended.
    Closed,
}

/// How a rolling restart ended.
// Exhaustive: as `Effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RollingEnd {
    /// Every worker was replaced, or ended before its turn.
    Completed {
        /// How many.
        replaced: usize,
    },
    /// A replacement failed to start. The remaining workers are kept and serve on.
    StartFailed {
        /// Workers replaced before that.
        replaced: usize,
        /// Workers kept.
        kept: usize,
    },
    /// The pool shut down first.
    Closed {
        /// Workers replaced before that.
        replaced: usize,
        /// Workers that had not been replaced.
        kept: usize,
    },
}

/// How a drain of the pool ended.
// Exhaustive: the pool drained, or was told to stop draining. There is no third way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DrainEnd {
    /// No client waits, and no call is under way.
    Drained,
    /// The pool was resumed first.
    Resumed,
}

/// Why a client gets no lease.
// Exhaustive: as `Effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Refusal {
    /// `max_waiting` clients are waiting.
    QueueFull,
    /// Starts keep failing and no worker serves.
    CrashLoop,
    /// The pool is draining or drained.
    Draining,
    /// The pool is shutting down or has shut down.
    Closed,
    /// `max_sessions` sessions are open.
    TooManySessions,
    /// The session's worker left the pool for this reason.
    SessionLost(Reason),
    /// The session has ended or was never opened.
    SessionEnded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.pad("the queue is full"),
            Self::CrashLoop => f.pad("no worker can be started"),
            Self::Draining => f.pad("the pool is draining"),
            Self::Closed => f.pad("the pool is shut down"),
            Self::TooManySessions => f.pad("too many sessions are open"),
            Self::SessionLost(reason) => write!(f, "the session's worker is gone: {reason}"),
            Self::SessionEnded => f.pad("the session has ended"),
        }
    }
}
