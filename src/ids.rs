//! The names of things that come and go.

use core::fmt;

/// One worker: a slot of the pool, and the generation of its occupant.
///
/// A slot's next worker has the next generation, so that whatever still comes in about the last one is recognised as
/// late. Written `slot.generation`, as in `worker 3.17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WorkerId {
    /// The slot, counted from 0. A pool has `size + surge` of them.
    pub slot: usize,
    /// How many workers the slot has had, this one included.
    pub generation: u64,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// One lease: the worker, and which of its leases this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaseId {
    /// The worker that is leased.
    pub worker: WorkerId,
    /// How many leases the worker has had, this one included.
    pub serial: u64,
}

/// One client that asked for a lease. Chosen by the driver, and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WaiterId(pub u64);

/// One session of a client. Chosen by the driver, and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SessionId(pub u64);
