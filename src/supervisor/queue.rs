//! The queue of clients: which client gets which worker, and which client is refused.

use alloc::collections::BTreeMap;

use super::kinds::Kind;
use super::occupant::{Holder, Occupant};
use super::{Effect, Refusal, Supervisor};
use crate::worker;
use crate::{Clients, LeaseId, SessionId, WaiterId, WorkerId};

/// The waiting clients, each in one of two lists, by id: that is the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// Clients that any worker can serve, and the sessions that the lease then binds.
    open: Clients<Option<SessionId>>,
    /// Clients of bound sessions. Each is known to the session's worker as well.
    bound: BTreeMap<WaiterId, SessionId>,
    /// The latest client of the pool.
    latest: WaiterId,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.bound.len()
    }

    fn last(&self) -> Option<WaiterId> {
        let open = self.open.last().map(|(waiter, _)| waiter);
        open.max(self.bound.keys().next_back().copied())
    }

    /// A session is bound from now on, and this client of it waits for the session's worker.
    pub(super) fn bind(&mut self, waiter: WaiterId, session: SessionId) {
        self.open.remove(waiter);
        self.bound.insert(waiter, session);
    }
}

impl Supervisor {
    pub(super) fn checkout(&mut self, waiter: WaiterId, session: Option<SessionId>) {
        if waiter <= self.queue.latest {
            self.counters.stale += 1;
            return;
        }
        self.queue.latest = waiter;
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
        // The pool has settled, so no client that waits already could use an idle worker.
        match self.grantable_to(session, home) {
            Some(worker) => self.grant_to(waiter, session, worker),
            None => self.enqueue(waiter, session, home),
        }
    }

    fn grantable_to(&self, session: Option<SessionId>, home: Option<WorkerId>) -> Option<WorkerId> {
        match (session, home) {
            (_, Some(home)) => {
                let occupant = self.slots.get(home);
                occupant.is_some_and(|o| o.is_grantable()).then_some(home)
            }
            (None, None) => self.slots.first_of(&Kind::READY),
            (Some(_), None) => self.best_home(),
        }
    }

    fn grant_to(&mut self, waiter: WaiterId, session: Option<SessionId>, worker: WorkerId) {
        if let Some(session) = session {
            self.bind(session, worker);
        }
        self.counters.granted += 1;
        let lease = self.lease(worker, Holder::Client(session));
        self.effects.push(Effect::Grant { waiter, lease });
    }

    fn enqueue(&mut self, waiter: WaiterId, session: Option<SessionId>, home: Option<WorkerId>) {
        if let Some(known) = session.and_then(|session| self.sessions.get_mut(&session)) {
            known.waiting.insert(waiter);
        }
        match (session, home.and_then(|home| self.slots.get_mut(home))) {
            (Some(session), Some(mut home)) => {
                home.waiting.insert(waiter);
                self.queue.bound.insert(waiter, session);
            }
            (session, _) => {
                self.queue.open.push(waiter, session);
            }
        }
    }

    /// Takes a client out of the queue, and returns the session for which it waited. `None`: it
    /// does not wait.
    fn dequeue(&mut self, waiter: WaiterId) -> Option<Option<SessionId>> {
        if let Some(session) = self.queue.open.remove(waiter) {
            if let Some(session) = session {
                self.left(waiter, session);
            }
            return Some(session);
        }
        let session = self.queue.bound.remove(&waiter)?;
        let home = self.session_worker(session);
        if let Some(mut home) = home.and_then(|home| self.slots.get_mut(home)) {
            home.waiting.remove(&waiter);
        }
        self.left(waiter, session);
        Some(Some(session))
    }

    pub(super) fn forget(&mut self, waiter: WaiterId) {
        match self.dequeue(waiter) {
            Some(_) => self.counters.gave_up += 1,
            None => self.counters.stale += 1,
        }
    }

    /// Grants workers to waiting clients in FIFO order. A client that no idle worker can serve does
    /// not hold up the clients behind it.
    pub(super) fn grant(&mut self) {
        while let Some((waiter, worker)) = self.next_grant() {
            let session = self.dequeue(waiter).flatten();
            self.grant_to(waiter, session, worker);
        }
    }

    /// The first client in the queue that an idle worker can serve, and that worker.
    pub(super) fn next_grant(&self) -> Option<(WaiterId, WorkerId)> {
        if self.slots.count(&[Kind::Awaited]) == 0 {
            return self.next_open();
        }
        let awaited = self.slots.of(Kind::Awaited);
        let bound = awaited.filter_map(|(worker, o)| Some((*o.waiting.first()?, worker)));
        bound.chain(self.next_open()).min()
    }

    fn next_open(&self) -> Option<(WaiterId, WorkerId)> {
        let (waiter, session) = self.queue.open.first()?;
        Some((waiter, self.grantable_to(*session, None)?))
    }

    /// Leases a worker that may be leased.
    pub(super) fn lease(&mut self, worker: WorkerId, by: Holder) -> LeaseId {
        let mut serial = 0;
        let hold = |occupant: &mut Occupant| serial = occupant.hold(worker, by);
        let moved = self.feed_worker_with(worker, worker::Input::Checkout, None, hold);
        debug_assert_eq!(moved, Ok(true), "worker {worker} is leased");
        LeaseId { worker, serial }
    }

    /// Refuses clients for which no worker is in prospect, then the newest ones beyond
    /// `max_waiting`. A client that waits for its session's worker always has a prospect: that
    /// worker.
    pub(super) fn refuse(&mut self) {
        if self.queue.len() == 0 {
            return;
        }
        let hopeless = if self.is_closing() {
            Some(Refusal::Closed)
        } else if self.is_crash_loop() {
            Some(Refusal::CrashLoop)
        } else {
            None
        };
        if let Some(refusal) = hopeless {
            while let Some((waiter, _)) = self.queue.open.first() {
                self.refuse_waiting(waiter, refusal);
            }
        }
        while self.queue.len() > self.policy.max_waiting
            && let Some(last) = self.queue.last()
        {
            self.refuse_waiting(last, Refusal::QueueFull);
        }
    }

    /// Refuses a client that waits.
    pub(super) fn refuse_waiting(&mut self, waiter: WaiterId, refusal: Refusal) {
        self.dequeue(waiter);
        self.refuse_one(waiter, refusal);
    }

    fn refuse_one(&mut self, waiter: WaiterId, refusal: Refusal) {
        self.counters.refused += 1;
        self.effects.push(Effect::Refuse { waiter, refusal });
    }
}
