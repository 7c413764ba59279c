//! What a pool is told.

use super::{Fault, Timer};
use crate::{LeaseId, SessionId, WaiterId, WorkerId};

/// A fact about the pool, fed to [`Supervisor::feed`](super::Supervisor::feed).
// Exhaustive: only a driver constructs inputs, and the ties to the specification match on every
// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A client wants a lease. Answered exactly once, at once or later, by
    /// [`Grant`](super::Effect::Grant) or [`Refuse`](super::Effect::Refuse), unless `GaveUp` comes
    /// first. Stale if the client's id is not greater than those before it.
    Checkout {
        /// The client.
        waiter: WaiterId,
        /// The session that the lease is for. The lease is then on the session's worker.
        session: Option<SessionId>,
    },
    /// A client stopped waiting: it was cancelled or timed out. Stale if it has its answer.
    GaveUp {
        /// The client.
        waiter: WaiterId,
    },
    /// A client returned its lease. Stale once the worker is released or abandoned: then only the
    /// calls count.
    LeaseEnded {
        /// The lease.
        lease: LeaseId,
        /// Calls completed under the lease.
        calls: u64,
        /// How many of the most recent of those calls were answered with an error, in a row. The
        /// calls that were answered together may count as one.
        errors: u64,
        /// Whether they follow the errors of the leases before: no call was answered without one.
        unbroken: bool,
        /// How it ended.
        end: LeaseEnd,
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
        /// The timer.
        timer: Timer,
    },
    /// A worker answered a health check.
    Probed {
        /// The lease that the order named.
        lease: LeaseId,
        /// Whether the worker reported itself healthy.
        healthy: bool,
    },
    /// A cancelled call ended, or can no longer end cleanly. Answers
    /// [`Order::Cancel`](super::Order::Cancel).
    CancelEnded {
        /// The lease that the order named.
        lease: LeaseId,
        /// Whether the worker ended the call as the protocol requires, with nothing left over.
        clean: bool,
    },
    /// The memory of a worker's processes was measured.
    Measured {
        /// The worker.
        worker: WorkerId,
        /// Resident bytes.
        bytes: u64,
    },
    /// A client opens a session. The session's first lease binds it to a worker. Answered only on
    /// refusal, by [`SessionEnded`](super::Effect::SessionEnded). Stale if the session is open.
    OpenSession {
        /// The session: an id that was never used before.
        session: SessionId,
    },
    /// A client ends its session. Stale if it is over.
    EndSession {
        /// The session.
        session: SessionId,
    },
    /// The application wants a worker replaced. A serving worker serves until its replacement is
    /// ready; a starting one is stopped at once. Stale if the worker is leaving already.
    Recycle {
        /// The worker.
        worker: WorkerId,
    },
    /// The application wants every serving worker replaced: a rolling restart. Answered by
    /// [`RollingEnded`](super::Effect::RollingEnded). Stale while a rolling restart is under way,
    /// whose end then answers both.
    RecycleAll,
    /// Reject new clients and new sessions; serve waiting clients and open sessions. Answered by
    /// [`DrainEnded`](super::Effect::DrainEnded). Repeated after that, it is answered again.
    Drain,
    /// Accept new clients again.
    Resume,
    /// Change the pool's size, clamped to 1..=[`MAX_SIZE`](crate::policy::MAX_SIZE).
    Resize {
        /// Workers to keep serving.
        size: usize,
    },
    /// Shut the pool down. Answered by [`ShutdownDrained`](super::Effect::ShutdownDrained) and then
    /// [`Closed`](super::Effect::Closed). Stale if repeated.
    Shutdown,
    /// Kill every worker without grace: as `Shutdown`, unless that was fed before, and then as if
    /// each deadline of a drain and of a rung before `SIGKILL` passed. Stale if no worker is left
    /// that this concerns.
    ShutdownNow,
}

/// How a client's lease ended.
// Exhaustive: as `Input`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LeaseEnd {
    /// Between two calls. The worker can serve the next client.
    Clean,
    /// In the middle of a call. The worker must not serve another client.
    Fault(Fault),
    /// In the middle of a call whose request the worker has in full, so that it can be told to
    /// cancel it. With a `cancel_grace`, the worker gets that time to end the call; without one,
    /// this is a fault.
    Cancellable(Fault),
}

/// What can happen to a port. The task that owns the port reports these in the order in which they
/// happened.
// Exhaustive: as `Input`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PortFact {
    /// The worker answered the handshake.
    Started,
    /// The port could not be opened, or the worker refused or broke the handshake.
    StartFailed {
        /// Whether another start would fail in the same way, because of a mistake such as a module
        /// that does not exist. As long as no worker has served, clients are then refused at once,
        /// as in a crash loop. Once a worker has served, this makes no difference.
        is_final: bool,
    },
    /// The worker broke the protocol between two calls: it sent something without a request, or
    /// closed its output.
    Broke,
    /// The leader exited.
    Exited,
    /// Everything that the port held is released. Also reported of an abandoned port, at any time.
    Released,
}
