//! Consequences that no single worker's machine can see.

use super::health::Health;
use super::kinds::Kind;
use super::{DrainEnd, Effect, Event, Intake, Stage, Supervisor};
use crate::worker;

impl Supervisor {
    /// Runs after every input, and decides until nothing is left to decide. The steps depend on
    /// their order; each says what breaks if it moves.
    pub(super) fn settle(&mut self) {
        // Before `start`: deciding on a replacement opens a vacancy. Later, the replacement would
        // start only after the next input, which an idle pool may never get.
        self.replace_at_limits();
        // Before both retirements, which then leave each serving worker a position of its own.
        self.replace_misplaced();
        // Before `grant`: otherwise an idle worker that can retire now is granted, and keeps its
        // slot for that call.
        self.retire_replaced();
        // Before `grant`, for the same reason.
        self.retire_surplus();
        // Before `refuse`: otherwise a client that an idle worker can serve is refused.
        self.grant();
        // Before `end_drains`: a worker that held on only for an idle session is stopped by the
        // input that takes the session from it.
        self.lose_idle_sessions();
        // After both retirements: an idle worker without sessions is stopped by the input that
        // retired it. Otherwise it lingers until the next input.
        self.end_drains();
        // After the retirements and `replace_at_limits`, which change how many workers are missing.
        self.start();
        // Before `end_pool_drain`, which looks for an empty queue.
        self.refuse();
        // After `retire_replaced`, which may just have retired the last worker of the rolling
        // restart.
        self.end_rolling();
        // After `grant` and `refuse`, which empty the queue: otherwise the drain ends one input
        // late.
        self.end_pool_drain();
        // After `end_drains`, which stops the last draining worker.
        self.end_shutdown_drain();
        // Last: `Closed` is the final effect of a pool.
        self.close();
        debug_assert!(self.is_indexed(), "L4: {self:?}");
        debug_assert_eq!(self.next_grant(), None);
    }

    /// Stops draining workers that no client holds and no session is bound to.
    fn end_drains(&mut self) {
        while let Some(worker) = self.slots.first(Kind::Drained) {
            self.must_feed(worker, worker::Input::SessionsEnded, None);
        }
    }

    /// Starts missing workers, as far as slots, `max_starting` and backoffs allow.
    fn start(&mut self) {
        if self.is_closing() {
            return;
        }
        let missing = |supervisor: &Self| {
            let staff = supervisor.slots.count(&Kind::STAFF);
            supervisor.policy.size.saturating_sub(staff)
        };
        self.cancel_backoffs_beyond(missing(self));
        let slots = self.policy.size + self.policy.surge;
        loop {
            if self.restarts.held_back() >= missing(self) {
                self.restarts.close_vacancies();
                return;
            }
            let starting = self.slots.count(&[Kind::Initializing]);
            if starting >= self.policy.max_starting || self.slots.occupied() >= slots {
                return;
            }
            let vacancy = self.next_vacancy();
            let health = Health::new(&self.policy, &mut self.random);
            let (worker, effects) = self.slots.occupy(vacancy, health);
            self.counters.opened += 1;
            self.effects.push(Effect::Event(Event::Opened { worker }));
            self.order_all(worker, effects);
        }
    }

    /// Ends a drain of the pool once no client waits and no call is under way.
    fn end_pool_drain(&mut self) {
        let Intake::Draining { drained: false } = self.intake else {
            return;
        };
        if self.queue.len() == 0 && self.slots.count(&[Kind::HeldByClient]) == 0 {
            self.intake = Intake::Draining { drained: true };
            self.effects.push(Effect::DrainEnded(DrainEnd::Drained));
        }
    }

    /// Ends the first part of a shutdown once every worker that is left is being stopped.
    fn end_shutdown_drain(&mut self) {
        let (Stage::Draining { .. } | Stage::Hurrying) = self.stage else {
            return;
        };
        if self.slots.count(&Kind::DRAINING) == 0 {
            self.cancel_session_grace();
            self.stage = Stage::Stopping;
            self.effects.push(Effect::ShutdownDrained);
        }
    }

    fn close(&mut self) {
        if self.stage == Stage::Stopping && self.slots.occupied() == 0 {
            self.stage = Stage::Closed;
            self.close_all_sessions();
            self.effects.push(Effect::Closed);
        }
    }
}
