//! How leases end: returned clean, with a fault, or with a call that the worker may still cancel.

use super::health::Calls;
use super::occupant::{Held, Holder};
use super::{Effect, Fault, Illegal, LeaseEnd, Order, Reason, Supervisor, Timer};
use crate::LeaseId;
use crate::worker::{self, Phase};

impl Supervisor {
    /// A client returned its lease.
    pub(super) fn lease_ended(
        &mut self,
        lease: LeaseId,
        calls: Calls,
        end: LeaseEnd,
    ) -> Result<(), Illegal> {
        let occupant = self.slots.under_lease(lease);
        let held = occupant.and_then(|o| Some((o.lease?.by, o.phase())));
        match (held, end, self.policy.cancel_grace) {
            // While a call is being cancelled, the lease belongs to the pool: its client has
            // returned it.
            (None | Some((Holder::Cancel { .. }, _)), _, _) => {
                self.counters.stale += 1;
            }
            (_, LeaseEnd::Clean, _) => self.returned(lease, calls)?,
            // A worker that is being stopped needs no grace.
            (Some((_, phase)), LeaseEnd::Cancellable(fault), Some(grace))
                if phase != Phase::Stopping =>
            {
                if let Some(mut occupant) = self.slots.get_mut(lease.worker) {
                    let by = Holder::Cancel { fault };
                    occupant.lease = Some(Held { id: lease, by });
                    occupant.health.record_calls(calls);
                }
                self.order(lease.worker, Order::Cancel { lease });
                self.start_timer(Timer::Cancel { lease }, grace);
            }
            (_, LeaseEnd::Cancellable(fault) | LeaseEnd::Fault(fault), _) => {
                self.faulted(lease, fault, calls)?;
            }
        }
        // They were completed, whatever has become of the worker since.
        self.counters.calls += calls.completed;
        if let Some((Holder::Client(Some(session)), _)) = held {
            self.may_be_idle(session);
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
        if clean {
            self.returned(lease, Calls::SERVED)?;
            self.counters.calls += 1;
            Ok(())
        } else {
            self.faulted(lease, fault, Calls::NONE)
        }
    }

    /// `cancel_grace` passed before the cancelled call ended.
    pub(super) fn cancel_elapsed(&mut self, lease: LeaseId) -> Result<(), Illegal> {
        match self.cancelling(lease) {
            Some(fault) => self.faulted(lease, fault, Calls::NONE),
            None => {
                self.counters.stale += 1;
                Ok(())
            }
        }
    }

    /// What was wrong with the call that is being cancelled under this lease.
    fn cancelling(&self, lease: LeaseId) -> Option<Fault> {
        match self.slots.under_lease(lease)?.lease?.by {
            Holder::Cancel { fault } => Some(fault),
            Holder::Client(_) | Holder::Probe { .. } => None,
        }
    }

    fn returned(&mut self, lease: LeaseId, calls: Calls) -> Result<(), Illegal> {
        self.end_lease(lease, worker::Input::Checkin, None, calls)?;
        Ok(())
    }

    fn faulted(&mut self, lease: LeaseId, fault: Fault, calls: Calls) -> Result<(), Illegal> {
        let reason = Some(Reason::Fault(fault));
        let moved = self.end_lease(lease, worker::Input::Fault, reason, calls)?;
        self.counters.faulted += u64::from(moved);
        Ok(())
    }

    fn end_lease(
        &mut self,
        lease: LeaseId,
        input: worker::Input,
        reason: Option<Reason>,
        calls: Calls,
    ) -> Result<bool, Illegal> {
        self.feed_worker_with(lease.worker, input, reason, |occupant| {
            occupant.lease = None;
            occupant.health.record_calls(calls);
        })
    }
}
