//! Replacing workers that serve, and having more or fewer of them.

use super::slots::Occupant;
use super::{Effect, Reason, Rolled, Supervisor};
use crate::WorkerId;
use crate::policy::MAX_SIZE;
use crate::trace::Event;
use crate::worker::{self, Phase};

/// That a worker is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) reason: Reason,
    /// Whether a rolling restart made it, which takes it back when a start fails.
    rolling: bool,
}

impl Supervisor {
    pub(super) fn recycle(&mut self, worker: WorkerId) {
        match self.slots.get(worker) {
            Some(occupant) if occupant.is_serving() && occupant.mark.is_none() => {
                self.mark(worker, Reason::Recycled, false);
            }
            _ => self.counters.stale += 1,
        }
    }

    pub(super) fn recycle_all(&mut self) {
        if self.rolling.is_some() || self.is_closing() {
            self.counters.stale += 1;
            return;
        }
        let mut marked = 0;
        while let Some(worker) = (self.slots).find(|o| o.is_serving() && o.mark.is_none()) {
            self.mark(worker, Reason::Recycled, true);
            marked += 1;
        }
        self.rolling = Some(marked);
    }

    /// A start failed: whoever the rolling restart has not replaced yet is kept, and serves on.
    pub(super) fn stop_rolling(&mut self) {
        let kept = self.slots.count(Occupant::is_rolling);
        while let Some(worker) = self.slots.find(Occupant::is_rolling) {
            if let Some(occupant) = self.slots.get_mut(worker) {
                occupant.mark = None;
            }
            self.effects.push(Effect::Trace(Event::Unmarked { worker }));
        }
        self.rolled(kept);
    }

    /// The pool shuts down: whoever the rolling restart has not replaced yet goes with the others.
    pub(super) fn abandon_rolling(&mut self) {
        self.rolled(self.slots.count(Occupant::is_rolling));
    }

    /// A rolling restart has ended when nobody is left whom it has to replace.
    pub(super) fn end_rolling(&mut self) {
        if self.rolling.is_some() && self.slots.find(Occupant::is_rolling).is_none() {
            self.rolled(0);
        }
    }

    /// Says how the rolling restart has ended, if one was under way.
    fn rolled(&mut self, kept: usize) {
        if let Some(marked) = self.rolling.take() {
            let replaced = marked - kept;
            self.effects.push(Effect::Rolled(Rolled { replaced, kept }));
        }
    }

    pub(super) fn mark(&mut self, worker: WorkerId, reason: Reason, rolling: bool) {
        if let Some(occupant) = self.slots.get_mut(worker) {
            occupant.mark = Some(Mark { reason, rolling });
            self.restarts.vacate(0, reason);
            self.effects
                .push(Effect::Trace(Event::Marked { worker, reason }));
        }
    }

    /// Retires workers that are to be replaced while the pool has more serving than its size: never before their
    /// replacement serves. Idle ones first, because a busy one keeps its slot for as long as its call takes.
    pub(super) fn retire_replaced(&mut self) {
        while self.slots.count(Occupant::is_serving) > self.policy.size
            && let Some((worker, reason)) = self.next_replaced()
        {
            self.counters.recycled += 1;
            self.decide(worker, worker::Input::Retire, Some(reason));
        }
    }

    fn next_replaced(&self) -> Option<(WorkerId, Reason)> {
        let marked = |(worker, occupant): (WorkerId, &Occupant)| {
            let mark = occupant.mark.filter(|_| occupant.is_serving())?;
            Some((occupant.phase() == Phase::Busy, worker, mark.reason))
        };
        let first = (self.slots.iter().filter_map(marked)).min_by_key(|(busy, ..)| *busy);
        first.map(|(_, worker, reason)| (worker, reason))
    }

    pub(super) fn resize(&mut self, size: usize) {
        self.policy.size = size.clamp(1, MAX_SIZE);
    }

    /// Retires workers that the pool has no place for any more: after it was made smaller, or after a replacement was
    /// started for one that is kept. Those that have not started first, then idle ones, the youngest slots first.
    pub(super) fn retire_surplus(&mut self) {
        while self.slots.count(Occupant::is_staff) > self.policy.size {
            let staff = self.slots.iter().rev().filter(|(_, o)| o.is_staff());
            let Some((worker, _)) = staff.min_by_key(|(_, o)| o.phase()) else {
                return;
            };
            self.decide(worker, worker::Input::Retire, Some(Reason::Surplus));
        }
    }
}

impl Occupant {
    fn is_rolling(&self) -> bool {
        self.is_serving() && self.mark.is_some_and(|mark| mark.rolling)
    }
}
