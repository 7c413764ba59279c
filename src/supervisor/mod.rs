//! All workers of a pool: who is started, who gets which lease, who is retired, and when the pool has ended.
//!
//! The [`Supervisor`] decides and performs nothing. Facts go in as [`Input`]s, orders come out as [`Effect`]s. Who
//! drives it keeps to one rule: **perform every effect; those about one worker in the order in which they were
//! given.** See [`Supervisor`] for the loop.

mod clients;
mod effect;
mod input;
mod ports;
mod random;
mod recycling;
mod restarts;
mod sessions;
mod settle;
mod slots;
mod upkeep;
mod view;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::{self, Vec};

pub use effect::{Due, Effect, Order, Refusal, Rolled, SessionEnd, Timer};
pub use input::{Fault, Input, Limit, PortFact, Reason};
pub use view::{Counters, WorkerView};

use self::clients::Waiting;
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
/// // A driver keeps the supervisor behind one short lock: lock, handle, take the effects, unlock, perform them.
/// let mut supervisor = Supervisor::new(Policy::new(1), 7)?;
/// let worker = supervisor
///     .take_effects()
///     .find_map(|effect| match effect {
///         Effect::Worker { worker, order: Order::Open } => Some(worker),
///         _ => None,
///     })
///     .expect("a new pool starts its workers");
///
/// // A client comes before the worker has started: it waits, and is handed the lease as soon as there is one.
/// let waiter = WaiterId(1);
/// supervisor.handle(Input::Checkout { waiter, session: None })?;
/// assert_eq!(supervisor.take_effects().count(), 0);
/// supervisor.handle(Input::Port { worker, fact: PortFact::Started })?;
/// assert!(supervisor.take_effects().any(|effect| matches!(effect, Effect::Grant { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Supervisor {
    policy: Policy,
    slots: Slots,
    /// Clients that wait for a lease, the first to come at the head. At most `max_waiting`.
    queue: VecDeque<Waiting>,
    /// At most `max_sessions`.
    sessions: BTreeMap<SessionId, Session>,
    /// Whether the timer runs that looks for sessions which nobody uses.
    looking: bool,
    restarts: Restarts,
    /// How many workers the rolling restart that is under way has marked.
    rolling: Option<usize>,
    intake: Intake,
    stage: Stage,
    random: Random,
    counters: Counters,
    effects: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
    Closed,
}

/// Whether new clients may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Open,
    Paused {
        /// Whether it has been said that there are no old ones left.
        drained: bool,
    },
}

/// An input that is illegal for a worker. Nothing changed. It means a defect in the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker}: {rejected}")]
pub struct Illegal {
    /// The worker.
    pub worker: WorkerId,
    /// What it did not accept.
    pub rejected: Rejected,
}

impl Supervisor {
    /// Opens a pool. The first effects start its workers. `seed` feeds the jitter and nothing else.
    ///
    /// # Errors
    ///
    /// The first option of the policy that is out of its range.
    pub fn new(policy: Policy, seed: u64) -> Result<Self, InvalidOption> {
        policy.validate()?;
        let mut supervisor = Self {
            policy,
            slots: Slots::default(),
            queue: VecDeque::new(),
            sessions: BTreeMap::new(),
            looking: false,
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

    /// Handles one fact. What is to be done about it is then in [`take_effects`](Self::take_effects).
    ///
    /// # Errors
    ///
    /// [`Illegal`] when the fact cannot be true of that worker. The pool is then as it was, and goes on.
    pub fn handle(&mut self, input: Input) -> Result<(), Illegal> {
        match input {
            Input::Checkout { waiter, session } => self.checkout(waiter, session),
            Input::GaveUp { waiter } => self.forget(waiter),
            Input::LeaseEnded {
                lease,
                exchanges,
                errors,
                fault,
            } => self.lease_ended(lease, exchanges, errors, fault)?,
            Input::Port { worker, fact } => self.port(worker, fact)?,
            Input::Elapsed { timer } => self.elapsed(timer)?,
            Input::Probed { lease, healthy } => self.probed(lease, healthy)?,
            Input::Measured { worker, bytes } => self.measured(worker, bytes),
            Input::OpenSession { session } => self.open_session(session),
            Input::EndSession { session } => self.end_session(session),
            Input::Recycle { worker } => self.recycle(worker),
            Input::RecycleAll => self.recycle_all(),
            Input::Pause => self.intake = Intake::Paused { drained: false },
            Input::Resume => self.intake = Intake::Open,
            Input::Resize { size } => self.resize(size),
            Input::Shutdown => self.shutdown(),
        }
        self.settle();
        Ok(())
    }

    /// The effects that have not been taken yet, in order.
    #[must_use = "every effect must be performed"]
    pub fn take_effects(&mut self) -> vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// Every worker whose port is not released, in the order of its slot.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.slots.iter().map(|(worker, occupant)| WorkerView {
            worker,
            phase: occupant.phase(),
            rung: occupant.machine.rung(),
            exchanges: occupant.upkeep.exchanges,
            errors: occupant.upkeep.errors,
            misses: occupant.upkeep.misses,
            memory: occupant.upkeep.memory,
            sessions: self.sessions_of(worker),
            marked: occupant.mark.map(|mark| mark.reason),
            reason: occupant.reason,
            replaces: occupant.replaces,
        })
    }

    /// The phase of every such worker: much less work than to look at all of each.
    pub fn phases(&self) -> impl Iterator<Item = Phase> {
        self.slots.iter().map(|(_, occupant)| occupant.phase())
    }

    /// How many clients wait for a lease.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many sessions are open, those included whose worker is gone and whose clients do not know yet.
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

    /// Whether the pool shuts down, or has.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Whether the pool takes no new clients, until it is resumed.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.intake != Intake::Open
    }
}
