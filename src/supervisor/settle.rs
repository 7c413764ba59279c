//! The consequences that no single worker's machine can see.

use super::slots::Occupant;
use super::upkeep::Upkeep;
use super::{Effect, Intake, Stage, Supervisor};
use crate::WorkerId;
use crate::trace::Event;
use crate::worker::{self, Phase};

impl Supervisor {
    /// Draws every consequence that no single worker's machine can see, until nothing is left to decide.
    pub(super) fn settle(&mut self) {
        self.mark_limits();
        self.retire_replaced();
        self.retire_surplus();
        self.grant();
        self.end_drains();
        self.start();
        self.refuse();
        self.end_rolling();
        self.end_pause_of_intake();
        if self.stage == Stage::Closing && self.slots.is_empty() {
            self.stage = Stage::Closed;
            self.close_all_sessions();
            self.effects.push(Effect::Closed);
        }
    }

    /// Stops draining workers that nobody holds and that no session is bound to.
    fn end_drains(&mut self) {
        while let Some(worker) = self.next_drained() {
            self.decide(worker, worker::Input::SessionsEnded, None);
        }
    }

    fn next_drained(&self) -> Option<WorkerId> {
        let lingering = |(_, o): &(WorkerId, &Occupant)| o.phase() == Phase::Lingering;
        let mut workers = self
            .slots
            .iter()
            .filter(lingering)
            .map(|(worker, _)| worker);
        workers.find(|worker| self.sessions_of(*worker) == 0)
    }

    /// Starts workers until the pool is staffed, as far as slots and failures allow.
    fn start(&mut self) {
        if self.is_closing() {
            return;
        }
        let staff = self.slots.count(Occupant::is_staff);
        self.end_pauses_beyond(self.policy.size.saturating_sub(staff));
        let slots = self.policy.size + self.policy.surge;
        loop {
            let staff = self.slots.count(Occupant::is_staff);
            if staff + self.restarts.held_back() >= self.policy.size {
                self.restarts.close_vacancies();
                return;
            }
            let starting = self.slots.count(|o| o.phase() == Phase::Initializing);
            if starting >= self.policy.max_starting || self.slots.iter().count() >= slots {
                return;
            }
            let vacancy = self.restarts.next_vacancy();
            let upkeep = Upkeep::new(&self.policy, &mut self.random);
            let (worker, effects) = self.slots.occupy(vacancy, upkeep);
            self.counters.opened += 1;
            self.effects.push(Effect::Trace(Event::Opened { worker }));
            self.order_all(worker, effects);
        }
    }

    /// Says, once, that a pool which takes no new clients has none left.
    fn end_pause_of_intake(&mut self) {
        let Intake::Paused { drained: false } = self.intake else {
            return;
        };
        if self.queue.is_empty() && self.slots.count(Occupant::is_held_by_client) == 0 {
            self.intake = Intake::Paused { drained: true };
            self.effects.push(Effect::Drained);
        }
    }
}
