//! What a pool is told.

use core::fmt;

use super::Timer;
use crate::{LeaseId, WaiterId, WorkerId};

/// A fact about the pool, fed to [`Supervisor::handle`](super::Supervisor::handle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A client wants a lease. Answered by [`Grant`](super::Effect::Grant) or [`Refuse`](super::Effect::Refuse), at
    /// once or later, exactly once, unless it gives up first.
    Checkout {
        /// The client.
        waiter: WaiterId,
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
    /// Somebody wants a worker replaced. It serves until its replacement is ready.
    Recycle {
        /// The worker.
        worker: WorkerId,
    },
    /// The pool is to end. Repeated, it is stale.
    Shutdown,
}

/// What can happen to a port. The task that owns it reports these in the order in which they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
pub enum Fault {
    /// The client dropped it, or the call on it, in the middle of an exchange.
    Abandoned,
    /// A call took longer than it may.
    TimedOut,
    /// The worker sent what the protocol does not allow.
    ProtocolBroken,
}

/// Why a worker is on its way out. The first reason stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Its start failed.
    StartFailed,
    /// It did not answer the handshake in time.
    StartTimedOut,
    /// Its process exited by itself, or was killed by somebody else.
    Exited,
    /// A lease on it ended in the middle of an exchange, or it broke the protocol.
    Fault(Fault),
    /// It was recycled.
    Recycled,
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
            Self::Recycled => "it was recycled",
            Self::Shutdown => "the pool shuts down",
        })
    }
}
