//! The slots of a pool: places for one port each.

use alloc::vec::Vec;

use super::health::Health;
use super::occupant::Occupant;
use super::restarts::Vacancy;
use crate::worker::{Effects, Worker};
use crate::{LeaseId, WorkerId};

/// Every slot. All counts of a pool are derived from here, and stored nowhere else.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// Never shrinks, so that no generation repeats. At most the largest `size + surge` that the
    /// pool has had.
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Workers that the slot has had so far.
    generation: u64,
    /// From the order to open a port until the port is released or abandoned.
    occupant: Option<Occupant>,
}

impl Slots {
    /// Puts a new worker into the first free slot.
    pub(super) fn occupy(&mut self, vacancy: Vacancy, health: Health) -> (WorkerId, Effects) {
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
            health,
            replacement: None,
            broke: false,
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

    /// The worker, until its slot is free.
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

    /// The worker under this lease, until the lease ends or the worker is released.
    pub(super) fn under_lease(&mut self, lease: LeaseId) -> Option<&mut Occupant> {
        let held = |occupant: &&mut Occupant| occupant.lease.is_some_and(|held| held.id == lease);
        self.get_mut(lease.worker).filter(held)
    }

    /// Every worker, in slot order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (WorkerId, &Occupant)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let worker = WorkerId {
                slot: index,
                generation: slot.generation,
            };
            Some((worker, slot.occupant.as_ref()?))
        })
    }

    /// The first worker that matches. Low slots come first, so that under light load the same few
    /// workers stay warm.
    pub(super) fn find(&self, matches: impl Fn(&Occupant) -> bool) -> Option<WorkerId> {
        self.iter()
            .find(|(_, occupant)| matches(occupant))
            .map(|(worker, _)| worker)
    }

    pub(super) fn count(&self, matches: impl Fn(&Occupant) -> bool) -> usize {
        self.iter()
            .filter(|(_, occupant)| matches(occupant))
            .count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
