//! The phases of a worker, and the rungs of its stop ladder.

use crate::vocabulary::vocabulary;

vocabulary! {
    /// The phase of a worker: one of the seven leaves of its machine.
    ///
    /// [`summary`](Phase::summary) reduces it to the five phases that users of a pool need.
    #[non_exhaustive]
    pub enum Phase {
        /// The port is opening and the handshake is pending. The start deadline runs.
        Initializing,
        /// Idle: may be granted to any client.
        Ready,
        /// Leased to exactly one client.
        Busy,
        /// Draining and idle, because sessions are still bound to it. The drain deadline runs.
        Lingering,
        /// Draining and leased. The drain deadline runs.
        Finishing,
        /// The port is being closed, one [`Rung`] after another. Each rung has its own deadline.
        Stopping,
        /// The port is released: its leader is reaped, its group is empty, its descriptors are
        /// closed. Or it is abandoned, because it was not released in time. Final.
        Terminated,
    }
}

impl Phase {
    /// The phase as users of a pool see it.
    #[must_use]
    pub const fn summary(self) -> PhaseSummary {
        match self {
            Self::Initializing => PhaseSummary::Initializing,
            Self::Ready => PhaseSummary::Ready,
            Self::Busy => PhaseSummary::Busy,
            Self::Lingering | Self::Finishing | Self::Stopping => PhaseSummary::Draining,
            Self::Terminated => PhaseSummary::Terminated,
        }
    }

    /// Whether the worker counts towards the pool's `size`: it serves, or will once it has started.
    #[must_use]
    pub const fn is_staffing(self) -> bool {
        matches!(self, Self::Initializing | Self::Ready | Self::Busy)
    }
}

/// The phase of a worker in five words, for status pages and metrics. `Display` writes it in lower
/// case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PhaseSummary {
    /// Starting: serves no client yet.
    Initializing,
    /// Idle: may be granted to any client.
    Ready,
    /// Leased to a client.
    Busy,
    /// Draining or being stopped: takes no new client.
    Draining,
    /// Ended: every resource is released, or the pool no longer waits for that.
    Terminated,
}

impl core::fmt::Display for PhaseSummary {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Initializing => "initializing",
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Terminated => "terminated",
        })
    }
}

vocabulary! {
    /// A rung of the stop ladder: how a port is being closed.
    ///
    /// Each rung keeps what the rungs before it did: on `Term`, the worker's stdin is closed as
    /// well.
    // Exhaustive on purpose: a driver that ignores a new rung never stops the worker.
    pub enum Rung {
        /// Send the shutdown frame, unless a call is in progress, and close the worker's stdin.
        Ask,
        /// Send `SIGTERM` to the process group.
        Term,
        /// Send `SIGKILL` to the process group.
        Kill,
        /// The leader has exited: kill the rest of its group, reap it, close every descriptor.
        Reap,
    }
}

impl Rung {
    /// The rung that follows when this rung's deadline passes.
    ///
    /// `Kill` and `Reap` repeat, unless the port is abandoned: there is nothing stronger to send.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Ask => Self::Term,
            Self::Term | Self::Kill => Self::Kill,
            Self::Reap => Self::Reap,
        }
    }
}
