//! How the leases of a [`Model`] end: of clients, of cancelled calls and of health checks.

use ostler::LeaseId;
use ostler::supervisor::{Fault, LeaseEnd, Order, Reason, Timer};
use ostler::worker::{self, Phase};

use crate::model::{Holder, Model};

impl Model {
    /// The worker of a lease that one of these holders returns, unless the lease has ended or its
    /// worker is released.
    fn take_back(&mut self, lease: LeaseId, by: fn(Holder) -> bool) -> Option<(usize, Holder)> {
        let known = self.lease_out(lease).filter(|l| by(self.leases[*l].holder));
        for given in &mut self.leases {
            if given.id == lease && by(given.holder) {
                given.out = false;
            }
        }
        if known.is_none() {
            self.counters.stale += 1;
        }
        Some((self.find(lease.worker)?, self.leases[known?].holder))
    }

    pub(crate) fn lease_ended(&mut self, lease: LeaseId, calls: (u64, u64, bool), end: LeaseEnd) {
        let (calls, errors, unbroken) = calls;
        self.counters.calls += calls;
        // A cancelled call's lease belongs to the pool.
        let Some((w, _)) = self.take_back(lease, |holder| !is_cancel(holder)) else {
            return;
        };
        let worker = &mut self.workers[w];
        let others = (!unbroken).then_some(false);
        worker.errors.extend((errors..calls).map(|_| others));
        worker.errors.extend((0..errors).map(|_| Some(true)));
        if calls > 0 {
            // A reply to a client shows as much as a reply to a health check.
            worker.misses = 0;
        }
        let is_stopping = self.workers[w].state.0 == Phase::Stopping;
        match (end, self.policy.cancel_grace) {
            (LeaseEnd::Clean, _) => _ = self.react(w, worker::Input::Checkin, None),
            (LeaseEnd::Cancellable(fault), Some(grace)) if !is_stopping => {
                let known = self.leases.iter_mut().find(|known| known.id == lease);
                let known = known.expect("it was out");
                (known.holder, known.out) = (Holder::Cancel(fault), true);
                self.order(lease.worker, Order::Cancel { lease });
                self.start_timer(Timer::Cancel { lease }, grace);
            }
            (LeaseEnd::Fault(fault) | LeaseEnd::Cancellable(fault), _) => self.faulted(w, fault),
        }
    }

    fn faulted(&mut self, w: usize, fault: Fault) {
        if self.react(w, worker::Input::Fault, Some(Reason::Fault(fault))) {
            self.counters.faulted += 1;
        }
    }

    /// A cancelled call that ends cleanly is a call like any other. Otherwise the
    /// client's fault stands.
    pub(crate) fn cancel_ended(&mut self, lease: LeaseId, clean: bool) {
        let Some((w, holder)) = self.take_back(lease, is_cancel) else {
            return;
        };
        self.cancel_timer(Timer::Cancel { lease });
        match holder {
            Holder::Cancel(fault) if !clean => self.faulted(w, fault),
            _ => {
                self.counters.calls += 1;
                self.workers[w].errors.push(Some(false));
                self.workers[w].misses = 0;
                self.react(w, worker::Input::Checkin, None);
            }
        }
    }

    pub(crate) fn misses_a_cancel(&mut self, lease: LeaseId) {
        match self.take_back(lease, is_cancel) {
            Some((w, Holder::Cancel(fault))) => self.faulted(w, fault),
            other => panic!("{lease:?} is cancelled by {other:?}"),
        }
    }

    pub(crate) fn start_probe_deadline(&mut self, lease: LeaseId) {
        self.start_timer(Timer::Probe { lease }, self.policy.health_check_timeout);
    }

    /// L11: the worker may still answer, unless it has missed too many.
    pub(crate) fn misses_a_probe(&mut self, lease: LeaseId) {
        let Some(l) = self.lease_out(lease) else {
            self.counters.stale += 1;
            return;
        };
        let w = self.find(lease.worker).expect("its lease is out");
        self.counters.missed_probes += 1;
        self.workers[w].misses += 1;
        if self.workers[w].misses < self.policy.health_failure_threshold {
            self.leases[l].holder = Holder::Probe { late: true };
            self.start_probe_deadline(lease);
        } else {
            self.leases[l].out = false;
            self.react(w, worker::Input::Fault, Some(Reason::Unhealthy));
        }
    }

    pub(crate) fn answers_the_probe(&mut self, lease: LeaseId, healthy: bool) {
        let Some((w, holder)) = self.take_back(lease, |_| true) else {
            return;
        };
        self.cancel_timer(Timer::Probe { lease });
        if !healthy {
            self.workers[w].misses += 1;
        } else if holder == (Holder::Probe { late: false }) {
            // A late answer does not undo the miss.
            self.workers[w].misses = 0;
        }
        self.react(w, worker::Input::Checkin, None);
        let too_many = self.workers[w].misses >= self.policy.health_failure_threshold;
        if too_many && self.serving().contains(&w) {
            self.react(w, worker::Input::Retire, Some(Reason::Unhealthy));
        }
    }
}

fn is_cancel(holder: Holder) -> bool {
    matches!(holder, Holder::Cancel(_))
}
