//! What may happen to a pool: abstract actions, and the input that each is in the state of a
//! [`Model`].

use ostler::supervisor::{Fault, Input, LeaseEnd, PortFact, Timer};
use ostler::worker::Phase;
use ostler::{SessionId, WaiterId};

use crate::derived_table::Verdict;
use crate::model::{Holder, Home, Lease, Model, Worker};
use crate::model_inputs::of_machine;

/// Something that happens. The first number chooses among the subjects to which it can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// A client comes for any worker.
    Come,
    /// A client comes for a session.
    ComeFor(u8),
    /// A client comes for a session that is over.
    ComeForEnded(u8),
    GiveUp(u8),
    /// A client returns a lease after this many calls, the last of which were answered with this
    /// many errors. `true`: the calls before them count with these, not as calls without an error.
    Return(u8, u64, u64, bool),
    /// A lease ends in the middle of a call.
    Break(u8, Fault),
    /// A client gives up a call that its worker can be told to cancel.
    Abandon(u8, Fault),
    /// A worker ends its cancelled call cleanly.
    CancelCleanly(u8),
    /// A worker ends its cancelled call otherwise.
    CancelBadly(u8),
    /// A worker does not end its cancelled call within `cancel_grace`.
    MissCancel(u8),
    OpenSession,
    /// A session that is open is opened again.
    OpenSessionAgain(u8),
    EndSession(u8),
    Start(u8),
    /// A start fails; whether it would fail again in the same way.
    FailToStart(u8, bool),
    /// A worker exits without being told to.
    Crash(u8),
    /// A worker breaks the protocol between two calls.
    BreakByItself(u8),
    /// A worker that is being stopped exits.
    Exit(u8),
    Release(u8),
    /// A worker answers its health check and reports itself healthy.
    AnswerHealthy(u8),
    /// A worker answers its health check and reports itself unhealthy.
    AnswerUnhealthy(u8),
    /// A worker breaks the protocol in its health check.
    AnswerBadly(u8),
    /// A worker holds this many tenths of `max_worker_memory`.
    Weigh(u8, u64),
    /// A worker exceeds a deadline to start, to drain or to stop.
    Hang(u8),
    /// A worker misses the deadline of its health check.
    MissProbe(u8),
    ElapseBackoff(u8),
    ReachMilestone(u8),
    SweepSessions,
    /// The grace of idle sessions in a shutdown passes.
    ElapseGrace,
    Recycle(u8),
    RecycleAll,
    Drain,
    Resume,
    Resize(usize),
    Shutdown,
    ShutdownNow,
    /// A client gives up after it was answered.
    GiveUpLate(u8),
    /// A lease is returned a second time.
    ReturnAgain(u8),
    /// A health check that is over is answered.
    AnswerLate(u8),
    /// A cancelled call that is over ends.
    CancelLate(u8),
    /// A timer that no longer runs elapses.
    ElapseLate(u8),
    /// A session that is over is ended again.
    EndSessionAgain(u8),
    /// A port reports a fact that is illegal or stale for its worker.
    ReportNonsense(u8, PortFact),
}

pub(crate) const FAULTS: [Fault; 3] = [Fault::Abandoned, Fault::TimedOut, Fault::ProtocolBroken];
pub(crate) const FACTS: [PortFact; 6] = [
    PortFact::Started,
    PortFact::StartFailed { is_final: false },
    PortFact::Broke,
    PortFact::Exited,
    PortFact::Released,
    PortFact::StartFailed { is_final: true },
];
/// Tenths of `max_worker_memory` that a worker may hold: clear of the tenth by which the limit is
/// lowered at random.
pub(crate) const TENTHS: [u64; 3] = [1, 8, 10];

/// `max_worker_memory` of the policies that have one, in bytes.
pub(crate) const MEMORY: u64 = 10 << 20;

fn is_ending(phase: Phase) -> bool {
    matches!(phase, Phase::Stopping | Phase::Terminated)
}

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

    /// The input that the action is in this state. `None`: it has no subject.
    pub(crate) fn resolve(&self, action: Action) -> Option<Input> {
        use Action as A;
        let ended = |lease: &Lease, (calls, errors, unbroken), end| Input::LeaseEnded {
            lease: lease.id,
            calls,
            errors,
            unbroken,
            end,
        };
        let cancelled = |lease: &Lease, clean| Input::CancelEnded {
            lease: lease.id,
            clean,
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
            A::Return(n, calls, errors, unbroken) => {
                let lease = self.lease_of_client(n, true)?;
                let unbroken = unbroken || errors == calls;
                ended(lease, (calls, errors, unbroken), LeaseEnd::Clean)
            }
            A::ReturnAgain(n) => ended(
                self.lease_of_client(n, false)?,
                (1, 0, false),
                LeaseEnd::Clean,
            ),
            A::Break(n, fault) => {
                let lease = self.lease_of_client(n, true)?;
                ended(lease, (0, 0, true), LeaseEnd::Fault(fault))
            }
            A::Abandon(n, fault) => {
                let lease = self.lease_of_client(n, true)?;
                ended(lease, (0, 0, true), LeaseEnd::Cancellable(fault))
            }
            A::CancelCleanly(n) => cancelled(self.cancelled(n, true)?, true),
            A::CancelBadly(n) => cancelled(self.cancelled(n, true)?, false),
            A::CancelLate(n) => cancelled(self.cancelled(n, false)?, true),
            A::MissCancel(n) => self.timer(n, |timer| matches!(timer, Timer::Cancel { .. }))?,
            A::AnswerBadly(n) => {
                let end = LeaseEnd::Fault(Fault::ProtocolBroken);
                ended(self.probe(n, true)?, (0, 0, true), end)
            }
            A::AnswerHealthy(n) => answered(self.probe(n, true)?, true),
            A::AnswerUnhealthy(n) => answered(self.probe(n, true)?, false),
            A::AnswerLate(n) => answered(self.probe(n, false)?, true),
            A::Start(n) => self.fact(n, PortFact::Started, |_| true)?,
            A::FailToStart(n, is_final) => {
                self.fact(n, PortFact::StartFailed { is_final }, |_| true)?
            }
            A::Crash(n) => self.fact(n, PortFact::Exited, |phase| !is_ending(phase))?,
            A::BreakByItself(n) => self.fact(n, PortFact::Broke, |phase| !is_ending(phase))?,
            A::Exit(n) => self.fact(n, PortFact::Exited, is_ending)?,
            A::Release(n) => self.fact(n, PortFact::Released, |_| true)?,
            A::ReportNonsense(n, fact) => self.nonsense(n, fact)?,
            A::Hang(n) => self.timer(n, |timer| matches!(timer, Timer::Worker { .. }))?,
            A::MissProbe(n) => self.timer(n, |timer| matches!(timer, Timer::Probe { .. }))?,
            A::ElapseBackoff(n) => self.timer(n, |timer| matches!(timer, Timer::Backoff { .. }))?,
            A::ReachMilestone(n) => {
                self.timer(n, |timer| matches!(timer, Timer::Milestone { .. }))?
            }
            A::SweepSessions => self.timer(0, |timer| *timer == Timer::IdleSweep)?,
            A::ElapseGrace => self.timer(0, |timer| *timer == Timer::SessionGrace)?,
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
            A::Drain => Input::Drain,
            A::Resume => Input::Resume,
            A::Resize(size) => Input::Resize { size },
            A::Shutdown => Input::Shutdown,
            A::ShutdownNow => Input::ShutdownNow,
        })
    }

    fn lease_of_client(&self, which: u8, out: bool) -> Option<&Lease> {
        // A cancelled call was its client's, which has returned the lease.
        let held = |lease: &&Lease| match lease.holder {
            Holder::Client(_) => lease.out == out,
            Holder::Cancel(_) => !out,
            Holder::Probe { .. } => false,
        };
        pick(which, self.leases.iter().filter(held))
    }

    fn probe(&self, which: u8, out: bool) -> Option<&Lease> {
        let of_probe = |lease: &&Lease| {
            let known = self.lease_out(lease.id).is_some();
            known == out && matches!(lease.holder, Holder::Probe { .. })
        };
        pick(which, self.leases.iter().filter(of_probe))
    }

    /// A lease under which a call is being cancelled, or was.
    fn cancelled(&self, which: u8, out: bool) -> Option<&Lease> {
        let of_pool = |lease: &&Lease| {
            let known = self.lease_out(lease.id).is_some();
            known == out && matches!(lease.holder, Holder::Cancel(_))
        };
        pick(which, self.leases.iter().filter(of_pool))
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

    /// A milestone's timer has no generation: it is never cancelled while its worker lives.
    fn late_timer(&self, which: u8) -> Option<Input> {
        let is_late = |timer: &Timer| {
            let lives = timer
                .worker()
                .is_some_and(|worker| self.find(worker).is_some());
            let has_a_generation = !matches!(timer, Timer::Milestone { .. });
            !self.timers.contains(timer) && (has_a_generation || !lives)
        };
        let timer = pick(which, self.all_timers.iter().copied().filter(is_late))?;
        Some(Input::Elapsed { timer })
    }

    /// A fact about a port to which it can happen.
    fn fact(&self, which: u8, fact: PortFact, phase: impl Fn(Phase) -> bool) -> Option<Input> {
        let mut workers = self.alive();
        workers.extend((0..self.workers.len()).filter(|w| self.workers[*w].abandoned));
        workers.retain(|w| {
            let worker = &self.workers[*w];
            worker.port.can(fact) && phase(worker.state.0)
        });
        let worker = self.workers[pick(which, workers)?].id;
        Some(Input::Port { worker, fact })
    }

    /// A fact about the port of a worker that is released, or whose machine does not move for it.
    fn nonsense(&self, which: u8, fact: PortFact) -> Option<Input> {
        // Any release of an abandoned port is taken for the end of it.
        let known = |worker: &&Worker| fact != PortFact::Released || !worker.abandoned;
        let such = self.workers.iter().filter(known).filter(|worker| {
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
