//! The world around a supervisor: ports, timers and clients that do what such things do, in any order.
//!
//! It performs every effect, remembers what may happen next because of it, and checks after each step what must hold.

use std::collections::{BTreeMap, BTreeSet};

use ostler::supervisor::Event;
use ostler::supervisor::{
    Effect, Fault, Input, Order, PortFact, Reason, Refusal, Rolled, SessionEnd, Supervisor, Timer,
};
use ostler::worker::{self, Phase, Rung};
use ostler::{LeaseId, Policy, SessionId, WaiterId, WorkerId};

/// What a port can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortState {
    /// Ordered to open; not answered yet.
    Opening,
    /// Answered, and its leader is alive.
    Answered,
    /// Its leader has exited.
    Exited,
    /// Ordered to be released.
    Releasing,
}

impl PortState {
    /// What the port can do after this has happened to it. `None`: it cannot happen, or it is the last thing that does.
    pub(crate) fn after(self, fact: PortFact) -> Option<Self> {
        match (self, fact) {
            (Self::Opening, PortFact::Started | PortFact::StartFailed) => Some(Self::Answered),
            (Self::Opening | Self::Answered, PortFact::Exited) => Some(Self::Exited),
            _ => None,
        }
    }

    /// Whether this can happen to the port.
    pub(crate) fn can(self, fact: PortFact) -> bool {
        self.after(fact).is_some() || (self, fact) == (Self::Releasing, PortFact::Released)
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) supervisor: Supervisor,
    pub(crate) ports: BTreeMap<WorkerId, PortState>,
    /// Timers that may elapse: also those that were cancelled, because a timer may be on its way when it is.
    pub(crate) timers: Vec<Timer>,
    pub(crate) cancelled: Vec<Timer>,
    /// Timers that come again and again, or mean nothing by themselves: whoever lets time run out leaves them out.
    pub(crate) health: Vec<Timer>,
    pub(crate) waiting: BTreeSet<WaiterId>,
    /// Of those who wait, the ones that wait for a session's lease.
    pub(crate) for_session: BTreeMap<WaiterId, SessionId>,
    /// Sessions that are not over.
    pub(crate) sessions: BTreeSet<SessionId>,
    /// The worker of each session's first lease.
    pub(crate) homes: BTreeMap<SessionId, WorkerId>,
    pub(crate) ended: Vec<(SessionId, SessionEnd)>,
    /// Leases of the health monitor whose probe has not been answered.
    pub(crate) probes: Vec<LeaseId>,
    pub(crate) leases: Vec<LeaseId>,
    pub(crate) granted: Vec<(WaiterId, LeaseId)>,
    pub(crate) refused: Vec<(WaiterId, Refusal)>,
    pub(crate) rungs: BTreeMap<WorkerId, Vec<Rung>>,
    pub(crate) rolled: Vec<Rolled>,
    pub(crate) drained: usize,
    pub(crate) closed: usize,
    /// What the supervisor has said to the last input, or when it was made.
    pub(crate) said: Vec<Effect>,
    /// What happened to the workers, in order.
    pub(crate) events: Vec<Event>,
    last_waiter: u64,
    last_session: u64,
    /// The most workers that there may be: more than the slots only after the pool was made smaller.
    most: usize,
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        let most = policy.size + policy.surge;
        let mut world = Self {
            supervisor: Supervisor::new(policy, 1).expect("a valid policy"),
            ports: BTreeMap::new(),
            timers: Vec::new(),
            cancelled: Vec::new(),
            health: Vec::new(),
            waiting: BTreeSet::new(),
            for_session: BTreeMap::new(),
            sessions: BTreeSet::new(),
            homes: BTreeMap::new(),
            ended: Vec::new(),
            probes: Vec::new(),
            leases: Vec::new(),
            granted: Vec::new(),
            refused: Vec::new(),
            rungs: BTreeMap::new(),
            rolled: Vec::new(),
            drained: 0,
            closed: 0,
            said: Vec::new(),
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
        // A surplus shrinks, and is not added to.
        let slots = size + self.supervisor.policy().surge;
        let workers = self.phases().len();
        assert!(workers <= slots.max(self.most), "L4: {self:?}");
        self.most = slots.max(workers);
        self.check();
    }

    /// Takes note of an input in the surroundings that it comes from. A late one finds nothing there to change.
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
            Input::Port { worker, fact } => match self.ports.get(&worker) {
                Some(port) if port.can(fact) => match port.after(fact) {
                    Some(next) => _ = self.ports.insert(worker, next),
                    None => _ = self.ports.remove(&worker),
                },
                _ => {}
            },
            Input::Elapsed { timer } => {
                for timers in [&mut self.timers, &mut self.cancelled, &mut self.health] {
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

    /// Every client gives its lease back, those included that are granted one because of it.
    pub(crate) fn check_in_all(&mut self) {
        while let Some(&lease) = self.leases.first() {
            self.checkin(lease);
        }
    }

    /// The worker answers the probe.
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
            fault: None,
        });
    }

    pub(crate) fn fault(&mut self, lease: LeaseId, fault: Fault) {
        self.feed(Input::LeaseEnded {
            lease,
            calls: 0,
            errors: 0,
            fault: Some(fault),
        });
    }

    /// Lets something happen to a port, if it can: whether it did.
    pub(crate) fn port(&mut self, worker: WorkerId, fact: PortFact) -> bool {
        if !self.ports.get(&worker).is_some_and(|port| port.can(fact)) {
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

    /// Starts every worker that is opening.
    pub(crate) fn start_all(&mut self) {
        let opening = |(worker, state): (&WorkerId, &PortState)| {
            (*state == PortState::Opening).then_some(*worker)
        };
        while let Some(worker) = self.ports.iter().find_map(opening) {
            self.port(worker, PortFact::Started);
        }
    }

    /// Lets time run: ports start, exit and are released as they are told to, and every timer elapses, until nothing
    /// is left that must happen.
    pub(crate) fn run_out(&mut self) {
        for _ in 0..10_000 {
            let told = |(worker, state): (&WorkerId, &PortState)| match state {
                PortState::Releasing => Some((*worker, PortFact::Released)),
                _ if self.rungs.contains_key(worker) => Some((*worker, PortFact::Exited)),
                PortState::Opening => Some((*worker, PortFact::Started)),
                _ => None,
            };
            if let Some((worker, fact)) = self.ports.iter().find_map(told)
                && self.port(worker, fact)
            {
                continue;
            }
            if let Some(&probe) = self.probes.first() {
                self.probed(probe, true);
                continue;
            }
            match self.timers.first() {
                Some(&timer) => self.elapse(timer),
                None => return,
            }
        }
        panic!("there is no end to it: {self:?}");
    }

    /// Performs the effects: how many workers were retired because they were to be replaced.
    fn perform(&mut self) -> usize {
        self.said = self.supervisor.take_effects().collect();
        let mut recycled = 0;
        for effect in self.said.clone() {
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
                Effect::StartTimer { timer, .. } => match timer {
                    Timer::IdleSweep => self.health.push(timer),
                    _ => self.timers.push(timer),
                },
                Effect::CancelTimer { timer } => self.cancel(|running| *running == timer),
                Effect::Event(event) => {
                    recycled += usize::from(self.is_recycling(event));
                    self.happened(event);
                }
                Effect::Rolled(rolled) => self.rolled.push(rolled),
                Effect::Drained => self.drained += 1,
                Effect::Closed => self.closed += 1,
            }
        }
        recycled
    }

    fn answer(&mut self, waiter: WaiterId) {
        let waits = self.waiting.remove(&waiter);
        assert!(waits, "an answer to a client that waits for none");
    }

    fn is_recycling(&self, event: Event) -> bool {
        let Event::Moved(transition) = event else {
            return false;
        };
        let reason = transition.reason;
        transition.input == worker::Input::Retire
            && matches!(reason, Some(Reason::Recycled | Reason::Limit(_)))
    }

    fn happened(&mut self, event: Event) {
        self.events.push(event);
        if let Event::Moved(transition) = event
            && transition.to == Phase::Terminated
        {
            // Its task has ended, and with it what it would have done.
            let worker = transition.worker;
            self.timers.retain(|timer| !belongs(timer, worker));
            self.health.retain(|timer| !belongs(timer, worker));
            self.probes.retain(|lease| lease.worker != worker);
        }
    }

    fn order(&mut self, worker: WorkerId, order: Order) {
        match order {
            Order::Open => assert_eq!(self.ports.insert(worker, PortState::Opening), None),
            Order::StartTimer { timer, .. } => self.start_timer(worker, timer),
            Order::CancelTimer { timer } => self.cancel(|running| *running == timer),
            Order::Probe { lease } => self.probes.push(lease),
            Order::Measure => {}
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

    fn start_timer(&mut self, worker: WorkerId, timer: Timer) {
        let timers = match timer {
            Timer::Milestone { .. } => &mut self.health,
            _ => &mut self.timers,
        };
        let of_machine = |timer: &&Timer| matches!(timer, Timer::Worker { .. });
        if of_machine(&&timer) {
            let others = timers.iter().filter(of_machine);
            let count = others.filter(|timer| belongs(timer, worker)).count();
            assert_eq!(count, 0, "a machine has one timer at a time");
        }
        assert!(!timers.contains(&timer), "{timer:?} is running");
        timers.push(timer);
    }

    fn cancel(&mut self, which: impl Fn(&Timer) -> bool) {
        for timers in [&mut self.timers, &mut self.health] {
            let (cancelled, running): (Vec<Timer>, _) = timers.drain(..).partition(&which);
            *timers = running;
            self.cancelled.extend(cancelled);
        }
    }
}

fn belongs(timer: &Timer, to: WorkerId) -> bool {
    match timer {
        Timer::Worker { worker, .. } | Timer::Milestone { worker, .. } => *worker == to,
        Timer::Probe { lease } => lease.worker == to,
        Timer::Backoff { .. } | Timer::IdleSweep => false,
    }
}
