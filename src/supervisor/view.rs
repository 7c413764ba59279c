//! What can be seen of a pool from outside.

use super::Reason;
use crate::WorkerId;
use crate::worker::{Phase, Rung};

/// What has happened in a pool since it was opened. Each figure only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Workers whose port was ordered to be opened.
    pub opened: u64,
    /// Workers that answered the handshake.
    pub started: u64,
    /// Workers whose port was released.
    pub released: u64,
    /// Workers that exited without having been told to.
    pub exited: u64,
    /// Workers that were stopped because a lease on them ended in the middle of an exchange.
    pub faulted: u64,
    /// Workers that were recycled, for a limit or because somebody wanted it.
    pub recycled: u64,
    /// Probes of idle workers.
    pub probes: u64,
    /// Deadlines of probes that passed without an answer.
    pub missed_probes: u64,
    /// Leases granted.
    pub granted: u64,
    /// Clients that were refused a lease.
    pub refused: u64,
    /// Clients that gave up before they had an answer.
    pub gave_up: u64,
    /// Whole exchanges that leases reported.
    pub exchanges: u64,
    /// Inputs that came late and meant nothing any more.
    pub stale: u64,
}

/// One worker, as [`Supervisor::workers`](super::Supervisor::workers) shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// The worker.
    pub worker: WorkerId,
    /// Where it is in its life.
    pub phase: Phase,
    /// The rung that it stands on, while it is stopping.
    pub rung: Option<Rung>,
    /// How many whole exchanges its leases have reported.
    pub exchanges: u64,
    /// How many of the last of them were answered with an error.
    pub errors: u64,
    /// How many probes it has missed in a row.
    pub misses: u32,
    /// The resident bytes of its processes, when they were last measured.
    pub memory: Option<u64>,
    /// How many sessions are bound to it.
    pub sessions: usize,
    /// Why it will be retired as soon as its replacement is ready, if it will.
    pub marked: Option<Reason>,
    /// Why it is on its way out, once it is.
    pub reason: Option<Reason>,
    /// Why the worker left, or is to, that it replaces. `None`: it replaces none.
    pub replaces: Option<Reason>,
}
