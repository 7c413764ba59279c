//! Which positions have workers.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use super::kinds::{Kind, Kinds};

/// The positions of the workers that count towards `size`, and of those that are to be replaced.
///
/// As for the index, all of it follows from what is in the slots. Each question of a settled pool
/// is answered without a look at every position.
#[derive(Clone, Default)]
pub(super) struct Positions {
    /// How many workers count towards `size`, by position.
    staff: Counts,
    /// How many of them serve.
    serving: Counts,
    /// At how many positions more than one of those serves.
    crowded: usize,
    /// Serving workers that are to be replaced, by position and slot.
    replaced: BTreeSet<(usize, usize)>,
    /// Every lower position has staff.
    lowest: usize,
}

/// What a worker is to its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It counts towards `size`.
    Staff { serves: bool },
    /// It serves until it is replaced.
    Replaced,
    /// It is leaving, or the slot is vacant.
    None,
}

impl Role {
    fn of(kinds: Kinds) -> Self {
        let is = |of: &[Kind]| of.iter().any(|kind| kinds.has(*kind));
        if is(&Kind::KEPT) {
            Self::Staff { serves: true }
        } else if is(&Kind::REPLACED) {
            Self::Replaced
        } else if kinds.has(Kind::Initializing) {
            Self::Staff { serves: false }
        } else {
            Self::None
        }
    }
}

impl Positions {
    /// The worker in the slot, which has this position, is of the kinds `now`, and no longer of the
    /// kinds `before`.
    pub(super) fn update(&mut self, position: usize, slot: usize, before: Kinds, now: Kinds) {
        let (before, now) = (Role::of(before), Role::of(now));
        if before == now {
            return;
        }
        match before {
            Role::Staff { serves } => {
                self.staff.remove(position);
                self.lowest = self.lowest.min(position);
                if serves {
                    self.serving.remove(position);
                    self.crowded -= usize::from(self.serving.at(position) == 1);
                }
            }
            Role::Replaced => _ = self.replaced.remove(&(position, slot)),
            Role::None => {}
        }
        match now {
            Role::Staff { serves } => {
                self.staff.add(position);
                if serves {
                    self.serving.add(position);
                    self.crowded += usize::from(self.serving.at(position) == 2);
                }
            }
            Role::Replaced => _ = self.replaced.insert((position, slot)),
            Role::None => {}
        }
    }

    /// Whether a worker that counts towards `size` has this position.
    pub(super) fn has_staff(&self, position: usize) -> bool {
        self.staff.at(position) > 0
    }

    /// The lowest position that has no staff and is not reserved.
    pub(super) fn lowest_free(&mut self, is_reserved: impl Fn(usize) -> bool) -> usize {
        while self.has_staff(self.lowest) {
            self.lowest += 1;
        }
        let mut position = self.lowest;
        while self.has_staff(position) || is_reserved(position) {
            position += 1;
        }
        position
    }

    /// Whether a serving worker has no position of its own below `size`.
    pub(super) fn any_serves_misplaced(&self, size: usize) -> bool {
        self.serving.end() > size || self.crowded > 0
    }

    /// Whether the workers that serve at this position have to share it, or it is not below `size`.
    pub(super) fn serves_misplaced(&self, position: usize, size: usize) -> bool {
        position >= size || self.serving.at(position) > 1
    }

    /// As [`serves_misplaced`](Self::serves_misplaced), for a starting worker.
    pub(super) fn starts_misplaced(&self, position: usize, size: usize) -> bool {
        position >= size || self.staff.at(position) > 1
    }

    /// The slot of the worker that is to be replaced and retires next: one at whose position
    /// another worker serves, or else the one with the highest position.
    pub(super) fn next_replaced(&self) -> Option<usize> {
        let mut replaced = self.replaced.iter();
        let relieved = replaced.find(|(position, _)| self.serving.at(*position) > 0);
        let (_, slot) = relieved.or(self.replaced.last())?;
        Some(*slot)
    }

    /// Whether these are the positions of all workers, each with its slot and its kinds. Allocates
    /// nothing.
    pub(super) fn are_those_of(
        &self,
        workers: impl Iterator<Item = (usize, usize, Kinds)> + Clone,
    ) -> bool {
        let roles = workers.map(|(position, slot, kinds)| (position, slot, Role::of(kinds)));
        let staff = roles.clone().filter_map(|(position, _, role)| match role {
            Role::Staff { serves } => Some((position, serves)),
            _ => None,
        });
        let serving = staff.clone().filter(|(_, serves)| *serves);
        let mut replaced = roles.filter(|(_, _, role)| *role == Role::Replaced);
        self.staff.are_those_of(staff.map(|(position, _)| position))
            && self
                .serving
                .are_those_of(serving.map(|(position, _)| position))
            && self.crowded == self.serving.0.iter().filter(|count| **count > 1).count()
            && self.replaced.len() == replaced.clone().count()
            && replaced.all(|(position, slot, _)| self.replaced.contains(&(position, slot)))
    }
}

impl fmt::Debug for Positions {
    /// Shows nothing: the slots say it all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Positions").finish_non_exhaustive()
    }
}

/// A number for each position. The last one is not zero.
#[derive(Clone, Debug, Default)]
struct Counts(Vec<u32>);

impl Counts {
    fn at(&self, position: usize) -> u32 {
        self.0.get(position).copied().unwrap_or(0)
    }

    /// One more than the highest position whose number is not zero.
    fn end(&self) -> usize {
        self.0.len()
    }

    fn are_those_of(&self, positions: impl Iterator<Item = usize> + Clone) -> bool {
        let at = |position| positions.clone().filter(|other| *other == position).count();
        let mut known = self.0.iter().enumerate();
        known.all(|(position, count)| *count as usize == at(position))
            && self.0.iter().sum::<u32>() as usize == positions.count()
    }

    fn add(&mut self, position: usize) {
        if self.0.len() <= position {
            self.0.resize(position + 1, 0);
        }
        self.0[position] += 1;
    }

    fn remove(&mut self, position: usize) {
        self.0[position] -= 1;
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}
