//! The steps of the real [`Supervisor`](ostler::Supervisor): what can happen to it, and by which inputs it learns of that.
//!
//! What a step is in the actions of `spec/WorkerPool.tla` says the mirror, as it does of a trace.

use ostler::supervisor::{Fault, Input, Milestone, PortFact, Timer};
use ostler::trace::Step;
use ostler::worker;
use ostler::{LeaseId, SessionId, WaiterId, WorkerId};

use crate::graph_node::Node;
use crate::trace_mirror::Client;

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

    /// The inputs by which the pool learns of it.
    fn inputs(self, node: &mut Node) -> Vec<Input> {
        use Happening as H;
        let ended = |lease, fault| Input::LeaseEnded {
            lease,
            calls: 1,
            errors: 0,
            fault,
        };
        let elapsed = |timer| Input::Elapsed { timer };
        let name = node.name();
        let session = |s: usize| node.mirror.sessions[s].map_or(SessionId(0), |known| known.id);
        vec![match self {
            H::Checkout(_, s) => Input::Checkout {
                waiter: WaiterId(name),
                session: s.map(session),
            },
            H::GiveUp(c) => match node.mirror.clients[c] {
                Client::Waits(waiter, _) => Input::GaveUp { waiter },
                other => panic!("{other:?} does not wait"),
            },
            H::Checkin(c) => ended(node.held_by(c), None),
            H::Fault(c) => ended(node.held_by(c), Some(Fault::Abandoned)),
            H::Port(worker, fact) => Input::Port { worker, fact },
            H::Deadline(_, timer) | H::PauseEnds(timer) => elapsed(timer),
            H::Check(worker) => elapsed(Timer::Milestone {
                worker,
                milestone: Milestone::Check,
            }),
            H::Probed(lease, healthy) => Input::Probed { lease, healthy },
            H::ProbeElapses(lease) => elapsed(Timer::Probe { lease }),
            H::OpenSession(_) => Input::OpenSession {
                session: SessionId(name),
            },
            H::EndSession(s) => Input::EndSession {
                session: session(s),
            },
            H::Looks => return vec![elapsed(Timer::IdleSweep); 5],
            H::Recycle(worker) => Input::Recycle { worker },
            H::RecycleAll => Input::RecycleAll,
            H::Pause => Input::Drain,
            H::Resume => Input::Resume,
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
        let mut actions = Vec::new();
        for input in happening.inputs(&mut next) {
            next.supervisor
                .feed(input)
                .expect("what can happen is never illegal");
            actions.extend(next.follow(Some(input)));
        }
        (next, actions)
    }

    /// Takes what the pool orders because of an input, as its driver would: what that was in the actions of the
    /// specification.
    pub(crate) fn follow(&mut self, input: Option<Input>) -> Vec<String> {
        let effects = self.supervisor.take_effects().collect();
        let told = self.mirror.step(&Step { input, effects });
        told.unwrap_or_else(|problem| panic!("{problem}: {self:?}"))
            .actions
    }

    fn held_by(&self, client: usize) -> LeaseId {
        match self.mirror.clients[client] {
            Client::Holds(lease, _) => lease,
            other => panic!("{other:?} holds nothing"),
        }
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }
}
