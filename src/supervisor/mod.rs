//! Every decision about the workers of a pool: which are started, which client gets which lease,
//! which workers are retired, and when the pool has ended.
//!
//! The [`Supervisor`] decides and performs nothing. Facts go in as [`Input`]s, orders come out as
//! [`Effect`]s. A driver **performs every effect, and the effects of one worker in the order
//! given.** [`Supervisor`] shows the loop.

mod effect;
mod event;
mod health;
mod index;
mod input;
mod kinds;
mod leases;
mod lifecycle;
mod monitor;
mod occupant;
mod positions;
mod queue;
mod random;
mod reason;
mod replacement;
mod restarts;
mod sessions;
mod settle;
mod slots;
mod timer;
mod view;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::{self, Vec};
use core::mem;
use core::time::Duration;

pub use effect::{DrainEnd, Effect, Order, Refusal, RollingEnd, SessionEnd};
pub use event::{Event, Transition};
pub use input::{Input, LeaseEnd, PortFact};
pub use reason::{Fault, Limit, Reason};
pub use timer::{Milestone, Timer};
pub use view::{Counters, WorkerView};

use self::health::Calls;
use self::kinds::Kind;
use self::queue::Queue;
use self::random::Random;
use self::restarts::Restarts;
use self::sessions::Session;
use self::slots::Slots;
use crate::policy::{InvalidOption, Policy};
use crate::worker::{Phase, Rejected};
use crate::{SessionId, WorkerId};

/// Decides everything about the workers of one pool.
///
/// ```
/// use ostler::supervisor::{Effect, Input, Order, PortFact, Supervisor};
/// use ostler::{Policy, WaiterId};
///
/// // A driver keeps the supervisor behind one mutex: it locks, feeds, takes the effects, unlocks,
/// // and performs them.
/// let mut supervisor = Supervisor::new(Policy::new(1), 7)?;
/// let worker = supervisor
///     .take_effects()
///     .find_map(|effect| match effect {
///         Effect::Worker { worker, order: Order::Open { .. } } => Some(worker),
///         _ => None,
///     })
///     .expect("a new pool starts its workers");
///
/// // A client that comes before the worker has started waits, and gets the first lease.
/// let waiter = WaiterId(1);
/// supervisor.feed(Input::Checkout { waiter, session: None })?;
/// assert_eq!(supervisor.take_effects().count(), 0);
/// supervisor.feed(Input::Port { worker, fact: PortFact::Started })?;
/// assert!(supervisor.take_effects().any(|effect| matches!(effect, Effect::Grant { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Supervisor {
    policy: Policy,
    slots: Slots,
    /// Workers that are gone, but whose ports are not released.
    abandoned: BTreeSet<WorkerId>,
    /// At most `max_waiting` clients.
    queue: Queue,
    /// At most `max_sessions`.
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions to look at, because they may be idle and a shutdown does not wait for idle ones.
    maybe_idle: Vec<SessionId>,
    /// Whether the timer for the next idle sweep runs.
    sweeping: bool,
    restarts: Restarts,
    /// How many workers the current rolling restart chose to replace.
    rolling: Option<usize>,
    intake: Intake,
    stage: Stage,
    random: Random,
    counters: Counters,
    effects: Vec<Effect>,
}

/// How far the pool is in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// Shutting down, with workers that still drain, for their calls and sessions.
    Draining {
        /// Whether the grace of idle sessions runs.
        grace: bool,
    },
    /// As `Draining`, after the grace: an idle session no longer holds its worker.
    Hurrying,
    /// Shutting down, and every worker that is left is being stopped.
    Stopping,
    Closed,
}

/// Whether new clients are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Open,
    Draining {
        /// Whether the end of the drain has been reported.
        drained: bool,
    },
}

/// An input that is illegal for a worker: a defect in the driver. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker}: {rejected}")]
pub struct Illegal {
    /// The worker.
    pub worker: WorkerId,
    /// What it rejected.
    pub rejected: Rejected,
}

impl Supervisor {
    /// Opens a pool. Its first effects start its workers. `seed` feeds the jitter and nothing else.
    ///
    /// # Errors
    ///
    /// The first option of the policy that is out of range.
    pub fn new(policy: Policy, seed: u64) -> Result<Self, InvalidOption> {
        policy.validate()?;
        let mut supervisor = Self {
            policy,
            slots: Slots::default(),
            abandoned: BTreeSet::new(),
            queue: Queue::default(),
            sessions: BTreeMap::new(),
            maybe_idle: Vec::new(),
            sweeping: false,
            restarts: Restarts::default(),
            rolling: None,
            intake: Intake::Open,
            stage: Stage::Open,
            random: Random::new(seed),
            counters: Counters::default(),
            effects: Vec::new(),
        };
        supervisor.settle();
        Ok(supervisor)
    }

    /// Feeds one fact. What to do about it is then in [`take_effects`](Self::take_effects).
    ///
    /// # Errors
    ///
    /// [`Illegal`] when the fact cannot be true of that worker. The pool is unchanged and goes on.
    pub fn feed(&mut self, input: Input) -> Result<(), Illegal> {
        match input {
            Input::Checkout { waiter, session } => self.checkout(waiter, session),
            Input::GaveUp { waiter } => self.forget(waiter),
            Input::LeaseEnded {
                lease,
                calls,
                errors,
                unbroken,
                end,
            } => {
                let calls = Calls {
                    completed: calls,
                    errors,
                    unbroken,
                };
                self.lease_ended(lease, calls, end)?;
            }
            Input::Port { worker, fact } => self.port(worker, fact)?,
            Input::Elapsed { timer } => self.elapsed(timer)?,
            Input::Probed { lease, healthy } => self.probed(lease, healthy)?,
            Input::CancelEnded { lease, clean } => self.cancel_ended(lease, clean)?,
            Input::Measured { worker, bytes } => self.measured(worker, bytes),
            Input::OpenSession { session } => self.open_session(session),
            Input::EndSession { session } => self.end_session(session),
            Input::Recycle { worker } => self.recycle(worker),
            Input::RecycleAll => self.recycle_all(),
            Input::Drain => self.intake = Intake::Draining { drained: false },
            Input::Resume => self.resume(),
            Input::Resize { size } => self.resize(size),
            Input::Shutdown => self.shutdown(),
            Input::ShutdownNow => self.shutdown_now(),
        }
        self.settle();
        Ok(())
    }

    /// The effects that have not been taken yet, in order.
    #[must_use = "every effect must be performed"]
    pub fn take_effects(&mut self) -> vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// As [`take_effects`](Self::take_effects), into a list that is empty. The supervisor goes on
    /// with the memory of that list, so two lists that take turns need no allocation.
    pub fn swap_effects(&mut self, effects: &mut Vec<Effect>) {
        effects.clear();
        mem::swap(&mut self.effects, effects);
    }

    fn resume(&mut self) {
        if self.intake == (Intake::Draining { drained: false }) {
            self.effects.push(Effect::DrainEnded(DrainEnd::Resumed));
        }
        self.intake = Intake::Open;
    }

    fn order(&mut self, worker: WorkerId, order: Order) {
        self.effects.push(Effect::Worker { worker, order });
    }

    fn start_timer(&mut self, timer: Timer, after: Duration) {
        self.effects.push(Effect::StartTimer { timer, after });
    }

    /// Every worker that has a slot, in slot order: all whose ports are neither released nor
    /// abandoned.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        (self.slots.iter()).map(|(worker, occupant)| WorkerView::new(worker, occupant))
    }

    /// A worker that has a slot.
    #[must_use]
    pub fn worker(&self, worker: WorkerId) -> Option<WorkerView> {
        let occupant = self.slots.get(worker)?;
        Some(WorkerView::new(worker, occupant))
    }

    /// How many workers the current rolling restart chose to replace. `None`: there is none.
    #[must_use]
    pub fn rolling(&self) -> Option<usize> {
        self.rolling
    }

    /// How many of those workers are in this phase. Costs the same in a pool of any size.
    #[must_use]
    pub fn workers_in(&self, phase: Phase) -> usize {
        self.slots.count(Kind::in_phase(phase))
    }

    /// The phase of a worker that has a slot.
    #[must_use]
    pub fn phase(&self, worker: WorkerId) -> Option<Phase> {
        self.slots.get(worker).map(|occupant| occupant.phase())
    }

    /// The workers whose ports are abandoned and not released yet.
    pub fn abandoned(&self) -> impl ExactSizeIterator<Item = WorkerId> {
        self.abandoned.iter().copied()
    }

    /// Clients waiting for a lease.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Open sessions, including lost ones whose clients have not been told yet.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The policy that the supervisor decides by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a worker has ever served.
    #[must_use]
    pub fn has_served(&self) -> bool {
        self.counters.started > 0
    }

    /// Whether starts keep failing and no worker serves. Clients that any worker could serve are
    /// then refused.
    #[must_use]
    pub fn is_crash_loop(&self) -> bool {
        self.restarts.is_crash_loop(&self.policy) && self.slots.count(&Kind::SERVING) == 0
    }

    /// Whether the pool is shutting down or has shut down.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Whether the pool rejects new clients until it is resumed.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.intake != Intake::Open
    }
}
