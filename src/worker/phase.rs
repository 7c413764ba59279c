//! Where a worker is in its life.

use crate::vocabulary::vocabulary;

vocabulary! {
    /// The phase of a worker: the seven leaves of its machine.
    ///
    /// [`public`](Phase::summary) gives the five that users of a pool think in.
    pub enum Phase {
        /// The port is being opened and the handshake is pending. Has a start deadline.
        Initializing,
        /// Idle: may be granted.
        Ready,
        /// Held by exactly one lease.
        Busy,
        /// Draining without a lease: its sessions have not all ended. Has the drain deadline.
        Lingering,
        /// Draining while leased. Has the drain deadline.
        Finishing,
        /// The port is being shut, one [`Rung`] after another. Each rung has a deadline.
        Stopping,
        /// The port is released: its leader reaped, its group empty, its descriptors closed. Final.
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

    /// Whether the worker counts towards the size of its pool: it serves, or will once it has started.
    #[must_use]
    pub const fn is_staffing(self) -> bool {
        matches!(self, Self::Initializing | Self::Ready | Self::Busy)
    }
}

/// The five phases of the plan that ostler grew out of: what a dashboard shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseSummary {
    /// Starting up; not yet offered to anyone.
    Initializing,
    /// Idle and on offer.
    Ready,
    /// Serving a lease.
    Busy,
    /// Takes no new work and is on its way out.
    Draining,
    /// Gone, with everything it held.
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
    /// A rung of the stop ladder: how a port is being shut.
    ///
    /// Every rung keeps what the ones before it did: whoever stands on `Term` has closed the worker's stdin as well.
    pub enum Rung {
        /// Send the shutdown frame where no exchange is under way, and close the worker's stdin.
        Ask,
        /// `SIGTERM` to the process group.
        Term,
        /// `SIGKILL` to the process group.
        Kill,
        /// The leader has exited: kill what is left of its group, reap it, close every descriptor.
        Reap,
    }
}

impl Rung {
    /// The rung to take when this one's deadline passes.
    ///
    /// The last two repeat: a kill cannot be refused, but it can take a while, and it is the only way to the end.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Ask => Self::Term,
            Self::Term | Self::Kill => Self::Kill,
            Self::Reap => Self::Reap,
        }
    }
}
