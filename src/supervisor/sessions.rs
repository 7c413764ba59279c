//! Sessions: clients that keep to one worker each.

use alloc::vec::Vec;

use super::clients::Waiting;
use super::{Effect, Reason, Refusal, SessionEnd, Supervisor, Timer};
use crate::worker::Phase;
use crate::{SessionId, WorkerId};

/// How many looks for unused sessions there are in one `session_idle_timeout`.
const LOOKS: u32 = 4;

/// A session that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    home: Home,
    /// How many looks in a row have found it unused.
    idle: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// It has had no lease yet.
    Unbound,
    Bound(WorkerId),
    /// Its worker went away while nobody was there to be told. Whoever asks next is.
    Lost(Reason),
}

impl Supervisor {
    pub(super) fn open_session(&mut self, session: SessionId) {
        // A second opening would forget the worker that the session is bound to, and whoever waits for it there.
        if self.sessions.contains_key(&session) {
            self.counters.stale += 1;
            return;
        }
        let refusal = if self.is_closing() {
            Refusal::Closed
        } else if self.is_paused() {
            Refusal::Paused
        } else if self.sessions.len() >= self.policy.max_sessions {
            Refusal::TooManySessions
        } else {
            let home = Home::Unbound;
            self.sessions.insert(session, Session { home, idle: 0 });
            return self.look_for_idle_sessions();
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

    /// The worker that the session is bound to, if there is one.
    #[must_use]
    pub fn session_worker(&self, session: SessionId) -> Option<WorkerId> {
        match self.sessions.get(&session)?.home {
            Home::Bound(worker) => Some(worker),
            Home::Unbound | Home::Lost(_) => None,
        }
    }

    /// The one worker that a lease for the session must be on; `None` before its first one.
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

    /// The ready worker that a new session is bound to: the one with the fewest, and rather one that is here to stay.
    pub(super) fn best_home(&self) -> Option<WorkerId> {
        let ready = self.slots.iter().filter(|(_, o)| o.phase() == Phase::Ready);
        ready
            .min_by_key(|(worker, o)| (o.mark.is_some(), self.sessions_of(*worker)))
            .map(|(worker, _)| worker)
    }

    /// Takes note of a lease for a session. The first one binds it to its worker, from which it never moves.
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

    /// The worker does not serve its sessions any longer: whoever waits for it is told, and the sessions of those who
    /// do not are kept until they ask.
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

    /// Ends the sessions that have had no lease, because nothing new is begun any more.
    pub(super) fn close_unbound_sessions(&mut self) {
        self.close_sessions(|home| home == Home::Unbound);
    }

    /// Ends what is left of the sessions with the pool.
    pub(super) fn close_all_sessions(&mut self) {
        self.close_sessions(|_| true);
        if core::mem::take(&mut self.looking) {
            let timer = Timer::Sessions;
            self.effects.push(Effect::CancelTimer { timer });
        }
    }

    fn close_sessions(&mut self, which: impl Fn(Home) -> bool) {
        let of_home = |(id, session): (&SessionId, &Session)| which(session.home).then_some(*id);
        let over: Vec<SessionId> = self.sessions.iter().filter_map(of_home).collect();
        for session in over {
            self.session_over(session, SessionEnd::Closed);
        }
    }

    /// The time for a look has come: ends the sessions that have been unused for long enough.
    pub(super) fn look_elapsed(&mut self) {
        if !core::mem::take(&mut self.looking) {
            self.counters.stale += 1;
            return;
        }
        let (queue, slots) = (&self.queue, &self.slots);
        let mut over = Vec::new();
        for (id, session) in &mut self.sessions {
            let waits = queue.iter().any(|waiting| waiting.session == Some(*id));
            let leased = match session.home {
                Home::Bound(worker) => slots.get(worker).is_some_and(|o| o.is_held_for(*id)),
                _ => false,
            };
            session.idle = if waits || leased { 0 } else { session.idle + 1 };
            if session.idle > LOOKS {
                over.push(*id);
            }
        }
        for session in over {
            self.session_over(session, SessionEnd::Expired);
        }
        self.look_for_idle_sessions();
    }

    fn look_for_idle_sessions(&mut self) {
        if let Some(idle) = self.policy.session_idle_timeout
            && !self.sessions.is_empty()
            && !self.looking
        {
            self.looking = true;
            let timer = Timer::Sessions;
            let after = idle / LOOKS;
            self.effects.push(Effect::StartTimer { timer, after });
        }
    }

    fn session_over(&mut self, session: SessionId, end: SessionEnd) {
        self.sessions.remove(&session);
        self.effects.push(Effect::SessionEnded { session, end });
    }
}
