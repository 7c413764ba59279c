//! The slots of a pool: at most one port each.

use alloc::vec::Vec;

use super::Reason;
use super::recycling::Mark;
use super::restarts::Vacancy;
use super::upkeep::Upkeep;
use crate::worker::{Effects, Phase, Worker};
use crate::{LeaseId, SessionId, WorkerId};

/// Every place for a port. All counts of a pool are counted here, from the machines, and kept nowhere else.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// Never shrinks, so that no generation comes twice. At most the largest `size + surge` that the pool has had.
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// How many workers the slot has had.
    generation: u64,
    /// From the order to open a port until it is released.
    occupant: Option<Occupant>,
}

/// A worker, and what the supervisor knows of it beyond its machine.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    pub(super) machine: Worker,
    /// The lease that is out. It stays here when the worker is stopped under it, until its client lets go.
    pub(super) lease: Option<Held>,
    /// How many leases the worker has had.
    pub(super) leases: u64,
    /// How many of its machine's timers it has had: the generation of the latest.
    pub(super) timers: u64,
    /// How many failures in a row its position has seen before it.
    pub(super) failures: u32,
    /// Why the worker left, or is to, whose position it has.
    pub(super) replaces: Option<Reason>,
    pub(super) upkeep: Upkeep,
    /// To be retired as soon as the pool has a worker to spare.
    pub(super) mark: Option<Mark>,
    /// Why it is on its way out, once it is.
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
    /// The health monitor, whose probe has missed its deadline or not.
    Monitor {
        late: bool,
    },
}

impl Slots {
    /// Puts a new worker into the first free slot.
    pub(super) fn occupy(&mut self, vacancy: Vacancy, upkeep: Upkeep) -> (WorkerId, Effects) {
        let free = self.slots.iter().position(|slot| slot.occupant.is_none());
        let index = free.unwrap_or(self.slots.len());
        if free.is_none() {
            self.slots.push(Slot::default());
        }
        let (machine, effects) = Worker::start();
        let slot = &mut self.slots[index];
        slot.generation += 1;
        slot.occupant = Some(Occupant {
            machine,
            lease: None,
            leases: 0,
            timers: 0,
            failures: vacancy.failures,
            replaces: vacancy.left,
            upkeep,
            mark: None,
            reason: None,
        });
        let worker = WorkerId {
            slot: index,
            generation: slot.generation,
        };
        (worker, effects)
    }

    pub(super) fn free(&mut self, worker: WorkerId) {
        if self.get(worker).is_some() {
            self.slots[worker.slot].occupant = None;
        }
    }

    /// The worker, unless it is gone.
    pub(super) fn get(&self, worker: WorkerId) -> Option<&Occupant> {
        let slot = self.slots.get(worker.slot)?;
        slot.occupant
            .as_ref()
            .filter(|_| slot.generation == worker.generation)
    }

    /// As [`get`](Self::get).
    pub(super) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut Occupant> {
        let slot = self.slots.get_mut(worker.slot)?;
        slot.occupant
            .as_mut()
            .filter(|_| slot.generation == worker.generation)
    }

    /// The worker that holds this lease out.
    pub(super) fn holding(&mut self, lease: LeaseId) -> Option<&mut Occupant> {
        let held = |occupant: &&mut Occupant| occupant.lease.is_some_and(|held| held.id == lease);
        self.get_mut(lease.worker).filter(held)
    }

    /// Every worker, in the order of its slot.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (WorkerId, &Occupant)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let worker = WorkerId {
                slot: index,
                generation: slot.generation,
            };
            Some((worker, slot.occupant.as_ref()?))
        })
    }

    /// The first worker that `wanted` holds for. Low slots first, so that under little load the same few workers
    /// stay warm.
    pub(super) fn find(&self, wanted: impl Fn(&Occupant) -> bool) -> Option<WorkerId> {
        self.iter()
            .find(|(_, occupant)| wanted(occupant))
            .map(|(worker, _)| worker)
    }

    pub(super) fn count(&self, counted: impl Fn(&Occupant) -> bool) -> usize {
        self.iter()
            .filter(|(_, occupant)| counted(occupant))
            .count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Occupant {
    pub(super) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// Whether it is on offer or leased, and not draining.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self.phase(), Phase::Ready | Phase::Busy)
    }

    /// Whether it holds a place among the `size` workers that the pool is to have.
    pub(super) fn is_staff(&self) -> bool {
        self.phase().is_staffing() && self.mark.is_none()
    }

    /// Whether somebody may be granted it: everybody, or one of its own sessions.
    pub(super) fn is_grantable(&self) -> bool {
        matches!(self.phase(), Phase::Ready | Phase::Lingering)
    }

    /// Whether a client holds it.
    pub(super) fn is_held_by_client(&self) -> bool {
        let client = |held: Held| matches!(held.by, Holder::Client(_));
        self.lease.is_some_and(client)
    }

    /// Whether a client holds it for this session.
    pub(super) fn is_held_for(&self, session: SessionId) -> bool {
        self.lease
            .is_some_and(|held| held.by == Holder::Client(Some(session)))
    }
}
