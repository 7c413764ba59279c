//! Leases that are held for long: logged once, with the place where each was taken.
//!
//! A lease costs one more store, of a static reference and a time. While any is held, the clock
//! looks at all of them once per `lease_warning`.

use std::panic::Location;
use std::time::Duration;

use ostler::{LeaseId, WaiterId};

use super::Driver;
use super::effects::{Actions, Deferred};
use super::state::State;
use crate::rt::Instant;

/// Where in the program a lease was taken.
pub(crate) type Place = &'static Location<'static>;

impl Driver {
    /// Logs the leases that are held for longer than `lease_warning`.
    pub(super) fn log_held_leases(&self) {
        let Some(limit) = self.limits.lease_warning else {
            return;
        };
        let now = Instant::now();
        let held = {
            let mut state = self.lock();
            if state.lease_alarm.is_none_or(|alarm| now < alarm) {
                return;
            }
            let mut held = Vec::new();
            let mut next = None::<Instant>;
            for entry in state.entries() {
                let Some((place, since)) = entry.taken else {
                    continue;
                };
                let due = since + limit;
                if due <= now {
                    entry.taken = None;
                    held.push((entry.worker, now.duration_since(since), place));
                } else {
                    next = Some(next.map_or(due, |next| next.min(due)));
                }
            }
            state.lease_alarm = next;
            held
        };
        for (worker, since, place) in held {
            self.log.held_lease(worker, since, place);
        }
    }
}

impl State {
    /// Where the client asked that gets a lease now, and the time. Looks after that lease from now
    /// on.
    pub(super) fn taken_by(
        &mut self,
        waiter: WaiterId,
        limit: Option<Duration>,
        actions: &mut Actions,
    ) -> Option<(Place, Instant)> {
        let limit = limit?;
        let waiting = self.clients.get_mut(waiter);
        let place = waiting.map_or(actions.place, |client| client.place)?;
        let now = actions.now();
        if self.lease_alarm.is_none() {
            self.lease_alarm = Some(now + limit);
            actions.push(Deferred::Rearm);
        }
        Some((place, now))
    }

    /// The client of this lease holds it no longer.
    pub(super) fn forget_place(&mut self, lease: LeaseId) {
        if let Some(entry) = self.worker(lease.worker) {
            entry.taken = None;
        }
    }
}
