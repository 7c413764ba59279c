//! All workers of a pool: who is started, who gets which lease, who is retired, and when the pool has ended.
//!
//! The [`Supervisor`] decides and performs nothing. Facts go in as [`Input`]s, orders come out as [`Effect`]s. Who
//! drives it keeps to one rule: **perform every effect; those about one worker in the order in which they were
//! given.** See [`Supervisor`] for the loop.

mod effect;
mod input;
mod restarts;
mod settle;
mod slots;
mod view;

use alloc::collections::VecDeque;
use alloc::vec::{self, Vec};
use core::time::Duration;

pub use effect::{Effect, Order, Refusal, Timer};
pub use input::{Fault, Input, PortFact, Reason};
pub use view::{Counters, WorkerView};

use self::restarts::Restarts;
use self::slots::Slots;
use crate::policy::{InvalidOption, Policy};
use crate::trace::Transition;
use crate::worker::{self, Effects, Phase, Reaction, Rejected, Rung};
use crate::{LeaseId, WaiterId, WorkerId};

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
/// supervisor.handle(Input::Checkout { waiter })?;
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
    queue: VecDeque<WaiterId>,
    restarts: Restarts,
    stage: Stage,
    counters: Counters,
    effects: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
    Closed,
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
            slots: Slots::new(policy.size + policy.surge),
            policy,
            queue: VecDeque::new(),
            restarts: Restarts::new(seed),
            stage: Stage::Open,
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
            Input::Checkout { waiter } => self.queue.push_back(waiter),
            Input::GaveUp { waiter } => self.forget(waiter),
            Input::LeaseEnded {
                lease,
                exchanges,
                fault,
            } => {
                self.lease_ended(lease, exchanges, fault)?;
            }
            Input::Port { worker, fact } => self.port(worker, fact)?,
            Input::Elapsed { timer } => self.elapsed(timer)?,
            Input::Recycle { worker } => self.recycle(worker),
            Input::Shutdown => self.shutdown()?,
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
            exchanges: occupant.exchanges,
            recycling: occupant.recycling,
            reason: occupant.reason,
        })
    }

    /// How many clients wait for a lease.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
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

    fn forget(&mut self, waiter: WaiterId) {
        match self.queue.iter().position(|queued| *queued == waiter) {
            Some(position) => {
                self.queue.remove(position);
                self.counters.gave_up += 1;
            }
            None => self.counters.stale += 1,
        }
    }

    fn lease_ended(
        &mut self,
        lease: LeaseId,
        exchanges: u64,
        fault: Option<Fault>,
    ) -> Result<(), Illegal> {
        let held = |occupant: &slots::Occupant| occupant.lease == Some(lease);
        if !self.slots.get(lease.worker).is_some_and(held) {
            self.counters.stale += 1;
            return Ok(());
        }
        let (input, reason) = match fault {
            None => (worker::Input::Checkin, None),
            Some(fault) => (worker::Input::Fault, Some(Reason::Fault(fault))),
        };
        let moved = self.drive(lease.worker, input, reason)?;
        if let Some(occupant) = self.slots.get_mut(lease.worker) {
            occupant.lease = None;
            occupant.exchanges += exchanges;
        }
        self.counters.exchanges += exchanges;
        self.counters.faulted += u64::from(moved && fault.is_some());
        if exchanges > 0
            && let Some(timer) = self.restarts.succeeded()
        {
            self.effects.push(Effect::CancelTimer { timer });
        }
        Ok(())
    }

    fn port(&mut self, worker: WorkerId, fact: PortFact) -> Result<(), Illegal> {
        let (input, reason) = match fact {
            PortFact::Started => (worker::Input::Started, None),
            PortFact::StartFailed => (worker::Input::StartFailed, Some(Reason::StartFailed)),
            PortFact::Exited => (worker::Input::PortExited, Some(Reason::Exited)),
            PortFact::Released => (worker::Input::PortReleased, None),
        };
        let before = self.slots.get(worker).map(|o| (o.phase(), o.leases));
        if !self.drive(worker, input, reason)? {
            return Ok(());
        }
        match (fact, before) {
            (PortFact::Started, _) => {
                self.counters.started += 1;
                self.restarts.started();
            }
            (PortFact::Released, _) => self.counters.released += 1,
            (_, Some((Phase::Initializing, _))) => self.start_failed(),
            (PortFact::Exited, Some((phase, leases))) if phase != Phase::Stopping => {
                self.counters.exited += 1;
                if leases == 0 {
                    let pause = self.restarts.failed(&self.policy);
                    self.pause(pause);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn elapsed(&mut self, timer: Timer) -> Result<(), Illegal> {
        match timer {
            Timer::Restart { generation } => {
                if !self.restarts.elapsed(generation) {
                    self.counters.stale += 1;
                }
                Ok(())
            }
            Timer::Worker {
                worker,
                timer,
                generation,
            } => {
                let current = |occupant: &slots::Occupant| occupant.timers == generation;
                if !self.slots.get(worker).is_some_and(current) {
                    self.counters.stale += 1;
                    return Ok(());
                }
                let (input, reason) = match timer {
                    worker::Timer::Start => {
                        (worker::Input::StartElapsed, Some(Reason::StartTimedOut))
                    }
                    worker::Timer::Drain => (worker::Input::DrainElapsed, None),
                    worker::Timer::Rung => (worker::Input::RungElapsed, None),
                };
                if self.drive(worker, input, reason)? && timer == worker::Timer::Start {
                    self.start_failed();
                }
                Ok(())
            }
        }
    }

    fn recycle(&mut self, worker: WorkerId) {
        match self.slots.get_mut(worker) {
            Some(occupant) if occupant.is_serving() => occupant.recycling = true,
            _ => self.counters.stale += 1,
        }
    }

    fn shutdown(&mut self) -> Result<(), Illegal> {
        if self.is_closing() {
            self.counters.stale += 1;
            return Ok(());
        }
        self.stage = Stage::Closing;
        if let Some(timer) = self.restarts.end_pause() {
            self.effects.push(Effect::CancelTimer { timer });
        }
        let workers: Vec<WorkerId> = self.slots.iter().map(|(worker, _)| worker).collect();
        for worker in workers {
            self.drive(worker, worker::Input::Retire, Some(Reason::Shutdown))?;
        }
        Ok(())
    }

    fn start_failed(&mut self) {
        let pause = self.restarts.start_failed(&self.policy);
        self.pause(pause);
    }

    fn pause(&mut self, pause: Option<(Timer, Duration)>) {
        self.effects
            .extend(pause.map(|(timer, after)| Effect::StartTimer { timer, after }));
    }

    /// Feeds one input to one worker's machine and passes its orders on: whether the worker moved.
    fn drive(
        &mut self,
        worker: WorkerId,
        input: worker::Input,
        reason: Option<Reason>,
    ) -> Result<bool, Illegal> {
        let Some(occupant) = self.slots.get_mut(worker) else {
            self.counters.stale += 1;
            return Ok(false);
        };
        match occupant.machine.handle(input) {
            Err(rejected) => Err(Illegal { worker, rejected }),
            Ok(Reaction::Stale) => {
                self.counters.stale += 1;
                Ok(false)
            }
            Ok(Reaction::Moved { from, to, effects }) => {
                occupant.reason = occupant.reason.or(reason);
                self.order(worker, effects);
                let transition = Transition {
                    worker,
                    from,
                    input,
                    to,
                };
                self.effects.push(Effect::Trace(transition));
                if to == Phase::Terminated {
                    self.slots.free(worker);
                }
                Ok(true)
            }
        }
    }

    /// Completes a worker's orders with what its machine does not know: how long, and why.
    fn order(&mut self, worker: WorkerId, effects: Effects) {
        let Some(occupant) = self.slots.get_mut(worker) else {
            return;
        };
        for effect in effects.iter() {
            let order = match *effect {
                worker::Effect::Open => Order::Open,
                worker::Effect::Stop(rung) => Order::Stop {
                    rung,
                    reason: occupant.reason.unwrap_or(Reason::Shutdown),
                },
                worker::Effect::StartTimer(timer) => {
                    occupant.timers += 1;
                    let after = match (timer, occupant.machine.rung()) {
                        (worker::Timer::Start, _) => self.policy.start_timeout,
                        (worker::Timer::Drain, _) => self.policy.drain_timeout(),
                        (worker::Timer::Rung, rung) => {
                            self.policy.rung_timeout(rung.unwrap_or(Rung::Kill))
                        }
                    };
                    let generation = occupant.timers;
                    Order::StartTimer {
                        timer: Timer::Worker {
                            worker,
                            timer,
                            generation,
                        },
                        after,
                    }
                }
                worker::Effect::CancelTimer(_) => Order::CancelTimer,
            };
            self.effects.push(Effect::Worker { worker, order });
        }
    }
}
