//! The steps of the real [`Supervisor`](ostler::Supervisor): what can happen, and the inputs that
//! report it.
//!
//! The mirror maps a step to actions of `spec/WorkerPool.tla`, as it does for a trace.

use ostler::supervisor::{Fault, Input, LeaseEnd, Milestone, PortFact, Timer};
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
    /// A client gives up a call that its worker can be told to cancel.
    Cancel(usize),
    CancelEnded(LeaseId, bool),
    CancelElapses(LeaseId),
    Port(WorkerId, PortFact),
    Deadline(WorkerId, Timer),
    BackoffElapses(Timer),
    Check(WorkerId),
    Probed(LeaseId, bool),
    ProbeElapses(LeaseId),
    GraceElapses,
    OpenSession(usize),
    EndSession(usize),
    /// As many idle sweeps as an idle session needs to expire.
    Sweeps,
    Recycle(WorkerId),
    RecycleAll,
    Drain,
    Resume,
    Resize(usize),
    Shutdown,
    ShutdownNow,
}

impl Happening {
    /// Whether it costs a worker or causes more work than it takes. Explorations bound how often
    /// that happens.
    pub(crate) fn is_trouble(self) -> bool {
        use Happening as H;
        match self {
            H::Fault(_) | H::Recycle(_) | H::RecycleAll | H::Resize(_) => true,
            H::Shutdown | H::ShutdownNow => true,
            H::Port(_, fact) => matches!(
                fact,
                PortFact::StartFailed { .. } | PortFact::Broke | PortFact::Exited
            ),
            H::Deadline(_, Timer::Worker { timer, .. }) => timer != worker::Timer::Rung,
            H::Probed(_, healthy) => !healthy,
            H::CancelEnded(_, clean) => !clean,
            H::ProbeElapses(_) | H::CancelElapses(_) | H::Drain => true,
            _ => false,
        }
    }

    /// The inputs that report it.
    fn inputs(self, node: &mut Node) -> Vec<Input> {
        use Happening as H;
        let ended = |lease, end| Input::LeaseEnded {
            lease,
            calls: 1,
            errors: 0,
            unbroken: false,
            end,
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
            H::Checkin(c) => ended(node.held_by(c), LeaseEnd::Clean),
            H::Fault(c) => ended(node.held_by(c), LeaseEnd::Fault(Fault::Abandoned)),
            H::Cancel(c) => ended(node.held_by(c), LeaseEnd::Cancellable(Fault::Abandoned)),
            H::CancelEnded(lease, clean) => Input::CancelEnded { lease, clean },
            H::CancelElapses(lease) => elapsed(Timer::Cancel { lease }),
            H::Port(worker, fact) => Input::Port { worker, fact },
            H::Deadline(_, timer) | H::BackoffElapses(timer) => elapsed(timer),
            H::Check(worker) => elapsed(Timer::Milestone {
                worker,
                milestone: Milestone::Check,
            }),
            H::Probed(lease, healthy) => Input::Probed { lease, healthy },
            H::ProbeElapses(lease) => elapsed(Timer::Probe { lease }),
            H::GraceElapses => elapsed(Timer::SessionGrace),
            H::OpenSession(_) => Input::OpenSession {
                session: SessionId(name),
            },
            H::EndSession(s) => Input::EndSession {
                session: session(s),
            },
            H::Sweeps => return vec![elapsed(Timer::IdleSweep); 5],
            H::Recycle(worker) => Input::Recycle { worker },
            H::RecycleAll => Input::RecycleAll,
            H::Drain => Input::Drain,
            H::Resume => Input::Resume,
            H::Resize(size) => Input::Resize { size },
            H::Shutdown => Input::Shutdown,
            H::ShutdownNow => Input::ShutdownNow,
        }]
    }
}

impl Node {
    /// Lets it happen. Returns the next state, and what the code did in actions of the
    /// specification.
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

    /// Takes the effects of an input, as a driver would. Returns the step in actions of the
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
