//! What is watched in the life of a worker that serves: its health and its limits.

use core::time::Duration;

use super::random::Random;
use super::slots::{Holder, Occupant};
use super::{Due, Effect, Illegal, Limit, Order, Reason, Supervisor, Timer};
use crate::policy::Policy;
use crate::worker::{self, Phase};
use crate::{LeaseId, WorkerId};

/// What is known of a worker's health, and the limits that it has drawn.
#[derive(Clone, Debug)]
pub(super) struct Upkeep {
    /// Probes that it has missed in a row.
    pub(super) misses: u32,
    /// Requests in a row that it has answered with an error.
    pub(super) errors: u64,
    /// Resident bytes, when they were last measured.
    pub(super) memory: Option<u64>,
    /// How many whole exchanges it has made.
    pub(super) exchanges: u64,
    /// Whether it has served for `min_worker_life`.
    mature: bool,
    /// Whether it has served for `max_worker_age`.
    aged: bool,
    max_exchanges: Option<u64>,
    max_memory: Option<u64>,
}

impl Upkeep {
    pub(super) fn new(policy: &Policy, random: &mut Random) -> Self {
        Self {
            misses: 0,
            errors: 0,
            memory: None,
            exchanges: 0,
            mature: policy.min_worker_life.is_zero(),
            aged: false,
            max_exchanges: policy.max_worker_requests.map(|most| random.lowered(most)),
            max_memory: policy.max_worker_memory.map(|most| random.lowered(most)),
        }
    }

    /// Takes note of exchanges, the last `errors` of which were answered with an error.
    pub(super) fn exchanged(&mut self, exchanges: u64, errors: u64) {
        self.exchanges += exchanges;
        self.errors = if errors == exchanges {
            self.errors + errors
        } else {
            errors
        };
        if exchanges > 0 {
            // An answer to a client is as good as one to a probe.
            self.misses = 0;
        }
    }

    /// The limit that the worker has reached, once it may be held to any.
    fn reached(&self, policy: &Policy) -> Option<Limit> {
        let over = |value: u64, most: Option<u64>| most.is_some_and(|most| value >= most);
        let reached = [
            (self.aged, Limit::Age),
            (over(self.exchanges, self.max_exchanges), Limit::Requests),
            (
                over(self.memory.unwrap_or(0), self.max_memory),
                Limit::Memory,
            ),
            (
                over(self.errors, policy.error_threshold.map(u64::from)),
                Limit::Errors,
            ),
        ];
        let first = reached.into_iter().find(|(reached, _)| *reached);
        first.map(|(_, limit)| limit).filter(|_| self.mature)
    }
}

impl Supervisor {
    /// A worker became ready: starts the timers of its life, and measures it.
    pub(super) fn begin_upkeep(&mut self, worker: WorkerId) {
        let (policy, random) = (&self.policy, &mut self.random);
        let watched = policy.enable_health_monitoring || policy.max_worker_memory.is_some();
        let life = policy.min_worker_life;
        let due: [(Due, Option<Duration>); 4] = [
            (
                Due::Check,
                watched.then(|| random.jitter(policy.health_check_interval)),
            ),
            (Due::Life, (!life.is_zero()).then_some(life)),
            (Due::Stable, Some(policy.restart_reset)),
            (
                Due::Age,
                policy.max_worker_age.map(|age| random.jitter(age)),
            ),
        ];
        for (due, after) in due {
            if let Some(after) = after {
                self.start_upkeep_timer(worker, due, after);
            }
        }
        if watched {
            self.order(worker, Order::Measure);
        }
    }

    pub(super) fn upkeep_due(&mut self, worker: WorkerId, due: Due) {
        let Some(occupant) = self.slots.get_mut(worker).filter(|o| o.is_serving()) else {
            self.counters.stale += 1;
            return;
        };
        match due {
            Due::Life => occupant.upkeep.mature = true,
            Due::Age => occupant.upkeep.aged = true,
            Due::Stable => occupant.failures = 0,
            Due::Check => self.check(worker),
        }
    }

    fn check(&mut self, worker: WorkerId) {
        self.order(worker, Order::Measure);
        let ready = |occupant: &Occupant| occupant.phase() == Phase::Ready;
        if self.policy.enable_health_monitoring && self.slots.get(worker).is_some_and(ready) {
            let lease = self.lease(worker, Holder::Monitor { late: false });
            self.counters.probes += 1;
            self.order(worker, Order::Probe { lease });
            self.start_probe_deadline(lease);
        }
        let again = self.random.jitter(self.policy.health_check_interval);
        self.start_upkeep_timer(worker, Due::Check, again);
    }

    pub(super) fn measured(&mut self, worker: WorkerId, bytes: u64) {
        match self.slots.get_mut(worker) {
            Some(occupant) => occupant.upkeep.memory = Some(bytes),
            None => self.counters.stale += 1,
        }
    }

    /// A worker answered a probe, in time or not. One that says too often that it is not well is retired at once.
    pub(super) fn probed(&mut self, lease: LeaseId, healthy: bool) -> Result<(), Illegal> {
        let Some(occupant) = self.slots.holding(lease) else {
            self.counters.stale += 1;
            return Ok(());
        };
        // One that answered late has missed its deadline, which is counted already, and nothing else.
        let late = occupant.lease.map(|held| held.by) == Some(Holder::Monitor { late: true });
        match (healthy, late) {
            (true, false) => occupant.upkeep.misses = 0,
            (true, true) => {}
            (false, _) => occupant.upkeep.misses += 1,
        }
        let unhealthy = occupant.upkeep.misses >= self.policy.health_failure_threshold;
        occupant.lease = None;
        let worker = lease.worker;
        let timer = Timer::Probe { lease };
        self.order(worker, Order::CancelTimer { timer });
        self.drive(worker, worker::Input::Checkin, None)?;
        if unhealthy && self.slots.get(worker).is_some_and(Occupant::is_serving) {
            self.decide(worker, worker::Input::Retire, Some(Reason::Unhealthy));
        }
        Ok(())
    }

    /// A probe's deadline passed. The worker keeps it, as it may answer yet, and is stopped when it has missed too many.
    pub(super) fn probe_elapsed(&mut self, lease: LeaseId) -> Result<(), Illegal> {
        let threshold = self.policy.health_failure_threshold;
        let Some(occupant) = self.slots.holding(lease) else {
            self.counters.stale += 1;
            return Ok(());
        };
        occupant.upkeep.misses += 1;
        self.counters.missed_probes += 1;
        if occupant.upkeep.misses < threshold {
            if let Some(held) = &mut occupant.lease {
                held.by = Holder::Monitor { late: true };
            }
            self.start_probe_deadline(lease);
            return Ok(());
        }
        occupant.lease = None;
        let fault = worker::Input::Fault;
        self.drive(lease.worker, fault, Some(Reason::Unhealthy))?;
        Ok(())
    }

    /// Marks the workers that have reached a limit.
    pub(super) fn mark_limits(&mut self) {
        while let Some((worker, limit)) = self.next_at_its_limit() {
            self.mark(worker, Reason::Limit(limit), false);
        }
    }

    fn next_at_its_limit(&self) -> Option<(WorkerId, Limit)> {
        let unmarked = |o: &&Occupant| o.is_serving() && o.mark.is_none();
        self.slots.iter().find_map(|(worker, occupant)| {
            let occupant = Some(occupant).filter(unmarked)?;
            Some((worker, occupant.upkeep.reached(&self.policy)?))
        })
    }

    fn start_upkeep_timer(&mut self, worker: WorkerId, due: Due, after: Duration) {
        let timer = Timer::Upkeep { worker, due };
        self.order(worker, Order::StartTimer { timer, after });
    }

    fn start_probe_deadline(&mut self, lease: LeaseId) {
        let timer = Timer::Probe { lease };
        let after = self.policy.health_check_timeout;
        self.order(lease.worker, Order::StartTimer { timer, after });
    }

    pub(super) fn order(&mut self, worker: WorkerId, order: Order) {
        self.effects.push(Effect::Worker { worker, order });
    }
}
