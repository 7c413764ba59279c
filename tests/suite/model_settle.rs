//! What follows in a [`Model`] from what has happened, without anybody doing anything.

use std::time::Duration;

use ostler::supervisor::{Effect, Limit, Reason, Refusal, Rolled, SessionEnd, Timer};
use ostler::supervisor::{Event, Transition};
use ostler::worker::{self, Phase, Worker as Machine};
use ostler::{SessionId, WorkerId};

use crate::model::{Holder, Home, Intake, Lease, Mark, Model, Position, Worker};
use crate::world::PortState;

impl Model {
    /// The order matters in one respect: a worker that has to go is not leased to anybody first.
    pub(crate) fn settle(&mut self) {
        self.mark_limits();
        self.retire_the_replaced();
        self.retire_the_surplus();
        self.grant();
        self.end_drains();
        self.start();
        self.refuse();
        if self.rolling.is_some() && self.rolling_on().is_empty() {
            self.rolled(0);
        }
        let gone = self.waiting() == 0 && !self.is_held_by_a_client();
        if self.intake == Intake::Paused && gone {
            self.intake = Intake::Drained;
            self.say(Effect::Drained);
        }
        if self.closing && !self.closed && self.alive().is_empty() {
            self.close();
        }
    }

    fn mark_limits(&mut self) {
        for w in self.serving() {
            if self.workers[w].mark.is_none()
                && let Some(limit) = self.limit_of(w)
            {
                self.mark(w, Reason::Limit(limit), false);
            }
        }
    }

    /// The first of the limits that a worker has reached. Requests and memory are limits that each worker draws at
    /// random, up to a tenth lower: `model_actions` keeps to figures that are clear of that tenth.
    fn limit_of(&self, w: usize) -> Option<Limit> {
        let (worker, policy) = (&self.workers[w], &self.policy);
        let calls = worker.errors.len() as u64;
        let memory = worker.memory.unwrap_or(0);
        if !worker.mature {
            None
        } else if worker.aged {
            Some(Limit::Age)
        } else if policy.max_worker_requests.is_some_and(|n| calls >= n) {
            Some(Limit::Requests)
        } else if policy.max_worker_memory.is_some_and(|n| memory >= n) {
            Some(Limit::Memory)
        } else if (policy.error_threshold).is_some_and(|n| worker.errors_in_a_row() >= n.into()) {
            Some(Limit::Errors)
        } else {
            None
        }
    }

    /// Its position is open to a replacement from now on.
    pub(crate) fn mark(&mut self, w: usize, reason: Reason, rolling: bool) {
        self.workers[w].mark = Some(Mark { reason, rolling });
        let left = Some(reason);
        self.vacant.push(Position { failures: 0, left });
        let worker = self.workers[w].id;
        self.say(Effect::Event(Event::Replacing { worker, reason }));
    }

    /// L15: whoever is marked goes when there is one more that serves than there has to be: an idle one rather than a
    /// busy one, and of those the one in the lowest slot.
    fn retire_the_replaced(&mut self) {
        while self.serving().len() > self.policy.size {
            let mut marked = self.serving();
            marked.retain(|w| self.workers[*w].mark.is_some());
            let idle = |w: &&usize| self.workers[**w].state.0 == Phase::Ready;
            let first = marked.iter().find(idle).or(marked.first());
            let Some(&w) = first else { return };
            let reason = self.workers[w].mark.map(|mark| mark.reason);
            self.react(w, worker::Input::Retire, reason);
        }
    }

    /// Of more workers than there are to be, those go that have not started, then idle ones, and the highest slots first.
    fn retire_the_surplus(&mut self) {
        while self.staff().len() > self.policy.size {
            let staff = self.staff();
            let in_phase = |phase: &Phase| {
                let mut highest_first = staff.iter().rev();
                highest_first.find(|w| self.workers[**w].state.0 == *phase)
            };
            let phases = [Phase::Initializing, Phase::Ready, Phase::Busy];
            let w = *phases.iter().find_map(in_phase).expect("there is staff");
            self.react(w, worker::Input::Retire, Some(Reason::Surplus));
        }
    }

    /// L6, L7: whoever waits longest gets a worker, if there is one that it may have.
    fn grant(&mut self) {
        for c in 0..self.clients.len() {
            if !self.clients[c].waits {
                continue;
            }
            let (waiter, session) = (self.clients[c].id, self.clients[c].session);
            let found = match session {
                Some(session) => self.ready_for_session(session),
                None => self.in_phase(&[Phase::Ready]).first().copied(),
            };
            let Some(w) = found else { continue };
            self.clients[c].waits = false;
            let worker = self.workers[w].id;
            for known in &mut self.sessions {
                if Some(known.id) == session {
                    known.home = Home::Worker(worker);
                    known.unused = 0;
                }
            }
            let lease = self.lease(w, Holder::Client(session));
            self.say(Effect::Grant { waiter, lease });
        }
    }

    /// The worker that a session has, if that is free. If it has none yet: one that is here to stay rather than one that is
    /// to be replaced, then the one with the fewest sessions, then the one in the lowest slot.
    fn ready_for_session(&self, session: SessionId) -> Option<usize> {
        if let Home::Worker(home) = self.home_of(session) {
            let free = self.in_phase(&[Phase::Ready, Phase::Lingering]);
            return free.into_iter().find(|w| self.workers[*w].id == home);
        }
        let ready = self.in_phase(&[Phase::Ready]);
        let (staying, going): (Vec<usize>, Vec<usize>) =
            (ready.into_iter()).partition(|w| self.workers[*w].mark.is_none());
        let among = if staying.is_empty() { going } else { staying };
        let sessions = |w: usize| self.sessions_of(self.workers[w].id);
        let fewest = among.iter().map(|w| sessions(*w)).min()?;
        among.into_iter().find(|w| sessions(*w) == fewest)
    }

    pub(crate) fn lease(&mut self, w: usize, holder: Holder) -> ostler::LeaseId {
        self.react(w, worker::Input::Checkout, None);
        let worker = self.workers[w].id;
        let before = |lease: &&Lease| lease.id.worker == worker;
        let serial = self.leases.iter().filter(before).count() as u64 + 1;
        let id = ostler::LeaseId { worker, serial };
        let out = true;
        self.leases.push(Lease { id, holder, out });
        id
    }

    /// L17: nobody drains for nothing.
    fn end_drains(&mut self) {
        for w in self.in_phase(&[Phase::Lingering]) {
            if self.sessions_of(self.workers[w].id) == 0 {
                self.react(w, worker::Input::SessionsEnded, None);
            }
        }
    }

    /// Fills the positions that nobody has and that are not held back, as far as slots and P12 allow.
    fn start(&mut self) {
        if self.closing {
            return;
        }
        let vacant = self.policy.size.saturating_sub(self.staff().len());
        self.end_pauses_beyond(vacant);
        while self.staff().len() + self.paused.len() < self.policy.size {
            let starting = self.in_phase(&[Phase::Initializing]).len();
            let ports = self.alive().len();
            if starting >= self.policy.max_starting || ports >= self.policy.size + self.policy.surge
            {
                return;
            }
            self.open();
        }
        self.vacant.clear();
    }

    /// The lowest slot that is free, and the position that has been vacant for longest.
    fn open(&mut self) {
        let taken: Vec<usize> = self.alive();
        let is_free = |slot: &usize| !taken.iter().any(|w| self.workers[*w].id.slot == *slot);
        let slot = (0..).find(is_free).expect("slots are many");
        let before = |worker: &&Worker| worker.id.slot == slot;
        let generation = self.workers.iter().filter(before).count() as u64 + 1;
        let id = WorkerId { slot, generation };
        let position = match self.vacant.is_empty() {
            true => Position::default(),
            false => self.vacant.remove(0),
        };
        self.workers.push(Worker {
            id,
            state: (Phase::Initializing, None),
            port: PortState::Opening,
            position,
            reason: None,
            mark: None,
            errors: Vec::new(),
            misses: 0,
            memory: None,
            mature: self.policy.min_worker_life == Duration::ZERO,
            aged: false,
        });
        self.say(Effect::Event(Event::Opened { worker: id }));
        for effect in Machine::start().1.iter() {
            self.pass_on(self.workers.len() - 1, *effect);
        }
    }

    /// Ends pauses, the latest first, until there are no more than positions that nobody has.
    pub(crate) fn end_pauses_beyond(&mut self, vacant: usize) {
        while self.paused.len() > vacant {
            let (timer, _) = self.paused.pop().expect("there are some");
            self.say(Effect::CancelTimer { timer });
        }
    }

    /// Tells those for whom there is no hope, and then those for whom there is no room: the last to come. Whoever waits
    /// for its session's own worker has hope.
    fn refuse(&mut self) {
        let no_start = self.failed_starts >= self.policy.crash_loop && self.serving().is_empty();
        for c in 0..self.clients.len() {
            let session = self.clients[c].session;
            let has_a_worker = session.is_some_and(|s| matches!(self.home_of(s), Home::Worker(_)));
            if self.clients[c].waits && !has_a_worker {
                if self.closing {
                    self.refuse_one(c, Refusal::Closed);
                } else if no_start {
                    self.refuse_one(c, Refusal::CrashLoop);
                }
            }
        }
        while self.waiting() > self.policy.max_waiting {
            let last = self.clients.iter().rposition(|client| client.waits);
            self.refuse_one(last.expect("somebody waits"), Refusal::QueueFull);
        }
    }

    pub(crate) fn refuse_one(&mut self, c: usize, refusal: Refusal) {
        self.clients[c].waits = false;
        let waiter = self.clients[c].id;
        self.say(Effect::Refuse { waiter, refusal });
    }

    fn is_held_by_a_client(&self) -> bool {
        let held = |lease: &Lease| {
            lease.out
                && matches!(lease.holder, Holder::Client(_))
                && self.find(lease.id.worker).is_some()
        };
        self.leases.iter().any(held)
    }

    pub(crate) fn rolled(&mut self, kept: usize) {
        if let Some(marked) = self.rolling.take() {
            let replaced = marked - kept;
            self.say(Effect::Rolled(Rolled { replaced, kept }));
        }
    }

    fn close(&mut self) {
        self.closed = true;
        for session in self.sessions.clone() {
            if session.home != Home::Over {
                self.end_session_of(session.id, SessionEnd::Closed);
            }
        }
        if self.timers.contains(&Timer::IdleSweep) {
            let timer = Timer::IdleSweep;
            self.say(Effect::CancelTimer { timer });
        }
        self.say(Effect::Closed);
    }

    /// What it means for the pool that a worker has moved.
    pub(crate) fn moved(&mut self, w: usize, moved: Transition) {
        use worker::Input::{Released, Retire, Started};
        if moved.from.is_staffing() && !moved.to.is_staffing() && !self.closing {
            self.leaves_its_position(w, moved);
        }
        if moved.to == Phase::Stopping && moved.from != Phase::Stopping {
            self.lose_sessions(moved.worker, moved.reason.expect("it has one"));
        }
        match (moved.from, moved.input) {
            (_, Started) => {
                self.failed_starts = 0;
                self.begins_to_serve(w);
            }
            // What its task would have done ends with it.
            (_, Released) => (self.timers).retain(|t| worker_of(*t) != Some(moved.worker)),
            (Phase::Initializing, input) if input != Retire => {
                self.failed_starts += 1;
                let kept = self.rolling_on();
                for w in &kept {
                    self.workers[*w].mark = None;
                    let worker = self.workers[*w].id;
                    self.say(Effect::Event(Event::Kept { worker }));
                }
                self.rolled(kept.len());
            }
            _ => {}
        }
    }

    /// Its position is filled at once, or held back: after a start that failed, and after a crash that follows another
    /// failure. Whoever was to be replaced has given its position away before.
    fn leaves_its_position(&mut self, w: usize, moved: Transition) {
        let worker = &self.workers[w];
        if worker.mark.is_some() {
            return;
        }
        let before = worker.position.failures;
        let is_start = moved.from == Phase::Initializing;
        let is_failure = !matches!(moved.input, worker::Input::Retire | worker::Input::Fault);
        let position = Position {
            failures: if is_failure { before + 1 } else { 0 },
            left: worker.reason,
        };
        if !is_failure || (!is_start && before == 0) {
            self.vacant.push(position);
            return;
        }
        // A first crash costs no pause, a first failed start does.
        let doublings = if is_start { before } else { before - 1 };
        let mut after = self.policy.restart_backoff;
        for _ in 0..doublings {
            after = (after * 2).min(self.policy.restart_backoff_max);
        }
        let pause = |timer: &&Timer| matches!(timer, Timer::Backoff { .. });
        let generation = self.all_timers.iter().filter(pause).count() as u64 + 1;
        let timer = Timer::Backoff { generation };
        self.paused.push((timer, position));
        self.say(Effect::StartTimer { timer, after });
    }

    /// Whoever waits for a session of a worker that serves it no longer is told, and with it the session is over. If
    /// nobody waits, it is told who asks next.
    fn lose_sessions(&mut self, worker: WorkerId, reason: Reason) {
        for s in 0..self.sessions.len() {
            if self.sessions[s].home != Home::Worker(worker) {
                continue;
            }
            let id = self.sessions[s].id;
            self.sessions[s].home = Home::Lost(reason);
            if self.refuse_those_of(id, Refusal::SessionLost(reason)) {
                self.end_session_of(id, SessionEnd::Lost(reason));
            }
        }
    }

    /// Refuses all who wait for a session: whether there were any.
    pub(crate) fn refuse_those_of(&mut self, session: SessionId, refusal: Refusal) -> bool {
        let mut any = false;
        for c in 0..self.clients.len() {
            if self.clients[c].waits && self.clients[c].session == Some(session) {
                self.refuse_one(c, refusal);
                any = true;
            }
        }
        any
    }
}

/// The worker whose task keeps the timer.
pub(crate) fn worker_of(timer: Timer) -> Option<WorkerId> {
    match timer {
        Timer::Worker { worker, .. } | Timer::Milestone { worker, .. } => Some(worker),
        Timer::Probe { lease } => Some(lease.worker),
        Timer::Backoff { .. } | Timer::IdleSweep => None,
    }
}
