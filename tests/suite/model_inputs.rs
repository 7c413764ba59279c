//! What can happen to a [`Model`], and what it is to the pool. Whatever comes late is counted and changes nothing.

use std::time::Duration;

use ostler::supervisor::{
    Effect, Fault, Input, Milestone, Order, PortFact, Reason, Refusal, SessionEnd, Timer,
};
use ostler::worker::{self, Phase};
use ostler::{LeaseId, SessionId, WaiterId, WorkerId};

use crate::model::{Client, Holder, Home, Intake, Model, Session};

/// A session that so many looks in a row find unused is over.
const SWEEPS: u32 = 5;

impl Model {
    /// Feeds the pool one input. What it must say to it is in `effects`, or `illegal` says why nothing happens.
    pub(crate) fn feed(&mut self, input: Input) {
        match input {
            Input::Checkout { waiter, session } => self.comes(waiter, session),
            Input::GaveUp { waiter } => self.gives_up(waiter),
            Input::LeaseEnded {
                lease,
                calls,
                errors,
                fault,
            } => self.lets_go(lease, calls, errors, fault),
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
            Input::Drain => self.intake = Intake::Paused,
            Input::Resume => self.intake = Intake::Open,
            Input::Resize { size } => self.policy.size = size,
            Input::Shutdown => self.shutdown(),
        }
        if self.illegal.is_none() {
            self.settle();
        }
    }

    /// Whoever comes for a session that has a worker is no newcomer.
    fn comes(&mut self, id: WaiterId, session: Option<SessionId>) {
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
            Home::None if self.closing => self.refuse_one(c, Refusal::Closed),
            Home::None if self.intake != Intake::Open => self.refuse_one(c, Refusal::Draining),
            Home::None => {}
        }
    }

    fn gives_up(&mut self, waiter: WaiterId) {
        let waits = |client: &&mut Client| client.id == waiter && client.waits;
        match self.clients.iter_mut().find(waits) {
            Some(client) => {
                client.waits = false;
                self.counters.gave_up += 1;
            }
            None => self.counters.stale += 1,
        }
    }

    /// The worker of a lease that is given back, unless it was before or its worker is released.
    fn take_back(&mut self, lease: LeaseId) -> Option<(usize, Holder)> {
        let known = self.lease_out(lease);
        for given in &mut self.leases {
            if given.id == lease {
                given.out = false;
            }
        }
        if known.is_none() {
            self.counters.stale += 1;
        }
        Some((self.find(lease.worker)?, self.leases[known?].holder))
    }

    fn lets_go(&mut self, lease: LeaseId, calls: u64, errors: u64, fault: Option<Fault>) {
        let Some((w, _)) = self.take_back(lease) else {
            return;
        };
        self.counters.calls += calls;
        let worker = &mut self.workers[w];
        worker.errors.extend((errors..calls).map(|_| false));
        worker.errors.extend((0..errors).map(|_| true));
        if calls > 0 {
            // An answer to a client is as good as one to a probe.
            worker.misses = 0;
        }
        match fault {
            None => _ = self.react(w, worker::Input::Checkin, None),
            Some(fault) => {
                if self.react(w, worker::Input::Fault, Some(Reason::Fault(fault))) {
                    self.counters.faulted += 1;
                }
            }
        }
    }

    fn port(&mut self, worker: WorkerId, fact: PortFact) {
        let Some(w) = self.find(worker) else {
            self.counters.stale += 1;
            return;
        };
        if let Some(next) = self.workers[w].port.after(fact) {
            self.workers[w].port = next;
        }
        let (input, reason) = of_machine(fact);
        self.react(w, input, reason);
    }

    /// A timer that does not run any more is late, and so is one of a worker that does not serve any more.
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
                    // Whoever drains or stops has its reason.
                    worker::Timer::Drain => (worker::Input::DrainElapsed, None),
                    worker::Timer::Rung => (worker::Input::RungElapsed, None),
                };
                self.react(w, input, reason);
            }
            Timer::Milestone { worker, milestone } => self.is_due(worker, milestone),
            Timer::Probe { lease } => self.misses_a_probe(lease),
            Timer::Backoff { .. } => {
                let held = |pause: &(Timer, _)| pause.0 == timer;
                let index = self.paused.iter().position(held);
                let (_, position) = self.paused.remove(index.expect("it was running"));
                self.vacant.push(position);
            }
            Timer::IdleSweep => self.look_for_unused_sessions(),
        }
    }

    pub(crate) fn begins_to_serve(&mut self, w: usize) {
        let worker = self.workers[w].id;
        let policy = self.policy.clone();
        let watched = policy.enable_health_monitoring || policy.max_worker_memory.is_some();
        let mut milestone = |milestone, after| {
            let timer = Timer::Milestone { worker, milestone };
            self.order(worker, Order::StartTimer { timer, after });
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

    fn is_due(&mut self, worker: WorkerId, milestone: Milestone) {
        let serves = |w: &usize| self.serving().contains(w);
        let Some(w) = self.find(worker).filter(serves) else {
            self.counters.stale += 1;
            return;
        };
        match milestone {
            Milestone::Mature => self.workers[w].mature = true,
            Milestone::Age => self.workers[w].aged = true,
            Milestone::Stable => self.workers[w].position.failures = 0,
            Milestone::Check => {
                self.order(worker, Order::Measure);
                let is_idle = self.workers[w].state.0 == Phase::Ready;
                if self.policy.enable_health_monitoring && is_idle {
                    let lease = self.lease(w, Holder::Monitor { late: false });
                    self.order(worker, Order::Probe { lease });
                    self.start_probe_deadline(lease);
                }
                let timer = Timer::Milestone { worker, milestone };
                let after = self.policy.health_check_interval;
                self.order(worker, Order::StartTimer { timer, after });
            }
        }
    }

    fn start_probe_deadline(&mut self, lease: LeaseId) {
        let timer = Timer::Probe { lease };
        let after = self.policy.health_check_timeout;
        self.order(lease.worker, Order::StartTimer { timer, after });
    }

    /// L11: it may answer yet, unless it has missed too many.
    fn misses_a_probe(&mut self, lease: LeaseId) {
        let Some(l) = self.lease_out(lease) else {
            self.counters.stale += 1;
            return;
        };
        let w = self.find(lease.worker).expect("its lease is out");
        self.counters.missed_probes += 1;
        self.workers[w].misses += 1;
        if self.workers[w].misses < self.policy.health_failure_threshold {
            self.leases[l].holder = Holder::Monitor { late: true };
            self.start_probe_deadline(lease);
        } else {
            self.leases[l].out = false;
            self.react(w, worker::Input::Fault, Some(Reason::Unhealthy));
        }
    }

    fn answers_the_probe(&mut self, lease: LeaseId, healthy: bool) {
        let Some((w, holder)) = self.take_back(lease) else {
            return;
        };
        let timer = Timer::Probe { lease };
        self.order(lease.worker, Order::CancelTimer { timer });
        if !healthy {
            self.workers[w].misses += 1;
        } else if holder == (Holder::Monitor { late: false }) {
            // An answer that is late does not undo that its deadline was missed.
            self.workers[w].misses = 0;
        }
        self.react(w, worker::Input::Checkin, None);
        let too_many = self.workers[w].misses >= self.policy.health_failure_threshold;
        if too_many && self.serving().contains(&w) {
            self.react(w, worker::Input::Retire, Some(Reason::Unhealthy));
        }
    }

    fn opens(&mut self, id: SessionId) {
        if self.home_of(id) != Home::Over {
            self.counters.stale += 1;
            return;
        }
        let refusal = if self.closing {
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
            unused: 0,
        });
        match refusal {
            Some(refusal) => self.end_session_of(id, SessionEnd::Refused(refusal)),
            None => self.start_looking(),
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

    fn start_looking(&mut self) {
        let timer = Timer::IdleSweep;
        if let Some(idle) = self.policy.session_idle_timeout
            && self.open_sessions() > 0
            && !self.timers.contains(&timer)
        {
            let after = idle / 4;
            self.say(Effect::StartTimer { timer, after });
        }
    }

    fn look_for_unused_sessions(&mut self) {
        for s in 0..self.sessions.len() {
            let (id, home) = (self.sessions[s].id, self.sessions[s].home);
            let waits = |c: &Client| c.waits && c.session == Some(id);
            // A lease on a worker that is being stopped does not count: the session has lost it.
            let leased = self.leases.iter().any(|lease| {
                lease.out
                    && lease.holder == Holder::Client(Some(id))
                    && home == Home::Worker(lease.id.worker)
            });
            let is_used = leased || self.clients.iter().any(waits);
            let unused = &mut self.sessions[s].unused;
            *unused = if is_used { 0 } else { *unused + 1 };
            if *unused == SWEEPS && home != Home::Over {
                self.end_session_of(id, SessionEnd::Expired);
            }
        }
        self.start_looking();
    }

    fn recycle(&mut self, worker: WorkerId) {
        let can_be = |w: &usize| self.serving().contains(w) && self.workers[*w].mark.is_none();
        match self.find(worker).filter(can_be) {
            Some(w) => self.mark(w, Reason::Recycled, false),
            None => self.counters.stale += 1,
        }
    }

    fn recycle_all(&mut self) {
        if self.rolling.is_some() || self.closing {
            self.counters.stale += 1;
            return;
        }
        let mut unmarked = self.serving();
        unmarked.retain(|w| self.workers[*w].mark.is_none());
        for w in &unmarked {
            self.mark(*w, Reason::Recycled, true);
        }
        self.rolling = Some(unmarked.len());
    }

    /// L16: whoever is not on its way out already is now.
    fn shutdown(&mut self) {
        if self.closing {
            self.counters.stale += 1;
            return;
        }
        self.closing = true;
        self.rolled(self.rolling_on().len());
        self.end_pauses_beyond(0);
        for session in self.sessions.clone() {
            if session.home == Home::None {
                self.end_session_of(session.id, SessionEnd::Closed);
            }
        }
        for w in self.in_phase(&[Phase::Initializing, Phase::Ready, Phase::Busy]) {
            self.react(w, worker::Input::Retire, Some(Reason::Shutdown));
        }
    }
}

/// What a fact about a port is to the worker's machine, and why that is then on its way out.
pub(crate) fn of_machine(fact: PortFact) -> (worker::Input, Option<Reason>) {
    match fact {
        PortFact::Started => (worker::Input::Started, None),
        PortFact::StartFailed => (worker::Input::StartFailed, Some(Reason::StartFailed)),
        PortFact::Exited => (worker::Input::Exited, Some(Reason::Exited)),
        PortFact::Released => (worker::Input::Released, None),
    }
}
