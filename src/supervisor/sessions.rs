//! Sessions: clients bound to one worker each.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::queue::Waiting;
use super::slots::Slots;
use super::{Effect, Reason, Refusal, SessionEnd, Stage, Supervisor, Timer};
use crate::worker::Phase;
use crate::{SessionId, WorkerId};

/// Sweeps for idle sessions per `session_idle_timeout`.
const SWEEPS: u32 = 4;

/// A session that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    home: Home,
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
            let home = Home::Unbound;
            self.sessions.insert(session, Session { home, idle: 0 });
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
        self.refuse_all(Refusal::SessionEnded, |w| w.session == Some(session));
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
        let ready = self.slots.iter().filter(|(_, o)| o.phase() == Phase::Ready);
        ready
            .min_by_key(|(worker, o)| (o.replacement.is_some(), self.sessions_of(*worker)))
            .map(|(worker, _)| worker)
    }

    /// Records a lease for a session. The first one binds the session to its worker for good.
    pub(super) fn bind(&mut self, session: SessionId, worker: WorkerId) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        known.idle = 0;
        known.home = Home::Bound(worker);
        for waiting in &mut self.queue {
            if waiting.session == Some(session) {
                waiting.home = Some(worker);
            }
        }
    }

    pub(super) fn sessions_of(&self, worker: WorkerId) -> usize {
        let here = |session: &&Session| session.home == Home::Bound(worker);
        self.sessions.values().filter(here).count()
    }

    /// The worker no longer serves its sessions. Clients that wait for it are told now; a session
    /// without a waiting client is kept until its client asks.
    pub(super) fn lose_sessions(&mut self, worker: WorkerId, reason: Reason) {
        let here = |(id, session): (&SessionId, &Session)| {
            (session.home == Home::Bound(worker)).then_some(*id)
        };
        let lost: Vec<SessionId> = self.sessions.iter().filter_map(here).collect();
        for session in lost {
            let of_session = |waiting: &Waiting| waiting.session == Some(session);
            if self.refuse_all(Refusal::SessionLost(reason), of_session) > 0 {
                self.session_over(session, SessionEnd::Lost(reason));
            } else if let Some(known) = self.sessions.get_mut(&session) {
                known.home = Home::Lost(reason);
            }
        }
    }

    /// Ends the sessions that have had no lease: a pool that is closing binds no new ones.
    pub(super) fn close_unbound_sessions(&mut self) {
        self.close_sessions(|home| home == Home::Unbound);
    }

    /// Ends the remaining sessions with the pool.
    pub(super) fn close_all_sessions(&mut self) {
        self.close_sessions(|_| true);
        if core::mem::take(&mut self.sweeping) {
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
        if !core::mem::take(&mut self.sweeping) {
            self.counters.stale += 1;
            return;
        }
        let (waited_for, slots) = (self.waited_for(), &self.slots);
        let mut over = Vec::new();
        for (id, session) in &mut self.sessions {
            let used = is_used(&waited_for, slots, *id, session.home);
            session.idle = if used { 0 } else { session.idle + 1 };
            if session.idle > SWEEPS {
                over.push(*id);
            }
        }
        for session in over {
            self.session_over(session, SessionEnd::Expired);
        }
        self.schedule_idle_sweep();
    }

    /// Gives idle sessions a grace in a shutdown. Returns whether there are sessions that need one:
    /// no more can come.
    pub(super) fn start_session_grace(&mut self) -> bool {
        let is_bound = |session: &Session| matches!(session.home, Home::Bound(_));
        let needed = self.sessions.values().any(is_bound);
        if needed {
            self.start_timer(Timer::SessionGrace, self.policy.session_grace);
        }
        needed
    }

    pub(super) fn session_grace_elapsed(&mut self) {
        match self.stage {
            Stage::Draining { grace: true } => self.stage = Stage::Hurrying,
            _ => self.counters.stale += 1,
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
        if self.stage != Stage::Hurrying {
            return;
        }
        let (waited_for, slots) = (self.waited_for(), &self.slots);
        for (id, session) in &mut self.sessions {
            let is_bound = matches!(session.home, Home::Bound(_));
            if is_bound && !is_used(&waited_for, slots, *id, session.home) {
                session.home = Home::Lost(Reason::Shutdown);
            }
        }
    }

    /// The sessions for which a client waits.
    fn waited_for(&self) -> BTreeSet<SessionId> {
        self.queue
            .iter()
            .filter_map(|waiting| waiting.session)
            .collect()
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
        self.sessions.remove(&session);
        self.effects.push(Effect::SessionEnded { session, end });
    }
}

/// Whether a client waits for the session or holds a lease for it.
fn is_used(waited_for: &BTreeSet<SessionId>, slots: &Slots, id: SessionId, home: Home) -> bool {
    let leased = match home {
        Home::Bound(worker) => slots.get(worker).is_some_and(|o| o.is_held_for(id)),
        Home::Unbound | Home::Lost(_) => false,
    };
    leased || waited_for.contains(&id)
}
