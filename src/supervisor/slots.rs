//! The slots of a pool: places for one port each.

use alloc::vec::Vec;
use core::mem;
use core::ops::{Deref, DerefMut};

use super::health::Health;
use super::index::Index;
use super::kinds::{Kind, Kinds};
use super::occupant::Occupant;
use super::positions::Positions;
use super::restarts::Vacancy;
use crate::worker::{Effects, Worker};
use crate::{LeaseId, WorkerId};

/// Every slot, and what is known of them without a look at each.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// Never shrinks, so that no generation repeats. At most the largest `size + surge` that the
    /// pool has had.
    slots: Vec<Slot>,
    known: Known,
}

/// What follows from the kinds and the positions of all workers.
#[derive(Clone, Debug, Default)]
struct Known {
    index: Index,
    positions: Positions,
}

impl Known {
    fn update(&mut self, position: usize, slot: usize, before: Kinds, now: Kinds) {
        // Most changes of a worker change no kind.
        if before != now {
            self.index.update(slot, before, now);
            self.positions.update(position, slot, before, now);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Workers that the slot has had so far.
    generation: u64,
    /// From the order to open a port until the port is released or abandoned.
    occupant: Option<Occupant>,
    /// What the index knows of the occupant.
    kinds: Kinds,
}

impl Slots {
    /// Puts a new worker into the first vacant slot.
    pub(super) fn occupy(&mut self, vacancy: Vacancy, health: Health) -> (WorkerId, Effects) {
        let vacant = self.known.index.first(Kind::Vacant);
        let number = vacant.unwrap_or(self.slots.len());
        if vacant.is_none() {
            self.slots.push(Slot::default());
        }
        let (machine, effects) = Worker::start();
        let occupant = Occupant::new(machine, vacancy, health);
        let slot = &mut self.slots[number];
        slot.generation += 1;
        let before = mem::replace(&mut slot.kinds, occupant.kinds());
        slot.occupant = Some(occupant);
        self.known
            .update(vacancy.position, number, before, slot.kinds);
        let worker = WorkerId {
            slot: number,
            generation: slot.generation,
        };
        (worker, effects)
    }

    pub(super) fn free(&mut self, worker: WorkerId) {
        if let Some(position) = self.get(worker).map(|occupant| occupant.position) {
            let slot = &mut self.slots[worker.slot];
            slot.occupant = None;
            let before = mem::replace(&mut slot.kinds, Kinds::VACANT);
            self.known.update(position, worker.slot, before, slot.kinds);
        }
    }

    /// The worker, until its slot is free.
    pub(super) fn get(&self, worker: WorkerId) -> Option<&Occupant> {
        let slot = self.slots.get(worker.slot)?;
        slot.occupant
            .as_ref()
            .filter(|_| slot.generation == worker.generation)
    }

    /// As [`get`](Self::get), to change it.
    pub(super) fn get_mut(&mut self, worker: WorkerId) -> Option<OccupantMut<'_>> {
        let slot = self.slots.get_mut(worker.slot)?;
        let occupant = slot
            .occupant
            .as_mut()
            .filter(|_| slot.generation == worker.generation)?;
        Some(OccupantMut {
            slot: worker.slot,
            occupant,
            kinds: &mut slot.kinds,
            known: &mut self.known,
        })
    }

    /// The worker under this lease, until the lease ends or the worker is released.
    pub(super) fn under_lease(&self, lease: LeaseId) -> Option<&Occupant> {
        let held = |occupant: &&Occupant| occupant.lease.is_some_and(|held| held.id == lease);
        self.get(lease.worker).filter(held)
    }

    /// As [`under_lease`](Self::under_lease), to change it.
    pub(super) fn under_lease_mut(&mut self, lease: LeaseId) -> Option<OccupantMut<'_>> {
        self.under_lease(lease)?;
        self.get_mut(lease.worker)
    }

    /// Every worker, in slot order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Occupant)> {
        (0..self.slots.len()).filter_map(|number| {
            let occupant = self.slots[number].occupant.as_ref()?;
            Some((self.id(number), occupant))
        })
    }

    fn id(&self, slot: usize) -> WorkerId {
        WorkerId {
            slot,
            generation: self.slots[slot].generation,
        }
    }

    /// The first worker of one kind. Low slots come first, so that under light load the same few
    /// workers stay warm.
    pub(super) fn first(&self, kind: Kind) -> Option<WorkerId> {
        self.known.index.first(kind).map(|slot| self.id(slot))
    }

    /// The first worker of any of these kinds.
    pub(super) fn first_of(&self, kinds: &[Kind]) -> Option<WorkerId> {
        let first = kinds
            .iter()
            .filter_map(|kind| self.known.index.first(*kind));
        first.min().map(|slot| self.id(slot))
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.known.positions
    }

    /// See [`Positions::lowest_free`].
    pub(super) fn lowest_free_position(&mut self, is_reserved: impl Fn(usize) -> bool) -> usize {
        self.known.positions.lowest_free(is_reserved)
    }

    /// The worker that is to be replaced and retires next.
    pub(super) fn next_replaced(&self) -> Option<WorkerId> {
        let slot = self.known.positions.next_replaced();
        slot.map(|slot| self.id(slot))
    }

    /// The workers of one kind, in slot order.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = (WorkerId, &Occupant)> {
        self.known.index.of(kind).filter_map(|slot| {
            let occupant = self.slots[slot].occupant.as_ref()?;
            Some((self.id(slot), occupant))
        })
    }

    /// How many workers are of these kinds, of which no two can be true of one worker.
    pub(super) fn count(&self, kinds: &[Kind]) -> usize {
        kinds.iter().map(|kind| self.known.index.count(*kind)).sum()
    }

    /// How many slots have a worker.
    pub(super) fn occupied(&self) -> usize {
        self.slots.len() - self.known.index.count(Kind::Vacant)
    }

    /// Whether the index and the positions say the same as the slots.
    pub(super) fn is_indexed(&self) -> bool {
        let kinds = |slot: &Slot| {
            slot.occupant
                .as_ref()
                .map_or(Kinds::VACANT, Occupant::kinds)
        };
        // A search for each position: small pools are enough.
        const SMALL: usize = 64;
        let workers = self.slots.iter().enumerate().map(|(number, slot)| {
            let position = slot.occupant.as_ref().map_or(0, |it| it.position);
            (position, number, kinds(slot))
        });
        let mut slots = self.slots.iter().enumerate();
        (self.slots.len() > SMALL || self.known.positions.are_those_of(workers))
            && slots.all(|(number, slot)| {
                let now = kinds(slot);
                let listed = |kind: &Kind| self.known.index.has(number, *kind) == now.has(*kind);
                slot.kinds == now && Kind::ALL.iter().all(listed)
            })
            && Kind::ALL.iter().all(|kind| {
                let slots = self.slots.iter().filter(|slot| slot.kinds.has(*kind));
                slots.count() == self.known.index.count(*kind)
            })
    }
}

/// A worker that is being changed. Its drop updates the index.
pub(super) struct OccupantMut<'a> {
    slot: usize,
    occupant: &'a mut Occupant,
    kinds: &'a mut Kinds,
    known: &'a mut Known,
}

impl Deref for OccupantMut<'_> {
    type Target = Occupant;

    fn deref(&self) -> &Occupant {
        self.occupant
    }
}

impl DerefMut for OccupantMut<'_> {
    fn deref_mut(&mut self) -> &mut Occupant {
        self.occupant
    }
}

impl Drop for OccupantMut<'_> {
    fn drop(&mut self) {
        let before = mem::replace(self.kinds, self.occupant.kinds());
        let position = self.occupant.position;
        self.known.update(position, self.slot, before, *self.kinds);
    }
}
