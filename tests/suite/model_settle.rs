//! What a [`Model`] decides after each input.

use std::time::Duration;

use ostler::supervisor::{
    DrainEnd, Effect, Event, Limit, Reason, Refusal, RollingEnd, SessionEnd, Timer, Transition,
};
use ostler::worker::{self, Phase, Worker as Machine};
use ostler::{SessionId, WorkerId};

use crate::model::{Holder, Home, Intake, Lease, Model, Replacement, Stage, Vacancy, Worker};
use crate::world_port::PortState;

impl Model {
    /// In the order of `Supervisor::settle`, which says what depends on it.
    pub(crate) fn settle(&mut self) {
        self.replace_at_limits();
        self.replace_misplaced();
        self.retire_replaced();
        self.retire_surplus();
        self.grant();
        self.lose_idle_sessions();
        self.end_drains();
        self.start();
        self.refuse();
        if self.rolling_left().is_empty() {
            self.end_rolling(0, |replaced| RollingEnd::Completed { replaced });
        }
        let is_quiet = self.waiting() == 0 && !self.is_held_by_client();
        if self.intake == Intake::Draining && is_quiet {
            self.intake = Intake::Drained;
            self.emit(Effect::DrainEnded(DrainEnd::Drained));
        }
        let draining = self.in_phase(&[Phase::Lingering, Phase::Finishing]);
        if matches!(self.stage, Stage::Draining | Stage::Hurrying) && draining.is_empty() {
            if self.timers.contains(&Timer::SessionGrace) {
                self.cancel_timer(Timer::SessionGrace);
            }
            self.stage = Stage::Stopping;
            self.emit(Effect::ShutdownDrained);
        }
        if self.stage == Stage::Stopping && self.alive().is_empty() {
            self.close();
        }
    }

    fn replace_at_limits(&mut self) {
        for w in self.serving() {
            if self.workers[w].replacement.is_none()
                && let Some(limit) = self.limit_of(w)
            {
                self.replace(w, Reason::Limit(limit), false);
            }
        }
    }

    /// The first limit that a worker has reached. Each worker lowers its limits for requests and
    /// memory at random by up to a tenth; `model_actions` uses figures that are clear of that
    /// tenth.
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
        } else if (policy.error_threshold).is_some_and(|n| worker.consecutive_errors() >= n.into())
        {
            Some(Limit::Errors)
        } else {
            None
        }
    }

    /// Decides to replace a worker, which opens a vacancy at once.
    pub(crate) fn replace(&mut self, w: usize, reason: Reason, rolling: bool) {
        self.workers[w].replacement = Some(Replacement { reason, rolling });
        let (position, left) = (self.workers[w].vacancy.position, Some(reason));
        let vacancy = Vacancy {
            position,
            failures: 0,
            left,
        };
        self.vacancies.push(vacancy);
        let worker = self.workers[w].id;
        self.emit(Effect::Event(Event::Replacing { worker, reason }));
    }

    /// L6, L7: grants workers in FIFO order.
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
                    known.idle = 0;
                }
            }
            let lease = self.lease(w, Holder::Client(session));
            self.emit(Effect::Grant { waiter, lease });
        }
    }

    /// The session's worker, if it is idle. For an unbound session, the ready worker with the
    /// fewest sessions, preferring workers that are not being replaced, then low slots.
    fn ready_for_session(&self, session: SessionId) -> Option<usize> {
        if let Home::Worker(home) = self.home_of(session) {
            let free = self.in_phase(&[Phase::Ready, Phase::Lingering]);
            return free.into_iter().find(|w| self.workers[*w].id == home);
        }
        let ready = self.in_phase(&[Phase::Ready]);
        let (staying, going): (Vec<usize>, Vec<usize>) =
            (ready.into_iter()).partition(|w| self.workers[*w].replacement.is_none());
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

    /// O3: once its grace is over, a shutdown takes its worker from each idle session.
    fn lose_idle_sessions(&mut self) {
        for s in 0..self.sessions.len() {
            let is_bound = matches!(self.sessions[s].home, Home::Worker(_));
            if self.stage == Stage::Hurrying && is_bound && !self.is_used(s) {
                self.sessions[s].home = Home::Lost(Reason::Shutdown);
            }
        }
    }

    /// L17: a worker drains only for its lease and its sessions.
    fn end_drains(&mut self) {
        for w in self.in_phase(&[Phase::Lingering]) {
            if self.sessions_of(self.workers[w].id) == 0 {
                self.react(w, worker::Input::SessionsEnded, None);
            }
        }
    }

    /// Starts missing workers, as far as backoffs, slots and P12 allow.
    fn start(&mut self) {
        if self.is_closing() {
            return;
        }
        let vacant = self.policy.size.saturating_sub(self.staff().len());
        self.cancel_backoffs_beyond(vacant);
        while self.staff().len() + self.backoffs.len() < self.policy.size {
            let starting = self.in_phase(&[Phase::Initializing]).len();
            let ports = self.alive().len();
            if starting >= self.policy.max_starting || ports >= self.policy.size + self.policy.surge
            {
                return;
            }
            self.open();
        }
        self.vacancies.clear();
    }

    /// Opens a worker in the lowest free slot, for the oldest vacancy.
    fn open(&mut self) {
        let taken: Vec<usize> = self.alive();
        let is_free = |slot: &usize| !taken.iter().any(|w| self.workers[*w].id.slot == *slot);
        let slot = (0..).find(is_free).expect("slots are many");
        let before = |worker: &&Worker| worker.id.slot == slot;
        let generation = self.workers.iter().filter(before).count() as u64 + 1;
        let id = WorkerId { slot, generation };
        let vacancy = self.next_vacancy();
        self.workers.push(Worker {
            id,
            state: (Phase::Initializing, None),
            port: PortState::Opening,
            abandoned: false,
            vacancy,
            reason: None,
            replacement: None,
            broke: false,
            errors: Vec::new(),
            misses: 0,
            memory: None,
            mature: self.policy.min_worker_life == Duration::ZERO,
            aged: false,
        });
        self.emit(Effect::Event(Event::Opened { worker: id }));
        for effect in Machine::start().1.iter() {
            self.pass_on(self.workers.len() - 1, *effect);
        }
    }

    /// Cancels backoffs, the latest first, until no more are left than workers are missing.
    pub(crate) fn cancel_backoffs_beyond(&mut self, vacant: usize) {
        while self.backoffs.len() > vacant {
            let (timer, _) = self.backoffs.pop().expect("there are some");
            self.cancel_timer(timer);
        }
    }

    /// Refuses the clients that no worker will serve, then the newest ones beyond `max_waiting`. A
    /// client of a bound session waits for its worker.
    fn refuse(&mut self) {
        let no_start = self.failed_starts >= self.policy.crash_loop && self.serving().is_empty();
        for c in 0..self.clients.len() {
            let session = self.clients[c].session;
            let has_a_worker = session.is_some_and(|s| matches!(self.home_of(s), Home::Worker(_)));
            if self.clients[c].waits && !has_a_worker {
                if self.is_closing() {
                    self.refuse_one(c, Refusal::Closed);
                } else if no_start {
                    self.refuse_one(c, Refusal::CrashLoop);
                }
            }
        }
        while self.waiting() > self.policy.max_waiting {
            let last = self.clients.iter().rposition(|client| client.waits);
            self.refuse_one(last.expect("clients wait"), Refusal::QueueFull);
        }
    }

    pub(crate) fn refuse_one(&mut self, c: usize, refusal: Refusal) {
        self.clients[c].waits = false;
        let waiter = self.clients[c].id;
        self.emit(Effect::Refuse { waiter, refusal });
    }

    fn is_held_by_client(&self) -> bool {
        let held = |lease: &Lease| {
            lease.out
                && matches!(lease.holder, Holder::Client(_) | Holder::Cancel(_))
                && self.find(lease.id.worker).is_some()
        };
        self.leases.iter().any(held)
    }

    /// Ends the rolling restart, if one is under way.
    pub(crate) fn end_rolling(&mut self, kept: usize, end: impl Fn(usize) -> RollingEnd) {
        if let Some(chosen) = self.rolling.take() {
            self.emit(Effect::RollingEnded(end(chosen - kept)));
        }
    }

    fn close(&mut self) {
        self.stage = Stage::Closed;
        for session in self.sessions.clone() {
            if session.home != Home::Over {
                self.end_session_of(session.id, SessionEnd::Closed);
            }
        }
        if self.timers.contains(&Timer::IdleSweep) {
            self.cancel_timer(Timer::IdleSweep);
        }
        self.emit(Effect::Closed);
    }

    /// What a worker's transition means for the pool.
    pub(crate) fn after_transition(&mut self, w: usize, moved: Transition) {
        use worker::Input::{Abandoned, Released, Retire, Started};
        if moved.from.is_staffing() && !moved.to.is_staffing() && !self.is_closing() {
            self.vacated(w, moved);
        }
        if moved.to == Phase::Stopping && moved.from != Phase::Stopping {
            self.lose_sessions(moved.worker, moved.reason.expect("it has one"));
        }
        match (moved.from, moved.input) {
            (_, Started) => {
                self.failed_starts = 0;
                self.begins_to_serve(w);
            }
            // Its timers end with it.
            (_, Released | Abandoned) => {
                self.workers[w].abandoned = moved.input == Abandoned;
                (self.timers).retain(|t| t.worker() != Some(moved.worker));
            }
            (Phase::Initializing, input) if input != Retire => {
                self.failed_starts += 1;
                let kept = self.rolling_left();
                for w in &kept {
                    self.workers[*w].replacement = None;
                    let worker = self.workers[*w].id;
                    self.emit(Effect::Event(Event::Kept { worker }));
                }
                let kept = kept.len();
                self.end_rolling(kept, |replaced| RollingEnd::StartFailed { replaced, kept });
            }
            _ => {}
        }
    }

    /// The vacancy is filled at once, or backs off: after a failed start, and after a crash that
    /// follows another failure. A worker that was being replaced opened its vacancy before.
    fn vacated(&mut self, w: usize, moved: Transition) {
        let worker = &self.workers[w];
        if worker.replacement.is_some() {
            return;
        }
        let before = worker.vacancy.failures;
        let is_start = moved.from == Phase::Initializing;
        let is_failure = match moved.input {
            worker::Input::Retire => false,
            // A fault in a call is no crash; one between two calls is.
            worker::Input::Fault => worker.broke,
            _ => true,
        };
        let vacancy = Vacancy {
            position: worker.vacancy.position,
            failures: if is_failure { before + 1 } else { 0 },
            left: worker.reason,
        };
        if !is_failure || (!is_start && before == 0) {
            self.vacancies.push(vacancy);
            return;
        }
        // A first failed start backs off, a first crash does not.
        let doublings = if is_start { before } else { before - 1 };
        let mut after = self.policy.restart_backoff;
        for _ in 0..doublings {
            after = (after * 2).min(self.policy.restart_backoff_max);
        }
        let is_backoff = |timer: &&Timer| matches!(timer, Timer::Backoff { .. });
        let generation = self.all_timers.iter().filter(is_backoff).count() as u64 + 1;
        let timer = Timer::Backoff { generation };
        self.backoffs.push((timer, vacancy));
        self.start_timer(timer, after);
    }

    /// The worker no longer serves its sessions. A session with waiting clients ends, and they are
    /// told; another one is kept until its client asks.
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

    /// Refuses every client that waits for a session. Returns whether there were any.
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
