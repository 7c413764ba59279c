//! The queue of clients: which client gets which worker, and which client is refused.

use super::occupant::Holder;
use super::{Effect, Refusal, Supervisor};
use crate::worker::{self, Phase};
use crate::{LeaseId, SessionId, WaiterId, WorkerId};

/// A waiting client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) waiter: WaiterId,
    pub(super) session: Option<SessionId>,
    /// The only worker that can serve it. `None`: any worker can.
    pub(super) home: Option<WorkerId>,
}

impl Supervisor {
    pub(super) fn checkout(&mut self, waiter: WaiterId, session: Option<SessionId>) {
        let home = match session.map_or(Ok(None), |session| self.home_of(session)) {
            Ok(home) => home,
            Err(refusal) => return self.refuse_one(waiter, refusal),
        };
        // A drain and a shutdown refuse new clients. A client of a bound session is not new.
        if home.is_none() && self.is_closing() {
            return self.refuse_one(waiter, Refusal::Closed);
        }
        if home.is_none() && self.is_draining() {
            return self.refuse_one(waiter, Refusal::Draining);
        }
        self.queue.push_back(Waiting {
            waiter,
            session,
            home,
        });
    }

    pub(super) fn forget(&mut self, waiter: WaiterId) {
        match self.queue.iter().position(|queued| queued.waiter == waiter) {
            Some(position) => {
                self.queue.remove(position);
                self.counters.gave_up += 1;
            }
            None => self.counters.stale += 1,
        }
    }

    /// Grants workers to waiting clients in FIFO order. A client that no idle worker can serve does
    /// not hold up the clients behind it.
    pub(super) fn grant(&mut self) {
        let mut next = 0;
        while let Some(&waiting) = self.queue.get(next) {
            if !self.has_grantable() {
                return;
            }
            let Some(worker) = self.grantable_to(waiting) else {
                next += 1;
                continue;
            };
            self.queue.remove(next);
            if let Some(session) = waiting.session {
                self.bind(session, worker);
            }
            self.counters.granted += 1;
            let lease = self.lease(worker, Holder::Client(waiting.session));
            self.effects.push(Effect::Grant {
                waiter: waiting.waiter,
                lease,
            });
        }
    }

    fn has_grantable(&self) -> bool {
        self.slots.find(|o| o.is_grantable()).is_some()
    }

    fn grantable_to(&self, waiting: Waiting) -> Option<WorkerId> {
        match (waiting.home, waiting.session) {
            (Some(home), _) => {
                let occupant = self.slots.get(home);
                occupant.is_some_and(|o| o.is_grantable()).then_some(home)
            }
            (None, None) => self.slots.find(|o| o.phase() == Phase::Ready),
            (None, Some(_)) => self.best_home(),
        }
    }

    /// Leases a worker that may be leased.
    pub(super) fn lease(&mut self, worker: WorkerId, by: Holder) -> LeaseId {
        self.must_feed(worker, worker::Input::Checkout, None);
        let mut id = LeaseId { worker, serial: 0 };
        if let Some(occupant) = self.slots.get_mut(worker) {
            id.serial = occupant.hold(worker, by);
        }
        id
    }

    /// Refuses clients for which no worker is in prospect, then the newest ones beyond
    /// `max_waiting`. A client that waits for its session's worker always has a prospect: that
    /// worker.
    pub(super) fn refuse(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let hopeless = if self.is_closing() {
            Some(Refusal::Closed)
        } else if self.restarts.is_crash_loop(&self.policy)
            && self.slots.count(|o| o.is_serving()) == 0
        {
            Some(Refusal::CrashLoop)
        } else {
            None
        };
        if let Some(refusal) = hopeless {
            self.refuse_all(refusal, |waiting| waiting.home.is_none());
        }
        while self.queue.len() > self.policy.max_waiting
            && let Some(last) = self.queue.pop_back()
        {
            self.refuse_one(last.waiter, Refusal::QueueFull);
        }
    }

    /// Refuses every waiting client that matches, and returns their number.
    pub(super) fn refuse_all(
        &mut self,
        refusal: Refusal,
        matches: impl Fn(&Waiting) -> bool,
    ) -> usize {
        let before = self.queue.len();
        let (effects, counters) = (&mut self.effects, &mut self.counters);
        self.queue.retain(|waiting| {
            let refused = matches(waiting);
            if refused {
                counters.refused += 1;
                let waiter = waiting.waiter;
                effects.push(Effect::Refuse { waiter, refusal });
            }
            !refused
        });
        before - self.queue.len()
    }

    fn refuse_one(&mut self, waiter: WaiterId, refusal: Refusal) {
        self.counters.refused += 1;
        self.effects.push(Effect::Refuse { waiter, refusal });
    }
}
