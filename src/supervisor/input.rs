//! What a pool is told.

use core::fmt;

use super::Timer;
use crate::{LeaseId, SessionId, WaiterId, WorkerId};

/// A fact about the pool, fed to [`Supervisor::handle`](super::Supervisor::handle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A client wants a lease. Answered by [`Grant`](super::Effect::Grant) or [`Refuse`](super::Effect::Refuse), at
    /// once or later, exactly once, unless it gives up first.
    Checkout {
        /// The client.
        waiter: WaiterId,
        /// The session that the lease is for: then it is one on the session's own worker.
        session: Option<SessionId>,
    },
    /// A client does not wait any longer: it was cancelled, or its time ran out. Stale if it has its answer.
    GaveUp {
        /// The client.
        waiter: WaiterId,
    },
    /// A client let go of its lease. Stale once the worker is released.
    LeaseEnded {
        /// The lease.
        lease: LeaseId,
        /// How many whole exchanges were made on it.
        exchanges: u64,
        /// How many of the last of them the worker answered with an error.
        errors: u64,
        /// `None` when it ended between two of them: then the worker can be given to the next client.
        fault: Option<Fault>,
    },
    /// Something happened to a worker's port.
    Port {
        /// The worker.
        worker: WorkerId,
        /// What happened.
        fact: PortFact,
    },
    /// A timer elapsed.
    Elapsed {
        /// The timer, as it was ordered.
        timer: Timer,
    },
    /// A worker answered a probe.
    Probed {
        /// The lease that the order named.
        lease: LeaseId,
        /// Whether it says that it is well.
        healthy: bool,
    },
    /// The memory of a worker's processes was measured.
    Measured {
        /// The worker.
        worker: WorkerId,
        /// Resident bytes.
        bytes: u64,
    },
    /// A client opens a session. Its first lease binds it to a worker. Answered only when it is refused, by
    /// [`SessionEnded`](super::Effect::SessionEnded). Stale if it is open.
    OpenSession {
        /// The session, as nobody named one before.
        session: SessionId,
    },
    /// A client needs its session no longer. Stale if it is over.
    EndSession {
        /// The session.
        session: SessionId,
    },
    /// Somebody wants a worker replaced. It serves until its replacement is ready.
    Recycle {
        /// The worker.
        worker: WorkerId,
    },
    /// Somebody wants all workers replaced, as many at a time as the surge allows, until a start fails. Answered by
    /// [`Rolled`](super::Effect::Rolled). Stale while such a rolling restart is under way.
    RecycleAll,
    /// The pool is to take no new clients. Those who wait and open sessions are served on. Answered by
    /// [`Drained`](super::Effect::Drained), unless `Resume` comes first. Repeated, it is answered again.
    Pause,
    /// The pool is to take new clients again.
    Resume,
    /// The pool is to have so many workers from now on: 1 to [`MAX_SIZE`](crate::policy::MAX_SIZE), or the nearest.
    Resize {
        /// How many.
        size: usize,
    },
    /// The pool is to end. Repeated, it is stale.
    Shutdown,
}

/// What can happen to a port. The task that owns it reports these in the order in which they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PortFact {
    /// The worker answered the handshake.
    Started,
    /// The port could not be opened, or the worker refused or broke the handshake.
    StartFailed,
    /// The leader exited.
    Exited,
    /// Everything that the port held is released.
    Released,
}

/// How a lease ended that did not end between two whole exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Fault {
    /// The client dropped it, or the call on it, in the middle of an exchange.
    Abandoned,
    /// A call took longer than it may.
    TimedOut,
    /// The worker sent what the protocol does not allow.
    ProtocolBroken,
}

/// A limit that a worker can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Limit {
    /// `max_worker_age`.
    Age,
    /// `max_worker_requests`.
    Requests,
    /// `max_worker_memory`.
    Memory,
    /// `error_threshold`.
    Errors,
}

/// Why a worker is on its way out. The first reason stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reason {
    /// Its start failed.
    StartFailed,
    /// It did not answer the handshake in time.
    StartTimedOut,
    /// Its process exited by itself, or was killed by somebody else.
    Exited,
    /// A lease on it ended in the middle of an exchange, or it broke the protocol.
    Fault(Fault),
    /// It missed too many probes in a row, or answered that it is not well.
    Unhealthy,
    /// It reached a limit and was recycled.
    Limit(Limit),
    /// Somebody wanted it recycled.
    Recycled,
    /// The pool has more workers than it is to have.
    Surplus,
    /// The pool shuts down.
    Shutdown,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StartFailed => "its start failed",
            Self::StartTimedOut => "it did not start in time",
            Self::Exited => "its process exited",
            Self::Fault(Fault::Abandoned) => "a call on it was abandoned",
            Self::Fault(Fault::TimedOut) => "a call on it took too long",
            Self::Fault(Fault::ProtocolBroken) => "it broke the protocol",
            Self::Unhealthy => "it was unhealthy",
            Self::Limit(Limit::Age) => "it reached `max_worker_age`",
            Self::Limit(Limit::Requests) => "it reached `max_worker_requests`",
            Self::Limit(Limit::Memory) => "it reached `max_worker_memory`",
            Self::Limit(Limit::Errors) => "it reached `error_threshold`",
            Self::Recycled => "it was recycled",
            Self::Surplus => "the pool has workers to spare",
            Self::Shutdown => "the pool shuts down",
        })
    }
}
