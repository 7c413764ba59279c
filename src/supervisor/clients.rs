//! Those who want a worker: the queue, the leases, and who is told that there is none.

use super::slots::{Held, Holder, Occupant};
use super::{Effect, Fault, Illegal, Reason, Refusal, Supervisor};
use crate::worker::{self, Phase};
use crate::{LeaseId, SessionId, WaiterId, WorkerId};

/// A client in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) waiter: WaiterId,
    pub(super) session: Option<SessionId>,
    /// The one worker that it waits for. `None`: any.
    pub(super) home: Option<WorkerId>,
}

impl Supervisor {
    pub(super) fn checkout(&mut self, waiter: WaiterId, session: Option<SessionId>) {
        let home = match session.map_or(Ok(None), |session| self.home_of(session)) {
            Ok(home) => home,
            Err(refusal) => return self.refuse_one(waiter, refusal),
        };
        // Whoever has a worker of its own is not new.
        if home.is_none() && self.is_closing() {
            return self.refuse_one(waiter, Refusal::Closed);
        }
        if home.is_none() && self.is_paused() {
            return self.refuse_one(waiter, Refusal::Paused);
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

    pub(super) fn lease_ended(
        &mut self,
        lease: LeaseId,
        exchanges: u64,
        errors: u64,
        fault: Option<Fault>,
    ) -> Result<(), Illegal> {
        let Some(occupant) = self.slots.holding(lease) else {
            self.counters.stale += 1;
            return Ok(());
        };
        occupant.lease = None;
        occupant.upkeep.exchanged(exchanges, errors);
        self.counters.exchanges += exchanges;
        let (input, reason) = match fault {
            None => (worker::Input::Checkin, None),
            Some(fault) => (worker::Input::Fault, Some(Reason::Fault(fault))),
        };
        let moved = self.drive(lease.worker, input, reason)?;
        self.counters.faulted += u64::from(moved && fault.is_some());
        Ok(())
    }

    /// Hands workers to those who wait: in the order in which they came, each as soon as there is one that it may have.
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

    /// Leases a worker that may be leased.
    pub(super) fn lease(&mut self, worker: WorkerId, by: Holder) -> LeaseId {
        self.decide(worker, worker::Input::Checkout, None);
        let mut id = LeaseId { worker, serial: 0 };
        if let Some(occupant) = self.slots.get_mut(worker) {
            occupant.leases += 1;
            id.serial = occupant.leases;
            occupant.lease = Some(Held { id, by });
        }
        id
    }

    fn has_grantable(&self) -> bool {
        self.slots.find(Occupant::is_grantable).is_some()
    }

    fn grantable_to(&self, waiting: Waiting) -> Option<WorkerId> {
        match (waiting.home, waiting.session) {
            (Some(home), _) => {
                let occupant = self.slots.get(home);
                occupant.is_some_and(Occupant::is_grantable).then_some(home)
            }
            (None, None) => self.slots.find(|o| o.phase() == Phase::Ready),
            (None, Some(_)) => self.best_home(),
        }
    }

    /// Refuses those whose waiting has no end in sight, and those for whom there is no room to wait: the last ones. Who
    /// waits for its session's own worker has an end in sight: that worker's.
    pub(super) fn refuse(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let hopeless = if self.is_closing() {
            Some(Refusal::Closed)
        } else if self.restarts.is_crash_loop(&self.policy)
            && self.slots.count(Occupant::is_serving) == 0
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

    /// Refuses everyone in the queue of whom `which` holds: how many that were.
    pub(super) fn refuse_all(
        &mut self,
        refusal: Refusal,
        which: impl Fn(&Waiting) -> bool,
    ) -> usize {
        let before = self.queue.len();
        let (effects, counters) = (&mut self.effects, &mut self.counters);
        self.queue.retain(|waiting| {
            let refused = which(waiting);
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
