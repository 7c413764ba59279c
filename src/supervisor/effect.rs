//! What is to be done about a pool.

use core::fmt;
use core::time::Duration;

use super::Reason;
use crate::trace::Transition;
use crate::worker::{self, Rung};
use crate::{LeaseId, WaiterId, WorkerId};

/// An order of the supervisor's. Each says what answers it.
#[must_use = "an effect that is not performed leaves somebody waiting"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// A worker made a transition: to be logged and counted by whoever watches. Nothing answers it.
    Trace(Transition),
    /// The pool has ended: every port is released. Given once. Nothing answers it.
    Closed,
}

/// An order about one worker, for the task that owns its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Start this timer; the worker has no other one running. Answered by `Elapsed` with the same timer.
    StartTimer {
        /// The timer.
        timer: Timer,
        /// When it elapses, from now.
        after: Duration,
    },
    /// Cancel the worker's timer.
    CancelTimer,
}

/// A timer. It carries a generation, so that one which elapsed while it was being cancelled is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// The pause after a failed start.
    Restart {
        /// How many such pauses the pool has had, this one included.
        generation: u64,
    },
}

/// Why a client gets no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// As many clients wait as may.
    QueueFull,
    /// Starts keep failing and nothing serves.
    CrashLoop,
    /// The pool is shutting down, or has.
    Closed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::QueueFull => "too many clients are waiting",
            Self::CrashLoop => "no worker can be started",
            Self::Closed => "the pool is shut down",
        })
    }
}
