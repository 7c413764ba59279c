//! Sessions: clients bound to one worker each.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;

use super::kinds::Kind;
use super::slots::Slots;
use super::{Effect, Reason, Refusal, SessionEnd, Stage, Supervisor, Timer};
use crate::{SessionId, WaiterId, WorkerId};

/// Sweeps for idle sessions per `session_idle_timeout`.
const SWEEPS: u32 = 4;

/// A session that is not over.
#[derive(Clone, Debug)]
pub(super) struct Session {
    home: Home,
    /// The clients that wait for it.
    pub(super) waiting: BTreeSet<WaiterId>,
    /// Consecutive sweeps that found it unused.
    idle: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// It has had no lease yet.
    Unbound,
    Bound(WorkerId),
    /// Its worker left the pool while no client waited for it. The next checkout is told.
    Lost(Reason),
}

impl Supervisor {
    pub(super) fn open_session(&mut self, session: SessionId) {
        // Opening it again would unbind it from its worker, and strand the clients that wait for
        // that worker.
        if self.sessions.contains_key(&session) {
            self.counters.stale += 1;
            return;
        }
        let refusal = if self.is_closing() {
            Refusal::Closed
        } else if self.is_draining() {
            Refusal::Draining
        } else if self.sessions.len() >= self.policy.max_sessions {
            Refusal::TooManySessions
        } else {
            let opened = Session {
                home: Home::Unbound,
                waiting: BTreeSet::new(),
                idle: 0,
            };
            self.sessions.insert(session, opened);
            return self.schedule_idle_sweep();
        };
        let end = SessionEnd::Refused(refusal);
        self.effects.push(Effect::SessionEnded { session, end });
    }

    pub(super) fn end_session(&mut self, session: SessionId) {
        if !self.sessions.contains_key(&session) {
            self.counters.stale += 1;
            return;
        }
        self.refuse_all_of(session, Refusal::SessionEnded);
        self.session_over(session, SessionEnd::Ended);
    }

    /// The worker that the session is bound to.
    #[must_use]
    pub fn session_worker(&self, session: SessionId) -> Option<WorkerId> {
        match self.sessions.get(&session)?.home {
            Home::Bound(worker) => Some(worker),
            Home::Unbound | Home::Lost(_) => None,
        }
    }

    /// The worker that a lease for the session must be on. `None` before its first lease.
    pub(super) fn home_of(&mut self, session: SessionId) -> Result<Option<WorkerId>, Refusal> {
        match self.sessions.get(&session).map(|session| session.home) {
            Some(Home::Unbound) => Ok(None),
            Some(Home::Bound(worker)) => Ok(Some(worker)),
            Some(Home::Lost(reason)) => {
                self.session_over(session, SessionEnd::Lost(reason));
                Err(Refusal::SessionLost(reason))
            }
            None => Err(Refusal::SessionEnded),
        }
    }

    /// The ready worker that a new session is bound to: the one with the fewest sessions,
    /// preferring workers that are not about to be replaced.
    pub(super) fn best_home(&self) -> Option<WorkerId> {
        let best = |kind: &Kind| {
            let ready = self.slots.of(*kind);
            let best = ready.min_by_key(|(_, occupant)| occupant.sessions.len());
            best.map(|(worker, _)| worker)
        };
        Kind::READY.iter().find_map(best)
    }

    /// Records a lease for a session. The first one binds the session to its worker for good.
    pub(super) fn bind(&mut self, session: SessionId, worker: WorkerId) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        known.idle = 0;
        if known.home == Home::Bound(worker) {
            return;
        }
        known.home = Home::Bound(worker);
        if let Some(mut home) = self.slots.get_mut(worker) {
            home.sessions.insert(session);
            home.waiting.extend(&known.waiting);
        }
        for waiter in &known.waiting {
            self.queue.bind(*waiter, session);
        }
    }

    /// Takes the session from its worker, if it has one.
    fn unbind(&mut self, session: SessionId, home: Home) {
        if let Home::Bound(worker) = home
            && let Some(mut occupant) = self.slots.get_mut(worker)
        {
            occupant.sessions.remove(&session);
        }
    }

    /// Refuses every client that waits for the session, and returns whether there were any.
    fn refuse_all_of(&mut self, session: SessionId, refusal: Refusal) -> bool {
        let waiting = (self.sessions.get(&session)).map(|known| known.waiting.clone());
        let waiting = waiting.unwrap_or_default();
        for waiter in &waiting {
            self.refuse_waiting(*waiter, refusal);
        }
        !waiting.is_empty()
    }

    /// The worker no longer serves its sessions. Clients that wait for it are told now; a session
    /// without a waiting client is kept until its client asks.
    pub(super) fn lose_sessions(&mut self, worker: WorkerId, reason: Reason) {
        let lost = self.slots.get(worker).map(|home| home.sessions.clone());
        for session in lost.unwrap_or_default() {
            if self.refuse_all_of(session, Refusal::SessionLost(reason)) {
                self.session_over(session, SessionEnd::Lost(reason));
            } else {
                self.lose(session, reason);
            }
        }
    }

    /// Takes the worker from a session for which no client waits. The next checkout is told.
    fn lose(&mut self, session: SessionId, reason: Reason) {
        if let Some(known) = self.sessions.get_mut(&session) {
            let home = mem::replace(&mut known.home, Home::Lost(reason));
            self.unbind(session, home);
        }
    }

    /// A client no longer waits for the session.
    pub(super) fn left(&mut self, waiter: WaiterId, session: SessionId) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.waiting.remove(&waiter);
        }
        self.may_be_idle(session);
    }

    /// Ends the sessions that have had no lease: a pool that is closing binds no new ones.
    pub(super) fn close_unbound_sessions(&mut self) {
        self.close_sessions(|home| home == Home::Unbound);
    }

    /// Ends the remaining sessions with the pool.
    pub(super) fn close_all_sessions(&mut self) {
        self.close_sessions(|_| true);
        if mem::take(&mut self.sweeping) {
            let timer = Timer::IdleSweep;
            self.effects.push(Effect::CancelTimer { timer });
        }
    }

    fn close_sessions(&mut self, matches: impl Fn(Home) -> bool) {
        let of_home = |(id, session): (&SessionId, &Session)| matches(session.home).then_some(*id);
        let over: Vec<SessionId> = self.sessions.iter().filter_map(of_home).collect();
        for session in over {
            self.session_over(session, SessionEnd::Closed);
        }
    }

    /// Ends the sessions that were unused for `session_idle_timeout`.
    pub(super) fn idle_sweep(&mut self) {
        if !mem::take(&mut self.sweeping) {
            self.counters.stale += 1;
            return;
        }
        let mut over = Vec::new();
        for (id, session) in &mut self.sessions {
            session.idle = match session.is_used(*id, &self.slots) {
                true => 0,
                false => session.idle + 1,
            };
            if session.idle > SWEEPS {
                over.push(*id);
            }
        }
        for session in over {
            self.session_over(session, SessionEnd::Expired);
            // The specification takes each as an input, and settles before the next.
            self.settle();
        }
        self.schedule_idle_sweep();
    }

    /// Gives idle sessions a grace in a shutdown. Returns whether there are sessions that need one:
    /// no more can come.
    pub(super) fn start_session_grace(&mut self) -> bool {
        let needed = self.sessions.values().any(Session::is_bound);
        if needed {
            self.start_timer(Timer::SessionGrace, self.policy.session_grace);
        }
        needed
    }

    pub(super) fn session_grace_elapsed(&mut self) {
        if self.stage != (Stage::Draining { grace: true }) {
            self.counters.stale += 1;
            return;
        }
        self.stage = Stage::Hurrying;
        self.maybe_idle.extend(self.sessions.keys());
    }

    /// A client of the session got its answer, left the queue or returned its lease.
    pub(super) fn may_be_idle(&mut self, session: SessionId) {
        if self.stage == Stage::Hurrying {
            self.maybe_idle.push(session);
        }
    }

    pub(super) fn cancel_session_grace(&mut self) {
        if self.stage == (Stage::Draining { grace: true }) {
            let timer = Timer::SessionGrace;
            self.effects.push(Effect::CancelTimer { timer });
        }
    }

    /// Takes the worker from each session that is idle, once a shutdown no longer waits for it.
    pub(super) fn lose_idle_sessions(&mut self) {
        while let Some(session) = self.maybe_idle.pop() {
            let known = self.sessions.get(&session);
            if known.is_some_and(|it| it.is_bound() && !it.is_used(session, &self.slots)) {
                self.lose(session, Reason::Shutdown);
            }
        }
    }

    fn schedule_idle_sweep(&mut self) {
        if let Some(idle) = self.policy.session_idle_timeout
            && !self.sessions.is_empty()
            && !self.sweeping
        {
            self.sweeping = true;
            self.start_timer(Timer::IdleSweep, idle / SWEEPS);
        }
    }

    fn session_over(&mut self, session: SessionId, end: SessionEnd) {
        if let Some(known) = self.sessions.remove(&session) {
            self.unbind(session, known.home);
        }
        self.effects.push(Effect::SessionEnded { session, end });
    }

    /// Whether the index of the slots agrees with the slots, and what the workers know of sessions
    /// and their clients with the sessions. Looks at small pools only: that is enough for tests,
    /// and a debug build of a large pool would spend its time on it.
    pub(super) fn is_indexed(&self) -> bool {
        const SMALL: usize = 1024;
        if self.slots.occupied() + self.sessions.len() > SMALL {
            return true;
        }
        let bound = |session: &Session, worker| session.home == Home::Bound(worker);
        let mut workers = self.slots.iter();
        self.slots.is_indexed()
            && workers.all(|(worker, occupant)| {
                let here = (self.sessions.iter()).filter(|(_, session)| bound(session, worker));
                let here: Vec<_> = here.collect();
                let waiting = here.iter().flat_map(|(_, session)| &session.waiting);
                occupant.sessions.iter().eq(here.iter().map(|(id, _)| *id))
                    && occupant.waiting == waiting.copied().collect()
            })
    }
}

impl Session {
    fn is_bound(&self) -> bool {
        matches!(self.home, Home::Bound(_))
    }

    /// Whether a client waits for it or holds a lease for it.
    fn is_used(&self, id: SessionId, slots: &Slots) -> bool {
        let leased = match self.home {
            Home::Bound(worker) => slots.get(worker).is_some_and(|o| o.is_held_for(id)),
            Home::Unbound | Home::Lost(_) => false,
        };
        leased || !self.waiting.is_empty()
    }
}
