//! What is to be done about a pool.

use core::fmt;
use core::time::Duration;

use super::Reason;
use crate::trace::Event;
use crate::worker::{self, Rung};
use crate::{LeaseId, SessionId, WaiterId, WorkerId};

/// An order of the supervisor's. Each says what answers it.
#[must_use = "an effect that is not performed leaves somebody waiting"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// An order about one worker, to be performed after all earlier ones about the same worker.
    Worker {
        /// The worker.
        worker: WorkerId,
        /// What is to be done.
        order: Order,
    },
    /// Hand this lease to this client. Answered by `LeaseEnded`, also when the client is gone by now.
    Grant {
        /// The client.
        waiter: WaiterId,
        /// Its lease.
        lease: LeaseId,
    },
    /// Tell this client that it gets no lease. Nothing answers it.
    Refuse {
        /// The client.
        waiter: WaiterId,
        /// Why not.
        refusal: Refusal,
    },
    /// The session is over: whoever still names it will be refused. Given once for each session. Nothing answers it.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why.
        end: SessionEnd,
    },
    /// The rolling restart that [`RecycleAll`](super::Input::RecycleAll) began has ended. Nothing answers it.
    Rolled(Rolled),
    /// The pool takes no new clients, nobody waits and no client holds a lease. Given once for each
    /// [`Pause`](super::Input::Pause). Nothing answers it.
    Drained,
    /// Start the pool's own timer. Answered by `Elapsed` with the same timer unless it is cancelled first.
    StartTimer {
        /// The timer.
        timer: Timer,
        /// When it elapses, from now.
        after: Duration,
    },
    /// Cancel the pool's own timer. An answer on its way is recognised as stale.
    CancelTimer {
        /// The timer.
        timer: Timer,
    },
    /// Something happened to a worker: to be logged and counted by whoever watches. Nothing answers it.
    Trace(Event),
    /// The pool has ended: every port is released. Given once. Nothing answers it.
    Closed,
}

/// An order about one worker, for the task that owns its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// Open the port and make the handshake. Answered by [`PortFact`](super::PortFact) `Started` or `StartFailed`.
    Open,
    /// Take this rung of the ladder. Answered by `Exited`; on [`Rung::Reap`] by `Released`.
    Stop {
        /// The rung.
        rung: Rung,
        /// Why the worker is on its way out.
        reason: Reason,
    },
    /// Start this timer. Answered by `Elapsed` with the same timer unless it is cancelled first.
    StartTimer {
        /// The timer.
        timer: Timer,
        /// When it elapses, from now.
        after: Duration,
    },
    /// Cancel this timer. An answer on its way is recognised as stale.
    CancelTimer {
        /// The timer.
        timer: Timer,
    },
    /// Ask the worker whether it is well. Answered by `Probed` with the same lease, or by `LeaseEnded` with a fault;
    /// not at all when the worker ends before.
    Probe {
        /// The lease that the health monitor holds meanwhile.
        lease: LeaseId,
    },
    /// Measure the memory of the worker's processes. Answered by `Measured`, or not at all where it cannot be known.
    Measure,
}

/// A timer. Each that is running has another name, so that one which elapsed while it was being cancelled is
/// recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// A deadline of one worker.
    Worker {
        /// The worker.
        worker: WorkerId,
        /// Which deadline.
        timer: worker::Timer,
        /// How many timers the worker has had, this one included.
        generation: u64,
    },
    /// Something that is due in the life of a worker that serves.
    Upkeep {
        /// The worker.
        worker: WorkerId,
        /// What is due.
        due: Due,
    },
    /// The deadline of a probe.
    Probe {
        /// The lease that the health monitor holds.
        lease: LeaseId,
    },
    /// A pause before the next start.
    Restart {
        /// How many such pauses the pool has had, this one included.
        generation: u64,
    },
    /// The next look for sessions that nobody uses.
    Sessions,
}

/// What is due in the life of a worker that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Due {
    /// It is to be probed and measured. Comes again.
    Check,
    /// It has served for `min_worker_life`: limits may recycle it from now on.
    Life,
    /// It has served for `restart_reset`: its failure would be a first one.
    Stable,
    /// It has served for `max_worker_age`.
    Age,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SessionEnd {
    /// It was not opened.
    Refused(Refusal),
    /// Its client ended it.
    Ended,
    /// Nobody has used it for `session_idle_timeout`.
    Expired,
    /// Its worker went away, and its client was told.
    Lost(Reason),
    /// The pool ended.
    Closed,
}

/// How a rolling restart ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rolled {
    /// How many workers were retired for it, or ended before it was their turn.
    pub replaced: usize,
    /// How many were left as they were, because a replacement did not start or the pool is shutting down.
    pub kept: usize,
}

/// Why a client gets no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Refusal {
    /// As many clients wait as may.
    QueueFull,
    /// Starts keep failing and nothing serves.
    CrashLoop,
    /// The pool is drained: it takes no new clients until it is resumed.
    Paused,
    /// The pool is shutting down, or has.
    Closed,
    /// As many sessions are open as may.
    TooManySessions,
    /// The session's worker went away, for this reason.
    SessionLost(Reason),
    /// The session has ended, or never was.
    SessionEnded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.pad("too many clients are waiting"),
            Self::CrashLoop => f.pad("no worker can be started"),
            Self::Paused => f.pad("the pool is drained"),
            Self::Closed => f.pad("the pool is shut down"),
            Self::TooManySessions => f.pad("too many sessions are open"),
            Self::SessionLost(reason) => write!(f, "the session's worker is gone: {reason}"),
            Self::SessionEnded => f.pad("the session has ended"),
        }
    }
}
