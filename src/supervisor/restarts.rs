//! When the next worker may be started.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::Transition;
use super::{Effect, Reason, Supervisor, Timer};
use crate::policy::Policy;
use crate::worker::{Input, Phase};

/// Failures, and the backoffs that follow them.
///
/// Each vacancy carries the consecutive failures of the workers that left it, so one program that
/// keeps crashing delays only its own replacement.
#[derive(Clone, Debug, Default)]
pub(super) struct Restarts {
    /// Consecutive failed starts, pool-wide. Any worker that becomes ready resets it.
    failed_starts: u32,
    /// Vacancies held back by a backoff. Once the pool has settled, at most as many as workers are
    /// missing.
    backoffs: Vec<Backoff>,
    /// Vacancies for the next workers, oldest first. A worker that finds none here fills a new one.
    vacancies: VecDeque<Vacancy>,
    /// Backoffs so far: the generation of the latest.
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    generation: u64,
    vacancy: Vacancy,
}

/// A missing worker, to be filled by the next start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vacancy {
    /// Consecutive failures that led to it.
    pub(super) failures: u32,
    /// Why the last worker left it. `None`: it is new.
    pub(super) left: Option<Reason>,
}

impl Restarts {
    /// Whether `crash_loop` starts in a row have failed.
    pub(super) fn is_crash_loop(&self, policy: &Policy) -> bool {
        self.failed_starts >= policy.crash_loop
    }

    /// Vacancies held back now.
    pub(super) fn held_back(&self) -> usize {
        self.backoffs.len()
    }

    /// The vacancy that the next worker fills.
    pub(super) fn next_vacancy(&mut self) -> Vacancy {
        self.vacancies.pop_front().unwrap_or_default()
    }

    /// Adds a vacancy that may be filled at once.
    pub(super) fn vacate(&mut self, failures: u32, left: Reason) {
        let left = Some(left);
        self.vacancies.push_back(Vacancy { failures, left });
    }

    /// Drops the vacancies that need no worker: the pool is fully staffed.
    pub(super) fn close_vacancies(&mut self) {
        self.vacancies.clear();
    }

    fn back_off(&mut self, failures: u32, left: Reason) -> Timer {
        let left = Some(left);
        self.generation += 1;
        let backoff = Backoff {
            generation: self.generation,
            vacancy: Vacancy { failures, left },
        };
        self.backoffs.push(backoff);
        backoff.timer()
    }

    /// A backoff elapsed. False when it had been cancelled.
    fn elapsed(&mut self, generation: u64) -> bool {
        let found = (self.backoffs.iter()).position(|backoff| backoff.generation == generation);
        if let Some(index) = found {
            let backoff = self.backoffs.remove(index);
            self.vacancies.push_back(backoff.vacancy);
        }
        found.is_some()
    }
}

impl Backoff {
    fn timer(self) -> Timer {
        Timer::Backoff {
            generation: self.generation,
        }
    }
}

impl Supervisor {
    /// A worker became ready.
    pub(super) fn start_succeeded(&mut self) {
        self.counters.started += 1;
        self.restarts.failed_starts = 0;
    }

    /// A worker's start failed.
    pub(super) fn start_failed(&mut self) {
        self.restarts.failed_starts = self.restarts.failed_starts.saturating_add(1);
        self.stop_rolling();
    }

    /// A worker left a vacancy. It is filled at once, except after a failed start and after a crash
    /// that follows another failure: then it backs off first. A worker that broke the protocol
    /// between two calls has crashed.
    pub(super) fn vacated(&mut self, transition: Transition) {
        let (Some(occupant), Some(left)) = (self.slots.get(transition.worker), transition.reason)
        else {
            return;
        };
        // A worker that is being replaced opened its vacancy when that was decided.
        if occupant.replacement.is_some() {
            return;
        }
        let before = occupant.failures;
        let failures = before.saturating_add(1);
        let doublings = match (transition.from, transition.input) {
            (_, Input::Retire) => return self.restarts.vacate(0, left),
            (_, Input::Fault) if !occupant.broke => return self.restarts.vacate(0, left),
            (Phase::Initializing, _) => failures,
            _ if before == 0 => return self.restarts.vacate(failures, left),
            _ => before,
        };
        let after: Duration = self.random.jitter(self.policy.backoff(doublings));
        let timer = self.restarts.back_off(failures, left);
        self.start_timer(timer, after);
    }

    pub(super) fn backoff_elapsed(&mut self, generation: u64) {
        if !self.restarts.elapsed(generation) {
            self.counters.stale += 1;
        }
    }

    /// Cancels backoffs, the latest first, until no more are left than workers are missing. Others
    /// may have filled the vacancy, because a worker that was to be replaced is kept, or the pool
    /// may have shrunk or ended.
    pub(super) fn cancel_backoffs_beyond(&mut self, missing: usize) {
        while self.restarts.backoffs.len() > missing
            && let Some(backoff) = self.restarts.backoffs.pop()
        {
            let timer = backoff.timer();
            self.effects.push(Effect::CancelTimer { timer });
        }
    }
}
