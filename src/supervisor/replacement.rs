//! Replacing serving workers, and changing their number.

use alloc::vec::Vec;

use super::kinds::Kind;
use super::occupant::Replacement;
use super::{Effect, Event, Reason, RollingEnd, Supervisor};
use crate::WorkerId;
use crate::policy::MAX_SIZE;
use crate::worker::{self, Phase};

impl Supervisor {
    pub(super) fn recycle(&mut self, worker: WorkerId) {
        match self.slots.get(worker) {
            Some(occupant) if occupant.is_serving() && occupant.replacement.is_none() => {
                self.replace(worker, Reason::Recycled, false);
            }
            // It serves no client, so it need not wait for its replacement.
            Some(occupant) if occupant.phase() == Phase::Initializing => {
                self.counters.recycled += 1;
                self.must_feed(worker, worker::Input::Retire, Some(Reason::Recycled));
            }
            _ => self.counters.stale += 1,
        }
    }

    pub(super) fn recycle_all(&mut self) {
        if self.is_closing() {
            let (replaced, kept) = (0, 0);
            let end = RollingEnd::Closed { replaced, kept };
            return self.effects.push(Effect::RollingEnded(end));
        }
        if self.rolling.is_some() {
            self.counters.stale += 1;
            return;
        }
        let mut chosen = 0;
        while let Some(worker) = self.slots.first_of(&Kind::KEPT) {
            self.replace(worker, Reason::Recycled, true);
            chosen += 1;
        }
        self.rolling = Some(chosen);
    }

    /// A start failed: keeps the workers that the rolling restart has not replaced yet. There are
    /// some, or `end_rolling` would have ended it.
    pub(super) fn stop_rolling(&mut self) {
        let Some(chosen) = self.rolling.take() else {
            return;
        };
        let kept = self.slots.count(&[Kind::Rolling]);
        while let Some(worker) = self.slots.first(Kind::Rolling) {
            if let Some(mut occupant) = self.slots.get_mut(worker) {
                occupant.replacement = None;
            }
            self.effects.push(Effect::Event(Event::Kept { worker }));
        }
        let replaced = chosen - kept;
        let end = RollingEnd::StartFailed { replaced, kept };
        self.effects.push(Effect::RollingEnded(end));
    }

    /// The pool shuts down, and the workers that the rolling restart has not replaced yet with it.
    /// There are some, as in `stop_rolling`.
    pub(super) fn abandon_rolling(&mut self) {
        let Some(chosen) = self.rolling.take() else {
            return;
        };
        let kept = self.slots.count(&[Kind::Rolling]);
        let replaced = chosen - kept;
        let end = RollingEnd::Closed { replaced, kept };
        self.effects.push(Effect::RollingEnded(end));
    }

    /// Ends the rolling restart when it has no worker left to replace.
    pub(super) fn end_rolling(&mut self) {
        if let Some(replaced) = self.rolling
            && self.slots.count(&[Kind::Rolling]) == 0
        {
            self.rolling = None;
            let end = RollingEnd::Completed { replaced };
            self.effects.push(Effect::RollingEnded(end));
        }
    }

    /// Decides that a worker is to be replaced. That opens a vacancy for its replacement at once.
    fn replace(&mut self, worker: WorkerId, reason: Reason, rolling: bool) {
        if let Some(mut occupant) = self.slots.get_mut(worker) {
            occupant.replacement = Some(Replacement { reason, rolling });
            self.restarts.vacate(occupant.position, 0, reason);
            self.effects
                .push(Effect::Event(Event::Replacing { worker, reason }));
        }
    }

    /// Decides to replace the workers that have reached a limit.
    pub(super) fn replace_at_limits(&mut self) {
        while let Some(worker) = self.slots.first(Kind::AtLimit)
            && let Some(limit) = self
                .slots
                .get(worker)
                .and_then(|o| o.health.limit_reached())
        {
            self.replace(worker, Reason::Limit(limit), false);
        }
    }

    /// Decides to replace the serving workers that have no position of their own below `size`: the
    /// pool has shrunk, or a worker is kept although its replacement serves.
    ///
    /// So a pool that shrinks stops no worker that it still needs, such as when one with a lower
    /// position is still starting.
    pub(super) fn replace_misplaced(&mut self) {
        let size = self.policy.size;
        if !self.slots.positions().any_serves_misplaced(size) {
            return;
        }
        let serving = Kind::KEPT.iter().flat_map(|kind| self.slots.of(*kind));
        let serving = serving.map(|(worker, occupant)| (worker, occupant.position));
        for (worker, position) in serving.collect::<Vec<_>>() {
            // Of two workers that share a position, the second one then has it for itself.
            if self.slots.positions().serves_misplaced(position, size) {
                self.replace(worker, Reason::Surplus, false);
            }
        }
    }

    /// Retires workers that are to be replaced while more than `size` serve, so never before a
    /// replacement is ready. Those at whose position a replacement serves go first, because the two
    /// share what belongs to the position.
    pub(super) fn retire_replaced(&mut self) {
        while self.slots.count(&Kind::SERVING) > self.policy.size
            && let Some((worker, reason)) = self.next_replaced()
        {
            self.counters.recycled += u64::from(reason != Reason::Surplus);
            self.must_feed(worker, worker::Input::Retire, Some(reason));
        }
    }

    fn next_replaced(&self) -> Option<(WorkerId, Reason)> {
        let worker = self.slots.next_replaced()?;
        let replacement = self.slots.get(worker)?.replacement?;
        Some((worker, replacement.reason))
    }

    pub(super) fn resize(&mut self, size: usize) {
        self.policy.size = size.clamp(1, MAX_SIZE);
    }

    /// Retires starting workers beyond `size`, after a shrink or after a rolling restart stopped
    /// with a replacement on its way: those without a position of their own, from the highest
    /// position down. There are enough of them, because each serving worker has its own.
    pub(super) fn retire_surplus(&mut self) {
        while self.slots.count(&Kind::STAFF) > self.policy.size
            && let Some(worker) = self.last_start()
        {
            self.must_feed(worker, worker::Input::Retire, Some(Reason::Surplus));
        }
        debug_assert!(self.slots.count(&Kind::STAFF) <= self.policy.size);
    }

    fn last_start(&self) -> Option<WorkerId> {
        let (positions, size) = (self.slots.positions(), self.policy.size);
        let starting = self.slots.of(Kind::Initializing);
        let starting = starting.map(|(worker, occupant)| (occupant.position, worker));
        let misplaced = starting.filter(|(at, _)| positions.starts_misplaced(*at, size));
        misplaced.max().map(|(_, worker)| worker)
    }
}
