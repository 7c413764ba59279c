//! How a [`Model`] handles each input. A late input is counted and changes nothing.

use std::time::Duration;

use ostler::supervisor::{
    DrainEnd, Effect, Fault, Input, Milestone, Order, PortFact, Reason, Refusal, RollingEnd,
    SessionEnd, Timer,
};
use ostler::worker::{self, Phase, Rung};
use ostler::{SessionId, WaiterId, WorkerId};

use crate::derived_table::Verdict;
use crate::model::{Client, Holder, Home, Intake, Model, Session, Stage, Worker};

/// A session that this many consecutive sweeps find unused is over.
const SWEEPS: u32 = 5;

impl Model {
    /// Feeds one input. The effects that the pool must give are in `effects`, or `illegal` says why
    /// there are none.
    pub(crate) fn feed(&mut self, input: Input) {
        match input {
            Input::Checkout { waiter, session } => self.checkout(waiter, session),
            Input::GaveUp { waiter } => self.gave_up(waiter),
            Input::LeaseEnded {
                lease,
                calls,
                errors,
                unbroken,
                end,
            } => self.lease_ended(lease, (calls, errors, unbroken), end),
            Input::CancelEnded { lease, clean } => self.cancel_ended(lease, clean),
            Input::Port { worker, fact } => self.port(worker, fact),
            Input::Elapsed { timer } => self.elapses(timer),
            Input::Probed { lease, healthy } => self.answers_the_probe(lease, healthy),
            Input::Measured { worker, bytes } => match self.find(worker) {
                Some(w) => self.workers[w].memory = Some(bytes),
                None => self.counters.stale += 1,
            },
            Input::OpenSession { session } => self.opens(session),
            Input::EndSession { session } => self.ends(session),
            Input::Recycle { worker } => self.recycle(worker),
            Input::RecycleAll => self.recycle_all(),
            Input::Drain => self.intake = Intake::Draining,
            Input::Resume => {
                if self.intake == Intake::Draining {
                    self.emit(Effect::DrainEnded(DrainEnd::Resumed));
                }
                self.intake = Intake::Open;
            }
            Input::Resize { size } => self.policy.size = size,
            Input::Shutdown => self.shutdown(),
            Input::ShutdownNow => self.shutdown_now(),
        }
        if self.illegal.is_none() {
            self.settle();
        }
    }

    /// A client of a bound session is not new.
    fn checkout(&mut self, id: WaiterId, session: Option<SessionId>) {
        let c = self.clients.len();
        self.clients.push(Client {
            id,
            session,
            waits: true,
        });
        match session.map_or(Home::None, |session| self.home_of(session)) {
            Home::Over => self.refuse_one(c, Refusal::SessionEnded),
            Home::Lost(reason) => {
                self.refuse_one(c, Refusal::SessionLost(reason));
                self.end_session_of(session.expect("it was lost"), SessionEnd::Lost(reason));
            }
            Home::Worker(_) => {}
            Home::None if self.is_closing() => self.refuse_one(c, Refusal::Closed),
            Home::None if self.intake != Intake::Open => self.refuse_one(c, Refusal::Draining),
            Home::None => {}
        }
    }

    fn gave_up(&mut self, waiter: WaiterId) {
        let waits = |client: &&mut Client| client.id == waiter && client.waits;
        match self.clients.iter_mut().find(waits) {
            Some(client) => {
                client.waits = false;
                self.counters.gave_up += 1;
            }
            None => self.counters.stale += 1,
        }
    }

    fn port(&mut self, worker: WorkerId, fact: PortFact) {
        let abandoned = |known: &Worker| known.id == worker && known.abandoned;
        if let Some(w) = self.workers.iter().position(abandoned) {
            return self.abandoned_port(w, fact);
        }
        let Some(w) = self.find(worker) else {
            self.counters.stale += 1;
            return;
        };
        if let Some(next) = self.workers[w].port.after(fact) {
            self.workers[w].port = next;
        }
        let (input, reason) = of_machine(fact);
        if fact == PortFact::Broke {
            let verdict = Self::verdict(self.workers[w].state, input);
            let moves = matches!(verdict, Verdict::Moves(_));
            self.workers[w].broke |= moves;
            self.counters.faulted += u64::from(moves);
        }
        let moved = self.react(w, input, reason);
        // A start that no repetition mends is a crash loop at once, until a worker has served.
        let is_final = fact == PortFact::StartFailed { is_final: true };
        if moved && is_final && self.counters.started == 0 {
            self.failed_starts = self.failed_starts.max(self.policy.crash_loop);
        }
    }

    /// P16: only the release of an abandoned port is not late.
    fn abandoned_port(&mut self, w: usize, fact: PortFact) {
        let worker = &mut self.workers[w];
        if let Some(next) = worker.port.after(fact) {
            worker.port = next;
        }
        if fact == PortFact::Released {
            worker.abandoned = false;
            self.counters.released += 1;
        } else {
            self.counters.stale += 1;
        }
    }

    /// A timer that no longer runs is late, and so is a milestone of a worker that no longer
    /// serves.
    fn elapses(&mut self, timer: Timer) {
        let ran = self.timers.contains(&timer);
        self.timers.retain(|running| *running != timer);
        if !ran {
            self.counters.stale += 1;
            return;
        }
        match timer {
            Timer::Worker { worker, timer, .. } => {
                let w = self.find(worker).expect("its timers end with it");
                let (input, reason) = match timer {
                    worker::Timer::Start => {
                        (worker::Input::StartElapsed, Some(Reason::StartTimedOut))
                    }
                    // A draining or stopping worker has its reason already.
                    worker::Timer::Drain => (worker::Input::DrainElapsed, None),
                    worker::Timer::Rung if self.may_abandon(w) => {
                        self.order(worker, Order::Abandon);
                        (worker::Input::Abandoned, None)
                    }
                    worker::Timer::Rung => (worker::Input::RungElapsed, None),
                };
                self.react(w, input, reason);
            }
            Timer::Milestone { worker, milestone } => self.reaches(worker, milestone),
            Timer::Probe { lease } => self.misses_a_probe(lease),
            Timer::Cancel { lease } => self.misses_a_cancel(lease),
            Timer::Backoff { .. } => {
                let held = |backoff: &(Timer, _)| backoff.0 == timer;
                let index = self.backoffs.iter().position(held);
                let (_, vacancy) = self.backoffs.remove(index.expect("it was running"));
                self.vacancies.push(vacancy);
            }
            Timer::IdleSweep => self.sweep_sessions(),
            Timer::SessionGrace => self.stage = Stage::Hurrying,
        }
    }

    /// P16: a worker on its last rung is abandoned, and at most `size` at a time.
    fn may_abandon(&self, w: usize) -> bool {
        let on_last_rung = matches!(self.workers[w].state.1, Some(Rung::Kill | Rung::Reap));
        on_last_rung && self.abandoned().len() < self.policy.size
    }

    pub(crate) fn begins_to_serve(&mut self, w: usize) {
        let worker = self.workers[w].id;
        let policy = self.policy.clone();
        let watched = policy.enable_health_monitoring || policy.max_worker_memory.is_some();
        let mut milestone = |milestone, after| {
            self.start_timer(Timer::Milestone { worker, milestone }, after);
        };
        if watched {
            milestone(Milestone::Check, policy.health_check_interval);
        }
        if policy.min_worker_life > Duration::ZERO {
            milestone(Milestone::Mature, policy.min_worker_life);
        }
        milestone(Milestone::Stable, policy.restart_reset);
        if let Some(age) = policy.max_worker_age {
            milestone(Milestone::Age, age);
        }
        if watched {
            self.order(worker, Order::Measure);
        }
    }

    fn reaches(&mut self, worker: WorkerId, milestone: Milestone) {
        let serves = |w: &usize| self.serving().contains(w);
        let Some(w) = self.find(worker).filter(serves) else {
            self.counters.stale += 1;
            return;
        };
        match milestone {
            Milestone::Mature => self.workers[w].mature = true,
            Milestone::Age => self.workers[w].aged = true,
            Milestone::Stable => self.workers[w].vacancy.failures = 0,
            Milestone::Check => {
                self.order(worker, Order::Measure);
                let is_idle = self.workers[w].state.0 == Phase::Ready;
                if self.policy.enable_health_monitoring && is_idle {
                    let lease = self.lease(w, Holder::Probe { late: false });
                    self.order(worker, Order::Probe { lease });
                    self.start_probe_deadline(lease);
                }
                let again = Timer::Milestone { worker, milestone };
                self.start_timer(again, self.policy.health_check_interval);
            }
        }
    }

    fn opens(&mut self, id: SessionId) {
        if self.home_of(id) != Home::Over {
            self.counters.stale += 1;
            return;
        }
        let refusal = if self.is_closing() {
            Some(Refusal::Closed)
        } else if self.intake != Intake::Open {
            Some(Refusal::Draining)
        } else if self.open_sessions() >= self.policy.max_sessions {
            Some(Refusal::TooManySessions)
        } else {
            None
        };
        self.sessions.push(Session {
            id,
            home: Home::None,
            idle: 0,
        });
        match refusal {
            Some(refusal) => self.end_session_of(id, SessionEnd::Refused(refusal)),
            None => self.start_sweeping(),
        }
    }

    fn ends(&mut self, session: SessionId) {
        if self.home_of(session) == Home::Over {
            self.counters.stale += 1;
            return;
        }
        self.refuse_those_of(session, Refusal::SessionEnded);
        self.end_session_of(session, SessionEnd::Ended);
    }

    fn start_sweeping(&mut self) {
        let timer = Timer::IdleSweep;
        if let Some(idle) = self.policy.session_idle_timeout
            && self.open_sessions() > 0
            && !self.timers.contains(&timer)
        {
            self.start_timer(timer, idle / 4);
        }
    }

    fn sweep_sessions(&mut self) {
        let mut over = Vec::new();
        for s in 0..self.sessions.len() {
            let (id, home) = (self.sessions[s].id, self.sessions[s].home);
            let is_used = self.is_used(s);
            let idle = &mut self.sessions[s].idle;
            *idle = if is_used { 0 } else { *idle + 1 };
            if *idle == SWEEPS && home != Home::Over {
                over.push(id);
            }
        }
        for id in over {
            self.end_session_of(id, SessionEnd::Expired);
            self.settle();
        }
        self.start_sweeping();
    }

    /// Whether a client waits for the session or holds a lease for it.
    pub(crate) fn is_used(&self, s: usize) -> bool {
        let (id, home) = (self.sessions[s].id, self.sessions[s].home);
        let waits = |c: &Client| c.waits && c.session == Some(id);
        // A lease on a worker that is being stopped does not count: the session has lost that
        // worker.
        let leased = self.leases.iter().any(|lease| {
            lease.out
                && lease.holder == Holder::Client(Some(id))
                && home == Home::Worker(lease.id.worker)
        });
        leased || self.clients.iter().any(waits)
    }

    fn recycle(&mut self, worker: WorkerId) {
        let starts = |w: &usize| self.workers[*w].state.0 == Phase::Initializing;
        if let Some(w) = self.find(worker).filter(starts) {
            self.react(w, worker::Input::Retire, Some(Reason::Recycled));
            return;
        }
        let can_be =
            |w: &usize| self.serving().contains(w) && self.workers[*w].replacement.is_none();
        match self.find(worker).filter(can_be) {
            Some(w) => self.replace(w, Reason::Recycled, false),
            None => self.counters.stale += 1,
        }
    }

    fn recycle_all(&mut self) {
        if self.is_closing() {
            let (replaced, kept) = (0, 0);
            let end = RollingEnd::Closed { replaced, kept };
            return self.emit(Effect::RollingEnded(end));
        }
        if self.rolling.is_some() {
            self.counters.stale += 1;
            return;
        }
        let mut chosen = self.serving();
        chosen.retain(|w| self.workers[*w].replacement.is_none());
        for w in &chosen {
            self.replace(*w, Reason::Recycled, true);
        }
        self.rolling = Some(chosen.len());
    }

    /// L16: every worker that is not leaving is retired.
    fn shutdown(&mut self) {
        if self.is_closing() {
            self.counters.stale += 1;
            return;
        }
        self.stage = Stage::Draining;
        let kept = self.rolling_left().len();
        self.end_rolling(kept, |replaced| RollingEnd::Closed { replaced, kept });
        self.cancel_backoffs_beyond(0);
        for session in self.sessions.clone() {
            if session.home == Home::None {
                self.end_session_of(session.id, SessionEnd::Closed);
            }
        }
        let is_bound = |session: &Session| matches!(session.home, Home::Worker(_));
        if self.sessions.iter().any(is_bound) {
            self.start_timer(Timer::SessionGrace, self.policy.session_grace);
        }
        for w in self.in_phase(&[Phase::Initializing, Phase::Ready, Phase::Busy]) {
            self.react(w, worker::Input::Retire, Some(Reason::Shutdown));
        }
    }

    /// O5: every drain and every rung before `SIGKILL` is over, one worker after the other.
    fn shutdown_now(&mut self) {
        let is_first = !self.is_closing();
        if is_first {
            self.shutdown();
            self.settle();
        }
        let mut is_late = !is_first;
        for w in self.alive() {
            while let Some(input) = match self.workers[w].state {
                (Phase::Lingering | Phase::Finishing, _) => Some(worker::Input::DrainElapsed),
                (_, Some(Rung::Ask | Rung::Term)) => Some(worker::Input::RungElapsed),
                _ => None,
            } {
                is_late = false;
                self.react(w, input, None);
                self.settle();
            }
        }
        self.counters.stale += u64::from(is_late);
    }
}

/// The input that a fact about a port is to its worker's machine, and the reason for which the
/// worker then leaves.
pub(crate) fn of_machine(fact: PortFact) -> (worker::Input, Option<Reason>) {
    match fact {
        PortFact::Started => (worker::Input::Started, None),
        PortFact::StartFailed { .. } => (worker::Input::StartFailed, Some(Reason::StartFailed)),
        PortFact::Broke => {
            let reason = Reason::Fault(Fault::ProtocolBroken);
            (worker::Input::Fault, Some(reason))
        }
        PortFact::Exited => (worker::Input::Exited, Some(Reason::Exited)),
        PortFact::Released => (worker::Input::Released, None),
    }
}
