//! The consequences that no single worker's machine can see.

use super::slots::Occupant;
use super::{Effect, Reason, Refusal, Stage, Supervisor};
use crate::worker::{self, Phase};
use crate::{LeaseId, WorkerId};

impl Supervisor {
    /// Draws every consequence that no single worker's machine can see, until nothing is left to decide.
    pub(super) fn settle(&mut self) {
        self.retire_replaced();
        self.end_drains();
        self.grant();
        self.start();
        self.refuse();
        if self.stage == Stage::Closing && self.slots.is_empty() {
            self.stage = Stage::Closed;
            self.effects.push(Effect::Closed);
        }
    }

    /// Retires workers that are to be recycled while the pool has more serving than its size: never before their
    /// replacement serves.
    fn retire_replaced(&mut self) {
        while self.slots.count(Occupant::is_serving) > self.policy.size
            && let Some(worker) = self.slots.find(|o| o.recycling && o.is_serving())
        {
            self.counters.recycled += 1;
            self.decide(worker, worker::Input::Retire, Some(Reason::Recycled));
        }
    }

    /// Stops draining workers that nobody holds. There are no sessions yet, so a lingering one has none left.
    fn end_drains(&mut self) {
        while let Some(worker) = self.slots.find(|o| o.phase() == Phase::Lingering) {
            self.decide(worker, worker::Input::SessionsEnded, None);
        }
    }

    /// Hands idle workers to those who wait, first come, first served.
    fn grant(&mut self) {
        while let Some(&waiter) = self.queue.front()
            && let Some(worker) = self.slots.find(|o| o.phase() == Phase::Ready)
        {
            self.queue.pop_front();
            self.decide(worker, worker::Input::Checkout, None);
            let Some(occupant) = self.slots.get_mut(worker) else {
                return;
            };
            occupant.leases += 1;
            let lease = LeaseId {
                worker,
                serial: occupant.leases,
            };
            occupant.lease = Some(lease);
            self.counters.granted += 1;
            self.effects.push(Effect::Grant { waiter, lease });
        }
    }

    /// Starts workers until the pool is staffed, as far as slots and failures allow.
    fn start(&mut self) {
        if self.is_closing() {
            return;
        }
        let concurrent = self.restarts.concurrent(&self.policy);
        while self.slots.count(Occupant::is_staff) < self.policy.size
            && self.slots.count(|o| o.phase() == Phase::Initializing) < concurrent
            && let Some((worker, effects)) = self.slots.occupy()
        {
            self.counters.opened += 1;
            self.order(worker, effects);
        }
    }

    /// Refuses those whose waiting has no end in sight, and those for whom there is no room to wait: the last ones.
    fn refuse(&mut self) {
        let hopeless = self.restarts.is_crash_loop(&self.policy)
            && self.slots.count(Occupant::is_serving) == 0;
        let (refusal, most) = match (self.is_closing(), hopeless) {
            (true, _) => (Refusal::Closed, 0),
            (false, true) => (Refusal::CrashLoop, 0),
            (false, false) => (Refusal::QueueFull, self.policy.max_waiting),
        };
        for waiter in self.queue.split_off(most.min(self.queue.len())) {
            self.counters.refused += 1;
            self.effects.push(Effect::Refuse { waiter, refusal });
        }
    }

    /// As [`drive`](Self::drive), for inputs that the supervisor itself chose by the worker's phase.
    fn decide(&mut self, worker: WorkerId, input: worker::Input, reason: Option<Reason>) {
        let moved = self.drive(worker, input, reason);
        debug_assert_eq!(moved, Ok(true), "worker {worker}: {input}");
    }
}
