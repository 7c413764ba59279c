//! What a supervisor shows of itself.

use super::Reason;
use super::occupant::Occupant;
use crate::WorkerId;
use crate::worker::{Phase, Rung};

/// What has happened in a pool since it was opened. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counters {
    /// Workers opened.
    pub opened: u64,
    /// Workers that answered the handshake.
    pub started: u64,
    /// Ports released, including those that had been abandoned.
    pub released: u64,
    /// Ports abandoned, because they were not released in time.
    pub abandoned: u64,
    /// Workers that exited without being told to, while they started or served.
    pub exited: u64,
    /// Workers stopped because a lease on them ended in the middle of a call.
    pub faulted: u64,
    /// Workers recycled, for a limit or on request.
    pub recycled: u64,
    /// Health checks of idle workers.
    pub probes: u64,
    /// Health checks that missed their deadline.
    pub missed_probes: u64,
    /// Leases granted.
    pub granted: u64,
    /// Clients refused a lease.
    pub refused: u64,
    /// Clients that gave up before they had an answer.
    pub gave_up: u64,
    /// Calls completed under leases that have ended.
    pub calls: u64,
    /// Inputs that came too late to have an effect.
    pub stale: u64,
}

/// One worker, as [`Supervisor::workers`](super::Supervisor::workers) shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// The worker.
    pub worker: WorkerId,
    /// Its position: see [`Order::Open`](super::Order::Open).
    pub position: usize,
    /// Its phase.
    pub phase: Phase,
    /// The rung of the stop ladder that it is on, while it is stopping.
    pub rung: Option<Rung>,
    /// Calls completed under leases that have ended.
    pub calls: u64,
    /// How many of the most recent of those calls were answered with an error, in a row.
    pub errors: u64,
    /// Consecutive missed health checks.
    pub misses: u32,
    /// Resident bytes of its processes, when last measured.
    pub memory: Option<u64>,
    /// Sessions bound to it.
    pub sessions: usize,
    /// Why it will be replaced, if it will. It serves until its replacement is ready.
    pub replacing: Option<Reason>,
    /// Why it leaves the pool, once it does.
    pub reason: Option<Reason>,
    /// Why the worker that it replaces left or is leaving. `None`: it replaces no worker.
    pub replaces: Option<Reason>,
}

impl WorkerView {
    pub(super) fn new(worker: WorkerId, occupant: &Occupant) -> Self {
        Self {
            worker,
            position: occupant.position,
            phase: occupant.phase(),
            rung: occupant.machine.rung(),
            calls: occupant.health.calls,
            errors: occupant.health.errors,
            misses: occupant.health.misses,
            memory: occupant.health.memory,
            sessions: occupant.sessions.len(),
            replacing: occupant.replacement.map(|it| it.reason),
            reason: occupant.reason,
            replaces: occupant.replaces,
        }
    }
}
