//! The timers that the supervisor orders.

use crate::worker;
use crate::{LeaseId, WorkerId};

/// A timer. No two running timers share a value, so the supervisor recognizes a timer that
/// elapsed while it was being cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// A deadline in one worker's life cycle.
    Worker {
        /// The worker.
        worker: WorkerId,
        /// Which deadline.
        timer: worker::Timer,
        /// How many of these timers the worker has had, this one included.
        generation: u64,
    },
    /// A milestone of a serving worker.
    Milestone {
        /// The worker.
        worker: WorkerId,
        /// Which one.
        milestone: Milestone,
    },
    /// The deadline of a health check.
    Probe {
        /// The lease that the health check holds.
        lease: LeaseId,
    },
    /// The deadline of a cancellation: `cancel_grace`.
    Cancel {
        /// The lease under which the cancelled call runs.
        lease: LeaseId,
    },
    /// A restart backoff.
    Backoff {
        /// How many backoffs the pool has had, this one included.
        generation: u64,
    },
    /// The next sweep for idle sessions.
    IdleSweep,
    /// The time for which idle sessions may hold a shutdown: `session_grace`.
    SessionGrace,
}

impl Timer {
    /// The worker that the timer is about. Its timers end with it: the driver drops those that
    /// still run when the worker is released.
    #[must_use]
    pub const fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::Worker { worker, .. } | Self::Milestone { worker, .. } => Some(*worker),
            Self::Probe { lease } | Self::Cancel { lease } => Some(lease.worker),
            Self::Backoff { .. } | Self::IdleSweep | Self::SessionGrace => None,
        }
    }
}

/// A point in the life of a serving worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Milestone {
    /// Its next health check and memory measurement. Repeats.
    Check,
    /// It has served for `min_worker_life`: limits may recycle it from now on.
    Mature,
    /// It has served for `restart_reset`: its next failure counts as the first.
    Stable,
    /// It has served for `max_worker_age`.
    Age,
}
