//! How leases end: returned clean, with a fault, or with a call that the worker may still cancel.

use super::occupant::{Held, Holder};
use super::{Effect, Fault, Illegal, LeaseEnd, Order, Reason, Supervisor, Timer};
use crate::LeaseId;
use crate::worker::{self, Phase};

impl Supervisor {
    /// A client returned its lease.
    pub(super) fn lease_ended(
        &mut self,
        lease: LeaseId,
        calls: u64,
        errors: u64,
        end: LeaseEnd,
    ) -> Result<(), Illegal> {
        // While a call is being cancelled, the lease belongs to the pool: its client has returned
        // it.
        let is_cancelled = self.cancelling(lease).is_some();
        let held = self.slots.under_lease(lease).filter(|_| !is_cancelled);
        let Some(occupant) = held else {
            self.counters.stale += 1;
            return Ok(());
        };
        occupant.health.record_calls(calls, errors);
        self.counters.calls += calls;
        match (end, self.policy.cancel_grace) {
            (LeaseEnd::Clean, _) => {
                occupant.lease = None;
                self.feed_worker(lease.worker, worker::Input::Checkin, None)?;
            }
            // A worker that is being stopped needs no grace.
            (LeaseEnd::Cancellable(fault), Some(grace)) if occupant.phase() != Phase::Stopping => {
                let by = Holder::Cancel { fault };
                occupant.lease = Some(Held { id: lease, by });
                self.order(lease.worker, Order::Cancel { lease });
                self.start_timer(Timer::Cancel { lease }, grace);
            }
            (LeaseEnd::Cancellable(fault) | LeaseEnd::Fault(fault), _) => {
                self.faulted(lease, fault)?;
            }
        }
        Ok(())
    }

    /// A cancelled call ended. If it ended clean, the worker serves on; otherwise it is stopped, as
    /// it would have been without a grace.
    pub(super) fn cancel_ended(&mut self, lease: LeaseId, clean: bool) -> Result<(), Illegal> {
        let Some(fault) = self.cancelling(lease) else {
            self.counters.stale += 1;
            return Ok(());
        };
        let timer = Timer::Cancel { lease };
        self.effects.push(Effect::CancelTimer { timer });
        if !clean {
            return self.faulted(lease, fault);
        }
        if let Some(occupant) = self.slots.under_lease(lease) {
            occupant.lease = None;
            occupant.health.record_calls(1, 0);
        }
        self.counters.calls += 1;
        self.feed_worker(lease.worker, worker::Input::Checkin, None)?;
        Ok(())
    }

    /// `cancel_grace` passed before the cancelled call ended.
    pub(super) fn cancel_elapsed(&mut self, lease: LeaseId) -> Result<(), Illegal> {
        match self.cancelling(lease) {
            Some(fault) => self.faulted(lease, fault),
            None => {
                self.counters.stale += 1;
                Ok(())
            }
        }
    }

    /// What was wrong with the call that is being cancelled under this lease.
    fn cancelling(&mut self, lease: LeaseId) -> Option<Fault> {
        match self.slots.under_lease(lease)?.lease?.by {
            Holder::Cancel { fault } => Some(fault),
            Holder::Client(_) | Holder::Probe { .. } => None,
        }
    }

    fn faulted(&mut self, lease: LeaseId, fault: Fault) -> Result<(), Illegal> {
        if let Some(occupant) = self.slots.under_lease(lease) {
            occupant.lease = None;
        }
        let reason = Some(Reason::Fault(fault));
        let moved = self.feed_worker(lease.worker, worker::Input::Fault, reason)?;
        self.counters.faulted += u64::from(moved);
        Ok(())
    }
}
