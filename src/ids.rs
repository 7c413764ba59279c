//! Identifiers of workers, leases, waiters and sessions.

use core::fmt;

/// One worker: a slot of the pool, and the generation of the worker in it.
///
/// Each new worker of a slot has the next generation, so a late input about its predecessor is
/// recognized. Displayed as `slot.generation`, as in `worker 3.17`.
// Exhaustive on purpose, as are the other identifiers: drivers and tests build them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WorkerId {
    /// The slot, counted from 0. A pool has `size + surge` slots.
    pub slot: usize,
    /// How many workers the slot has had, including this one.
    pub generation: u64,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// One lease on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaseId {
    /// The leased worker.
    pub worker: WorkerId,
    /// How many leases the worker has had, including this one.
    pub serial: u64,
}

/// One client that waits for a lease. The driver counts its clients from 1: the order of their ids
/// is the order in which they are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WaiterId(pub u64);

/// One session. The driver chooses it and never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SessionId(pub u64);
