//! What is known of a worker's health, and the limits that apply to it.

use super::Limit;
use super::random::Random;
use crate::policy::Policy;

/// A worker's counters, and its own jittered limits.
#[derive(Clone, Debug)]
pub(super) struct Health {
    /// Consecutive missed health checks.
    pub(super) misses: u32,
    /// Consecutive calls answered with an error. Calls answered together may count as one.
    pub(super) errors: u64,
    /// Resident bytes, when last measured.
    pub(super) memory: Option<u64>,
    /// Calls completed.
    pub(super) calls: u64,
    /// Whether it has served for `min_worker_life`.
    pub(super) mature: bool,
    /// Whether it has served for `max_worker_age`.
    pub(super) aged: bool,
    max_calls: Option<u64>,
    max_memory: Option<u64>,
    max_errors: Option<u64>,
}

/// The calls that were completed under a lease. See [`LeaseEnded`](super::Input::LeaseEnded).
#[derive(Clone, Copy)]
pub(super) struct Calls {
    pub(super) completed: u64,
    pub(super) errors: u64,
    pub(super) unbroken: bool,
}

impl Calls {
    pub(super) const NONE: Self = Self {
        completed: 0,
        errors: 0,
        unbroken: true,
    };

    /// One call, answered without an error.
    pub(super) const SERVED: Self = Self {
        completed: 1,
        errors: 0,
        unbroken: false,
    };
}

impl Health {
    pub(super) fn new(policy: &Policy, random: &mut Random) -> Self {
        Self {
            misses: 0,
            errors: 0,
            memory: None,
            calls: 0,
            mature: policy.min_worker_life.is_zero(),
            aged: false,
            max_calls: policy.max_worker_requests.map(|most| random.lowered(most)),
            max_memory: policy.max_worker_memory.map(|most| random.lowered(most)),
            max_errors: policy.error_threshold.map(u64::from),
        }
    }

    pub(super) fn record_calls(&mut self, calls: Calls) {
        self.calls += calls.completed;
        self.errors = if calls.unbroken {
            self.errors + calls.errors
        } else {
            calls.errors
        };
        if calls.completed > 0 {
            // An answered call shows as much as an answered health check.
            self.misses = 0;
        }
    }

    /// The limit that the worker has reached, once it is old enough for limits to apply.
    pub(super) fn limit_reached(&self) -> Option<Limit> {
        let over = |value: u64, most: Option<u64>| most.is_some_and(|most| value >= most);
        if !self.mature {
            None
        } else if self.aged {
            Some(Limit::Age)
        } else if over(self.calls, self.max_calls) {
            Some(Limit::Requests)
        } else if over(self.memory.unwrap_or(0), self.max_memory) {
            Some(Limit::Memory)
        } else if over(self.errors, self.max_errors) {
            Some(Limit::Errors)
        } else {
            None
        }
    }
}
