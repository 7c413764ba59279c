//! The world around a supervisor: ports, timers and clients that do what such things do, in any order.
//!
//! It performs every effect, remembers what may happen next because of it, and checks after each step what must hold.

use std::collections::{BTreeMap, BTreeSet};

use ostler::supervisor::{Effect, Fault, Input, Order, PortFact, Refusal, Supervisor, Timer};
use ostler::worker::{self, Phase, Rung};
use ostler::{LeaseId, Policy, WaiterId, WorkerId};

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

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) supervisor: Supervisor,
    pub(crate) ports: BTreeMap<WorkerId, PortState>,
    /// Timers that may elapse: also those that were cancelled, because a timer may be on its way when it is.
    pub(crate) timers: Vec<Timer>,
    pub(crate) cancelled: Vec<Timer>,
    pub(crate) waiting: BTreeSet<WaiterId>,
    pub(crate) leases: Vec<LeaseId>,
    pub(crate) granted: Vec<(WaiterId, LeaseId)>,
    pub(crate) refused: Vec<(WaiterId, Refusal)>,
    pub(crate) rungs: BTreeMap<WorkerId, Vec<Rung>>,
    pub(crate) closed: usize,
    last_waiter: u64,
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        let mut world = Self {
            supervisor: Supervisor::new(policy, 1).expect("a valid policy"),
            ports: BTreeMap::new(),
            timers: Vec::new(),
            cancelled: Vec::new(),
            waiting: BTreeSet::new(),
            leases: Vec::new(),
            granted: Vec::new(),
            refused: Vec::new(),
            rungs: BTreeMap::new(),
            closed: 0,
            last_waiter: 0,
        };
        world.perform();
        world
    }

    /// Feeds an input that can really happen.
    pub(crate) fn handle(&mut self, input: Input) {
        let before = self.serving();
        self.supervisor
            .handle(input)
            .expect("what can happen is never illegal");
        let recycled = self.perform();
        if recycled > 0 {
            let size = self.supervisor.policy().size;
            assert!(
                before.max(self.serving()) >= size,
                "L15: retired below the size: {self:?}"
            );
        }
        self.check();
    }

    pub(crate) fn checkout(&mut self) -> WaiterId {
        self.last_waiter += 1;
        let waiter = WaiterId(self.last_waiter);
        self.waiting.insert(waiter);
        self.handle(Input::Checkout { waiter });
        waiter
    }

    pub(crate) fn give_up(&mut self, waiter: WaiterId) {
        self.waiting.remove(&waiter);
        self.handle(Input::GaveUp { waiter });
    }

    pub(crate) fn checkin(&mut self, lease: LeaseId) {
        self.leases.retain(|held| *held != lease);
        self.handle(Input::LeaseEnded {
            lease,
            exchanges: 1,
            fault: None,
        });
    }

    pub(crate) fn fault(&mut self, lease: LeaseId, fault: Fault) {
        self.leases.retain(|held| *held != lease);
        self.handle(Input::LeaseEnded {
            lease,
            exchanges: 0,
            fault: Some(fault),
        });
    }

    /// Lets something happen to a port, if it can: whether it did.
    pub(crate) fn port(&mut self, worker: WorkerId, fact: PortFact) -> bool {
        use PortState::{Answered, Exited, Opening, Releasing};
        let next = match (self.ports.get(&worker), fact) {
            (Some(Opening), PortFact::Started | PortFact::StartFailed) => Some(Answered),
            (Some(Opening | Answered), PortFact::Exited) => Some(Exited),
            (Some(Releasing), PortFact::Released) => None,
            _ => return false,
        };
        match next {
            Some(state) => self.ports.insert(worker, state),
            None => self.ports.remove(&worker),
        };
        self.handle(Input::Port { worker, fact });
        true
    }

    pub(crate) fn elapse(&mut self, timer: Timer) {
        self.timers.retain(|running| *running != timer);
        self.cancelled.retain(|late| *late != timer);
        self.handle(Input::Elapsed { timer });
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
            match self.timers.first() {
                Some(&timer) => self.elapse(timer),
                None => return,
            }
        }
        panic!("there is no end to it: {self:?}");
    }

    /// Performs the effects: how many workers were retired to be recycled.
    fn perform(&mut self) -> usize {
        let effects: Vec<Effect> = self.supervisor.take_effects().collect();
        let mut recycled = 0;
        for effect in effects {
            match effect {
                Effect::Worker { worker, order } => self.order(worker, order),
                Effect::Grant { waiter, lease } => {
                    assert!(
                        self.waiting.remove(&waiter),
                        "an answer to a client that waits for none"
                    );
                    self.leases.push(lease);
                    self.granted.push((waiter, lease));
                }
                Effect::Refuse { waiter, refusal } => {
                    assert!(
                        self.waiting.remove(&waiter),
                        "an answer to a client that waits for none"
                    );
                    self.refused.push((waiter, refusal));
                }
                Effect::StartTimer { timer, .. } => self.timers.push(timer),
                Effect::CancelTimer { timer } => self.cancel(|running| *running == timer),
                Effect::Trace(transition) => {
                    let retired = transition.input == worker::Input::Retire;
                    recycled += usize::from(retired && !self.supervisor.is_closing());
                }
                Effect::Closed => self.closed += 1,
            }
        }
        recycled
    }

    fn order(&mut self, worker: WorkerId, order: Order) {
        match order {
            Order::Open => assert_eq!(self.ports.insert(worker, PortState::Opening), None),
            Order::StartTimer { timer, .. } => {
                let of_worker = self
                    .timers
                    .iter()
                    .filter(|running| belongs(running, worker));
                assert_eq!(of_worker.count(), 0, "a worker has one timer at a time");
                self.timers.push(timer);
            }
            Order::CancelTimer => self.cancel(|running| belongs(running, worker)),
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

    fn cancel(&mut self, which: impl Fn(&Timer) -> bool) {
        let (cancelled, running) = self.timers.drain(..).partition(which);
        self.timers = running;
        let cancelled: Vec<Timer> = cancelled;
        self.cancelled.extend(cancelled);
    }

    /// What holds after every step.
    fn check(&self) {
        let policy = self.supervisor.policy();
        let phases = self.phases();
        assert!(phases.len() <= policy.size + policy.surge, "L4: {phases:?}");
        assert_eq!(
            phases.len(),
            self.ports.len(),
            "L8: a port without a worker, or the reverse"
        );
        let starting = phases
            .iter()
            .filter(|phase| **phase == Phase::Initializing)
            .count();
        assert!(starting <= policy.max_starting, "P12: {phases:?}");
        assert!(
            !phases.contains(&Phase::Lingering),
            "nobody has a session: {phases:?}"
        );
        assert_eq!(self.supervisor.waiting(), self.waiting.len());
        assert!(self.waiting.len() <= policy.max_waiting);
        if !self.waiting.is_empty() {
            assert!(
                !phases.contains(&Phase::Ready),
                "L6: a client waits beside an idle worker"
            );
            assert!(
                !self.supervisor.is_closing(),
                "L18: a client waits for a pool that ends"
            );
        }
        let leased: BTreeSet<WorkerId> = self.leases.iter().map(|lease| lease.worker).collect();
        assert_eq!(
            leased.len(),
            self.leases.len(),
            "C1: a worker with two leases"
        );
        for view in self.supervisor.workers() {
            if matches!(view.phase, Phase::Busy | Phase::Finishing) {
                assert!(
                    leased.contains(&view.worker),
                    "C2: busy for nobody: {view:?}"
                );
            }
            if view.phase == Phase::Ready {
                assert!(
                    !leased.contains(&view.worker),
                    "C1: ready while leased: {view:?}"
                );
            }
        }
    }
}

fn belongs(timer: &Timer, to: WorkerId) -> bool {
    matches!(timer, Timer::Worker { worker, .. } if *worker == to)
}
