//! A lease, as the driver hands it out.

use std::fmt;
use std::sync::Arc;

use ostler::supervisor::{Fault, Input, LeaseEnd, Reason};
use ostler::{LeaseId, WorkerId};

use super::{Driver, Limits};
use crate::config::AbandonedCalls;
use crate::metrics::{Outcome, Timer};
use crate::rt::Sleep;
use crate::transport::Transport;

/// A lease on one worker. It ends exactly once: [`end`](Self::end) ends it, or else its drop does.
///
/// Dropping it never blocks, never panics and needs no runtime.
pub(crate) struct Grant {
    driver: Arc<Driver>,
    transport: Arc<Transport>,
    id: LeaseId,
    /// Calls completed under it.
    calls: u64,
    /// How many of the most recent of those calls were answered with an error, in a row.
    errors: u64,
    /// Whether no call was answered without an error.
    unbroken: bool,
    ended: bool,
}

impl Grant {
    pub(super) fn new(driver: Arc<Driver>, transport: Arc<Transport>, id: LeaseId) -> Self {
        Self {
            driver,
            transport,
            id,
            calls: 0,
            errors: 0,
            unbroken: true,
            ended: false,
        }
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.id.worker
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.driver.pid(self.id.worker)
    }

    pub(crate) fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.driver.limits
    }

    pub(crate) fn sleep(&self, duration: std::time::Duration) -> Sleep {
        self.driver.sleep(duration)
    }

    /// Whether the worker broke the protocol while it was idle. The end of the lease reports it.
    pub(crate) fn is_broken(&self) -> bool {
        self.transport.is_broken()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Counts a completed call, and whether it was answered with an error.
    pub(crate) fn record_call(&mut self, is_error: bool) {
        self.calls += 1;
        self.errors = if is_error { self.errors + 1 } else { 0 };
        self.unbroken &= is_error;
    }

    /// How many calls were completed, and how many of the last ones with an error.
    pub(crate) fn recorded(&self) -> (u64, u64) {
        (self.calls, self.errors)
    }

    /// The calls recorded since then were answered together. Their errors count as one.
    pub(crate) fn count_as_one(&mut self, (calls, errors): (u64, u64)) {
        let since = self.calls - calls;
        if since == 0 {
            return;
        }
        let all_failed = self.errors == errors + since;
        self.errors = if all_failed {
            errors + 1
        } else {
            self.errors.min(1)
        };
    }

    pub(crate) fn pool_name(&self) -> Option<&str> {
        self.driver.name()
    }

    /// Records a call for the metrics.
    pub(crate) fn observe(&self, outcome: Outcome, timer: Timer) {
        self.driver.metrics.called(outcome, timer);
    }

    /// Records what is known of the fault with which the lease is about to end.
    pub(crate) fn explain(&self, fault: Fault, detail: String) {
        let reason = Reason::Fault(fault);
        self.driver.explain(self.id.worker, reason, detail);
    }

    /// Ends the lease in the middle of a call.
    pub(crate) fn give_up(&mut self, fault: Fault) {
        // What is given up can be waited for, if the core decides so.
        let given_up = match self.limits().abandoned_calls {
            AbandonedCalls::Finish => fault == Fault::Abandoned,
            _ => matches!(fault, Fault::Abandoned | Fault::TimedOut),
        };
        self.end(if given_up && self.transport.can_cancel() {
            LeaseEnd::Cancellable(fault)
        } else {
            LeaseEnd::Fault(fault)
        });
    }

    /// Tells the core how the lease ended. Only the first call counts.
    fn end(&mut self, end: LeaseEnd) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.driver.feed(Input::LeaseEnded {
            lease: self.id,
            calls: self.calls,
            errors: self.errors,
            unbroken: self.unbroken,
            end,
        });
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        // Bytes left over in the transport would reach the next client.
        self.end(if self.transport.is_clean() {
            LeaseEnd::Clean
        } else {
            LeaseEnd::Fault(Fault::ProtocolBroken)
        });
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("id", &self.id)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
