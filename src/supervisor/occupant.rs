//! A worker in its slot, and what the supervisor knows of it beyond its machine.

use alloc::collections::BTreeSet;

use super::health::Health;
use super::restarts::Vacancy;
use super::{Fault, Reason};
use crate::worker::{Input, Phase, Rung, Worker};
use crate::{LeaseId, SessionId, WaiterId, WorkerId};

/// A worker, from the order to open its port until the port is released or abandoned.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    pub(super) machine: Worker,
    /// The lease that is out. It stays here when the worker is stopped, until its holder returns
    /// it.
    pub(super) lease: Option<Held>,
    /// The sessions that are bound to it.
    pub(super) sessions: BTreeSet<SessionId>,
    /// The clients of those sessions that wait for it.
    pub(super) waiting: BTreeSet<WaiterId>,
    /// Leases granted so far: the serial of the latest.
    pub(super) leases: u64,
    /// Timers of its machine started so far: the generation of the latest.
    pub(super) timers: u64,
    /// Its place among the workers of the pool, below `size` when it was opened.
    pub(super) position: usize,
    /// Consecutive failures that led to this worker: those of its predecessors.
    pub(super) failures: u32,
    /// Why the worker that it replaces left or is leaving.
    pub(super) replaces: Option<Reason>,
    pub(super) health: Health,
    /// Set while it is to be replaced: it retires as soon as the pool can spare it.
    pub(super) replacement: Option<Replacement>,
    /// Whether it broke the protocol between two calls, which counts like a crash.
    pub(super) broke: bool,
    /// Why it leaves the pool, once it does.
    pub(super) reason: Option<Reason>,
}

/// A lease that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) id: LeaseId,
    pub(super) by: Holder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Client(Option<SessionId>),
    /// A health check, and whether it has missed its deadline.
    Probe {
        late: bool,
    },
    /// The pool itself: the client gave up its call, and the worker has `cancel_grace` to end it.
    Cancel {
        /// What was wrong, if the worker does not end it.
        fault: Fault,
    },
}

/// A worker's pending replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pub(super) reason: Reason,
    /// Whether a rolling restart wants it. Then a failed start takes it back.
    pub(super) rolling: bool,
}

impl Occupant {
    pub(super) fn new(machine: Worker, vacancy: Vacancy, health: Health) -> Self {
        Self {
            machine,
            lease: None,
            sessions: BTreeSet::new(),
            waiting: BTreeSet::new(),
            leases: 0,
            timers: 0,
            position: vacancy.position,
            failures: vacancy.failures,
            replaces: vacancy.left,
            health,
            replacement: None,
            broke: false,
            reason: None,
        }
    }

    /// Puts a new lease on it, and returns the lease's serial.
    pub(super) fn hold(&mut self, worker: WorkerId, by: Holder) -> u64 {
        self.leases += 1;
        let serial = self.leases;
        let id = LeaseId { worker, serial };
        self.lease = Some(Held { id, by });
        serial
    }

    pub(super) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// Whether it is idle or leased, and not draining.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self.phase(), Phase::Ready | Phase::Busy)
    }

    /// Whether it may be granted: to any client, or to one of its own sessions.
    pub(super) fn is_grantable(&self) -> bool {
        matches!(self.phase(), Phase::Ready | Phase::Lingering)
    }

    /// Whether it drains, leased or not.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase(), Phase::Lingering | Phase::Finishing)
    }

    /// What its machine is fed when it gets no more time before `SIGKILL`. `None`: it has no such
    /// time, because it starts, serves, was killed or has exited.
    pub(super) fn end_of_grace(&self) -> Option<Input> {
        match (self.phase(), self.machine.rung()) {
            (Phase::Lingering | Phase::Finishing, _) => Some(Input::DrainElapsed),
            (_, Some(Rung::Ask | Rung::Term)) => Some(Input::RungElapsed),
            _ => None,
        }
    }

    /// Whether nothing stronger can be done to stop it.
    pub(super) fn is_on_last_rung(&self) -> bool {
        self.machine.rung().is_some_and(|rung| rung.next() == rung)
    }

    /// Whether a client holds it for this session.
    pub(super) fn is_held_for(&self, session: SessionId) -> bool {
        self.lease
            .is_some_and(|held| held.by == Holder::Client(Some(session)))
    }
}
