//! Watching serving workers: milestones, health checks and memory.

use core::time::Duration;

use super::occupant::Holder;
use super::{Effect, Illegal, Milestone, Order, Reason, Supervisor, Timer};
use crate::worker::{self, Phase};
use crate::{LeaseId, WorkerId};

impl Supervisor {
    /// A worker became ready: starts its milestone timers and measures its memory.
    pub(super) fn begin_monitoring(&mut self, worker: WorkerId) {
        let (policy, random) = (&self.policy, &mut self.random);
        let watched = policy.enable_health_monitoring || policy.max_worker_memory.is_some();
        let life = policy.min_worker_life;
        let milestones: [(Milestone, Option<Duration>); 4] = [
            (
                Milestone::Check,
                watched.then(|| random.jitter(policy.health_check_interval)),
            ),
            (Milestone::Mature, (!life.is_zero()).then_some(life)),
            (Milestone::Stable, Some(policy.restart_reset)),
            (
                Milestone::Age,
                policy.max_worker_age.map(|age| random.jitter(age)),
            ),
        ];
        for (milestone, after) in milestones {
            if let Some(after) = after {
                self.start_timer(Timer::Milestone { worker, milestone }, after);
            }
        }
        if watched {
            self.order(worker, Order::Measure);
        }
    }

    pub(super) fn milestone_reached(&mut self, worker: WorkerId, milestone: Milestone) {
        let Some(mut occupant) = self.slots.get_mut(worker).filter(|o| o.is_serving()) else {
            self.counters.stale += 1;
            return;
        };
        match milestone {
            Milestone::Mature => occupant.health.mature = true,
            Milestone::Age => occupant.health.aged = true,
            Milestone::Stable => occupant.failures = 0,
            Milestone::Check => {
                drop(occupant);
                self.check(worker);
            }
        }
    }

    fn check(&mut self, worker: WorkerId) {
        self.order(worker, Order::Measure);
        let is_ready = (self.slots.get(worker)).is_some_and(|o| o.phase() == Phase::Ready);
        if self.policy.enable_health_monitoring && is_ready {
            let lease = self.lease(worker, Holder::Probe { late: false });
            self.counters.probes += 1;
            self.order(worker, Order::Probe { lease });
            self.start_timer(Timer::Probe { lease }, self.policy.health_check_timeout);
        }
        let again = self.random.jitter(self.policy.health_check_interval);
        let milestone = Milestone::Check;
        self.start_timer(Timer::Milestone { worker, milestone }, again);
    }

    pub(super) fn measured(&mut self, worker: WorkerId, bytes: u64) {
        match self.slots.get_mut(worker) {
            Some(mut occupant) => occupant.health.memory = Some(bytes),
            None => self.counters.stale += 1,
        }
    }

    /// A worker answered a health check, in time or late. A worker that reports itself unhealthy
    /// too often is retired at once.
    pub(super) fn probed(&mut self, lease: LeaseId, healthy: bool) -> Result<(), Illegal> {
        let Some(mut occupant) = self.slots.under_lease_mut(lease) else {
            self.counters.stale += 1;
            return Ok(());
        };
        // A late answer does not reset the count: its deadline was counted as a miss when it
        // passed.
        let late = occupant.lease.map(|held| held.by) == Some(Holder::Probe { late: true });
        match (healthy, late) {
            (true, false) => occupant.health.misses = 0,
            (true, true) => {}
            (false, _) => occupant.health.misses += 1,
        }
        let unhealthy = occupant.health.misses >= self.policy.health_failure_threshold;
        occupant.lease = None;
        drop(occupant);
        let worker = lease.worker;
        let timer = Timer::Probe { lease };
        self.effects.push(Effect::CancelTimer { timer });
        self.feed_worker(worker, worker::Input::Checkin, None)?;
        if unhealthy && (self.slots.get(worker)).is_some_and(|o| o.is_serving()) {
            self.must_feed(worker, worker::Input::Retire, Some(Reason::Unhealthy));
        }
        Ok(())
    }

    /// A health check missed its deadline. The check keeps its lease, because the worker may still
    /// answer; the worker is stopped when it has missed too many.
    pub(super) fn probe_elapsed(&mut self, lease: LeaseId) -> Result<(), Illegal> {
        let threshold = self.policy.health_failure_threshold;
        let Some(mut occupant) = self.slots.under_lease_mut(lease) else {
            self.counters.stale += 1;
            return Ok(());
        };
        occupant.health.misses += 1;
        self.counters.missed_probes += 1;
        if occupant.health.misses < threshold {
            if let Some(held) = &mut occupant.lease {
                held.by = Holder::Probe { late: true };
            }
            drop(occupant);
            self.start_timer(Timer::Probe { lease }, self.policy.health_check_timeout);
            return Ok(());
        }
        occupant.lease = None;
        drop(occupant);
        let fault = worker::Input::Fault;
        self.feed_worker(lease.worker, fault, Some(Reason::Unhealthy))?;
        Ok(())
    }
}
