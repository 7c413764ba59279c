//! The steps of the real [`Supervisor`](ostler::Supervisor), told in the actions of `spec/WorkerPool.tla`.
//!
//! [`Happening::action`] and [`Node::consequence`] are the mapping: the first says which action an input is, the second
//! which one each effect is.

use ostler::supervisor::{
    Due, Effect, Fault, Input, Order, PortFact, Reason, Refusal, SessionEnd, Timer,
};
use ostler::trace::{Event, Transition};
use ostler::worker::{self, Phase};
use ostler::{LeaseId, SessionId, WaiterId, WorkerId};

use crate::graph_node::{Client, Node, Session, Worker};

/// Something that can happen to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Checkout(usize, Option<usize>),
    GiveUp(usize),
    Checkin(usize),
    Fault(usize),
    Port(WorkerId, PortFact),
    Deadline(WorkerId, Timer),
    PauseEnds(Timer),
    Check(WorkerId),
    Probed(LeaseId, bool),
    ProbeElapses(LeaseId),
    OpenSession(usize),
    EndSession(usize),
    /// So many looks for unused sessions that each one that is unused expires.
    Looks,
    Recycle(WorkerId),
    RecycleAll,
    Pause,
    Resume,
    Resize(usize),
    Shutdown,
}

impl Happening {
    /// Whether it costs a worker, or brings about more work than it takes: explorations allow only so much of it.
    pub(crate) fn is_trouble(self) -> bool {
        use Happening as H;
        match self {
            H::Fault(_) | H::Recycle(_) | H::RecycleAll | H::Resize(_) | H::Shutdown => true,
            H::Port(_, fact) => matches!(fact, PortFact::StartFailed | PortFact::Exited),
            H::Deadline(_, Timer::Worker { timer, .. }) => timer != worker::Timer::Rung,
            H::Probed(_, healthy) => !healthy,
            H::ProbeElapses(_) | H::Pause => true,
            _ => false,
        }
    }

    /// The action of the specification that this is, before the pool settles; `None` where it changes nothing.
    fn action(self, node: &Node) -> Option<String> {
        use Happening as H;
        let client = Node::client_name;
        let n = |worker| node.number(worker);
        let taking = !node.supervisor.is_closing() && !node.supervisor.is_paused();
        Some(match self {
            H::Checkout(c, None) if taking => format!("Checkout({})", client(c)),
            H::Checkout(_, None) => return None,
            H::Checkout(c, Some(s)) => {
                let name = Node::session_name(s);
                match node.session_state(s) {
                    "closed" => return None,
                    "lost" => format!("TellLost({}, {name})", client(c)),
                    "unbound" if !taking => return None,
                    _ => format!("CheckoutFor({}, {name})", client(c)),
                }
            }
            H::GiveUp(c) => format!("GiveUp({})", client(c)),
            H::Checkin(c) => format!("Checkin({}, {})", client(c), n(node.held_by(c).worker)),
            H::Fault(c) => format!("Fault({}, {})", client(c), n(node.held_by(c).worker)),
            H::Port(w, fact) => format!("{fact:?}({})", n(w)),
            H::Deadline(w, Timer::Worker { timer, .. }) => format!("{timer:?}Elapsed({})", n(w)),
            H::Deadline(..) => return None,
            H::PauseEnds(_) => "CoolingEnds".into(),
            H::Check(w) => format!("ProbeBegins({})", n(w)),
            // Whether one that is not well has said so too often shows in what comes of it.
            H::Probed(lease, _) => format!("ProbeEnds({})", n(lease.worker)),
            H::ProbeElapses(_) => return None,
            H::OpenSession(s) => {
                let open = node.sessions.iter().flatten().count();
                if !taking || open >= node.supervisor.policy().max_sessions {
                    return None;
                }
                format!("OpenSession({})", Node::session_name(s))
            }
            H::EndSession(s) => format!("EndSession({})", Node::session_name(s)),
            H::Looks | H::Recycle(_) | H::RecycleAll => return None,
            H::Pause => "Pause".into(),
            H::Resume => "Resume".into(),
            H::Resize(size) => format!("Resize({size})"),
            H::Shutdown => "Shutdown".into(),
        })
    }

    /// The inputs by which the pool learns of it.
    fn inputs(self, node: &mut Node) -> Vec<Input> {
        use Happening as H;
        let ended = |lease, fault| Input::LeaseEnded {
            lease,
            exchanges: 1,
            errors: 0,
            fault,
        };
        let elapsed = |timer| Input::Elapsed { timer };
        vec![match self {
            H::Checkout(c, s) => {
                let waiter = WaiterId(node.name());
                node.clients[c] = Client::Waits(waiter, s);
                node.queue.push(c);
                let id = s.map(|s| node.sessions[s].map_or(SessionId(0), |known| known.id));
                Input::Checkout {
                    waiter,
                    session: id,
                }
            }
            H::GiveUp(c) => {
                let Client::Waits(waiter, _) = node.clients[c] else {
                    unreachable!("{self:?}")
                };
                node.leave_queue(c);
                Input::GaveUp { waiter }
            }
            H::Checkin(c) => ended(node.let_go(c), None),
            H::Fault(c) => ended(node.let_go(c), Some(Fault::Abandoned)),
            H::Port(worker, fact) => {
                node.worker_mut(worker).port = match fact {
                    PortFact::Started => "open",
                    PortFact::StartFailed => "broken",
                    PortFact::Exited => "exited",
                    PortFact::Released => "released",
                };
                Input::Port { worker, fact }
            }
            H::Deadline(worker, timer) => {
                node.worker_mut(worker).timer = None;
                elapsed(timer)
            }
            H::PauseEnds(timer) => {
                node.pauses.retain(|pause| *pause != timer);
                elapsed(timer)
            }
            H::Check(worker) => elapsed(Timer::Upkeep {
                worker,
                due: Due::Check,
            }),
            H::Probed(lease, healthy) => {
                node.probes.retain(|probe| *probe != lease);
                Input::Probed { lease, healthy }
            }
            H::ProbeElapses(lease) => elapsed(Timer::Probe { lease }),
            H::OpenSession(s) => {
                let id = SessionId(node.name());
                node.sessions[s] = Some(Session {
                    id,
                    home: None,
                    lost: false,
                });
                Input::OpenSession { session: id }
            }
            H::EndSession(s) => Input::EndSession {
                session: node.sessions[s].expect("it is open").id,
            },
            H::Looks => return vec![elapsed(Timer::Sessions); 5],
            H::Recycle(worker) => Input::Recycle { worker },
            H::RecycleAll => Input::RecycleAll,
            H::Pause => {
                node.drained = false;
                Input::Pause
            }
            H::Resume => {
                node.drained = false;
                Input::Resume
            }
            H::Resize(size) => Input::Resize { size },
            H::Shutdown => Input::Shutdown,
        }]
    }
}

impl Node {
    /// Lets it happen: the state after it, and what the code did, in the actions of the specification.
    pub(crate) fn step(&self, happening: Happening) -> (Self, Vec<String>) {
        let mut next = self.clone();
        next.trouble -= usize::from(happening.is_trouble());
        let mut actions: Vec<String> = happening.action(self).into_iter().collect();
        for input in happening.inputs(&mut next) {
            next.supervisor
                .handle(input)
                .expect("what can happen is never illegal");
            next.follow(happening, &mut actions);
        }
        if let Happening::ProbeElapses(lease) = happening
            && self.gives_up_on(lease)
            && next.forget_probe(lease.worker)
        {
            // The worker was being stopped already, so that it is only the monitor that lets go.
            actions.push(format!("ProbeEnds({})", self.number(lease.worker)));
        }
        (next, actions)
    }

    /// Takes what the pool orders, as its driver would, and tells it in the actions of the specification.
    pub(crate) fn follow(&mut self, happening: Happening, actions: &mut Vec<String>) {
        let effects: Vec<Effect> = self.supervisor.take_effects().collect();
        for effect in effects {
            self.consequence(happening, effect, actions);
        }
    }

    fn consequence(&mut self, happening: Happening, effect: Effect, actions: &mut Vec<String>) {
        match effect {
            Effect::Trace(Event::Opened { worker }) => {
                self.workers.push(Worker {
                    id: worker,
                    port: "opening",
                    timer: None,
                });
                actions.push(format!("Start({})", self.number(worker)));
            }
            Effect::Trace(Event::Moved(moved)) => self.moved(happening, moved, actions),
            Effect::Trace(Event::Marked { worker, .. }) => {
                actions.push(format!("Limit({})", self.number(worker)));
            }
            Effect::Trace(Event::Unmarked { worker }) => {
                actions.push(format!("Unmark({})", self.number(worker)));
            }
            Effect::Trace(other) => panic!("{other:?} has no place in the specification"),
            Effect::Grant { waiter, lease } => {
                let (client, session) = self.waiting(waiter);
                self.leave_queue(client);
                self.clients[client] = Client::Holds(lease, session);
                if let Some(known) = session.and_then(|s| self.sessions[s].as_mut()) {
                    known.home = Some(lease.worker);
                }
                let (client, worker) = (Self::client_name(client), self.number(lease.worker));
                actions.push(format!("Grant({client}, {worker})"));
            }
            Effect::Refuse { waiter, refusal } => self.refused(happening, waiter, refusal, actions),
            Effect::SessionEnded { session, end } => self.session_ended(session, end, actions),
            Effect::Rolled(_) => {}
            Effect::Drained => {
                self.drained = true;
                actions.push("SayDrained".into());
            }
            Effect::Closed => {
                self.closed = true;
                actions.push("Close".into());
            }
            Effect::StartTimer { timer, .. } => {
                if let Timer::Restart { .. } = timer {
                    self.pauses.push(timer);
                }
            }
            Effect::CancelTimer { timer } => {
                self.pauses.retain(|pause| *pause != timer);
                // All of them end with the pool, which is a part of Shutdown.
                if matches!(timer, Timer::Restart { .. }) && happening != Happening::Shutdown {
                    actions.push("EndPause".into());
                }
            }
            Effect::Worker { worker, order } => self.ordered(worker, order),
        }
    }

    fn moved(&mut self, happening: Happening, moved: Transition, actions: &mut Vec<String>) {
        let number = self.number(moved.worker);
        let retired = moved.input == worker::Input::Retire;
        match (moved.input, moved.reason) {
            (worker::Input::Started, _) => self.failed = 0,
            (worker::Input::SessionsEnded, _) => actions.push(format!("EndDrain({number})")),
            (_, Some(Reason::Recycled | Reason::Limit(_))) if retired => {
                actions.push(format!("RetireReplaced({number})"));
            }
            (_, Some(Reason::Surplus)) if retired => {
                actions.push(format!("RetireSurplus({number})"));
            }
            // It is the second half of one action, whose first half the probe's answer was.
            (_, Some(Reason::Unhealthy)) if retired => {
                actions.pop();
                actions.push(format!("ProbeUnwell({number})"));
            }
            (worker::Input::Fault, _) if matches!(happening, Happening::ProbeElapses(_)) => {
                self.forget_probe(moved.worker);
                actions.push(format!("ProbeMissed({number})"));
            }
            _ => {}
        }
        if moved.from == Phase::Initializing && moved.to == Phase::Stopping && !retired {
            self.failed += 1;
        }
        if moved.to == Phase::Stopping && moved.from != Phase::Stopping {
            self.lose_sessions(moved.worker, actions);
        }
        if moved.to == Phase::Terminated && self.forget_probe(moved.worker) {
            // The monitor lets go with the worker.
            actions.insert(0, format!("ProbeEnds({number})"));
        }
    }

    /// Whether this is the last probe that the worker may miss.
    fn gives_up_on(&self, lease: LeaseId) -> bool {
        let threshold = self.supervisor.policy().health_failure_threshold;
        let mut views = self.supervisor.workers();
        views.any(|view| view.worker == lease.worker && view.misses + 1 >= threshold)
    }

    fn forget_probe(&mut self, worker: WorkerId) -> bool {
        let before = self.probes.len();
        self.probes.retain(|lease| lease.worker != worker);
        self.probes.len() < before
    }

    fn lose_sessions(&mut self, worker: WorkerId, actions: &mut Vec<String>) {
        for (s, session) in self.sessions.iter_mut().enumerate() {
            if let Some(known) = session
                && known.home == Some(worker)
                && !known.lost
            {
                known.lost = true;
                actions.push(format!("LoseSession({})", Self::session_name(s)));
            }
        }
    }

    fn refused(
        &mut self,
        happening: Happening,
        waiter: WaiterId,
        refusal: Refusal,
        actions: &mut Vec<String>,
    ) {
        let (client, _) = self.waiting(waiter);
        self.leave_queue(client);
        let name = Self::client_name(client);
        let came_just_now = matches!(happening, Happening::Checkout(c, _) if c == client);
        match refusal {
            Refusal::QueueFull => actions.push(format!("RefuseFull({name})")),
            Refusal::CrashLoop => actions.push(format!("Refuse({name})")),
            // Whoever comes too late does not come in at all.
            Refusal::Closed if !came_just_now => actions.push(format!("Refuse({name})")),
            Refusal::Closed | Refusal::Paused => {}
            // That is a part of TellLost, LoseSession or EndSession.
            Refusal::SessionLost(_) | Refusal::SessionEnded => {}
            Refusal::TooManySessions => unreachable!("it answers no client"),
        }
    }

    fn session_ended(&mut self, session: SessionId, end: SessionEnd, actions: &mut Vec<String>) {
        let known = |s: &Option<Session>| s.is_some_and(|known| known.id == session);
        let index = self.sessions.iter().position(known);
        let index = index.expect("a session ends once");
        self.sessions[index] = None;
        if end == SessionEnd::Expired {
            actions.push(format!("Expire({})", Self::session_name(index)));
        }
    }

    fn ordered(&mut self, worker: WorkerId, order: Order) {
        match order {
            Order::StartTimer {
                timer: timer @ Timer::Worker { .. },
                ..
            } => self.worker_mut(worker).timer = Some(timer),
            Order::CancelTimer {
                timer: Timer::Worker { .. },
            } => self.worker_mut(worker).timer = None,
            Order::Probe { lease } => self.probes.push(lease),
            _ => {}
        }
    }

    fn waiting(&self, waiter: WaiterId) -> (usize, Option<usize>) {
        let waits = |client: &Client| match client {
            Client::Waits(known, session) if *known == waiter => Some(*session),
            _ => None,
        };
        let mut clients = self.clients.iter().enumerate();
        clients
            .find_map(|(c, client)| Some((c, waits(client)?)))
            .expect("only who waits is answered")
    }

    fn leave_queue(&mut self, client: usize) {
        self.queue.retain(|waiting| *waiting != client);
        self.clients[client] = Client::Free;
    }

    fn held_by(&self, client: usize) -> LeaseId {
        match self.clients[client] {
            Client::Holds(lease, _) => lease,
            other => panic!("{other:?} holds nothing"),
        }
    }

    fn let_go(&mut self, client: usize) -> LeaseId {
        let lease = self.held_by(client);
        self.clients[client] = Client::Free;
        lease
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }
}
