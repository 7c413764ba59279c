//! The world around a supervisor: its ports, timers and clients, which act in any order.
//!
//! The world performs every effect, remembers what may happen next because of it, and checks its
//! invariants after each input.

use std::collections::{BTreeMap, BTreeSet};

use ostler::supervisor::{
    DrainEnd, Effect, Event, Fault, Input, LeaseEnd, Order, PortFact, Reason, Refusal, RollingEnd,
    SessionEnd, Supervisor, Timer,
};
use ostler::worker::{self, Phase, Rung};
use ostler::{LeaseId, Policy, SessionId, WaiterId, WorkerId};

use crate::world_port::PortState;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) supervisor: Supervisor,
    pub(crate) ports: BTreeMap<WorkerId, PortState>,
    /// Ports whose workers are gone.
    pub(crate) abandoned: BTreeMap<WorkerId, PortState>,
    pub(crate) timers: Vec<Timer>,
    /// Timers that were cancelled. They may still elapse, because a timer may be on its way when it
    /// is cancelled.
    pub(crate) cancelled: Vec<Timer>,
    /// Milestones and sweeps. They recur, so [`run_out`](Self::run_out) leaves them out.
    pub(crate) recurring: Vec<Timer>,
    pub(crate) waiting: BTreeSet<WaiterId>,
    /// The session that a client asked for a lease of.
    pub(crate) for_session: BTreeMap<WaiterId, SessionId>,
    /// Sessions that are not over.
    pub(crate) sessions: BTreeSet<SessionId>,
    /// The worker of each session's first lease.
    pub(crate) homes: BTreeMap<SessionId, WorkerId>,
    pub(crate) ended: Vec<(SessionId, SessionEnd)>,
    /// Leases of health checks that have not been answered.
    pub(crate) probes: Vec<LeaseId>,
    /// Leases under which a call is being cancelled.
    pub(crate) cancelling: Vec<LeaseId>,
    pub(crate) leases: Vec<LeaseId>,
    pub(crate) granted: Vec<(WaiterId, LeaseId)>,
    pub(crate) refused: Vec<(WaiterId, Refusal)>,
    pub(crate) rungs: BTreeMap<WorkerId, Vec<Rung>>,
    /// The workers that the last input opened, and their positions.
    pub(crate) opened: Vec<(WorkerId, usize)>,
    pub(crate) rolled: Vec<RollingEnd>,
    pub(crate) drains: Vec<DrainEnd>,
    pub(crate) shutdown_drained: usize,
    pub(crate) closed: usize,
    /// The effects of the last input, or of the opening.
    pub(crate) effects: Vec<Effect>,
    /// What happened to the workers, in order.
    pub(crate) events: Vec<Event>,
    last_waiter: u64,
    last_session: u64,
    /// The most workers that there may be: more than the slots only after the pool shrank.
    most: usize,
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        let most = policy.size + policy.surge;
        let mut world = Self {
            supervisor: Supervisor::new(policy, 1).expect("a valid policy"),
            ports: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            timers: Vec::new(),
            cancelled: Vec::new(),
            recurring: Vec::new(),
            waiting: BTreeSet::new(),
            for_session: BTreeMap::new(),
            sessions: BTreeSet::new(),
            homes: BTreeMap::new(),
            ended: Vec::new(),
            probes: Vec::new(),
            cancelling: Vec::new(),
            leases: Vec::new(),
            granted: Vec::new(),
            refused: Vec::new(),
            rungs: BTreeMap::new(),
            opened: Vec::new(),
            rolled: Vec::new(),
            drains: Vec::new(),
            shutdown_drained: 0,
            closed: 0,
            effects: Vec::new(),
            events: Vec::new(),
            last_waiter: 0,
            last_session: 0,
            most,
        };
        world.perform();
        world
    }

    /// Feeds an input that can really happen.
    pub(crate) fn feed(&mut self, input: Input) {
        let before = self.serving();
        self.happens(input);
        self.supervisor
            .feed(input)
            .expect("what can happen is never illegal");
        let recycled = self.perform();
        let size = self.supervisor.policy().size;
        if recycled > 0 {
            assert!(
                before.max(self.serving()) >= size,
                "L15: retired below the size: {self:?}"
            );
        }
        // A surplus shrinks and never grows.
        let slots = size + self.supervisor.policy().surge;
        let workers = self.phases().len();
        assert!(workers <= slots.max(self.most), "L4: {self:?}");
        self.most = slots.max(workers);
        self.check();
    }

    /// Applies an input to its source. A late input changes nothing there.
    fn happens(&mut self, input: Input) {
        match input {
            Input::Checkout { waiter, session } => {
                self.waiting.insert(waiter);
                self.for_session
                    .extend(session.map(|session| (waiter, session)));
            }
            Input::GaveUp { waiter } => _ = self.waiting.remove(&waiter),
            Input::LeaseEnded { lease, .. } | Input::Probed { lease, .. } => {
                self.leases.retain(|held| *held != lease);
                self.probes.retain(|probe| *probe != lease);
            }
            Input::CancelEnded { lease, .. } => self.cancelling.retain(|held| *held != lease),
            Input::Port { worker, fact } => {
                for ports in [&mut self.ports, &mut self.abandoned] {
                    match ports.get(&worker) {
                        Some(port) if port.can(fact) => match port.after(fact) {
                            Some(next) => _ = ports.insert(worker, next),
                            None => _ = ports.remove(&worker),
                        },
                        _ => {}
                    }
                }
            }
            Input::Elapsed { timer } => {
                if let Timer::Cancel { lease } = timer {
                    self.cancelling.retain(|held| *held != lease);
                }
                for timers in [&mut self.timers, &mut self.cancelled, &mut self.recurring] {
                    timers.retain(|running| *running != timer);
                }
            }
            Input::OpenSession { session } => _ = self.sessions.insert(session),
            _ => {}
        }
    }

    pub(crate) fn checkout(&mut self) -> WaiterId {
        self.checkout_for(None)
    }

    pub(crate) fn checkout_for(&mut self, session: Option<SessionId>) -> WaiterId {
        self.last_waiter += 1;
        let waiter = WaiterId(self.last_waiter);
        self.feed(Input::Checkout { waiter, session });
        waiter
    }

    pub(crate) fn open_session(&mut self) -> SessionId {
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.feed(Input::OpenSession { session });
        session
    }

    /// Every client returns its lease, including clients that are granted one because of it.
    pub(crate) fn check_in_all(&mut self) {
        while let Some(&lease) = self.leases.first() {
            self.checkin(lease);
        }
    }

    /// The worker answers its health check.
    pub(crate) fn probed(&mut self, lease: LeaseId, healthy: bool) {
        self.feed(Input::Probed { lease, healthy });
    }

    pub(crate) fn checkin(&mut self, lease: LeaseId) {
        self.checkin_after(lease, 1, 0);
    }

    pub(crate) fn checkin_after(&mut self, lease: LeaseId, calls: u64, errors: u64) {
        self.feed(Input::LeaseEnded {
            lease,
            calls,
            errors,
            unbroken: errors == calls,
            end: LeaseEnd::Clean,
        });
    }

    pub(crate) fn fault(&mut self, lease: LeaseId, fault: Fault) {
        self.feed(Input::LeaseEnded {
            lease,
            calls: 0,
            errors: 0,
            unbroken: true,
            end: LeaseEnd::Fault(fault),
        });
    }

    /// Reports a fact about a port, if it can happen. Returns whether it did.
    pub(crate) fn port(&mut self, worker: WorkerId, fact: PortFact) -> bool {
        let known = self.ports.get(&worker).or(self.abandoned.get(&worker));
        if !known.is_some_and(|port| port.can(fact)) {
            return false;
        }
        self.feed(Input::Port { worker, fact });
        true
    }

    pub(crate) fn elapse(&mut self, timer: Timer) {
        self.feed(Input::Elapsed { timer });
    }

    pub(crate) fn phases(&self) -> Vec<Phase> {
        self.supervisor.workers().map(|view| view.phase).collect()
    }

    pub(crate) fn serving(&self) -> usize {
        self.phases()
            .into_iter()
            .filter(|phase| matches!(phase, Phase::Ready | Phase::Busy))
            .count()
    }

    /// Every opening worker answers its handshake.
    pub(crate) fn start_all(&mut self) {
        let opening = |(worker, state): (&WorkerId, &PortState)| {
            (*state == PortState::Opening).then_some(*worker)
        };
        while let Some(worker) = self.ports.iter().find_map(opening) {
            self.port(worker, PortFact::Started);
        }
    }

    /// Lets time run: ports start, exit and are released as ordered, cancelled calls end, and
    /// timers elapse, until nothing is left that must happen.
    pub(crate) fn run_out(&mut self) {
        for _ in 0..10_000 {
            let told = |(worker, state): (&WorkerId, &PortState)| match state {
                PortState::Releasing => Some((*worker, PortFact::Released)),
                PortState::Surviving => Some((*worker, PortFact::Exited)),
                _ if self.rungs.contains_key(worker) => Some((*worker, PortFact::Exited)),
                PortState::Opening => Some((*worker, PortFact::Started)),
                _ => None,
            };
            let mut ports = self.ports.iter().chain(&self.abandoned);
            if let Some((worker, fact)) = ports.find_map(told)
                && self.port(worker, fact)
            {
                continue;
            }
            if let Some(&probe) = self.probes.first() {
                self.probed(probe, true);
                continue;
            }
            if let Some(&lease) = self.cancelling.first() {
                let clean = true;
                self.feed(Input::CancelEnded { lease, clean });
                continue;
            }
            match self.timers.first() {
                Some(&timer) => self.elapse(timer),
                None => return,
            }
        }
        panic!("time does not run out: {self:?}");
    }

    /// Performs the effects. Returns how many workers were retired after their replacement.
    fn perform(&mut self) -> usize {
        self.effects = self.supervisor.take_effects().collect();
        self.opened.clear();
        let mut recycled = 0;
        for effect in self.effects.clone() {
            match effect {
                Effect::Worker { worker, order } => self.order(worker, order),
                Effect::Grant { waiter, lease } => {
                    if let Some(session) = self.for_session.get(&waiter) {
                        let home = self.homes.entry(*session).or_insert(lease.worker);
                        assert_eq!(*home, lease.worker, "a session was moved");
                    }
                    self.answer(waiter);
                    self.leases.push(lease);
                    self.granted.push((waiter, lease));
                }
                Effect::Refuse { waiter, refusal } => {
                    self.answer(waiter);
                    self.refused.push((waiter, refusal));
                }
                Effect::SessionEnded { session, end } => {
                    assert!(self.sessions.remove(&session), "a session ends once");
                    self.ended.push((session, end));
                }
                Effect::StartTimer { timer, .. } => self.start_timer(timer),
                Effect::CancelTimer { timer } => self.cancel(|running| *running == timer),
                Effect::Event(event) => {
                    recycled += usize::from(self.is_recycling(event));
                    self.happened(event);
                }
                Effect::RollingEnded(end) => self.rolled.push(end),
                Effect::DrainEnded(end) => self.drains.push(end),
                Effect::ShutdownDrained => {
                    self.shutdown_drained += 1;
                    let left = self.phases();
                    let stopping = left.iter().all(|phase| *phase == Phase::Stopping);
                    assert!(stopping, "L16: a worker still drains: {left:?}");
                }
                Effect::Closed => self.closed += 1,
            }
        }
        recycled
    }

    fn answer(&mut self, waiter: WaiterId) {
        let waits = self.waiting.remove(&waiter);
        assert!(waits, "an answer to a client that does not wait");
    }

    fn is_recycling(&self, event: Event) -> bool {
        let Event::Moved(transition) = event else {
            return false;
        };
        let reason = transition.reason;
        // A starting worker that is recycled is no loss: it does not serve.
        transition.input == worker::Input::Retire
            && transition.from != Phase::Initializing
            && matches!(reason, Some(Reason::Recycled | Reason::Limit(_)))
    }

    fn happened(&mut self, event: Event) {
        self.events.push(event);
        if let Event::Moved(transition) = event
            && transition.to == Phase::Terminated
        {
            // Its timers and the pool's own leases on it end with it.
            let worker = transition.worker;
            if transition.input == worker::Input::Abandoned {
                let port = self.ports.remove(&worker).expect("it is not released");
                self.abandoned.insert(worker, port);
            }
            self.timers.retain(|timer| timer.worker() != Some(worker));
            self.recurring
                .retain(|timer| timer.worker() != Some(worker));
            self.probes.retain(|lease| lease.worker != worker);
            self.cancelling.retain(|lease| lease.worker != worker);
        }
    }

    fn order(&mut self, worker: WorkerId, order: Order) {
        match order {
            Order::Open { position } => {
                assert_eq!(self.ports.insert(worker, PortState::Opening), None);
                self.opened.push((worker, position));
            }
            Order::Probe { lease } => self.probes.push(lease),
            Order::Cancel { lease } => self.cancelling.push(lease),
            Order::Measure => {}
            Order::Abandon => {
                let port = self.ports.get_mut(&worker).expect("it is not released");
                *port = port.abandoned();
            }
            Order::Stop { rung, .. } => {
                self.rungs.entry(worker).or_default().push(rung);
                if rung == Rung::Reap {
                    assert!(
                        matches!(
                            self.ports[&worker],
                            PortState::Exited | PortState::Releasing
                        ),
                        "P4: released before the exit"
                    );
                    self.ports.insert(worker, PortState::Releasing);
                }
            }
        }
    }

    fn start_timer(&mut self, timer: Timer) {
        let timers = match timer {
            Timer::Milestone { .. } | Timer::IdleSweep => &mut self.recurring,
            _ => &mut self.timers,
        };
        let of_machine = |timer: &&Timer| matches!(timer, Timer::Worker { .. });
        if of_machine(&&timer) {
            let others = timers.iter().filter(of_machine);
            let count = others
                .filter(|other| other.worker() == timer.worker())
                .count();
            assert_eq!(count, 0, "a machine has one timer at a time");
        }
        assert!(!timers.contains(&timer), "{timer:?} is running");
        timers.push(timer);
    }

    fn cancel(&mut self, which: impl Fn(&Timer) -> bool) {
        for timers in [&mut self.timers, &mut self.recurring] {
            let (cancelled, running): (Vec<Timer>, _) = timers.drain(..).partition(&which);
            *timers = running;
            self.cancelled.extend(cancelled);
        }
    }
}
