//! The slots of a pool: at most one port each, `size + surge` of them.

use alloc::vec::Vec;

use super::Reason;
use crate::worker::{Effects, Phase, Worker};
use crate::{LeaseId, WorkerId};

/// Every place for a port. All counts of a pool are counted here, from the machines, and kept nowhere else.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
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
    pub(super) lease: Option<LeaseId>,
    /// How many leases the worker has had.
    pub(super) leases: u64,
    /// How many whole exchanges it has made.
    pub(super) exchanges: u64,
    /// How many timers it has had: the generation of the latest.
    pub(super) timers: u64,
    /// To be retired as soon as the pool has a worker to spare.
    pub(super) recycling: bool,
    /// Why it is on its way out, once it is.
    pub(super) reason: Option<Reason>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let empty = Slot {
            generation: 0,
            occupant: None,
        };
        Self {
            slots: alloc::vec![empty; count],
        }
    }

    /// Puts a new worker into a free slot, if there is one.
    pub(super) fn occupy(&mut self) -> Option<(WorkerId, Effects)> {
        let (index, slot) = self
            .slots
            .iter_mut()
            .enumerate()
            .find(|(_, slot)| slot.occupant.is_none())?;
        let (machine, effects) = Worker::start();
        slot.generation += 1;
        slot.occupant = Some(Occupant {
            machine,
            lease: None,
            leases: 0,
            exchanges: 0,
            timers: 0,
            recycling: false,
            reason: None,
        });
        let worker = WorkerId {
            slot: index,
            generation: slot.generation,
        };
        Some((worker, effects))
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

    /// Every worker, in the order of its slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Occupant)> {
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
        self.phase().is_staffing() && !self.recycling
    }
}
