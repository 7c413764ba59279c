//! What may happen to a pool: abstract actions, and what each is to a [`Model`] in the state that it is in.

use ostler::supervisor::{Fault, Input, PortFact, Timer};
use ostler::worker::Phase;
use ostler::{SessionId, WaiterId};

use crate::derived_table::Verdict;
use crate::model::{Holder, Home, Lease, Model};
use crate::model_inputs::of_machine;
use crate::model_settle::worker_of;

/// Something that happens. The first number chooses among those to whom it can.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// A client comes for any worker.
    Come,
    /// A client comes for a session.
    ComeFor(u8),
    /// A client comes for a session that is over.
    ComeForEnded(u8),
    GiveUp(u8),
    /// A client gives a lease back, after so many calls, the last of which ended with errors.
    Return(u8, u64, u64),
    /// A lease ends in the middle of an exchange.
    Break(u8, Fault),
    OpenSession,
    /// A session is opened that is open.
    OpenSessionAgain(u8),
    EndSession(u8),
    Start(u8),
    FailToStart(u8),
    /// A worker exits that nobody has told to.
    Crash(u8),
    /// A worker exits because it is told to.
    Exit(u8),
    Release(u8),
    /// A worker says that it is well.
    AnswerWell(u8),
    /// A worker says that it is not.
    AnswerUnwell(u8),
    /// A worker breaks the protocol when it is probed.
    AnswerBadly(u8),
    /// A worker holds so many tenths of `max_worker_memory`.
    Weigh(u8, u64),
    /// A worker takes longer than it may: to start, to drain or to stop.
    Hang(u8),
    /// A worker has not answered its probe in time.
    MissProbe(u8),
    EndPause(u8),
    /// Something is milestone in the life of a worker.
    FallDue(u8),
    /// The time for a look at the sessions has come.
    Look,
    Recycle(u8),
    RecycleAll,
    Pause,
    Resume,
    Resize(usize),
    Shutdown,
    /// A client gives up that has had its answer.
    GiveUpLate(u8),
    /// A lease is given back that was given back before.
    ReturnAgain(u8),
    /// A probe is answered that is over.
    AnswerLate(u8),
    /// A timer elapses that does not run any more.
    ElapseLate(u8),
    /// A session is ended that is over.
    EndSessionAgain(u8),
    /// A port tells what cannot be true of its worker, or means nothing to it any more.
    TellNonsense(u8, PortFact),
}

pub(crate) const FAULTS: [Fault; 3] = [Fault::Abandoned, Fault::TimedOut, Fault::ProtocolBroken];
pub(crate) const FACTS: [PortFact; 4] = [
    PortFact::Started,
    PortFact::StartFailed,
    PortFact::Exited,
    PortFact::Released,
];
/// How many tenths of `max_worker_memory` a worker may hold: clear of the tenth by which the limit is lowered at random.
pub(crate) const TENTHS: [u64; 3] = [1, 8, 10];

/// The limit that a model has for memory, if it has one.
pub(crate) const MEMORY: u64 = 10 << 20;

/// One of `candidates`, if there are any.
fn pick<T>(which: u8, candidates: impl IntoIterator<Item = T>) -> Option<T> {
    let mut candidates: Vec<T> = candidates.into_iter().collect();
    let count = candidates.len().max(1);
    (!candidates.is_empty()).then(|| candidates.swap_remove(usize::from(which) % count))
}

impl Model {
    /// Lets the action happen, if it can.
    pub(crate) fn act(&mut self, action: Action) {
        self.effects.clear();
        self.illegal = None;
        self.input = self.resolve(action);
        if let Some(input) = self.input {
            self.feed(input);
        }
    }

    /// What the action is to this pool. `None`: nothing, because there is nobody to whom it can happen.
    pub(crate) fn resolve(&self, action: Action) -> Option<Input> {
        use Action as A;
        let ended = |lease: &Lease, calls, errors, fault| Input::LeaseEnded {
            lease: lease.id,
            calls,
            errors,
            fault,
        };
        let answered = |lease: &Lease, healthy| Input::Probed {
            lease: lease.id,
            healthy,
        };
        let client = |session| Input::Checkout {
            waiter: WaiterId(self.clients.len() as u64 + 1),
            session,
        };
        Some(match action {
            A::Come => client(None),
            A::ComeFor(n) => client(Some(self.session(n, true)?)),
            A::ComeForEnded(n) => client(Some(self.session(n, false)?)),
            A::GiveUp(n) => Input::GaveUp {
                waiter: pick(n, self.clients.iter().filter(|client| client.waits))?.id,
            },
            A::GiveUpLate(n) => Input::GaveUp {
                waiter: pick(n, self.clients.iter().filter(|client| !client.waits))?.id,
            },
            A::Return(n, calls, errors) => {
                ended(self.lease_of_client(n, true)?, calls, errors, None)
            }
            A::ReturnAgain(n) => ended(self.lease_of_client(n, false)?, 1, 0, None),
            A::Break(n, fault) => ended(self.lease_of_client(n, true)?, 0, 0, Some(fault)),
            A::AnswerBadly(n) => ended(self.probe(n, true)?, 0, 0, Some(Fault::ProtocolBroken)),
            A::AnswerWell(n) => answered(self.probe(n, true)?, true),
            A::AnswerUnwell(n) => answered(self.probe(n, true)?, false),
            A::AnswerLate(n) => answered(self.probe(n, false)?, true),
            A::Start(n) => self.fact(n, PortFact::Started, |_| true)?,
            A::FailToStart(n) => self.fact(n, PortFact::StartFailed, |_| true)?,
            A::Crash(n) => self.fact(n, PortFact::Exited, |phase| phase != Phase::Stopping)?,
            A::Exit(n) => self.fact(n, PortFact::Exited, |phase| phase == Phase::Stopping)?,
            A::Release(n) => self.fact(n, PortFact::Released, |_| true)?,
            A::TellNonsense(n, fact) => self.nonsense(n, fact)?,
            A::Hang(n) => self.timer(n, |timer| matches!(timer, Timer::Worker { .. }))?,
            A::MissProbe(n) => self.timer(n, |timer| matches!(timer, Timer::Probe { .. }))?,
            A::EndPause(n) => self.timer(n, |timer| matches!(timer, Timer::Backoff { .. }))?,
            A::FallDue(n) => self.timer(n, |timer| matches!(timer, Timer::Milestone { .. }))?,
            A::Look => self.timer(0, |timer| *timer == Timer::IdleSweep)?,
            A::ElapseLate(n) => self.late_timer(n)?,
            A::Weigh(n, tenths) => Input::Measured {
                worker: pick(n, &self.workers)?.id,
                bytes: MEMORY / 10 * tenths,
            },
            A::OpenSession => Input::OpenSession {
                session: SessionId(self.sessions.len() as u64 + 1),
            },
            A::OpenSessionAgain(n) => Input::OpenSession {
                session: self.session(n, true)?,
            },
            A::EndSession(n) => Input::EndSession {
                session: self.session(n, true)?,
            },
            A::EndSessionAgain(n) => Input::EndSession {
                session: self.session(n, false)?,
            },
            A::Recycle(n) => Input::Recycle {
                worker: self.workers[pick(n, self.alive())?].id,
            },
            A::RecycleAll => Input::RecycleAll,
            A::Pause => Input::Drain,
            A::Resume => Input::Resume,
            A::Resize(size) => Input::Resize { size },
            A::Shutdown => Input::Shutdown,
        })
    }

    fn lease_of_client(&self, which: u8, out: bool) -> Option<&Lease> {
        let of_client =
            |lease: &&Lease| lease.out == out && matches!(lease.holder, Holder::Client(_));
        pick(which, self.leases.iter().filter(of_client))
    }

    fn probe(&self, which: u8, out: bool) -> Option<&Lease> {
        let of_monitor = |lease: &&Lease| {
            let known = self.lease_out(lease.id).is_some();
            known == out && matches!(lease.holder, Holder::Monitor { .. })
        };
        pick(which, self.leases.iter().filter(of_monitor))
    }

    fn session(&self, which: u8, open: bool) -> Option<SessionId> {
        let such = self.sessions.iter();
        let such = such.filter(|session| (session.home != Home::Over) == open);
        Some(pick(which, such)?.id)
    }

    fn timer(&self, which: u8, wanted: impl Fn(&Timer) -> bool) -> Option<Input> {
        let timer = pick(which, self.timers.iter().copied().filter(wanted))?;
        Some(Input::Elapsed { timer })
    }

    /// What is milestone in the life of a worker has no generation, as nobody cancels it while the worker lives.
    fn late_timer(&self, which: u8) -> Option<Input> {
        let is_late = |timer: &Timer| {
            let lives = worker_of(*timer).is_some_and(|worker| self.find(worker).is_some());
            let has_a_generation = !matches!(timer, Timer::Milestone { .. });
            !self.timers.contains(timer) && (has_a_generation || !lives)
        };
        let timer = pick(which, self.all_timers.iter().copied().filter(is_late))?;
        Some(Input::Elapsed { timer })
    }

    /// A fact about the port of a worker to which it can happen.
    fn fact(&self, which: u8, fact: PortFact, phase: impl Fn(Phase) -> bool) -> Option<Input> {
        let mut workers = self.alive();
        workers.retain(|w| {
            let worker = &self.workers[*w];
            worker.port.can(fact) && phase(worker.state.0)
        });
        let worker = self.workers[pick(which, workers)?].id;
        Some(Input::Port { worker, fact })
    }

    /// A fact about the port of a worker that is gone, or that does not take it.
    fn nonsense(&self, which: u8, fact: PortFact) -> Option<Input> {
        let such = self.workers.iter().filter(|worker| {
            let gone = worker.state.0 == Phase::Terminated;
            gone || !matches!(
                Self::verdict(worker.state, of_machine(fact).0),
                Verdict::Moves(_)
            )
        });
        let worker = pick(which, such)?.id;
        Some(Input::Port { worker, fact })
    }
}
